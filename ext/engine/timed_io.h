// A call of a file's methods that reads, writes or syncs: passes it on, and counts it with its
// time, or its error. `Counter` is IoPlace or OwnIo.
//
// The rule that is easy to break: after an error SQLite asks for the system's errno, so it stays.
// Thread rules: those of the counter.
#pragma once

#include <cerrno>
#include <cstdint>

#include "ext/core/control/io_statistics.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"

namespace walmanager {

// Since `start`, to now. The quick clock may run backwards by microseconds.
inline std::uint64_t QuickNsSince(std::uint64_t start) {
  const std::uint64_t end = QuickMonotonicNs();
  return end > start ? end - start : 0;
}

// Whether a file's methods have failed, and not just found a lock taken or the file's end. Shared
// memory that cannot be opened is none: a directory that is read-only gives SQLITE_CANTOPEN.
inline bool IsIoError(int rc) {
  switch (rc & 0xff) {
    case SQLITE_IOERR:
      return rc != SQLITE_IOERR_SHORT_READ;
    case SQLITE_FULL:
      return true;
    default:
      return false;
  }
}

// `methods`: SQLite's own, of the file.
template <typename Counter>
[[gnu::cold]] int CountIfFailed(const sqlite3_io_methods* methods, sqlite3_file* file,
                                Counter& counter, IoFile which, int rc) {
  if (!IsIoError(rc)) return rc;
  const int error = errno;
  int system = error;
  if (which != IoFile::kSharedMemory && methods->xFileControl) {
    system = 0;
    (void)methods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &system);
  }
  counter.Failed(which, rc, system, UnixMs());
  errno = error;
  return rc;
}

template <typename Counter>
int TimedRead(const sqlite3_io_methods* methods, sqlite3_file* file, Counter& counter, IoFile which,
              void* to, int n, std::int64_t at) {
  const std::uint64_t start = QuickMonotonicNs();
  const int rc = methods->xRead(file, to, n, at);
  // Nothing is there to be read, most often.
  const bool is_short = rc == SQLITE_IOERR_SHORT_READ;
  if (rc != SQLITE_OK && !is_short) [[unlikely]]
    return CountIfFailed(methods, file, counter, which, rc);
  counter.Read(which, is_short ? 0 : static_cast<std::uint64_t>(n), QuickNsSince(start));
  return rc;
}

template <typename Counter>
int TimedWrite(const sqlite3_io_methods* methods, sqlite3_file* file, Counter& counter,
               IoFile which, const void* from, int n, std::int64_t at) {
  const std::uint64_t start = QuickMonotonicNs();
  const int rc = methods->xWrite(file, from, n, at);
  if (rc != SQLITE_OK) [[unlikely]]
    return CountIfFailed(methods, file, counter, which, rc);
  counter.Write(which, static_cast<std::uint64_t>(n), QuickNsSince(start));
  return rc;
}

template <typename Counter>
int TimedSync(const sqlite3_io_methods* methods, sqlite3_file* file, Counter& counter, IoFile which,
              int flags) {
  const std::uint64_t start = MonotonicNs();
  const int rc = methods->xSync(file, flags);
  if (rc != SQLITE_OK) return CountIfFailed(methods, file, counter, which, rc);
  counter.Sync(which, MonotonicNs() - start);
  return rc;
}

}  // namespace walmanager
