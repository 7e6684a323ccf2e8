// A PRAGMA wal_checkpoint of the program's own, from its start to the row that it returns: for
// wal_checkpoints, where "it returns a row, so it works" shows as busy.
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
  // `stmt` begins. Add() the databases that it is for.
  ApplicationCheckpoint(sqlite3* db, sqlite3_stmt* stmt, CheckpointMode mode);
  // One in WAL mode; any other is passed over.
  void Add(const std::string& schema, const std::shared_ptr<Database>& database);
  bool runs(const sqlite3_stmt* stmt) const { return stmt_ == stmt; }
  // It has its row, which is looked at: busy, frames in the log, frames moved. Once.
  void EndWithRow();
  // It ended without one. Once.
  void EndWithError();

 private:
  struct Target {
    std::string schema;
    std::shared_ptr<Database> database;
    WalIndex before;
  };
  // What it did to this one, as the wal-index shows.
  CheckpointOutcome Outcome(const Target& target, const WalIndex& after, bool busy) const;

  sqlite3* const db_;
  sqlite3_stmt* const stmt_;
  const CheckpointMode mode_;
  const std::uint64_t start_ns_;
  const bool in_transaction_;  // the connection was, when the PRAGMA began
  std::vector<Target> targets_;
};

}  // namespace walmanager
