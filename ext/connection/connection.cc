#include "ext/connection/connection.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "ext/core/base/engine_version.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/text/sql_tokens.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/control_file.h"

namespace walmanager {
namespace {

bool BeginsWithSelect(std::string_view sql) {
  SqlTokenizer tokens(sql);
  Token first;
  tokens.Next(first);
  return first.keyword == Keyword::kSelect;
}

constexpr char kLifetimeFunction[] = "walmanager_connection_lifetime";

constexpr std::size_t kMostUnexplained = 1024;

void Nothing(sqlite3_context*, int, sqlite3_value**) {}

}  // namespace

// --- its life

Result<Connection*> Connection::Attach(sqlite3* db, bool* made) {
  Registry& registry = Registry::Get();
  {
    const MutexLock lock(registry.mutex);
    const auto found = registry.connections.find(db);
    if (found != registry.connections.end()) {
      // A second load does nothing, unless the first one failed half-way: then it is begun again.
      *made = !found->second->started_;
      return found->second;
    }
  }
  ControlFile::LeaveAllToProgram();
  auto* connection = new Connection(db, &registry);
  // From here on SQLite owns the object: it calls Detach also where this call fails.
  const int rc =
      sqlite3_create_function_v2(db, kLifetimeFunction, 0, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                 connection, Nothing, nullptr, nullptr, Detach);
  if (rc != SQLITE_OK) return EngineError(db);
  {
    const MutexLock lock(registry.mutex);
    registry.connections[db] = connection;
  }
  *made = true;
  return connection;
}

void Connection::Start(At at) {
  started_ = true;
  events_.Start(at);
}

void Connection::Detach(void* self) {
  auto* connection = static_cast<Connection*>(self);
  if (!connection->belongs_here()) return;  // a forked child: leave all as it is
  AtCEdge([&] {
    Registry& registry = Registry::Get();
    {
      const MutexLock lock(registry.mutex);
      registry.connections.erase(connection->db_);
    }
    delete connection;
    return SQLITE_OK;
  });
}

// --- as TableSource

Result<std::vector<Schema>> Connection::Schemas() {
  ManagedLogs& logs = events_.logs();
  logs.ForgetDetached();  // a DETACH may have gone unseen
  logs.KeepSettings();
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
    if (ManagedLog* log = logs.Find(name, sqlite3_db_filename(db_, name))) {
      log->database->LookForControl();
      logs.BindIfChanged(*log);
      schema.database = log->database;
    }
    schemas.push_back(std::move(schema));
  }
  return schemas;
}

std::optional<WalIndex> Connection::LookAtLog(const Schema& schema) {
  if (!schema.is_wal()) return std::nullopt;
  if (auto index = ReadWalIndex(LogOf(schema))) return index;
  // locking_mode=EXCLUSIVE: what the last commit said.
  for (const ManagedLog& log : events_.logs()) {
    if (log.schema == schema.name && log.without_index.page_size != 0) return log.without_index;
  }
  return std::nullopt;
}

std::optional<std::int64_t> Connection::PageSize(const Schema& schema) {
  const auto size = Query("PRAGMA " + QuoteName(schema.name) + ".page_size");
  if (!size.ok() || !size.value()) return std::nullopt;
  return std::stoll(*size.value());
}

std::string Connection::InlineBecause(const Schema& schema) {
  std::string because = schema.database->InlineBecause();
  // Before the first checkpoint no thread has asked, so ask now. A connection that may not write
  // does not ask.
  if (because.empty() && !schema.read_only)
    because = MayOpenOwn(db_, schema.name.c_str(), LogOf(schema)).because;
  return because;
}

std::optional<ReplicatorState> Connection::FindReplicator(const Schema& schema) {
  if (!schema.is_wal()) return std::nullopt;
  if (sqlite3_table_column_metadata(db_, schema.name.c_str(), kReplicatorTable, nullptr, nullptr,
                                    nullptr, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::nullopt;
  }
  const auto control = schema.database->control();
  if (!schema.read_only) schema.database->LookForReplicator(AsHost(schema));
  const ReplicatorState state = ReadReplicatorState(control->region().engine().replicator);
  if (state == ReplicatorState::kNone) return std::nullopt;  // it is another program's table
  return state == ReplicatorState::kGone ? ReplicatorState::kGone : ReplicatorState::kThere;
}

std::vector<MarksBefore> Connection::ReadMarksBefore() {
  std::vector<MarksBefore> before;
  for (const ManagedLog& log : events_.logs()) {
    const bool reads = transaction_state(log.schema.c_str()) != TransactionState::kNone;
    std::optional<HostConnection> host;
    log.database->LookForControl();  // the connections of other processes stand there
    if (log.database->OthersAreHidden()) {
      const WalFile file = WalFile::Ask(db_, log.schema.c_str());
      // Without the log only the lock table could be asked, which does not show these readers.
      if (!ReadWalIndex(file)) continue;
      host = HostConnection{db_, log.schema.c_str(), file};
    }
    before.push_back(
        {log.database, log.database->FindReadMarksInCall(host ? &*host : nullptr), reads});
  }
  return before;
}

std::optional<ReadMarks> Connection::FindReadMarks(const Schema& schema) {
  Database& database = *schema.database;
  if (!database.OthersAreHidden()) return database.FindReadMarksInCall(nullptr);
  const HostConnection host = AsHost(schema);
  return database.FindReadMarksInCall(&host);
}

AskersTransaction Connection::TransactionOf(const Schema& schema) const {
  int running = 0;  // the one that asks is among them
  for (sqlite3_stmt* each = nullptr; (each = sqlite3_next_stmt(db_, each));) {
    running += sqlite3_stmt_busy(each) != 0 ? 1 : 0;
  }
  return {transaction_state(schema.name.c_str()), !in_autocommit(), running > 1};
}

void Connection::Watch(const Schema& schema, Database::Watching what) {
  // A process that has not committed has not looked at the log, so it would take every alert about
  // the log for cleared.
  if (const auto index = LookAtLog(schema)) schema.database->SawLog(*index);
  schema.database->Watch(what);
}

// --- to find the database that a function is for

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
  // The file must be a database: settings made for any other file would be lost.
  const auto readable = Query("PRAGMA " + QuoteName(schema.value().name) + ".schema_version");
  if (!readable.ok()) {
    return Error{std::string(function) + ": schema " + ShownText(schema.value().name) +
                     " cannot be read: " + readable.error().message,
                 readable.error().code};
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
  if (!schema.is_wal()) return {};
  return WalFile::InWalMode(DatabaseFile(db_, schema.name.c_str()));
}

// --- what only a connection knows

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

std::int64_t Connection::busy_timeout_ms() {
  const auto timeout = Query("PRAGMA busy_timeout");
  return timeout.ok() && timeout.value() ? std::stoll(*timeout.value()) : 0;
}

bool Connection::AnotherMayRead(const Schema& schema) const {
  // SQLite without threads has neither mutexes nor functions for them, and only this thread uses
  // connections.
  const bool threads = EngineHasThreads();
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.mutex);
  for (const auto& [handle, connection] : registry.connections) {
    const Connection* other = connection;  // Clang 14 captures no part of a binding
    if (other == this) continue;
    sqlite3_mutex* mutex = threads ? sqlite3_db_mutex(handle) : nullptr;
    // A handle that another thread uses is looked at only with its mutex held. Where the mutex
    // cannot be had, the connection may be reading.
    if (threads && (!mutex || sqlite3_mutex_try(mutex) != SQLITE_OK)) return true;
    const ManagedLogs& logs = other->events_.logs();
    const bool reads = std::any_of(logs.begin(), logs.end(), [&](const ManagedLog& log) {
      return log.database == schema.database &&
             other->transaction_state(log.schema.c_str()) != TransactionState::kNone;
    });
    if (mutex) sqlite3_mutex_leave(mutex);
    if (reads) return true;
  }
  return false;
}

Connection::EngineFacts Connection::Engine() {
  EngineFacts facts;
  facts.version = sqlite3_libversion();
  facts.version_number = sqlite3_libversion_number();
  facts.has_wal_reset_bug = HasWalResetBug(facts.version_number);
  facts.threads = EngineHasThreads();
  return facts;
}

// --- what functions and tables have it do

void Connection::CloseOwnConnectionsIfUntraced() {
  if (ProbeTrace(/*take=*/false) == TraceState::kDisplaced) events_.logs().CloseOwnConnections();
}

void Connection::PublishMemory() {
  PublishedConnection& published = events_.meter().published();
  published.ShowMemory(/*all=*/true);
  published.ShowForeignKeys();
}

bool Connection::HasTriggers() {
  const auto found = Query(
      "SELECT EXISTS(SELECT 1 FROM main.sqlite_master WHERE type = 'trigger')"
      " OR EXISTS(SELECT 1 FROM temp.sqlite_master WHERE type = 'trigger')");
  return !found.ok() || found.value() != "0";
}

void Connection::CapturePlans() {
  constexpr std::uint64_t kMostNs = 100'000'000;
  const ManagedLog* main = events_.logs().main();
  StatementMeter& meter = events_.meter();
  if (!main || !main->control || !meter.bound()) return;
  const std::uint64_t end_ns = MonotonicNs() + kMostNs;
  std::vector<PlanWish> wishes = meter.plan_wishes().Take(), again;
  // The background thread cannot explain what needs a temporary table or a function of the program.
  for (PlanWish& wish : meter.PreparedStatements()) wishes.push_back(std::move(wish));
  if (wishes.empty()) return;
  const auto read = Query("PRAGMA main.schema_version");
  if (!read.ok() || !read.value()) return meter.plan_wishes().PutBack(std::move(wishes));
  const auto schema = static_cast<std::uint32_t>(std::stoll(*read.value()));
  main->database->planned_schema()->Is(schema);
  QueryStatistics statistics(main->control->space());
  const bool has_triggers = HasTriggers();
  for (PlanWish& wish : wishes) {
    const auto entry = statistics.Find(wish.id);
    if (!entry || unexplained_.contains({wish.id, schema})) continue;
    if (statistics.PlanSchemaVersion(*entry) == schema && statistics.HasPlan(*entry)) continue;
    // Here a plan lacks the steps of triggers, so it is none for a statement that may run one.
    if (has_triggers && !BeginsWithSelect(wish.sql)) {
      again.push_back(std::move(wish));
      continue;
    }
    const bool late = MonotonicNs() >= end_ns;
    const Result<std::string> plan = late ? Error{"no time is left", ErrorCode::kInterrupt}
                                          : QueryPlan(db_, wish.sql, PlanOf::kHost);
    if (plan.ok()) {
      statistics.SetPlan(*entry, wish.id, plan.value(), schema);
    } else if (plan.error().code == ErrorCode::kInterrupt) {
      again.push_back(std::move(wish));
    } else {
      if (unexplained_.size() >= kMostUnexplained) unexplained_.clear();
      unexplained_.emplace(wish.id, schema);
    }
  }
  if (!again.empty()) meter.plan_wishes().PutBack(std::move(again));
}

}  // namespace walmanager
