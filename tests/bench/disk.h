// What a disk has written, by its own counters.
#pragma once

#include <cstdint>
#include <string>

namespace walmanager::bench {

// Writes back everything that is dirty in the file system of `directory`, and gives the bytes that
// its device has written since boot (Linux, Documentation/block/stat.rst); 0 where it has none, as
// in /dev/shm. Counts what other processes write to the device, too. write_bytes of /proc/self/io
// does not serve: it counts a whole folio (32 KB and more) for each page of it that is written.
std::uint64_t BytesOnDisk(const std::string& directory);

}  // namespace walmanager::bench
