#include "ext/system/read_marks.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdint>

#include "ext/core/base/value.h"
#include "ext/core/format/lock_table.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"
#include "ext/system/reused_tables.h"
#include "ext/system/system_text.h"

namespace walmanager {
namespace {

// Every connection holds it shared as long as it has the log open (os_unix.c, UNIX_SHM_DMS).
constexpr std::int64_t kShmOpenByte = 128;

// nullopt where the system has no such table.
std::optional<LockTable> ReadLockTable() {
  const std::string text = ReadSystemText("/proc/locks");
  return text.empty() ? std::nullopt : std::optional<LockTable>(text);
}

// nullopt where the system has no such table, or there is no such file.
std::optional<std::vector<FileLock>> LocksOn(const std::string& path) {
  constexpr std::uint64_t kReuseNs = 100'000'000, kMostReuseNs = 5'000'000'000;
  constexpr std::uint64_t kReusePerRead = 100;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  const FileIdentity file{major(status.st_dev), minor(status.st_dev), status.st_ino};
  ReusedTables* const reused = TablesToReuse();
  if (!reused) {
    const auto table = ReadLockTable();
    return table ? std::optional(table->On(file)) : std::nullopt;
  }
  const std::uint64_t now = MonotonicNs();
  if (!reused->locks || now >= reused->locks_good_until_ns) {
    reused->locks = ReadLockTable();
    const std::uint64_t done = MonotonicNs();
    // While the system reads out the table, no process of the machine gets or gives back a lock. So
    // a long one is read seldom.
    reused->locks_good_until_ns =
        done + std::clamp(kReusePerRead * (done - now), kReuseNs, kMostReuseNs);
  }
  return reused->locks ? std::optional(reused->locks->On(file)) : std::nullopt;
}

}  // namespace

std::optional<ReadMarks> ReadMarksOfLockTable(const std::string& shm_path) {
  const auto found = LocksOn(shm_path);
  if (!found) return std::nullopt;
  const std::vector<FileLock>& locks = *found;
  // This process has the file mapped, and so holds a lock on it. If the table does not show that
  // lock, it names the file otherwise, as on some file systems, and does not show readers either.
  const bool shows_us = std::any_of(locks.begin(), locks.end(), [](const FileLock& lock) {
    return lock.pid == ThisProcess().pid;
  });
  if (!shows_us) return std::nullopt;
  ReadMarks marks;
  marks.knows_pids = true;
  const auto note = [](std::vector<std::int64_t>& pids, std::int64_t pid) {
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
  };
  for (const FileLock& lock : locks) {
    constexpr std::int64_t kWriter = kShmLockBase + kWriteLock;
    const bool writes = lock.exclusive && lock.first_byte <= kWriter && kWriter <= lock.last_byte;
    if (writes && lock.pid > 0 && lock.pid != ThisProcess().pid) marks.writer = lock.pid;
    marks.written_here = marks.written_here || (writes && lock.pid == ThisProcess().pid);
    for (int mark = 0; lock.exclusive && mark < kReadMarks; ++mark) {
      const int byte = kShmLockBase + kReadLock0 + mark;
      if (lock.first_byte <= byte && byte <= lock.last_byte) {
        marks.held_alone[static_cast<std::size_t>(mark)] = true;
      }
    }
    if (lock.exclusive) continue;  // a checkpoint, or a log that starts over: not a reader
    if (lock.first_byte <= kShmOpenByte && kShmOpenByte <= lock.last_byte) {
      note(marks.open_by, lock.pid);
    }
    for (int mark = 0; mark < kReadMarks; ++mark) {
      const int byte = kShmLockBase + kReadLock0 + mark;
      if (byte < lock.first_byte || byte > lock.last_byte) continue;
      marks.held[static_cast<std::size_t>(mark)] = true;
      note(marks.pids[static_cast<std::size_t>(mark)], lock.pid);
      if (lock.pid != ThisProcess().pid)
        marks.held_by_others[static_cast<std::size_t>(mark)] = true;
    }
  }
  return marks;
}

std::vector<std::int64_t> LockHolders(const std::string& path) {
  std::vector<std::int64_t> pids;
  for (const FileLock& lock : LocksOn(path).value_or(std::vector<FileLock>())) {
    pids.push_back(lock.pid);
  }
  return pids;
}

std::optional<std::int64_t> HolderOfBytes(const std::string& path, std::int64_t first,
                                          std::int64_t last, bool alone) {
  std::optional<std::int64_t> holder;
  for (const FileLock& lock : LocksOn(path).value_or(std::vector<FileLock>())) {
    if (lock.pid <= 0 || lock.last_byte < first || lock.first_byte > last) continue;
    if (alone && !lock.exclusive) continue;
    if (!holder || lock.pid != ThisProcess().pid) holder = lock.pid;
  }
  return holder;
}

std::string ProcessName(std::int64_t pid) {
  return WithoutControlCharacters(FirstLineOf("/proc/" + std::to_string(pid) + "/comm"));
}

}  // namespace walmanager
