#include "ext/connection.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "ext/checkpointer.h"
#include "ext/clock.h"
#include "ext/core/engine_version.h"
#include "ext/core/statement_text.h"
#include "ext/registry.h"
#include "ext/sqlite.h"
#include "ext/wal_index.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kRowWritesBetweenLooks = 64;
constexpr char kLifetimeFunction[] = "walmanager_connection_lifetime";

std::uint64_t Position(const LogEnd& end) { return std::uint64_t{end.salt1} << 32 | end.max_frame; }

// NULL stands for main, and saves SQLite a search by name.
const char* FastName(const char* schema) {
  return std::strcmp(schema, "main") == 0 ? nullptr : schema;
}

void Nothing(sqlite3_context*, int, sqlite3_value**) {}

}  // namespace

Result<Connection*> Connection::Attach(sqlite3* db, bool* made) {
  Registry& registry = Registry::Get();
  {
    const std::lock_guard lock(registry.mutex);
    const auto found = registry.connections.find(db);
    if (found != registry.connections.end()) {
      // Quiet the second time, but for a load that failed half-way: that is begun again.
      *made = !found->second->started_;
      return found->second;
    }
  }
  auto* connection = new Connection(db, &registry);
  // From here on SQLite owns the object: it calls Detach also where this call fails.
  const int rc =
      sqlite3_create_function_v2(db, kLifetimeFunction, 0, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                 connection, Nothing, nullptr, nullptr, Detach);
  if (rc != SQLITE_OK) return EngineError(db);
  {
    const std::lock_guard lock(registry.mutex);
    registry.connections[db] = connection;
  }
  *made = true;
  return connection;
}

void Connection::Start(At at) {
  started_ = true;
  if (at == At::kOpenConnection) {
    ReadHookAtLoad();
  } else {
    // Should somebody take the trace before the first statement: then the first commit places the
    // hook. Nobody can have a commit hook on a connection that is only being opened.
    sqlite3_commit_hook(db_, OnFirstCommit, this);
  }
  // Some builds of SQLite have no trace: then commits are counted, but not timed.
  if (sqlite3_api->trace_v2)
    sqlite3_trace_v2(db_, SQLITE_TRACE_STMT | SQLITE_TRACE_CLOSE, OnTrace, this);
}

void Connection::Detach(void* self) {
  auto* connection = static_cast<Connection*>(self);
  if (&Registry::Get() != connection->registry_) return;  // a forked child: leave all as it is
  AtCEdge([&] {
    {
      const std::lock_guard lock(connection->registry_->mutex);
      connection->registry_->connections.erase(connection->db_);
    }
    delete connection;
    return SQLITE_OK;
  });
}

Connection::~Connection() {
  for (Log& log : logs_) {
    if (log.control) log.control->ReleaseSlab(log.slab);
  }
}

// --- the hook

void Connection::PlaceHook() {
  sqlite3_wal_hook(db_, OnWal, this);
  hook_placed_ = true;
  changes_at_hook_ = sqlite3_total_changes(db_);
}

void Connection::ReadHookAtLoad() {
  // N > 0: SQLite's own autocheckpoint, which ours replaces. 0: none, or somebody else's, which
  // could not be given back: leave it.
  const auto frames = Query("PRAGMA wal_autocheckpoint");
  hook_wanted_ = frames.ok() && frames.value() && std::stoll(*frames.value()) > 0;
  if (hook_wanted_) PlaceHook();
}

HookState Connection::ProbeHook(const Schema& schema) {
  const auto frames = Query("PRAGMA wal_autocheckpoint");
  const std::int64_t builtin = frames.ok() && frames.value() ? std::stoll(*frames.value()) : 0;
  if (builtin > 0) {
    // SQLite's own is in place: it came back by sqlite3_wal_autocheckpoint() or unseen by a trace.
    if (hook_placed_) {
      ++wish_;
      wished_frames_ = builtin;
    }
    hook_wanted_ = automatic_ = true;
    PlaceHook();
  }
  if (!hook_placed_) return HookState::kOff;
  if (!in_autocommit() || plain_writes_ == plain_writes_at_hook_) return HookState::kActive;
  // This connection has written, and committed, and the log moved on: was our hook called?
  const auto index = LookAtLog(schema);
  const auto log = std::find_if(logs_.begin(), logs_.end(),
                                [&](const Log& known) { return known.schema == schema.name; });
  const std::uint64_t known_position = log == logs_.end() ? 0 : log->log_position;
  const bool moved = index && index->max_frame > 0 && Position(index->end()) != known_position;
  return moved && sqlite3_total_changes(db_) != changes_at_hook_ ? HookState::kDisplaced
                                                                 : HookState::kActive;
}

int Connection::OnFirstCommit(void* self) {
  auto* connection = static_cast<Connection*>(self);
  if (connection->belongs_here()) {
    if (!connection->hook_placed_ && connection->hook_wanted_) connection->PlaceHook();
    sqlite3_commit_hook(connection->db_, nullptr, nullptr);
  }
  return 0;
}

int Connection::OnTrace(unsigned event, void* self, void* stmt, void* sql) {
  AtCEdge([&] {
    auto* connection = static_cast<Connection*>(self);
    if (event == SQLITE_TRACE_STMT && sql) {
      connection->BeforeStatement(static_cast<sqlite3_stmt*>(stmt), static_cast<const char*>(sql));
    } else if (event == SQLITE_TRACE_CLOSE) {
      connection->BeforeClose();
    }
    return SQLITE_OK;
  });
  return 0;
}

void Connection::BeforeStatement(sqlite3_stmt* stmt, const char* sql) {
  trace_is_ours_ = true;  // CloseOwnConnectionsIfUntraced() wants to know
  // Triggers, and statements within another, come as comments that are not the statement's own
  // text; statements of ours carry a mark.
  if (sql[0] == '-' && sql[1] == '-' && sql != sqlite3_sql(stmt)) return;
  if (sql[0] == '/' && std::strncmp(sql, kOwnSql, sizeof kOwnSql - 1) == 0) return;
  if (!belongs_here()) return;
  traced_ = true;
  ++statement_;
  statement_start_ns_ = MonotonicNs();
  if (detached_) ForgetDetached();
  // The first statement: let the others know that this process is there.
  if (statement_ == 1) {
    Log* log = FindLog("main", sqlite3_db_filename(db_, nullptr));
    if (log && log->database->control()->shared()) BindIfChanged(*log);
  }
  switch (ClassifyStatement(sql)) {
    case StatementKind::kSetsAutocheckpoint:
      FollowAutocheckpoint();
      break;
    case StatementKind::kWantsDatabase:
      CloseOwnConnections();
      break;
    case StatementKind::kSetsSynchronous:
      ForgetSynchronous();
      break;
    case StatementKind::kDetach:
      CloseOwnConnections();
      detached_ = true;
      break;
    case StatementKind::kAttach:
      detached_ = true;  // sqlite3_deserialize() attaches over main
      break;
    case StatementKind::kEndsTransaction:
      ++plain_writes_;
      break;
    case StatementKind::kRollback:
      // What is taken back is no evidence of a commit that our hook has missed.
      changes_at_hook_ = sqlite3_total_changes(db_);
      break;
    case StatementKind::kOther:
      break;
  }
  // SQLite sets its own autocheckpoint after extensions that load while a connection opens. After
  // the look for a PRAGMA: it was prepared before this, and what it asked for is in SQLite's hook.
  if (!hook_placed_ && hook_wanted_) PlaceHook();
  // A statement that returns rows can be left half-way, and then commits without the hook.
  if (sqlite3_stmt_readonly(stmt)) return;
  if (sqlite3_column_count(stmt) == 0) {
    ++plain_writes_;
  } else if (row_writes_++ % kRowWritesBetweenLooks == 0) {
    // Also before the first: the tick needs a thread.
    LookForUnhookedCommits();
  }
}

void Connection::LookForUnhookedCommits() {
  if (!automatic_ || !in_autocommit() || transaction_state(nullptr) != TransactionState::kNone)
    return;
  const std::uint64_t now = MonotonicNs();
  for (Log& log : logs_) {
    // Outside of a transaction only a connection in WAL mode holds the lock that this asks for.
    sqlite3_file* file = DatabaseFile(db_, log.schema.c_str());
    const auto index = ReadWalIndex(file);
    if (!index) continue;
    if (index->max_frame > 0) {
      MakeReady(log);
      log.control->region().AddFrames(log.slab, CountFrames(log, index->end()));
    } else {
      BindIfChanged(log);
    }
    ControlRegion& region = log.control->region();
    if (!log.database->IsDue(region, index->end(), now)) continue;
    log.database->AfterCommit({db_, log.schema.c_str(), file, /*own_only=*/true}, region, *index,
                              now);
  }
}

void Connection::FollowAutocheckpoint() {
  // SQLite did it when the statement was prepared: its hook, or none, stands where ours stood. What
  // sqlite3_wal_hook returns is that hook's argument: N.
  void* displaced = sqlite3_wal_hook(db_, OnWal, this);
  hook_placed_ = true;
  if (displaced == this) return;
  const auto frames = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(displaced));
  automatic_ = frames > 0;
  hook_wanted_ = true;
  if (automatic_) {
    ++wish_;
    wished_frames_ = frames;
  }
}

void Connection::BeforeClose() {
  if (!belongs_here()) return;
  for (Log& log : logs_) {
    // Nobody else in this process: what happens to the log is then the host's close to do.
    const auto of_this_file = [&](const Log& other) { return other.database == log.database; };
    if (log.database.use_count() == std::count_if(logs_.begin(), logs_.end(), of_this_file)) {
      // Only one that has committed to the log is known to be in WAL mode still.
      sqlite3_file* file = log.log_position != 0 ? DatabaseFile(db_, log.schema.c_str()) : nullptr;
      log.database->BeforeLastClose(CloseBehaviourOf(db_, log.schema.c_str()), file);
    }
  }
}

void Connection::CloseOwnConnections() {
  for (Log& log : logs_) {
    log.database->CloseOwnConnections();
  }
}

void Connection::ForgetDetached() {
  detached_ = false;
  const auto gone = [&](Log& log) {
    const char* file = sqlite3_db_filename(db_, log.schema.c_str());
    if (file && log.file == file) return false;
    if (log.control) log.control->ReleaseSlab(log.slab);
    return true;
  };
  logs_.remove_if(gone);
}

// --- the commit path

int Connection::OnWal(void* self, sqlite3*, const char* schema, int frames) {
  // The commit has succeeded: whatever goes wrong here is not the host's error.
  AtCEdge([&] {
    static_cast<Connection*>(self)->Committed(schema, frames);
    return SQLITE_OK;
  });
  return SQLITE_OK;
}

void Connection::Committed(const char* schema, int frames) {
  if (!belongs_here()) return;
  const std::uint64_t start = MonotonicNs();
  const char* name = FastName(schema);
  const char* file_name = sqlite3_db_filename(db_, name);
  Log* log = FindLog(schema, file_name);
  if (!log) return;
  sqlite3_file* file = log->found_by_name ? DatabaseFileByName(file_name) : DatabaseFile(db_, name);
  Database& database = *log->database;
  MakeReady(*log);
  ControlRegion& region = log->control->region();

  auto log_end = ReadLogEnd(file);
  // Without a wal-index the hook itself must do. Where there is one, but others that write tore it
  // at every look, this commit is counted and the next one looks.
  const bool without_index = !log_end && !MapWalIndex(file);
  if (without_index) log_end = LookWithoutIndex(*log, frames).end();
  ControlRegion::Commit commit;
  if (log_end) commit.frames = CountFrames(*log, *log_end);
  // Two commits and no statement between them: somebody has our trace slot.
  const bool seen_start = traced_ && log->statement != statement_;
  const bool due = log_end && automatic_ && database.IsDue(region, *log_end, start);
  const auto index = !due            ? std::nullopt
                     : without_index ? std::optional(log->without_index)
                                     : ReadWalIndex(file);
  if (index) {
    const CheckpointReport report = database.AfterCommit(
        {db_, schema, file, false, seen_start, &log->commits_sync}, region, *index, start);
    log->without_index.backfill = static_cast<std::uint32_t>(
        report.checkpointed_frames.value_or(log->without_index.backfill));
  }
  // Where nothing was due the hook's own time, a fraction of a microsecond, is less than asking.
  const std::uint64_t end = due ? MonotonicNs() : start;
  if (seen_start) commit.duration_ns = end - statement_start_ns_;
  commit.stall_ns = end - start;
  region.RecordCommit(log->slab, commit);
  region.header().last_commit_ns.store(end, std::memory_order_relaxed);
  log->statement = statement_;
  if (log_end) log->log_position = Position(*log_end);
  plain_writes_at_hook_ = plain_writes_;
  changes_at_hook_ = sqlite3_total_changes(db_);
  // Without the trace a PRAGMA journal_mode comes unannounced: keep nothing open in its way.
  if (!seen_start) database.StayOutOfTheWay(end);
}

void Connection::MakeReady(Log& log) {
  if (log.database->control_wanted()) log.database->MakeControl();
  BindIfChanged(log);
  if (log.adopted != wish_) FollowPragma(log);
}

std::uint64_t Connection::CountFrames(Log& log, const LogEnd& end) {
  ControlRegion& region = log.control->region();
  bool log_reset = false;
  const std::uint64_t frames = region.AdvanceLog(end.salt1, end.max_frame, &log_reset);
  if (log_reset) region.CountLogReset();
  return frames;
}

Connection::Log* Connection::FindLog(const char* schema, const char* file) {
  for (Log& log : logs_) {
    if (std::strcmp(log.schema.c_str(), schema) != 0) continue;
    if (file && std::strcmp(log.file.c_str(), file) == 0) return &log;
    ForgetDetached();  // another file under the same name
    break;
  }
  auto database = file && *file ? Database::ForFile(file) : nullptr;
  if (!database) return nullptr;
  Log& log = logs_.emplace_back();
  log.schema = schema;
  log.file = file;
  const sqlite3_file* object = DatabaseFile(db_, schema);
  log.found_by_name = object && object == DatabaseFileByName(file);
  log.database = std::move(database);
  return &log;
}

void Connection::BindIfChanged(Log& log) {
  if (!log.control || log.control_generation != log.database->control_generation()) Bind(log);
}

void Connection::Bind(Log& log) {
  if (log.control) log.control->ReleaseSlab(log.slab);
  // The generation first: if the file changes in between, the next commit binds again.
  log.control_generation = log.database->control_generation();
  log.control = log.database->control();
  log.slab = log.control->ClaimSlab();
}

WalIndex Connection::LookWithoutIndex(Log& log, int frames) {
  // locking_mode=EXCLUSIVE keeps the wal-index in private memory; the hook still says how long the
  // log is, and a shorter one started over.
  WalIndex& index = log.without_index;
  const auto max_frame = static_cast<std::uint32_t>(std::max(frames, 0));
  if (max_frame < index.max_frame) {
    ++index.salt1;
    index.backfill = 0;
  }
  index.max_frame = max_frame;
  if (index.page_size == 0) {
    const Schema schema{log.schema, "", "", false, nullptr};
    index.page_size = static_cast<std::uint32_t>(PageSize(schema).value_or(4096));
  }
  return index;
}

void Connection::FollowPragma(Log& log) {
  log.adopted = wish_;
  ChangeMark mark = ThisChange();
  mark.by += " PRAGMA";
  const Status status = log.database->Change(
      true,
      [&](StoredSettings& stored) -> Status {
        if (stored.AdoptCheckpointFrames(wished_frames_, mark)) return Ok{};
        return Error{"nothing to change"};
      },
      Database::Patience::kNone);
  // Somebody else has the settings just now: the next commit tries again.
  if (!status.ok() && status.error().code == ErrorCode::kBusy) log.adopted = wish_ - 1;
}

}  // namespace walmanager
