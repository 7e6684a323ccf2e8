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
  explicit ApplicationCheckpoint(sqlite3* db) : db_(db) {}

  // `stmt` begins. Add() the databases that it is for.
  void Begin(sqlite3_stmt* stmt, CheckpointMode mode);
  // One in WAL mode; any other is passed over.
  void Add(const std::string& schema, const std::shared_ptr<Database>& database);
  bool runs() const { return stmt_ != nullptr; }
  bool runs(const sqlite3_stmt* stmt) const { return stmt_ == stmt; }
  // It has its row, which is looked at: busy, frames in the log, frames moved.
  void EndWithRow();
  // It ended without one.
  void EndWithError();

 private:
  struct Target {
    std::string schema;
    std::shared_ptr<Database> database;
    WalIndex before;
  };
  // What it did to this one, as the wal-index shows.
  CheckpointOutcome Outcome(const Target& target, const WalIndex& after, bool busy) const;
  void End() {
    stmt_ = nullptr;
    targets_.clear();
  }

  sqlite3* const db_;
  sqlite3_stmt* stmt_ = nullptr;
  CheckpointMode mode_ = CheckpointMode::kPassive;
  std::uint64_t start_ns_ = 0;
  bool in_transaction_ = false;  // the connection was, when the PRAGMA began
  std::vector<Target> targets_;
};

}  // namespace walmanager
