// The words of the control file that count what connections read, write and sync of a database's
// files (io_statistics.h).
#pragma once

#include <array>

#include "ext/core/base/histogram.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// The indexes of the arrays below are IoOrigin and IoFile.
inline constexpr std::size_t kIoOrigins = 2;
inline constexpr std::size_t kIoSyncedFiles = 2;  // the database file and the log
inline constexpr std::size_t kIoFiles = 3;        // those, and the -shm file

struct FileTraffic {
  Counter reads, read_bytes, read_ns, writes, written_bytes, write_ns;
};

// Of one connection of the program, which alone writes it.
struct alignas(64) Traffic {
  Counter reset_generation;  // as in ConnectionSlab
  std::array<FileTraffic, kIoSyncedFiles> files;
};
static_assert(sizeof(Traffic) == 128);

struct FileSyncs {
  Counter syncs, sync_ns, max_ns;
  std::array<Counter, HistoryWaitScale::kBuckets> histogram;
};

struct FileErrors {
  Counter errors;
  Counter last;     // SQLite's result code; | the system's errno << 32
  Counter last_ms;  // Unix time
};

struct Io {
  // Of all connections that have no slab of their own; of walmanager's, all of them.
  alignas(64) std::array<std::array<FileTraffic, kIoSyncedFiles>, kIoOrigins> shared;
  std::array<std::array<FileErrors, kIoFiles>, kIoOrigins> errors;
  std::array<std::array<FileSyncs, kIoSyncedFiles>, kIoOrigins> syncs;
  std::array<Traffic, kFirstConnections> traffic;  // of the slab with the same number
};

}  // namespace walmanager::layout
