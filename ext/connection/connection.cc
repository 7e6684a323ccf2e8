#include "ext/connection/connection.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "ext/core/base/engine_version.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNotBound = UINT64_MAX;  // no generation of a control file
constexpr char kLifetimeFunction[] = "walmanager_connection_lifetime";

// NULL stands for main, and saves SQLite a search by name.
const char* FastName(const char* schema) {
  return std::strcmp(schema, "main") == 0 ? nullptr : schema;
}

void Nothing(sqlite3_context*, int, sqlite3_value**) {}

}  // namespace

Result<Connection*> Connection::Attach(sqlite3* db, bool* made) {
  Registry& registry = Registry::Get();
  {
    const MutexLock lock(registry.mutex);
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
    const MutexLock lock(registry.mutex);
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
  // Before the first statement of a connection that is only being opened nobody has one.
  may_have_profile_ = at == At::kOpenConnection;
  LookForMain();
  main_ ? FollowMain() : PlaceTrace();
}

std::unique_ptr<Connection> Connection::Observe(Database& database) {
  auto memory = OpenInMemory();
  if (!memory.ok()) return nullptr;
  sqlite3* db = memory.value().get();
  std::unique_ptr<Connection> observer(new Connection(db, &Registry::Get()));
  observer->memory_ = std::move(memory.value());
  observer->observed_ = &database;
  return observer;
}

void Connection::Detach(void* self) {
  auto* connection = static_cast<Connection*>(self);
  if (&Registry::Get() != connection->registry_) return;  // a forked child: leave all as it is
  AtCEdge([&] {
    {
      const MutexLock lock(connection->registry_->mutex);
      connection->registry_->connections.erase(connection->db_);
    }
    delete connection;
    return SQLITE_OK;
  });
}

Connection::~Connection() {
  for (Log& log : logs_) Release(log);
}

void Connection::Release(Log& log) {
  meter_.SetPlaces({});  // what it points to goes; who calls sets those that stay
  if (&log == main_) {
    meter_.Unbind();
    main_ = nullptr;
  }
  followed_control_ = nullptr;
  log.database->checkpoint_wishes().Change(log.wish, CheckpointWish::kNone);
  log.wish = CheckpointWish::kNone;
  if (log.control) log.control->ReleaseSlab(log.slab);
  log.control.reset();
}

// --- the hook

void Connection::PlaceHook() {
  sqlite3_wal_hook(db_, OnWal, this);
  hook_placed_ = true;
  hook_is_theirs_ = false;
  witness_.Disarm();
  // The next statement that writes begins to watch whether the hook is called.
  plain_writes_at_hook_ = plain_writes_ - 1;
}

bool Connection::HasBuiltinByDefault() {
  static const bool has = [] {
    const auto memory = OpenInMemory();
    if (!memory.ok()) return true;
    const auto frames = QueryText(memory.value().get(), "PRAGMA wal_autocheckpoint");
    return !frames.ok() || !frames.value() || *frames.value() != "0";
  }();
  return has;
}

void Connection::LookAndPlaceHook() {
  // The program may have set a hook of its own, or called sqlite3_wal_autocheckpoint(), since it
  // opened the connection. This PRAGMA reads no table, and is all that tells without a change.
  const auto frames = Query("PRAGMA wal_autocheckpoint");
  if (!frames.ok()) {
    // For a moment (interrupted, no memory), or the program's authorizer forbids it.
    const ErrorCode code = frames.error().code;
    if (code == ErrorCode::kInterrupt || code == ErrorCode::kNoMemory ||
        code == ErrorCode::kLocked || code == ErrorCode::kBusy) {
      return;
    }
    hook_wanted_ = false;
    return PublishWish();
  }
  if (frames.value() && std::stoll(*frames.value()) > 0) return PlaceHook();
  hook_wanted_ = false;
  hook_is_theirs_ = HasBuiltinByDefault();
  PublishWish();
}

void Connection::ReadHookAtLoad() {
  // N > 0: SQLite's own autocheckpoint, which ours replaces. 0: none, or somebody else's, which
  // could not be given back: leave it.
  const auto frames = Query("PRAGMA wal_autocheckpoint");
  hook_wanted_ = frames.ok() && frames.value() && std::stoll(*frames.value()) > 0;
  if (hook_wanted_) PlaceHook();
}

HookState Connection::ProbeHook() {
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
    PublishWish();
  }
  if (hook_is_theirs_) return HookState::kDisplaced;
  if (!hook_placed_) return HookState::kOff;
  // In a transaction a hook that is due has not been called yet.
  if (!in_autocommit()) return HookState::kActive;
  const auto schemas = WitnessedSchemas(/*may_ask=*/true);
  if (row_writes_ == row_writes_at_witness_ && witness_.Proves(schemas)) {
    HookIsTheirs();
    return HookState::kDisplaced;
  }
  witness_.Arm(schemas);
  row_writes_at_witness_ = row_writes_;
  suspected_at_ = 0;
  return HookState::kActive;
}

void Connection::DoubtHook() {
  if (!hook_placed_ || hook_is_theirs_) return;
  // At ever longer distances: a program may write to temporary tables alone.
  const std::uint64_t unheard = plain_writes_ - plain_writes_at_hook_ - 1;
  if ((unheard & (unheard - 1)) != 0) return;
  const auto schemas = WitnessedSchemas(/*may_ask=*/false);
  if (row_writes_ != row_writes_at_witness_ || !witness_.Proves(schemas)) {
    witness_.Arm(schemas);
    row_writes_at_witness_ = row_writes_;
    suspected_at_ = 0;
  } else if (suspected_at_ == 0) {
    // What the blob interface commits calls the hook when the next statement ends.
    suspected_at_ = statement_;
  } else if (statement_ > suspected_at_ + 1 && in_autocommit()) {
    HookIsTheirs();
  }
}

void Connection::HookIsTheirs() {
  hook_is_theirs_ = true;
  witness_.Disarm();
  PublishWish();
}

std::vector<HookWitness::Schema> Connection::WitnessedSchemas(bool may_ask) {
  constexpr int kKnowsNames = 3039000;  // sqlite3_db_name()
  std::vector<HookWitness::Schema> schemas;
  if (sqlite3_libversion_number() >= kKnowsNames && sqlite3_api->db_name) {
    for (int i = 0; const char* name = sqlite3_db_name(db_, i); ++i) schemas.push_back({name});
  } else if (const auto rows = may_ask ? Rows("PRAGMA database_list", "") : Error{""}; rows.ok()) {
    schemas.push_back({"temp"});
    for (const TextRow& row : rows.value()) {
      if (row.size() > 1 && row[1] && *row[1] != "temp") schemas.push_back({*row[1]});
    }
  }
  for (HookWitness::Schema& schema : schemas) {
    if (schema.name == "temp") continue;  // it never has a log, and to ask would open it
    if (may_ask) {
      const auto mode = Query("PRAGMA " + QuoteName(schema.name) + ".journal_mode");
      schema.log = mode.ok() && mode.value() == "wal";
    } else {
      schema.log = WalFile::Ask(db_, schema.name.c_str()).file() != nullptr;
    }
  }
  return schemas;
}

void Connection::PublishWish() {
  for (Log& log : logs_) {
    if (!automatic()) {
      SetWish(log, CheckpointWish::kUnwanted);
    } else if (log.wish == CheckpointWish::kUnwanted) {
      SetWish(log, CheckpointWish::kNone);  // until its next commit
    }
  }
}

void Connection::SetWish(Log& log, CheckpointWish wish) {
  if (log.wish == wish) return;
  CheckpointWishes& wishes = log.database->checkpoint_wishes();
  const bool allowed = wishes.allow_copying();
  wishes.Change(std::exchange(log.wish, wish), wish);
  // What a thread of ours copies just now ends here.
  if (allowed && !wishes.allow_copying()) {
    log.database->CloseOwnConnections();
  }
}

int Connection::OnFirstCommit(void* self) {
  auto* connection = static_cast<Connection*>(self);
  if (connection->belongs_here()) {
    if (!connection->hook_placed_ && connection->hook_wanted_) {
      AtCEdge([&] {
        connection->LookAndPlaceHook();
        return SQLITE_OK;
      });
    }
    sqlite3_commit_hook(connection->db_, nullptr, nullptr);
  }
  return 0;
}

void Connection::BeforeClose() {
  if (!belongs_here()) return;
  for (Log& log : logs_) {
    log.database->TellNews();
    // Nobody else in this process: what happens to the log is then the host's close to do.
    const auto of_this_file = [&](const Log& other) { return other.database == log.database; };
    if (log.database.use_count() == std::count_if(logs_.begin(), logs_.end(), of_this_file)) {
      const char* schema = log.schema.c_str();
      log.database->BeforeLastClose(CloseBehaviourOf(db_, schema), WalFile::Ask(db_, schema));
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
    Release(log);
    return true;
  };
  if (logs_.remove_if(gone) != 0) SetPlaces();
  look_for_main_ = true;
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
  const std::uint64_t start = QuickMonotonicNs();
  const char* name = FastName(schema);
  const char* file_name = sqlite3_db_filename(db_, name);
  Log* log = FindLog(schema, file_name);
  if (!log) return;
  const WalFile wal = WalFile::InWalMode(log->found_by_name ? DatabaseFileByName(file_name)
                                                            : DatabaseFile(db_, name));
  Database& database = *log->database;
  MakeReady(*log);
  ControlRegion& region = log->control->region();
  if (log->wish != CheckpointWish::kWanted) [[unlikely]]
    CommitsWith(*log);

  auto log_end = ReadLogEnd(wal);
  // Without a wal-index the hook itself must do. Where there is one, but others that write tore it
  // at every look, this commit is counted and the next one looks.
  const bool without_index = !log_end && !MapWalIndex(wal);
  if (without_index) log_end = LookWithoutIndex(*log, frames).end();
  ControlRegion::Commit commit;
  if (log_end) commit.frames = CountFrames(*log, *log_end);
  // Two commits and no statement between them: somebody has our trace slot. But a write that was
  // left half-way commits without the hook, and SQLite makes up for it at the end of the next
  // statement, which may only read: that commit is not timed, and the trace is ours.
  const bool seen_start = traced_ && may_commit_ && log->statement != statement_;
  const bool made_up = !seen_start && !may_commit_ && hook_is_owed_;
  hook_is_owed_ = false;
  // PRAGMA journal_mode commits, too, before it needs the database for itself.
  const bool due =
      log_end && automatic_ && !wants_database_ && database.IsDue(region, *log_end, start);
  const auto index = !due            ? std::nullopt
                     : without_index ? std::optional(log->without_index)
                                     : ReadWalIndex(wal);
  if (index) {
    const CheckpointReport report = database.AfterCommit(
        {db_, schema, wal, false, /*traced=*/seen_start || made_up, &log->commits_sync}, region,
        *index, MonotonicNs());
    log->without_index.backfill = static_cast<std::uint32_t>(
        report.checkpointed_frames.value_or(log->without_index.backfill));
  }
  // Where nothing was due the hook's own time, a fraction of a microsecond, is less than asking.
  const std::uint64_t end = due ? QuickMonotonicNs() : start;
  if (seen_start) commit.duration_ns = std::max(end, statement_start_ns_) - statement_start_ns_;
  commit.stall_ns = std::max(end, start) - start;
  region.RecordCommit(log->slab, commit);
  CountCommit(*log, commit, seen_start, /*trace_lost=*/!seen_start && !made_up);
  region.header().last_commit_ns.store(end, std::memory_order_relaxed);
  log->statement = statement_;
  if (log_end) log->log_position = log_end->position();
  plain_writes_at_hook_ = plain_writes_;
  witness_.Disarm();
  // Where there is no thread to do it.
  if (due && !Database::WatchesByItself()) database.Watch(Database::Watching::kSample);
  database.TellNews();
  // Without the trace a PRAGMA journal_mode comes unannounced: keep nothing open in its way.
  if (!seen_start && !made_up) database.StayOutOfTheWay(end);
}

void Connection::CommitsWith(Log& log) {
  // The hook that has just been called is ours.
  if (hook_is_theirs_) {
    hook_is_theirs_ = false;
    PublishWish();
  }
  if (automatic()) SetWish(log, CheckpointWish::kWanted);
}

void Connection::CountCommit(Log& log, const ControlRegion::Commit& commit, bool seen_start,
                             bool trace_lost) {
  if (log.slab < layout::kConnections) {
    layout::ConnectionInfo& info = log.control->region().slab(log.slab).info;
    AddOwn(info.commits, 1);
    if (trace_lost && traced_) {
      AddOwn(info.trace_lost, 1);
      Put(info.trace, static_cast<std::uint64_t>(TraceState::kDisplaced));
      shown_displaced_ = true;
    }
  }
  if (seen_start && meter_.bound()) {
    meter_.Committed(*log.control, commit.frames, commit.stall_ns);
  }
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
  std::list<Log> made(1);  // where memory ends none is left half-way
  Log& log = made.front();
  log.schema = schema;
  log.file = file;
  const sqlite3_file* object = DatabaseFile(db_, schema);
  log.found_by_name = object && object == DatabaseFileByName(file);
  log.database = std::move(database);
  logs_.splice(logs_.end(), made);
  if (!automatic()) SetWish(log, CheckpointWish::kUnwanted);
  return &log;
}

void Connection::BindIfChanged(Log& log) {
  if (!log.control || log.control_generation != log.database->control_generation()) Bind(log);
}

void Connection::Bind(Log& log) {
  followed_control_ = nullptr;
  // The generation first: if the file changes in between, the next commit binds again. So it does
  // where memory ends on the way; the meter points nowhere until the end.
  const std::uint64_t generation = log.database->control_generation();
  log.control_generation = kNotBound;
  meter_.SetPlaces({});
  const auto before = std::exchange(log.control, log.database->control());
  const std::size_t slab_before = std::exchange(log.slab, log.control->ClaimSlab());
  if (before && !before->shared() && log.control->shared()) {
    log.control->region().TakeOver(log.slab, before->region(), slab_before,
                                   /*with_frames=*/before->frames_go_along());
  }
  if (&log == main_ && meter_.bound()) meter_.Bind(log.control, log.slab);
  if (before) before->ReleaseSlab(slab_before);
  Introduce(log);
  SetPlaces();
  log.control_generation = generation;
}

void Connection::Introduce(Log& log) {
  if (log.slab >= layout::kConnections) return;
  layout::ConnectionInfo& info = log.control->region().slab(log.slab).info;
  if (id_ == 0) id_ = registry_->NewConnectionId();
  if (opened_ms_ == 0) opened_ms_ = UnixMs();
  const char* main_file = sqlite3_db_filename(db_, nullptr);
  DescribeConnection(info, {.id = id_,
                            .main = log.schema == "main",
                            .role = ConnectionRole::kApplication,
                            .opened_ms = opened_ms_,
                            .sqlite_version = sqlite3_libversion_number(),
                            .application = application_,
                            .process = ThisProcess().name,
                            .file = main_file ? main_file : ""});
  const TraceState state = shown_displaced_ ? TraceState::kDisplaced
                           : meter_.bound() ? TraceState::kActive
                                            : TraceState::kOff;
  Put(info.trace, static_cast<std::uint64_t>(state));
}

void Connection::SetPlaces() {
  std::vector<StatementMeter::Place> places;
  for (const Log& log : logs_) {
    if (!log.control || log.slab >= layout::kConnections) continue;
    places.push_back({&log.control->region().slab(log.slab).info, log.schema});
    if (log.schema == "main") std::swap(places.front(), places.back());
  }
  meter_.SetPlaces(std::move(places));
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
      Database::Patience::kNone, mark);
  // Somebody else has the settings just now: the next commit tries again.
  if (!status.ok() && status.error().code == ErrorCode::kBusy) log.adopted = wish_ - 1;
}

}  // namespace walmanager
