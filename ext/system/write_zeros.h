// Zeros that take their place on the disk.
// Thread rules: those of the file.
#pragma once

#include <cstdint>

namespace walmanager {

// Writes zeros from `from` to `to`, so that no later store in a mapping of the file can find the
// disk full (that would be a SIGBUS). False: errno says why.
bool WriteZeros(int fd, std::int64_t from, std::int64_t to);

}  // namespace walmanager
