#include "ext/connection/managed_logs.h"

#include <cstring>
#include <utility>
#include <vector>

#include "ext/core/control/evidence.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNotBound = UINT64_MAX;  // no generation of a control file

}  // namespace

ManagedLogs::~ManagedLogs() {
  for (ManagedLog& log : logs_) Release(log);
}

void ManagedLogs::Release(ManagedLog& log) {
  meter_.SetPlaces({});
  if (&log == main_) {
    meter_.Unbind();
    main_ = nullptr;
  }
  ++bindings_;
  log.database->checkpoint_wishes().Change(log.wish, CheckpointWish::kNone);
  log.wish = CheckpointWish::kNone;
  log.locks.SetPlace(nullptr, 0, 0);
  log.locks.Leave();
  KeepAttachment(log);
  if (log.control) log.control->ReleaseSlab(log.slab);
  log.control.reset();
}

ManagedLog* ManagedLogs::Find(const char* schema, const char* file) {
  for (ManagedLog& log : logs_) {
    if (std::strcmp(log.schema.c_str(), schema) != 0) continue;
    if (file && std::strcmp(log.file.c_str(), file) == 0) return &log;
    ForgetDetached();  // another file under the same name
    break;
  }
  auto database = file && *file ? Database::ForFile(file) : nullptr;
  if (!database) return nullptr;
  std::list<ManagedLog> made(1);  // so that no half-made entry is left where memory runs out
  ManagedLog& log = made.front();
  log.schema = schema;
  log.file = file;
  const sqlite3_file* object = DatabaseFile(db_, schema);
  log.found_by_name = object && object == DatabaseFileByName(file);
  log.database = std::move(database);
  logs_.splice(logs_.end(), made);
  if (!automatic_) SetWish(log, CheckpointWish::kUnwanted);
  return &log;
}

void ManagedLogs::LookForMain() {
  // A database in memory has no log until something is attached or deserialized.
  if (!look_for_main_) return;
  look_for_main_ = false;
  main_ = Find("main", sqlite3_db_filename(db_, nullptr));
}

void ManagedLogs::LookForAttached() {
  constexpr int kKnowsNames = 3039000;  // sqlite3_db_name()
  if (sqlite3_libversion_number() < kKnowsNames || !sqlite3_api->db_name) return;
  for (int i = 2; const char* name = sqlite3_db_name(db_, i); ++i) {
    const char* file = sqlite3_db_filename(db_, name);
    if (ManagedLog* log = file && *file ? Find(name, file) : nullptr) BindIfChanged(*log);
  }
}

void ManagedLogs::LookForControls() {
  KeepSettings();
  for (ManagedLog& log : logs_) {
    log.database->LookForControl();
    BindIfChanged(log);
    KeepAttachment(log);
    log.locks.LookWhetherShared(db_);
  }
}

void ManagedLogs::KeepSettings() {
  for (ManagedLog& log : logs_) {
    if (!log.database->has_settings_to_keep()) continue;
    const char* schema = log.schema.c_str();
    if (sqlite3_db_readonly(db_, schema) == 0 && HeaderSaysWal(db_, schema)) {
      log.database->MakeControl();
    }
  }
}

void ManagedLogs::ForgetDetached() {
  may_be_detached_ = false;
  const auto gone = [&](ManagedLog& log) {
    const char* file = sqlite3_db_filename(db_, log.schema.c_str());
    if (file && log.file == file) return false;
    Release(log);
    return true;
  };
  if (logs_.remove_if(gone) != 0) SetPlaces();
  look_for_main_ = true;
}

void ManagedLogs::MakeReady(ManagedLog& log) {
  if (log.database->control_wanted()) log.database->MakeControl();
  BindIfChanged(log);
}

void ManagedLogs::Bind(ManagedLog& log) {
  ++bindings_;
  // The generation is read first: if the file changes in between, the next commit binds again. So
  // it does where memory runs out on the way. The meter has no places until the end.
  const std::uint64_t generation = log.database->control_generation();
  log.control_generation = kNotBound;
  meter_.SetPlaces({});
  log.locks.SetPlace(nullptr, 0, 0);
  auto control = log.database->control();
  const std::size_t slab = control->ClaimSlab();  // nothing is changed where this fails
  const auto before = std::exchange(log.control, std::move(control));
  const std::size_t slab_before = std::exchange(log.slab, slab);
  if (before && !before->shared() && log.control->shared()) {
    log.control->region().TakeOver(log.slab, before->region(), slab_before,
                                   /*with_frames=*/before->frames_go_along());
  }
  if (&log == main_ && meter_.bound()) {
    meter_.Bind(log.control, log.slab, log.database->planned_schema());
  }
  if (before) before->ReleaseSlab(slab_before);
  Introduce(log);
  SetPlaces();
  log.locks.SetPlace(log.control.get(), log.slab, id_);
  if (locks_.is_on()) WatchLocks(log);
  log.control_generation = generation;
}

void ManagedLogs::WatchLocks(ManagedLog& log) {
  log.locks.Begin(db_, log.schema.c_str(), log.file.c_str(), locks_);
}

void ManagedLogs::FollowLockMetrics() {
  for (ManagedLog& log : logs_) {
    if (!locks_.is_on()) {
      log.locks.End();
    } else if (log.control) {
      WatchLocks(log);
    }
  }
}

void ManagedLogs::KeepAttachment(const ManagedLog& log) {
  if (log.control && log.schema != "main") KeepAttached(log.control->evidence(), UnixMs());
}

void ManagedLogs::Introduce(ManagedLog& log) {
  KeepAttachment(log);
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

void ManagedLogs::SetPlaces() {
  std::vector<PublishedConnection::Place> places;
  for (const ManagedLog& log : logs_) {
    if (!log.control || log.slab >= layout::kConnections) continue;
    places.push_back({&log.control->region().slab(log.slab).info, log.schema});
    if (log.schema == "main") std::swap(places.front(), places.back());
  }
  meter_.SetPlaces(std::move(places));
}

void ManagedLogs::SetAutomatic(bool automatic) {
  automatic_ = automatic;
  for (ManagedLog& log : logs_) {
    if (!automatic) {
      SetWish(log, CheckpointWish::kUnwanted);
    } else if (log.wish == CheckpointWish::kUnwanted) {
      SetWish(log, CheckpointWish::kNone);  // until its next commit
    }
  }
}

void ManagedLogs::SetWish(ManagedLog& log, CheckpointWish wish) {
  if (log.wish == wish) return;
  CheckpointWishes& wishes = log.database->checkpoint_wishes();
  const bool allowed = wishes.allow_copying();
  wishes.Change(std::exchange(log.wish, wish), wish);
  // Stops what the background thread may be copying now.
  if (allowed && !wishes.allow_copying()) log.database->CloseOwnConnections();
}

void ManagedLogs::PublishTrace(TraceState state) {
  if (!sqlite3_api->trace_v2) state = TraceState::kOff;
  for (ManagedLog& log : logs_) {
    if (!log.control || log.slab >= layout::kConnections) continue;
    Put(log.control->region().slab(log.slab).info.trace, static_cast<std::uint64_t>(state));
  }
}

void ManagedLogs::ShowDisplaced(ManagedLog& log) {
  layout::ConnectionInfo& info = log.control->region().slab(log.slab).info;
  AddOwn(info.trace_lost, 1);
  Put(info.trace, static_cast<std::uint64_t>(TraceState::kDisplaced));
  shown_displaced_ = true;
}

void ManagedLogs::SetApplication(const std::string& name) {
  application_ = name;
  locks_.application = name;
  for (ManagedLog& log : logs_) {
    if (log.control) Introduce(log);
  }
}

void ManagedLogs::CloseOwnConnections() {
  for (ManagedLog& log : logs_) log.database->CloseOwnConnections();
}

void ManagedLogs::ForgetSynchronous() {
  for (ManagedLog& log : logs_) log.commits_sync.reset();
}

}  // namespace walmanager
