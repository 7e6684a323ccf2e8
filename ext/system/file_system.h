// What the system tells of a file and of the file system that it is on. Thread rules: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace walmanager {

struct FileSystemFacts {
  std::optional<std::string> type;         // "ext4"; nullopt: the system does not say
  std::optional<std::int64_t> free_bytes;  // for users other than root
  std::optional<std::int64_t> bytes;
  std::optional<bool> is_mount_point;  // something is mounted at the path itself
};
FileSystemFacts FileSystemOf(const std::string& path);

// Whether a close of this descriptor waits for no other machine or process, as it does on NFS or
// FUSE, and whether the file can be deleted while it is open without a trace in its directory.
// False where the file system is none of the usual local ones.
bool ClosesAtOnce(int fd);

// Whether there is a file at the path. Opens nothing.
bool IsThere(const std::string& path);
// The size of a file; nullopt, with errno, where the system does not say.
std::optional<std::int64_t> FileBytes(const std::string& path);

// The size of a file and the time of its last change; both 0 where there is none.
struct FileStamp {
  std::int64_t bytes = 0, changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const std::string& path);

}  // namespace walmanager
