// A PRAGMA wal_checkpoint that the program runs, from its start to the row that it returns. It gets
// a line in wal_checkpoints, so that a program which ignores that row can be seen to get busy.
//
// Thread rules: in the thread that uses the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ext/database/database.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class ApplicationCheckpoint {
 public:
  // `stmt` is the PRAGMA and begins now. Add() the databases that it is for.
  ApplicationCheckpoint(sqlite3* db, sqlite3_stmt* stmt, CheckpointMode mode);
  // A database that is not in WAL mode is ignored.
  void Add(const std::string& schema, const std::shared_ptr<Database>& database);
  bool runs(const sqlite3_stmt* stmt) const { return stmt_ == stmt; }
  // The PRAGMA has its row, which is read: busy, frames in the log, frames moved. Call one of these
  // two, once.
  void EndWithRow();
  // The PRAGMA ended without a row.
  void EndWithError();

 private:
  struct Target {
    std::string schema;
    std::shared_ptr<Database> database;
    WalIndex before;
    bool was_read;  // by another statement of the connection, when the PRAGMA began
  };
  // What the PRAGMA did to this database, as the wal-index shows.
  CheckpointOutcome Outcome(const Target& target, const WalIndex& after, bool busy) const;

  sqlite3* const db_;
  sqlite3_stmt* const stmt_;
  const CheckpointMode mode_;
  const std::uint64_t start_ns_;
  const bool in_transaction_;  // whether the connection was, when the PRAGMA began
  std::vector<Target> targets_;
};

}  // namespace walmanager
