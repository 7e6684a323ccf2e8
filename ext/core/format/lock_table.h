// The system's table of POSIX file locks, /proc/locks (format: proc_locks(5) and the kernel's
// fs/locks.c). It shows the locks that SQLite's readers and writers hold on a -shm file.
//
// Text in, facts out; ext/system reads the file. Lines that do not parse are skipped, because the
// kernel owns the format. Pids are numbers of the reading process's PID namespace; the lock of a
// process outside of that namespace has pid 0.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace walmanager {

// Which file: the numbers of stat(2), device split into major and minor.
struct FileIdentity {
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::uint64_t inode = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

struct FileLock {
  std::int64_t pid = 0;
  bool exclusive = false;
  std::int64_t first_byte = 0;
  std::int64_t last_byte = 0;  // INT64_MAX where the lock reaches to the end of the file
};

// The granted locks of the machine by file. Each line is taken apart once, since a process with
// many databases asks for each of them.
class LockTable {
 public:
  explicit LockTable(std::string_view text);

  // In the order of the text.
  const std::vector<FileLock>& On(const FileIdentity& file) const;

 private:
  std::map<FileIdentity, std::vector<FileLock>> locks_;
};

}  // namespace walmanager
