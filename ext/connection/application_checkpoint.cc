#include "ext/connection/application_checkpoint.h"

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {

ApplicationCheckpoint::ApplicationCheckpoint(sqlite3* db, sqlite3_stmt* stmt, CheckpointMode mode)
    : db_(db),
      stmt_(stmt),
      mode_(mode),
      start_ns_(MonotonicNs()),
      in_transaction_(sqlite3_get_autocommit(db) == 0) {}

void ApplicationCheckpoint::Add(const std::string& schema,
                                const std::shared_ptr<Database>& database) {
  const auto before = ReadWalIndex(WalFile::Ask(db_, schema.c_str()));
  // The PRAGMA itself has not begun to read.
  const bool was_read = sqlite3_txn_state(db_, schema.c_str()) != SQLITE_TXN_NONE;
  if (before) targets_.push_back({schema, database, *before, was_read});
}

CheckpointOutcome ApplicationCheckpoint::Outcome(const Target& target, const WalIndex& after,
                                                 bool busy) const {
  const bool starts_over = mode_ == CheckpointMode::kRestart || mode_ == CheckpointMode::kTruncate;
  const bool another_log = after.salt1 != target.before.salt1;
  const bool all = another_log || after.complete();
  // SQLite empties the log at once where it can.
  const bool done = all && (!starts_over || another_log || after.max_frame == 0);
  CheckpointOutcome outcome;
  outcome.busy = busy && !done;
  outcome.result = done           ? CheckpointResult::kComplete
                   : outcome.busy ? CheckpointResult::kBusy
                                  : CheckpointResult::kPartial;
  outcome.wal_frames = after.max_frame;
  outcome.checkpointed_frames = after.backfill;
  outcome.moved_frames =
      another_log ? target.before.pending() : std::int64_t{after.backfill} - target.before.backfill;
  return outcome;
}

void ApplicationCheckpoint::EndWithRow() {
  const std::uint64_t end_ns = MonotonicNs();
  const bool busy = sqlite3_column_int(stmt_, 0) != 0;
  const int frames = sqlite3_column_int(stmt_, 1), moved = sqlite3_column_int(stmt_, 2);
  for (const Target& target : targets_) {
    const auto after = ReadWalIndex(WalFile::Ask(db_, target.schema.c_str()));
    if (!after) continue;
    CheckpointOutcome outcome = Outcome(target, *after, busy);
    // The row is about the first database. Other threads may have committed since.
    if (&target == targets_.data() && frames >= 0) {
      outcome.wal_frames = frames;
      outcome.checkpointed_frames = moved;
      if (targets_.size() == 1) {
        outcome.busy = busy;
        outcome.result = busy              ? CheckpointResult::kBusy
                         : frames == moved ? CheckpointResult::kComplete
                                           : CheckpointResult::kPartial;
      }
    }
    target.database->RecordOfApplication(mode_, outcome, *after, start_ns_, end_ns);
  }
}

void ApplicationCheckpoint::EndWithError() {
  for (const Target& target : targets_) {
    CheckpointOutcome outcome;
    outcome.result = CheckpointResult::kFailed;
    outcome.message = in_transaction_ ? "the PRAGMA failed: SQLite refuses it within a transaction"
                                      : "the PRAGMA failed";
    if (!in_transaction_ && target.was_read) {
      outcome.message = "the PRAGMA failed: a statement of this connection had not ended";
      outcome.busy = true;
    }
    // This is noticed at the next statement, so the duration is not known.
    target.database->RecordOfApplication(mode_, outcome, target.before, start_ns_, start_ns_);
  }
}

}  // namespace walmanager
