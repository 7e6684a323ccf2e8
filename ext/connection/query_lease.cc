#include "ext/connection/query_lease.h"

#include <string>
#include <string_view>

#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {
namespace {

constexpr std::size_t kMostTexts = 1024;

}  // namespace

QueryLease::QueryLease(sqlite3* db, Registry* registry, std::uint64_t id, const Database* database)
    : db_(db),
      registry_(registry),
      database_(database),
      has_mutex_(sqlite3_db_mutex(db) != nullptr),
      shown_(std::make_shared<Interruptible>(db, id, database)) {
  const MutexLock lock(registry_->mutex);
  registry_->interruptibles[db_] = shown_;
}

QueryLease::~QueryLease() {
  shown_->Close();
  const MutexLock lock(registry_->mutex);
  registry_->interruptibles.erase(db_);
}

void QueryLease::Begins(sqlite3_stmt* stmt, const KnownStatement& known, StatementMeter& meter,
                        const ManagedLog& main) {
  // A table that is made or attached may take the place of another one in a query.
  const bool may_rename =
      known.nature.query_kind == QueryKind::kSchema || known.nature.query_kind == QueryKind::kOther;
  if (may_rename && !reads_.empty()) reads_.clear();
  if (page_bytes_ == 0) {
    page_bytes_ = PageBytesInHeader(db_, main.schema.c_str());
    shown_->ShowPageBytes(page_bytes_);
  }
  bool in_transaction = false;
  const LeaseObstacle obstacle = FindObstacle(stmt, known, meter, &in_transaction);
  if (obstacle != LeaseObstacle::kNone) return shown_->Show(obstacle);
  const std::uint64_t since_ns =
      in_transaction ? meter.published().transaction_ns() : known.start_ns;
  shown_->Offer({.id = known.id,
                 .held_since_ns = since_ns != 0 ? since_ns : known.start_ns,
                 .log_position = Get(main.control->region().header().log_position)});
  is_offered_ = true;
  main.database->QueryIsOffered(known.start_ns, lease_ns_);
}

LeaseObstacle QueryLease::FindObstacle(sqlite3_stmt* stmt, const KnownStatement& known,
                                       StatementMeter& meter, bool* in_transaction) {
  const bool is_alone = IsAlone(stmt, meter);
  if (!known.nature.reads_only || known.nature.query_kind != QueryKind::kRead) {
    return LeaseObstacle::kWrites;
  }
  if (known.uses_extension) return LeaseObstacle::kUsesExtension;
  const int state = sqlite3_txn_state(db_, nullptr);
  if (state == SQLITE_TXN_WRITE) return LeaseObstacle::kWrites;
  if (!is_alone) return LeaseObstacle::kOtherStatement;
  *in_transaction = state != SQLITE_TXN_NONE && sqlite3_txn_state(db_, "main") != SQLITE_TXN_NONE;
  const Reads reads = *in_transaction ? Reads::kMain : Ask(stmt, known.id);
  if (reads == Reads::kOther) return LeaseObstacle::kOtherDatabase;
  if (reads == Reads::kUnknown || page_bytes_ == 0) return LeaseObstacle::kUnknown;
  if (beside_others_.contains(known.id)) return LeaseObstacle::kBesideOthers;
  return has_mutex_ ? LeaseObstacle::kNone : LeaseObstacle::kNoMutex;
}

bool QueryLease::IsAlone(sqlite3_stmt* stmt, StatementMeter& meter) {
  bool is_alone = true;
  // Also statements from before the load, and those of blob handles.
  for (sqlite3_stmt* other = nullptr; (other = sqlite3_next_stmt(db_, other));) {
    if (other == stmt || sqlite3_stmt_busy(other) == 0) continue;
    is_alone = false;
    const KnownStatement* open = meter.FindRunning(other);
    if (!open || open->rows == 0) continue;
    if (beside_others_.size() >= kMostTexts) beside_others_.clear();
    beside_others_.insert(open->id);
  }
  return is_alone;
}

void QueryLease::ForgetInterrupt() {
  // The next statement forgets it, but sqlite3_wal_checkpoint_v2() obeys it. SQLite forgets it also
  // when it prepares a text and no statement runs: here the query was the only one.
  is_asking_ = true;
  sqlite3_stmt* nothing = nullptr;
  (void)sqlite3_prepare_v2(db_, "", -1, &nothing, nullptr);
  is_asking_ = false;
}

QueryLease::Reads QueryLease::Ask(sqlite3_stmt* stmt, std::uint64_t query_id) {
  const auto found = reads_.find(query_id);
  if (found != reads_.end()) return found->second;
  if (reads_.size() >= kMostTexts) reads_.clear();
  const Reads reads = Explain(stmt);
  reads_[query_id] = reads;
  return reads;
}

QueryLease::Reads QueryLease::Explain(sqlite3_stmt* stmt) {
  // https://www.sqlite.org/opcode.html: Transaction begins one on database P1, and 0 is main.
  constexpr int kOpcode = 1, kP1 = 2, kColumns = 8;
  const char* sql = sqlite3_sql(stmt);
  if (!sql) return Reads::kUnknown;
  const std::string text = std::string("EXPLAIN ") + sql;
  is_asking_ = true;
  Reads reads = Reads::kUnknown;
  {
    sqlite3_stmt* made = nullptr;
    const int rc = sqlite3_prepare_v2(db_, text.c_str(), -1, &made, nullptr);
    const OwnedStmt explain(made);
    if (rc == SQLITE_OK && made && sqlite3_column_count(made) == kColumns) {
      int step = SQLITE_ROW;
      bool main = false;
      while ((step = sqlite3_step(made)) == SQLITE_ROW) {
        const auto* opcode = reinterpret_cast<const char*>(sqlite3_column_text(made, kOpcode));
        main = main || (opcode && std::string_view(opcode) == "Transaction" &&
                        sqlite3_column_int(made, kP1) == 0);
      }
      if (step == SQLITE_DONE) reads = main ? Reads::kMain : Reads::kOther;
    }
  }
  is_asking_ = false;
  return reads;
}

}  // namespace walmanager
