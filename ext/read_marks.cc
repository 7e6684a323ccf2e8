#include "ext/read_marks.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "ext/core/lock_table.h"
#include "ext/registry.h"

namespace walmanager {

std::optional<ReadMarks> ReadMarksOfLockTable(const std::string& shm_path) {
  struct stat shm {};
  std::ifstream file("/proc/locks");
  if (!file || stat(shm_path.c_str(), &shm) != 0) return std::nullopt;
  std::stringstream table;
  table << file.rdbuf();
  const FileIdentity identity{major(shm.st_dev), minor(shm.st_dev), shm.st_ino};
  const auto locks = ParseLockTable(table.str(), identity);
  // This process has the file mapped, and so holds a lock on it: a table that does not show it
  // names the file otherwise, as those of some file systems do, and says nothing about readers
  // either.
  const bool shows_us = std::any_of(locks.begin(), locks.end(), [](const FileLock& lock) {
    return lock.pid == ThisProcess().pid;
  });
  if (!shows_us) return std::nullopt;
  ReadMarks marks;
  for (const FileLock& lock : locks) {
    if (lock.exclusive) continue;  // one who moves frames or starts the log over, not a reader
    for (int mark = 0; mark < kReadMarks; ++mark) {
      const int byte = kShmLockBase + kReadLock0 + mark;
      if (byte < lock.first_byte || byte > lock.last_byte) continue;
      marks.held[static_cast<std::size_t>(mark)] = true;
      if (lock.pid != ThisProcess().pid)
        marks.held_by_others[static_cast<std::size_t>(mark)] = true;
    }
  }
  return marks;
}

}  // namespace walmanager
