// One database file as this process uses it, shared by all connections of the process to it: its
// identity, its control file and settings, its checkpoints, the watch over its health, and what
// happens when its last connection closes.
//
// Thread rules: any thread may call any member. Lock order: checkpoint_state.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ext/checkpoint/background_copier.h"
#include "ext/checkpoint/checkpoint_engine.h"
#include "ext/checkpoint/checkpoint_state.h"
#include "ext/core/base/mutex.h"
#include "ext/database/alert_news.h"
#include "ext/database/cancel_watch.h"
#include "ext/database/control_owner.h"
#include "ext/database/health_watch.h"
#include "ext/database/kept_connections.h"
#include "ext/database/reader_lease_watch.h"
#include "ext/database/regular_looks.h"
#include "ext/system/replaced_files.h"

namespace walmanager {

class Database {
 public:
  // The process's object for the database file at `path`; nullptr where the file cannot be found. A
  // new file at the same path has another object, even while connections have the old file open.
  static std::shared_ptr<Database> ForFile(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }

  // --- the control file in use (control_in_use.h, control_owner.h)
  std::shared_ptr<ControlFile> control() const { return control_.in_use().Get(); }
  std::uint64_t control_generation() const { return control_.in_use().generation(); }
  const std::atomic<std::uint64_t>& control_generation_word() const {
    return control_.in_use().generation_word();
  }
  void MakeControl() { (void)control_.Make(ControlFile::Wish::kMake); }
  bool control_wanted() const { return control_.is_wanted(); }
  bool has_settings_to_keep() const { return control_.has_settings_to_keep(); }
  void LookForControl() { control_.Look(); }
  StoredSettings settings() const;
  using Patience = ControlOwner::Patience;
  Status ChangeSettings(bool make_file, const std::function<Status(StoredSettings&)>& change,
                        Patience patience = Patience::kSecond,
                        const ChangeMark& mark = ThisChange()) {
    return control_.ChangeSettings(make_file, change, patience, mark);
  }

  // The part that keeps further connections to this database, made at the first call. A caller
  // drops the pointer before the last connection of the host closes.
  std::shared_ptr<KeptConnections> Kept(KeptConnectionsMaker make);

  // --- checkpoints (checkpoint_engine.h)
  // Which connections of this process want them.
  CheckpointWishes& checkpoint_wishes() { return checkpoints_.wishes; }
  CheckpointReport AfterCommit(const HostConnection& host, ControlRegion& region,
                               const WalIndex& index, std::uint64_t now_ns);
  // Whether AfterCommit would do anything; a few loads. `region`: of the control file in use.
  bool IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const {
    return checkpoints_.gate.IsDue(region, log, now_ns);
  }
  // A statement of a managed connection begins, and `control` shows it already. Waits while a
  // process cuts the log, and wakes the regular looks where they sleep. Two loads where neither is
  // due.
  void StatementBegins(ControlFile& control, std::uint64_t now_ns) {
    LogShrinker::WaitWhileLogIsCut(control.region());
    looks_.StatementBegins(control, now_ns);
  }
  // As RegularLooks has them.
  void StatementMayLast(std::uint64_t now_ns) { looks_.StatementMayLast(now_ns); }
  void LookNow(std::uint64_t now_ns) { looks_.LookNow(now_ns); }
  void QueryIsOffered(std::uint64_t now_ns, std::uint64_t lease_ns) {
    looks_.QueryIsOffered(now_ns, lease_ns);
  }
  CheckpointReport AutoCheckpoint(const HostConnection& host, const WalIndex& index) {
    return engine_.AutoCheckpoint(host, index);
  }
  CheckpointReport ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                    const WalIndex& index, std::uint64_t deadline_ns) {
    return engine_.ManualCheckpoint(host, mode, index, deadline_ns);
  }
  // Records what a PRAGMA wal_checkpoint of the program did. `index`: the log after it.
  void RecordOfApplication(CheckpointMode mode, const CheckpointOutcome& outcome,
                           const WalIndex& index, std::uint64_t start_ns, std::uint64_t end_ns);
  // Interrupts what runs on connections of the extension and closes them. The checkpointer's are
  // not opened again before the next commit that looks at the log. Called before a PRAGMA of the
  // host that needs the database for itself.
  void CloseOwnConnections();
  // After a commit of a connection that is not traced: the same, and for ten seconds the background
  // thread opens nothing.
  void StayOutOfTheWay(std::uint64_t now_ns);
  // The last connection of this process is about to close, unless that fails. Closes all
  // connections of the extension, so that this close does what it would do without the extension.
  void BeforeLastClose(const CloseBehaviour& behaviour, const WalFile& log);
  // As CheckpointState and StrategyInForce have them.
  std::string UnguardedBecause() const { return checkpoints_.UnguardedBecause(); }
  std::string StrategyError() const { return checkpoints_.StrategyError(); }
  // Why the background thread may not copy frames here, as far as this process knows; empty where
  // it may. Does not wait.
  std::string InlineBecause() const;
  // Its last connection is being closed, so threads of the extension end their work.
  bool stopping() const { return checkpoints_.stopping.load(std::memory_order_relaxed); }
  bool TakePlanWishes(const HostConnection& host, const std::vector<PlanWish>& wishes) {
    return copier_.TakePlanWishes(host, wishes);
  }

  // Which plans are wanted.
  std::shared_ptr<PlannedSchema> planned_schema() const { return copier_.planned_schema(); }

  // --- questions
  // Whether a replicator such as Litestream checkpoints this database: then the extension only
  // looks.
  bool replicated() const { return checkpoints_.replicator_is_there(); }
  void LookForReplicator(const HostConnection& host) { checkpoints_.LookForReplicator(host); }
  std::optional<WalIndex> LastLook() { return checkpoints_.LastLook(); }
  // A connection has found the log at `index`.
  void SawLog(const WalIndex& index);
  // Does not wait.
  std::optional<ReadMarks> FindReadMarks() { return checkpoints_.FindReadMarks(nullptr, 0); }
  // For a call of the user. Where only a try-lock finds all readers, it waits for a checkpoint that
  // runs, for a second at most. `host` as CheckpointState::FindReadMarks() has it.
  std::optional<ReadMarks> FindReadMarksInCall(const HostConnection* host) {
    constexpr std::uint64_t kLongestWaitNs = 1'000'000'000;
    return checkpoints_.FindReadMarks(host, kLongestWaitNs);
  }
  // As LogReaders has them.
  bool OthersAreHidden() const { return checkpoints_.readers.SomeAreHidden(); }
  bool CheckpointRuns() const { return checkpoints_.readers.CheckpointRuns(); }
  std::optional<std::int64_t> CountUnmanagedProcesses() const {
    return checkpoints_.readers.CountUnmanagedProcesses();
  }
  // The read mark that the guard of a checkpoint of this process holds now.
  std::optional<int> GuardMark() const { return checkpoints_.checkpointer.guard_mark(); }
  std::optional<std::int64_t> MeasureWal() const { return checkpoints_.MeasureWal(); }
  std::optional<std::int64_t> DatabaseBytes() const;
  // Processes whose -wal or -shm file is not the one at its path.
  std::optional<ReplacedFiles> FindReplacedFiles() { return replaced_files_.Find(); }

  // --- the watch over its health
  // Whether samples are taken and alerts are evaluated without a call of the user.
  static bool WatchesByItself();
  // Takes a sample of what was counted and evaluates the alerts, where that is due and no other
  // process does it now. A thread of this extension does the same while the process uses the
  // database; where there is none, calls of the user do.
  enum class Watching { kSample, kSampleAndAlerts };
  void Watch(Watching what);
  // The checks of system_health as alerts are evaluated from: `overall` comes last.
  Result<std::vector<HealthObserver::Check>> ReadHealth() { return watch_.ReadChecks(); }
  // Forgets the samples of wal_history. Returns how many there were.
  std::int64_t ForgetHistory() { return watch_.ForgetHistory(); }
  // Writes to the host's error log what became worse. Only in a thread of the host.
  void TellNews() { news_.Write(); }

 private:
  Database(std::string path, const FileId& id);
  ControlRequests RequestsToControl();
  void CloseKept();
  // Records a checkpoint where the last close of the database moved the rest of the log and removed
  // it.
  void RecordClose();

  const std::string path_;
  const FileId id_;
  const std::uint64_t opened_ns_;
  ControlOwner control_;
  CheckpointState checkpoints_;
  BackgroundCopier copier_;
  CheckpointEngine engine_;
  ReplacedFilesWatch replaced_files_;
  HealthWatch watch_{*this};
  ReaderLeaseWatch lease_{*this};
  CancelWatch cancels_{*this};
  AlertNews news_;
  Mutex kept_mutex_;  // not held while kept connections close
  std::shared_ptr<KeptConnections> kept_ GUARDED_BY(kept_mutex_);

  // How the last connection of the process closes.
  struct LastClose {
    std::optional<CloseBehaviour> behaviour;
    std::optional<WalIndex> index;
    std::uint64_t began_ns = 0;
  };
  Mutex close_mutex_;  // held for a copy
  LastClose last_close_ GUARDED_BY(close_mutex_);

  RegularLooks looks_;  // declared last, so that it is destroyed first: it uses all of the above
};

}  // namespace walmanager
