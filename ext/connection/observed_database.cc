#include "ext/connection/observed_database.h"

namespace walmanager {

Result<std::vector<Schema>> ObservedDatabase::Schemas() {
  Schema schema;
  schema.name = "main";
  schema.file = database_->path();
  if (database_->LastLook()) schema.journal_mode = "wal";
  // A pointer that does not own: the thread that drops the last reference to a database waits for
  // the thread that evaluates the checks, and must not be that thread.
  schema.database = std::shared_ptr<Database>(std::shared_ptr<void>(), database_);
  return std::vector<Schema>{std::move(schema)};
}

std::optional<WalIndex> ObservedDatabase::LookAtLog(const Schema& schema) {
  if (!schema.is_wal()) return std::nullopt;
  return database_->LastLook();
}

std::optional<std::int64_t> ObservedDatabase::PageSize(const Schema&) {
  const auto index = database_->LastLook();
  return index ? std::optional<std::int64_t>(index->page_size) : std::nullopt;
}

std::string ObservedDatabase::InlineBecause(const Schema&) { return database_->InlineBecause(); }

std::optional<ReplicatorState> ObservedDatabase::FindReplicator(const Schema& schema) {
  if (!schema.is_wal()) return std::nullopt;
  const auto control = database_->control();
  const ReplicatorState state = ReadReplicatorState(control->region().engine().replicator);
  const bool has_table = state == ReplicatorState::kThere || state == ReplicatorState::kGone;
  return has_table ? std::optional(state) : std::nullopt;
}

std::optional<ReadMarks> ObservedDatabase::FindReadMarks(const Schema&) {
  return database_->FindReadMarks();
}

}  // namespace walmanager
