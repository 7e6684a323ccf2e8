#include "ext/connection/connection_events.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "ext/connection/commit_path.h"
#include "ext/core/control/evidence.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/text/layout_pragma.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

// SQLite announces triggers, and statements within another one, with a comment in the place of the
// statement's text.
bool IsComment(const char* sql) { return sql[0] == '-' && sql[1] == '-'; }
// Whether this extension runs it.
bool IsOwnStatement(const char* sql) {
  return sql[0] == '/' && std::strncmp(sql, kOwnSql, sizeof kOwnSql - 1) == 0;
}

}  // namespace

ConnectionEvents::~ConnectionEvents() {
  if (!cancellable_) return;
  cancellable_->Close();
  const MutexLock lock(registry_->mutex);
  registry_->cancellables.erase(cancellable_->id());
}

void ConnectionEvents::Start(At at) {
  if (at == At::kOpenConnection) {
    hook_.ReadAtLoad();
  } else {
    // Where another trace takes the slot before the first statement, the first commit places the
    // WAL hook. No program can have a commit hook on a connection that is only being opened.
    sqlite3_commit_hook(db_, OnFirstCommit, this);
  }
  // On a connection that is only being opened no program can have set one.
  if (at == At::kOpenConnection) trace_.MayHaveProfile();
  logs_.LookForMain();
  logs_.main() ? FollowMain() : PlaceTrace();
}

// --- the callbacks

int ConnectionEvents::OnTrace(unsigned event, void* self, void* stmt, void* sql) {
  auto* events = static_cast<ConnectionEvents*>(self);
  auto* statement = static_cast<sqlite3_stmt*>(stmt);
  if (events->lease_ && events->belongs_here()) [[unlikely]] {
    if (events->lease_->is_asking()) return 0;
    // First of all: whatever comes next may be a call of the program.
    if (event == SQLITE_TRACE_PROFILE) {
      events->lease_->Ends();
    } else {
      events->lease_->Withdraw(event == SQLITE_TRACE_ROW ? LeaseObstacle::kReturnsRows
                                                         : LeaseObstacle::kOtherStatement);
    }
  }
  if (event == SQLITE_TRACE_ROW) {  // by far the most frequent event, which allocates nothing
    if (!events->belongs_here()) return 0;
    events->meter_.Row(statement);
    if (events->application_checkpoint_) [[unlikely]] {
      AtCEdge([&] {
        if (!events->application_checkpoint_->runs(statement)) return SQLITE_OK;
        events->application_checkpoint_->EndWithRow();
        events->application_checkpoint_.reset();
        events->PlaceTrace();
        return SQLITE_OK;
      });
    }
    return 0;
  }
  AtCEdge([&] {
    switch (event) {
      case SQLITE_TRACE_STMT:
        if (sql) events->BeforeStatement(statement, static_cast<const char*>(sql));
        if (Cancellable::IsWanted(events->cancel_word_)) [[unlikely]]
          events->FollowCancel(/*has_ended=*/false);
        if (events->lease_) [[unlikely]]
          events->OfferQuery(statement);
        break;
      case SQLITE_TRACE_PROFILE:
        if (events->belongs_here()) events->AfterStatement(statement);
        if (Cancellable::IsWanted(events->cancel_word_)) [[unlikely]]
          events->FollowCancel(/*has_ended=*/true);
        break;
      case SQLITE_TRACE_CLOSE:
        events->BeforeClose();
        break;
      default:
        break;
    }
    return SQLITE_OK;
  });
  return 0;
}

int ConnectionEvents::OnWal(void* self, sqlite3*, const char* schema, int frames) {
  // The commit has succeeded: no error from here is an error of the host.
  AtCEdge([&] {
    auto* events = static_cast<ConnectionEvents*>(self);
    if (!events->belongs_here()) return SQLITE_OK;
    if (events->lease_) events->lease_->Withdraw(LeaseObstacle::kOtherStatement);
    CommitPath(events->db_, events->statement_, events->hook_, events->logs_, events->meter_)
        .Committed(schema, frames);
    return SQLITE_OK;
  });
  return SQLITE_OK;
}

int ConnectionEvents::OnFirstCommit(void* self) {
  auto* events = static_cast<ConnectionEvents*>(self);
  if (events->belongs_here()) {
    if (events->hook_.is_to_be_placed()) {
      AtCEdge([&] {
        events->hook_.LookAndPlace(WalHook::TraceIs::kPerhapsAnother);
        return SQLITE_OK;
      });
    }
    sqlite3_commit_hook(events->db_, nullptr, nullptr);
  }
  return 0;
}

void ConnectionEvents::BeforeClose() {
  if (!belongs_here()) return;
  EnterFiles(/*may_need_all=*/false);
  logs_.KeepSettings();
  plans_.BeforeClose();
  for (ManagedLog& log : logs_) {
    log.database->TellNews();
    // Where no other connection of this process has the database, this close must treat the log as
    // a close without the extension does.
    const auto of_this_file = [&](const ManagedLog& other) {
      return other.database == log.database;
    };
    if (log.database.use_count() == std::count_if(logs_.begin(), logs_.end(), of_this_file)) {
      const char* schema = log.schema.c_str();
      log.database->BeforeLastClose(CloseBehaviourOf(db_, schema), WalFile::Ask(db_, schema));
    }
  }
}

// --- a statement begins

void ConnectionEvents::BeforeStatement(sqlite3_stmt* stmt, const char* sql) {
  trace_.WasCalled();
  if (!belongs_here()) return;
  if ((statement_.thread != WatchedFile::ThisThread()) | statement_.may_need_all |
      statement_.opened_log) [[unlikely]]
    EnterFiles(/*may_need_all=*/false);
  __builtin_prefetch(followed_settings_);
  __builtin_prefetch(followed_control_);
  meter_.Prefetch();
  if (meter_.Knows(stmt, sql)) [[likely]] {
    if (meter_.runs_and_writes(stmt)) return;
  } else if (IsOwnStatement(sql) || IsComment(sql)) {
    if (IsPartOfAnother(stmt, sql)) return;
  }
  statement_.traced = true;
  ++statement_.serial;
  if (statement_.lock_was_refused) [[unlikely]]
    EndLockWaits(nullptr, 0);
  const bool wants_look = logs_.wants_look();
  if (wants_look | (application_checkpoint_ != nullptr)) [[unlikely]]
    CatchUp();
  if (logs_.main() && MainHasChanged()) FollowMain();
  if (statement_.start_ns >= next_control_look_ns_) LookForControls();
  StatementKind kind = StatementKind::kOther;
  bool reads_only = false;
  if (meter_.bound()) [[likely]] {
    statement_.start_ns = QuickMonotonicNs();
    if (!meter_.has_met()) [[unlikely]] {
      meter_.Meet(stmt, sql);
      if (meter_.met_may_last() && logs_.main() && logs_.main()->control &&
          logs_.main()->control->shared()) {
        logs_.main()->database->StatementMayLast(statement_.start_ns);
      }
    }
    kind = meter_.Started(statement_.start_ns);
    reads_only = meter_.started_reads_only();
  } else {
    kind = ClassifyStatement(sql);
    reads_only = sqlite3_stmt_readonly(stmt) != 0;
    // A statement that is not measured and cannot commit needs no clock.
    if (kind == StatementKind::kOther && reads_only && !hook_.is_to_be_placed()) {
      statement_.may_commit = false;
      return;
    }
    statement_.start_ns = QuickMonotonicNs();
  }
  for (const ManagedLog& log : logs_) {
    if (log.control) log.database->StatementBegins(*log.control, statement_.start_ns);
  }
  statement_.may_commit = !reads_only || kind == StatementKind::kEndsTransaction;
  statement_.wants_database = kind == StatementKind::kWantsDatabase ||
                              kind == StatementKind::kCheckpoints || kind == StatementKind::kDetach;
  if (kind != StatementKind::kOther) Foresee(kind, stmt, sql);
  // SQLite sets its own autocheckpoint after extensions that load while a connection opens. This
  // comes after the look for a PRAGMA wal_autocheckpoint, which was prepared before: SQLite's hook
  // has what it asked for.
  if (hook_.is_to_be_placed()) hook_.LookAndPlace(WalHook::TraceIs::kOurs);
  // Own connections have just been closed for this statement.
  if (statement_.wants_database) return;
  if (meter_.plan_wishes().any()) plans_.TryIfDue(statement_.start_ns);
  if (reads_only) return;
  if (sqlite3_column_count(stmt) == 0) {
    hook_.PlainWriteBegins(statement_.serial);
    return;
  }
  // The program can leave it half-way, and then it commits without the hook. The first look comes
  // before the first such statement, since the background thread needs one look to begin.
  statement_.hook_is_owed = true;
  if (hook_.RowWriteBegins()) CommitPath(db_, statement_, hook_, logs_, meter_).LookForUnhooked();
}

void ConnectionEvents::AfterStatement(sqlite3_stmt* stmt) {
  const std::uint64_t now = QuickMonotonicNs();
  // Before SQLite gives locks back, which it does for a cursor that is reset after this.
  if (statement_.thread != WatchedFile::ThisThread()) [[unlikely]]
    EnterFiles(statement_.may_need_all);
  if (statement_.lock_was_refused) [[unlikely]]
    EndLockWaits(stmt, now);
  meter_.Ended(stmt, now);
}

void ConnectionEvents::EnterFiles(bool may_need_all) {
  const std::uintptr_t before = std::exchange(statement_.thread, WatchedFile::ThisThread());
  statement_.may_need_all = may_need_all;
  statement_.opened_log = false;
  for (ManagedLog& log : logs_) {
    log.locks.Enter(db_, log.schema.c_str(), may_need_all);
    if (before != 0 && before != statement_.thread) {
      log.locks.ThreadChanged(db_, log.schema.c_str());
    }
  }
}

void ConnectionEvents::EndLockWaits(sqlite3_stmt* stmt, std::uint64_t now_ns) {
  statement_.lock_was_refused = false;
  const char* sql = stmt ? sqlite3_sql(stmt) : nullptr;
  const StatementKind kind = sql ? ClassifyStatement(sql) : StatementKind::kOther;
  for (ManagedLog& log : logs_) log.locks.StatementEnds(stmt, kind, now_ns);
  const LockCounts counts = locks_.TakeCounts();
  if (stmt) meter_.CountLocks(stmt, counts);
}

void ConnectionEvents::OfferQuery(sqlite3_stmt* stmt) {
  constexpr unsigned kSeen = SQLITE_TRACE_ROW | SQLITE_TRACE_PROFILE;
  const ManagedLog* main = logs_.main();
  if (!belongs_here() || !main || !main->control || !trace_.Tells(kSeen)) return;
  // Not where BeforeStatement() has found a part of another statement.
  const KnownStatement* known = meter_.FindRunning(stmt);
  if (!known || known->start_ns != statement_.start_ns) return;
  lease_->Begins(stmt, *known, meter_, *main);
}

void ConnectionEvents::FollowCancel(bool has_ended) {
  if (!belongs_here()) return;
  cancellable_->Wait();
  if (!has_ended) return;
  if (cancellable_->Ended(sqlite3_get_autocommit(db_) != 0, meter_.active())) {
    // The next statement forgets the interrupt, but sqlite3_wal_checkpoint_v2() obeys it. SQLite
    // forgets it also when it prepares a text and no statement runs.
    sqlite3_stmt* nothing = nullptr;
    (void)sqlite3_prepare_v2(db_, "", -1, &nothing, nullptr);
  }
}

bool ConnectionEvents::IsPartOfAnother(sqlite3_stmt* stmt, const char* sql) {
  const char* own = sqlite3_sql(stmt);
  if (!own || IsOwnStatement(own) || (own != sql && own_statements_ != 0)) {
    // An earlier statement may be known by this handle, and may have run as often as this one.
    meter_.ForgetText(stmt);
    return true;
  }
  if (own == sql) return false;          // its own text begins with a comment
  if (std::strcmp(sql + 3, own) == 0) {  // another statement runs it
    if (!sqlite3_stmt_readonly(stmt)) statement_.may_commit = true;
    const StatementKind kind = ClassifyStatement(own);
    if (kind == StatementKind::kSetsAutocheckpoint || kind == StatementKind::kReadsAutocheckpoint) {
      Foresee(kind, stmt, own);
    }
    if (meter_.bound()) {
      const std::uint64_t now = QuickMonotonicNs();
      meter_.Meet(stmt, own);
      meter_.Started(now);
    }
  } else {
    meter_.RanTrigger(stmt);
  }
  return true;
}

void ConnectionEvents::CatchUp() {
  if (application_checkpoint_) {
    application_checkpoint_->EndWithError();
    application_checkpoint_.reset();
    PlaceTrace();
  }
  if (logs_.shown_displaced()) {
    logs_.ForgetDisplaced();
    meter_.ForgetActive();
    logs_.PublishTrace(meter_.bound() ? TraceState::kActive : TraceState::kOff);
  }
  if (logs_.may_be_detached()) {
    logs_.ForgetDetached();
    logs_.LookForAttached();
  }
  if (!logs_.main()) logs_.LookForMain();
}

void ConnectionEvents::Foresee(StatementKind kind, sqlite3_stmt* stmt, const char* sql) {
  switch (kind) {
    case StatementKind::kSetsAutocheckpoint:
      hook_.FollowAutocheckpoint(sql);
      break;
    case StatementKind::kReadsAutocheckpoint:
      hook_.AutocheckpointIsRead();
      break;
    case StatementKind::kWantsDatabase:
      logs_.CloseOwnConnections();
      EnterFiles(/*may_need_all=*/true);
      hook_.ForgetWitness();  // it may end WAL mode
      break;
    case StatementKind::kCheckpoints:
      logs_.CloseOwnConnections();
      BeginCheckpoint(stmt, sql);
      break;
    case StatementKind::kSetsSynchronous:
      logs_.ForgetSynchronous();
      break;
    case StatementKind::kSetsLayout:
      KeepLayoutWish(sql);
      break;
    case StatementKind::kDetach:
      logs_.CloseOwnConnections();
      logs_.ExpectDetach();
      break;
    case StatementKind::kAttach:
      logs_.ExpectDetach();  // sqlite3_deserialize() attaches over main
      break;
    case StatementKind::kEndsTransaction:
      hook_.TransactionEnds();
      break;
    case StatementKind::kRollback:
    case StatementKind::kOther:
      break;
  }
}

void ConnectionEvents::KeepLayoutWish(const char* sql) {
  const auto pragma = ParseLayoutPragma(sql);
  if (!pragma) return;
  const char* schema = pragma->schema.c_str();
  const ManagedLog* log = logs_.Find(schema, sqlite3_db_filename(db_, schema));
  if (!log) return;
  KeepLayout(log->database->control()->evidence(),
             {pragma->page_size, pragma->auto_vacuum, std::nullopt});
}

void ConnectionEvents::BeginCheckpoint(sqlite3_stmt* stmt, const char* sql) {
  const CheckpointPragma pragma = ReadCheckpointPragma(sql);
  constexpr char kOnlyLooks[] = "NOOP";  // of newer versions of SQLite
  const std::string word(pragma.mode), schema(pragma.schema);
  if (sqlite3_stricmp(word.c_str(), kOnlyLooks) == 0) return;
  // SQLite takes a word that it does not know for PASSIVE.
  application_checkpoint_ = std::make_unique<ApplicationCheckpoint>(
      db_, stmt, ParseMode(word).value_or(CheckpointMode::kPassive));
  for (ManagedLog& log : logs_) {
    if (!schema.empty() && sqlite3_stricmp(schema.c_str(), log.schema.c_str()) != 0) continue;
    logs_.BindIfChanged(log);
    application_checkpoint_->Add(log.schema, log.database);
  }
  PlaceTrace();
}

void ConnectionEvents::LookForControls() {
  next_control_look_ns_ = statement_.start_ns + kSecondNs;
  logs_.LookForControls();
}

// --- the trace

void ConnectionEvents::FollowMain() {
  ManagedLog& main = *logs_.main();
  const ControlRegion* region = main.control ? &main.control->region() : nullptr;
  const bool rebind = !region || main.control_generation != main.database->control_generation();
  if (!rebind && region->settings_generation() == metered_settings_) {
    followed_settings_ = &region->settings_generation_word();
    followed_generation_ = main.control_generation;
    followed_control_ = &main.database->control_generation_word();
    followed_bindings_ = logs_.bindings();
    return;
  }
  // So that other processes see this connection before it writes.
  logs_.BindIfChanged(main);
  const StoredSettings stored = main.database->settings();
  metered_settings_ = stored.generation;
  const SettingValues values = stored.Values();
  meter_.SetLimits(static_cast<std::uint64_t>(values[Setting::kSlowQueryMs]) * 1'000'000,
                   static_cast<std::size_t>(values[Setting::kMaxQueries]));
  const bool measure = values[Setting::kStatementMetrics] != 0;
  if (measure && !meter_.bound()) {
    // First: where memory runs out here, it is not bound, and the next statement tries again.
    logs_.SetPlaces();
    meter_.Bind(main.control, main.slab, main.database->planned_schema());
    // A transaction may have begun before the load, or while nothing was measured.
    meter_.published().ShowTransactionNow(QuickMonotonicNs());
  } else if (!measure && meter_.bound()) {
    meter_.Unbind();
  }
  MakeCancellable();
  FollowLease(values[Setting::kReaderLeaseMs], main);
  locks_.Set(values[Setting::kLockMetrics] != 0,
             static_cast<std::uint64_t>(values[Setting::kLockWaitMs]) * 1'000'000);
  logs_.FollowLockMetrics();
  logs_.PublishTrace(meter_.bound() ? TraceState::kActive : TraceState::kOff);
  PlaceTrace();
}

void ConnectionEvents::MakeCancellable() {
  if (cancellable_ || !EngineHasThreads()) return;
  auto made = std::make_shared<Cancellable>(db_, logs_.id(), cancel_word_);
  const MutexLock lock(registry_->mutex);
  registry_->cancellables[made->id()] = made;
  cancellable_ = std::move(made);
}

void ConnectionEvents::FollowLease(std::int64_t lease_ms, const ManagedLog& main) {
  if (lease_ms == 0 || !meter_.bound() || !EngineHasThreads()) {
    lease_.reset();
    return;
  }
  if (!lease_ || !lease_->is_of(main.database.get())) {
    lease_.reset();
    lease_ = std::make_unique<QueryLease>(db_, registry_, logs_.id(), main.database.get());
  }
  lease_->set_length(static_cast<std::uint64_t>(lease_ms) * 1'000'000);
}

void ConnectionEvents::PlaceTrace() {
  if (!TraceSlot::exists()) return;
  const unsigned mask =
      trace_.MaskFor(meter_.bound(), meter_.bound() || application_checkpoint_ != nullptr);
  if (trace_.Has(mask)) return;
  if (lease_) lease_->Withdraw(LeaseObstacle::kOtherStatement);
  trace_.Place(db_, mask, OnTrace, this);
  meter_.ForgetTexts();  // statements may have come and gone while another trace had the slot
}

TraceState ConnectionEvents::ProbeTrace(bool take) {
  const auto standing = [&] { return meter_.bound() ? TraceState::kActive : TraceState::kOff; };
  TraceState state = TraceState::kOff;
  if (TraceSlot::exists()) {
    state = trace_.Stands(db_) ? standing() : TraceState::kDisplaced;
    if (state == TraceState::kDisplaced && take) {
      meter_.ForgetActive();
      trace_.Lost();
      PlaceTrace();
      if (meter_.bound()) meter_.published().ShowTransactionNow(MonotonicNs());
      state = standing();
    }
  }
  logs_.PublishTrace(state);
  return state;
}

}  // namespace walmanager
