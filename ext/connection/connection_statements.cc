// The part of Connection that follows the host's statements: the events of its trace.
#include <cstring>

#include "ext/connection/connection.h"
#include "ext/core/control/evidence.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/text/layout_pragma.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kRowWritesBetweenLooks = 64;

// Triggers, and statements within another, come as comments that are not the statement's own text.
bool IsComment(const char* sql) { return sql[0] == '-' && sql[1] == '-'; }
bool IsOurs(const char* sql) {
  return sql[0] == '/' && std::strncmp(sql, kOwnSql, sizeof kOwnSql - 1) == 0;
}

}  // namespace

int Connection::OnTrace(unsigned event, void* self, void* stmt, void* sql) {
  auto* connection = static_cast<Connection*>(self);
  auto* statement = static_cast<sqlite3_stmt*>(stmt);
  if (event == SQLITE_TRACE_ROW) {  // the most frequent by far, and it allocates nothing
    if (!connection->belongs_here()) return 0;
    connection->meter_.Row(statement);
    if (connection->application_checkpoint_.runs(statement)) [[unlikely]] {
      AtCEdge([&] {
        connection->application_checkpoint_.EndWithRow();
        connection->PlaceTrace();
        return SQLITE_OK;
      });
    }
    return 0;
  }
  AtCEdge([&] {
    switch (event) {
      case SQLITE_TRACE_STMT:
        if (sql) connection->BeforeStatement(statement, static_cast<const char*>(sql));
        break;
      case SQLITE_TRACE_PROFILE:
        if (connection->belongs_here()) connection->meter_.Ended(statement, QuickMonotonicNs());
        break;
      case SQLITE_TRACE_CLOSE:
        connection->BeforeClose();
        break;
      default:
        break;
    }
    return SQLITE_OK;
  });
  return 0;
}

void Connection::KeepLayoutWish(const char* sql) {
  const auto pragma = ParseLayoutPragma(sql);
  if (!pragma) return;
  const char* schema = pragma->schema.c_str();
  Log* log = FindLog(schema, sqlite3_db_filename(db_, schema));
  if (!log) return;
  KeepLayout(log->database->control()->memory()->evidence,
             {pragma->page_size, pragma->auto_vacuum, std::nullopt});
}

void Connection::Foresee(StatementKind kind, sqlite3_stmt* stmt, const char* sql) {
  switch (kind) {
    case StatementKind::kSetsAutocheckpoint:
      FollowAutocheckpoint(sql);
      break;
    case StatementKind::kReadsAutocheckpoint:
      // Where ours is not placed yet, or is displaced, what it reads is what SQLite has.
      if (hook_placed_ && automatic()) read_our_zero_ = true;
      break;
    case StatementKind::kWantsDatabase:
      CloseOwnConnections();
      witness_.Disarm();  // it may end WAL mode
      break;
    case StatementKind::kCheckpoints:
      CloseOwnConnections();
      BeginCheckpoint(stmt, sql);
      break;
    case StatementKind::kSetsSynchronous:
      ForgetSynchronous();
      break;
    case StatementKind::kSetsLayout:
      KeepLayoutWish(sql);
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
    case StatementKind::kOther:
      break;
  }
}

bool Connection::IsPartOfAnother(sqlite3_stmt* stmt, const char* sql) {
  const char* own = sqlite3_sql(stmt);
  if (!own || IsOurs(own)) {
    // One that is gone may be known by this handle, and ours runs as often as that has.
    meter_.ForgetText(stmt);
    return true;
  }
  if (own == sql) return false;          // a comment of its own
  if (std::strcmp(sql + 3, own) == 0) {  // that another statement runs
    if (!sqlite3_stmt_readonly(stmt)) may_commit_ = true;
    const StatementKind kind = ClassifyStatement(own);
    if (kind == StatementKind::kSetsAutocheckpoint || kind == StatementKind::kReadsAutocheckpoint) {
      Foresee(kind, stmt, own);
    }
    if (meter_.bound()) meter_.Started(stmt, own, QuickMonotonicNs());
  } else {
    meter_.RanTrigger(stmt);
  }
  return true;
}

void Connection::CatchUp() {
  if (application_checkpoint_.runs()) {
    application_checkpoint_.EndWithError();
    PlaceTrace();
  }
  if (shown_displaced_) {
    shown_displaced_ = false;
    meter_.ForgetActive();
    PublishTrace(meter_.bound() ? TraceState::kActive : TraceState::kOff);
  }
  if (detached_) {
    ForgetDetached();
    LookForAttached();
  }
  if (!main_) LookForMain();
}

void Connection::BeforeStatement(sqlite3_stmt* stmt, const char* sql) {
  trace_is_ours_ = true;  // ProbeTrace() wants to know
  if (!belongs_here()) return;
  __builtin_prefetch(followed_settings_);
  __builtin_prefetch(followed_control_);
  meter_.Prefetch();
  if (meter_.Knows(stmt, sql)) [[likely]] {
    if (meter_.runs_and_writes(stmt)) return;
  } else if (IsOurs(sql) || IsComment(sql)) {
    if (IsPartOfAnother(stmt, sql)) return;
  }
  traced_ = true;
  ++statement_;
  if (shown_displaced_ | detached_ | !main_ | application_checkpoint_.runs()) [[unlikely]]
    CatchUp();
  if (main_ && MainHasChanged()) FollowMain();
  if (statement_start_ns_ >= next_control_look_ns_) LookForControls();
  StatementKind kind = StatementKind::kOther;
  bool reads_only = false;
  if (meter_.bound()) [[likely]] {
    statement_start_ns_ = QuickMonotonicNs();
    kind = meter_.Started(stmt, sql, statement_start_ns_);
    reads_only = meter_.started_reads_only();
  } else {
    kind = ClassifyStatement(sql);
    reads_only = sqlite3_stmt_readonly(stmt) != 0;
    // What neither is measured nor can commit needs no clock.
    if (kind == StatementKind::kOther && reads_only && (hook_placed_ || !hook_wanted_)) {
      may_commit_ = false;
      return;
    }
    statement_start_ns_ = QuickMonotonicNs();
  }
  for (const Log& log : logs_) {
    if (log.control) Database::WaitWhileLogIsCut(log.control->region());
  }
  may_commit_ = !reads_only || kind == StatementKind::kEndsTransaction;
  wants_database_ = kind == StatementKind::kWantsDatabase || kind == StatementKind::kCheckpoints ||
                    kind == StatementKind::kDetach;
  if (kind != StatementKind::kOther) Foresee(kind, stmt, sql);
  // SQLite sets its own autocheckpoint after extensions that load while a connection opens. After
  // the look for a PRAGMA: it was prepared before this, and what it asked for is in SQLite's hook.
  if (!hook_placed_ && hook_wanted_) LookAndPlaceHook();
  // Ours have just been closed for this one.
  if (wants_database_) return;
  if (meter_.wants_plans()) HandOverPlans();
  // A statement that returns rows can be left half-way, and then commits without the hook.
  if (reads_only) return;
  if (sqlite3_column_count(stmt) == 0) {
    if (plain_writes_++ != plain_writes_at_hook_) [[unlikely]]
      DoubtHook();
    return;
  }
  hook_is_owed_ = true;
  if (row_writes_++ % kRowWritesBetweenLooks == 0) {
    // Also before the first: the tick needs a thread.
    LookForUnhookedCommits();
  }
}

void Connection::LookForMain() {
  // In memory there is none, and that stays so until something is attached or deserialized.
  if (!look_for_main_) return;
  look_for_main_ = false;
  main_ = FindLog("main", sqlite3_db_filename(db_, nullptr));
}

void Connection::LookForAttached() {
  constexpr int kKnowsNames = 3039000;  // sqlite3_db_name()
  if (sqlite3_libversion_number() < kKnowsNames || !sqlite3_api->db_name) return;
  for (int i = 2; const char* name = sqlite3_db_name(db_, i); ++i) {
    const char* file = sqlite3_db_filename(db_, name);
    if (Log* log = file && *file ? FindLog(name, file) : nullptr) BindIfChanged(*log);
  }
}

void Connection::LookForControls() {
  // One that only reads makes no file, and shall be seen in that which another has made.
  next_control_look_ns_ = statement_start_ns_ + 1'000'000'000;
  for (Log& log : logs_) {
    log.database->LookForControl();
    BindIfChanged(log);
  }
}

void Connection::PublishTrace(TraceState state) {
  if (!sqlite3_api->trace_v2) state = TraceState::kOff;
  for (Log& log : logs_) {
    if (!log.control || log.slab >= layout::kConnections) continue;
    Put(log.control->region().slab(log.slab).info.trace, static_cast<std::uint64_t>(state));
  }
}

void Connection::FollowMain() {
  const ControlRegion* region = main_->control ? &main_->control->region() : nullptr;
  const bool rebind = !region || main_->control_generation != main_->database->control_generation();
  if (!rebind && region->settings_generation() == metered_settings_) {
    followed_settings_ = &region->settings_generation_word();
    followed_generation_ = main_->control_generation;
    followed_control_ = &main_->database->control_generation_word();
    return;
  }
  // Others shall know that this process is there, also before it writes.
  BindIfChanged(*main_);
  const StoredSettings stored = main_->database->settings();
  metered_settings_ = stored.generation;
  const SettingValues values = stored.Values();
  meter_.SetLimits(static_cast<std::uint64_t>(values[Setting::kSlowQueryMs]) * 1'000'000,
                   static_cast<std::size_t>(values[Setting::kMaxQueries]));
  const bool measure = values[Setting::kStatementMetrics] != 0;
  if (measure && !meter_.bound()) {
    SetPlaces();  // first: where memory ends it is not bound, and the next statement tries again
    meter_.Bind(main_->control, main_->slab);
    // It may be in a transaction that began before it was loaded, or while nothing was measured.
    meter_.PublishTransactionNow(QuickMonotonicNs());
  } else if (!measure && meter_.bound()) {
    meter_.Unbind();
  }
  PublishTrace(meter_.bound() ? TraceState::kActive : TraceState::kOff);
  PlaceTrace();
}

void Connection::PlaceTrace() {
  // Some builds of SQLite have no trace: then commits are counted, but not timed.
  if (!sqlite3_api->trace_v2) return;
  // Internal to SQLite: an older interface's callback, which works as long as this bit stays.
  constexpr unsigned kOlderProfile = 0x80;
  unsigned mask = SQLITE_TRACE_STMT | SQLITE_TRACE_CLOSE;
  if (meter_.bound()) {
    mask |= SQLITE_TRACE_PROFILE | SQLITE_TRACE_ROW;
  } else if (may_have_profile_) {
    mask |= kOlderProfile;
  }
  if (application_checkpoint_.runs()) mask |= SQLITE_TRACE_ROW;
  if (mask == trace_mask_) return;
  trace_mask_ = mask;
  may_have_profile_ = true;  // a driver may set one as soon as ours is there
  sqlite3_trace_v2(db_, mask, OnTrace, this);
  meter_.ForgetTexts();  // of statements that may have come and gone while it was another's
}

void Connection::HandOverPlans() {
  // Once a second: where it cannot be done, the next one may ask in vain, too.
  if (!main_ || !automatic() || sqlite3_db_readonly(db_, "main") != 0 ||
      statement_start_ns_ < next_plans_ns_ || !in_autocommit() ||
      transaction_state(nullptr) != TransactionState::kNone) {
    return;
  }
  next_plans_ns_ = statement_start_ns_ + 1'000'000'000;
  const WalFile log = WalFile::Ask(db_, "main");
  if (!log.file()) return;
  HostConnection host{db_, "main", log, /*own_only=*/true};
  auto wishes = meter_.TakePlanWishes();
  if (!main_->database->TakePlanWishes(host, wishes)) meter_.PutBack(std::move(wishes));
}

void Connection::LookForUnhookedCommits() {
  if (!automatic() || !in_autocommit() || transaction_state(nullptr) != TransactionState::kNone)
    return;
  const std::uint64_t now = MonotonicNs();
  for (Log& log : logs_) {
    const WalFile wal = WalFile::Ask(db_, log.schema.c_str());
    const auto index = ReadWalIndex(wal);
    if (!index) continue;
    if (index->max_frame > 0) {
      MakeReady(log);
      log.control->region().AddFrames(log.slab, CountFrames(log, index->end()));
    } else {
      BindIfChanged(log);
    }
    ControlRegion& region = log.control->region();
    if (!log.database->IsDue(region, index->end(), now)) continue;
    log.database->AfterCommit({db_, log.schema.c_str(), wal, /*own_only=*/true}, region, *index,
                              now);
  }
}

void Connection::FollowAutocheckpoint(const char* sql) {
  // SQLite did it when the statement was prepared, as it is before each of its runs: its hook, or
  // none, stands where ours stood. What sqlite3_wal_hook returns is that hook's argument: N.
  void* displaced = sqlite3_wal_hook(db_, OnWal, this);
  hook_placed_ = true;
  if (displaced == this) return;
  hook_wanted_ = true;
  hook_is_theirs_ = false;
  witness_.Disarm();
  const auto frames = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(displaced));
  if (frames > 0) {
    automatic_ = true;
    ++wish_;
    wished_frames_ = frames;
  } else {
    FollowZero(sql);
  }
  PublishWish();
}

void Connection::BeginCheckpoint(sqlite3_stmt* stmt, const char* sql) {
  const CheckpointPragma pragma = ReadCheckpointPragma(sql);
  constexpr char kOnlyLooks[] = "NOOP";  // of newer versions of SQLite
  const std::string word(pragma.mode), schema(pragma.schema);
  if (sqlite3_stricmp(word.c_str(), kOnlyLooks) == 0) return;
  // What SQLite does not know is PASSIVE to it.
  application_checkpoint_.Begin(stmt, ParseMode(word).value_or(CheckpointMode::kPassive));
  for (Log& log : logs_) {
    if (!schema.empty() && sqlite3_stricmp(schema.c_str(), log.schema.c_str()) != 0) continue;
    BindIfChanged(log);
    application_checkpoint_.Add(log.schema, log.database);
  }
  PlaceTrace();
}

void Connection::FollowZero(const char* sql) {
  // A program that has read the 0 of ours, and sets 0 twice, set it for a while and puts back what
  // it has read.
  const bool puts_back = !automatic_ && read_our_zero_ && SetsAutocheckpointToZero(sql);
  automatic_ = puts_back;
  PublishWish();
}

}  // namespace walmanager
