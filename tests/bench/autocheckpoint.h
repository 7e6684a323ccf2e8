// SQLite's own autocheckpoint with a stopwatch on it. The hook does what SQLite's does
// (sqlite3WalDefaultHook): where a commit leaves N frames or more in the log, it runs PASSIVE on
// that schema and ignores the result. So "sqlite" measures SQLite, plus a tenth of a microsecond
// per checkpoint.
#pragma once

#include <atomic>
#include <cstdint>

#include "tests/bench/sqlite_db.h"
#include "tests/bench/wal_log.h"

namespace walmanager::bench {

// Checkpoints of one mode and origin in one segment.
struct CheckpointGroup {
  char mode[16];
  char origin[16];
  std::uint64_t count, busy, pages, total_ns, max_ns;
};

// One for all connections of a process to a database. Must outlive them.
class Autocheckpoint {
 public:
  Autocheckpoint(Db& db, int frames) : index_(db), frames_(frames) {}
  // In the place of `db`'s own. Writing connections are to be attached before they write.
  void Attach(Db& db);
  CheckpointGroup group() const;

 private:
  static int AfterCommit(void* self, sqlite3* db, const char* schema, int frames);
  void Checkpoint(sqlite3* db, const char* schema);

  const WalIndexView index_;
  const int frames_;
  std::atomic<std::uint64_t> count_ = 0, busy_ = 0, pages_ = 0, total_ns_ = 0, max_ns_ = 0;
};

}  // namespace walmanager::bench
