// What functions and tables ask of a connection; its hooks are in connection.cc.
#include <algorithm>
#include <string>

#include "ext/connection/connection.h"
#include "ext/core/base/engine_version.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {

void Connection::CloseOwnConnectionsIfUntraced() {
  if (ProbeTrace(/*take=*/false) == TraceState::kDisplaced) CloseOwnConnections();
}

TraceState Connection::ProbeTrace(bool take) {
  TraceState state = TraceState::kOff;
  if (sqlite3_api->trace_v2) {
    trace_is_ours_ = false;
    (void)Query("SELECT 1");
    state = !trace_is_ours_  ? TraceState::kDisplaced
            : meter_.bound() ? TraceState::kActive
                             : TraceState::kOff;
    if (state == TraceState::kDisplaced && take) {
      meter_.ForgetActive();
      trace_mask_ = 0;
      PlaceTrace();
      if (meter_.bound()) meter_.PublishTransactionNow(MonotonicNs());
      state = meter_.bound() ? TraceState::kActive : TraceState::kOff;
    }
  }
  PublishTrace(state);
  return state;
}

void Connection::SetApplication(const std::string& name) {
  application_ = name;
  for (Log& log : logs_) {
    if (log.control) Introduce(log);
  }
}

std::vector<Connection::MarksBefore> Connection::ReadMarksBefore() {
  std::vector<MarksBefore> before;
  for (const Log& log : logs_) {
    const bool reads = transaction_state(log.schema.c_str()) != TransactionState::kNone;
    std::optional<HostConnection> host;
    if (log.database->OthersAreHidden()) {
      const WalFile file = WalFile::Ask(db_, log.schema.c_str());
      if (ReadWalIndex(file)) host = HostConnection{db_, log.schema.c_str(), file};
    }
    before.push_back({log.database, log.database->FindReadMarks(host ? &*host : nullptr), reads});
  }
  return before;
}

std::optional<ReadMarks> Connection::FindReadMarks(const Schema& schema) {
  Database& database = *schema.database;
  if (observed_ || !database.OthersAreHidden()) return database.FindReadMarks();
  const HostConnection host = AsHost(schema);
  return database.FindReadMarks(&host);
}

void Connection::CapturePlans() {
  if (!main_ || !main_->control) return;
  std::vector<PlanWish> again;
  for (const PlanWish& wish : meter_.TakePlanWishes()) {
    QueryStatistics statistics(main_->control->memory());
    const auto entry = statistics.Find(wish.id);
    const auto version = Query("PRAGMA main.schema_version");
    if (!entry || !version.ok() || !version.value()) continue;
    const auto schema = static_cast<std::uint32_t>(std::stoll(*version.value()));
    if (statistics.PlanSchemaVersion(*entry) == schema) continue;
    const auto plan = QueryPlan(db_, wish.sql);
    if (plan.ok()) {
      statistics.SetPlan(*entry, wish.id, plan.value(), schema);
    } else if (plan.error().code == ErrorCode::kInterrupt) {
      again.push_back(wish);
    }
  }
  if (!again.empty()) meter_.PutBack(std::move(again));
}

Schema Connection::ObservedSchema() {
  Schema schema;
  schema.name = "main";
  schema.file = observed_->path();
  if (observed_->LastLook()) schema.journal_mode = "wal";
  // Nobody's to keep: whoever lets the last reference go ends the thread that may be asking.
  schema.database = std::shared_ptr<Database>(std::shared_ptr<void>(), observed_);
  return schema;
}

Result<std::vector<Schema>> Connection::Schemas() {
  if (observed_) return std::vector<Schema>{ObservedSchema()};
  ForgetDetached();  // a DETACH may have gone unseen
  auto rows = Rows("PRAGMA database_list", "");
  if (!rows.ok()) return rows.error();
  std::vector<Schema> schemas;
  for (const TextRow& row : rows.value()) {
    if (row.size() < 3 || !row[1] || *row[1] == "temp") continue;
    Schema schema;
    schema.name = *row[1];
    schema.file = row[2].value_or("");
    schema.read_only = sqlite3_db_readonly(db_, schema.name.c_str()) == 1;
    const auto mode = Query("PRAGMA " + QuoteName(schema.name) + ".journal_mode");
    if (mode.ok()) schema.journal_mode = mode.value().value_or("");
    const char* name = schema.name.c_str();
    if (Log* log = FindLog(name, sqlite3_db_filename(db_, name))) {
      log->database->LookForControl();
      BindIfChanged(*log);
      schema.database = log->database;
    }
    schemas.push_back(std::move(schema));
  }
  return schemas;
}

Result<Schema> Connection::FindSchema(const char* function, std::string_view name) {
  auto schemas = Schemas();
  if (!schemas.ok()) return schemas.error();
  std::string known;
  const std::string wanted(name);
  for (Schema& schema : schemas.value()) {
    if (sqlite3_stricmp(schema.name.c_str(), wanted.c_str()) == 0) return std::move(schema);
    (known += known.empty() ? "" : ", ") += schema.name;
  }
  return Error{std::string(function) + ": schema " + ShownText(wanted) + " is not one of " + known};
}

Result<Schema> Connection::DatabaseToChange(const char* function, const Result<std::string>& name) {
  auto schema = DatabaseOf(function, name);
  if (!schema.ok()) return schema;
  if (sqlite3_db_readonly(db_, schema.value().name.c_str()) == 1) {
    return Error{std::string(function) + ": schema " + ShownText(schema.value().name) +
                 " is read-only on this connection"};
  }
  const auto query_only = Query("PRAGMA query_only");
  if (!query_only.ok() || query_only.value().value_or("0") == "0") return schema;
  return Error{std::string(function) + ": this connection may not write: PRAGMA query_only is on"};
}

Result<Schema> Connection::DatabaseOf(const char* function, const Result<std::string>& name) {
  if (!name.ok()) return name.error();
  auto schema = FindSchema(function, name.value());
  if (!schema.ok() || schema.value().database) return schema;
  return Error{std::string(function) + ": schema " + ShownText(name.value()) +
               " has no file: settings and statistics belong to one"};
}

HostConnection Connection::AsHost(const Schema& schema) {
  return {db_, schema.name.c_str(), LogOf(schema)};
}

WalFile Connection::LogOf(const Schema& schema) {
  if (observed_ || !schema.is_wal()) return {};
  return WalFile::InWalMode(DatabaseFile(db_, schema.name.c_str()));
}

std::string Connection::InlineBecause(const Schema& schema) {
  std::string because = schema.database->InlineBecause();
  // Before the first checkpoint nobody has asked. One that may not write leaves it to others.
  if (because.empty() && !observed_ && !schema.read_only)
    because = MayOpenOwn(db_, schema.name.c_str(), LogOf(schema)).because;
  return because;
}

std::optional<WalIndex> Connection::LookAtLog(const Schema& schema) {
  if (!schema.is_wal()) return std::nullopt;
  if (observed_) return observed_->LastLook();
  if (auto index = ReadWalIndex(LogOf(schema))) return index;
  // locking_mode=EXCLUSIVE: what the last commit said.
  for (const Log& log : logs_) {
    if (log.schema == schema.name && log.without_index.page_size != 0) return log.without_index;
  }
  return std::nullopt;
}

void Connection::Watch(const Schema& schema, Database::Watching what) {
  if (observed_) return;
  // A process that has not committed knows nothing of the log by itself: to it, whatever is wrong
  // with the log would be over.
  if (const auto index = LookAtLog(schema)) schema.database->SawLog(*index);
  schema.database->Watch(what);
}

TransactionState Connection::transaction_state(const char* schema) const {
  switch (sqlite3_txn_state(db_, schema)) {
    case SQLITE_TXN_READ:
      return TransactionState::kRead;
    case SQLITE_TXN_WRITE:
      return TransactionState::kWrite;
    default:
      return TransactionState::kNone;
  }
}

bool Connection::in_autocommit() const { return sqlite3_get_autocommit(db_) != 0; }

std::optional<std::int64_t> Connection::PageSize(const Schema& schema) {
  if (observed_) {
    const auto index = observed_->LastLook();
    return index ? std::optional<std::int64_t>(index->page_size) : std::nullopt;
  }
  const auto size = Query("PRAGMA " + QuoteName(schema.name) + ".page_size");
  if (!size.ok() || !size.value()) return std::nullopt;
  return std::stoll(*size.value());
}

Connection::EngineFacts Connection::Engine() {
  EngineFacts facts;
  facts.version = sqlite3_libversion();
  facts.version_number = sqlite3_libversion_number();
  facts.has_wal_reset_bug = HasWalResetBug(facts.version_number);
  facts.threads = EngineHasThreads();
  return facts;
}

std::optional<ReplicatorState> Connection::FindReplicator(const Schema& schema) {
  if (!schema.is_wal() || !schema.database) return std::nullopt;
  const auto control = schema.database->control();
  const layout::ReplicatorWords& words = control->region().engine().replicator;
  if (observed_) {
    const ReplicatorState state = ReadReplicatorState(words);
    const bool has_table = state == ReplicatorState::kThere || state == ReplicatorState::kGone;
    return has_table ? std::optional(state) : std::nullopt;
  }
  if (sqlite3_table_column_metadata(db_, schema.name.c_str(), kReplicatorTable, nullptr, nullptr,
                                    nullptr, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::nullopt;
  }
  if (!schema.read_only) schema.database->LookForReplicator(AsHost(schema));
  return ReadReplicatorState(words) == ReplicatorState::kGone ? ReplicatorState::kGone
                                                              : ReplicatorState::kThere;
}

bool Connection::AnotherMayRead(const Schema& schema) const {
  // An engine without threads has no mutexes, not even the functions, and all connections are this
  // thread's.
  const bool threads = EngineHasThreads();
  const MutexLock lock(registry_->mutex);
  for (const auto& [handle, connection] : registry_->connections) {
    const Connection* other = connection;  // Clang 14 captures no part of a binding
    if (other == this) continue;
    sqlite3_mutex* mutex = threads ? sqlite3_db_mutex(handle) : nullptr;
    // Somebody else's handle is looked at only with its mutex held; who cannot be looked at may
    // read.
    if (threads && (!mutex || sqlite3_mutex_try(mutex) != SQLITE_OK)) return true;
    const bool reads = std::any_of(other->logs_.begin(), other->logs_.end(), [&](const Log& log) {
      return log.database == schema.database &&
             other->transaction_state(log.schema.c_str()) != TransactionState::kNone;
    });
    if (mutex) sqlite3_mutex_leave(mutex);
    if (reads) return true;
  }
  return false;
}

std::int64_t Connection::busy_timeout_ms() {
  const auto timeout = Query("PRAGMA busy_timeout");
  return timeout.ok() && timeout.value() ? std::stoll(*timeout.value()) : 0;
}

Result<std::optional<std::string>> Connection::Query(const std::string& sql) {
  return QueryText(db_, sql);
}

std::string Connection::Quoted(const std::string& name) { return QuoteName(name); }

Result<std::vector<Connection::TextRow>> Connection::Rows(const std::string& sql,
                                                          const std::string& parameter,
                                                          std::size_t most) {
  auto stmt = Prepare(db_, kOwnSql + sql);
  if (!stmt.ok()) return stmt.error();
  sqlite3_stmt* raw = stmt.value().get();
  sqlite3_bind_text(raw, 1, parameter.c_str(), static_cast<int>(parameter.size()),
                    SQLITE_TRANSIENT);
  std::vector<TextRow> rows;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(raw)) == SQLITE_ROW) {
    TextRow row;
    for (int column = 0; column < sqlite3_column_count(raw); ++column) {
      const bool null = sqlite3_column_type(raw, column) == SQLITE_NULL;
      row.push_back(null ? std::nullopt : std::optional(ColumnText(raw, column)));
    }
    rows.push_back(std::move(row));
    if (rows.size() >= most) return rows;
  }
  if (rc != SQLITE_DONE) return EngineError(db_);
  return rows;
}

}  // namespace walmanager
