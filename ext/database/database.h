// One database file as this process uses it, shared by all of the process's connections to it: its
// identity, its control file and settings, its checkpoints, the watch over its health, and what
// happens when its last connection closes.
//
// Thread rules: all members may be called from any thread. Lock order: checkpoint_state.h.
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
#include "ext/database/control_owner.h"
#include "ext/database/health_watch.h"
#include "ext/database/kept_connections.h"
#include "ext/system/background_thread.h"
#include "ext/system/replaced_files.h"

namespace walmanager {

class Database {
 public:
  // The process's object for the database file at `path`; nullptr where the file cannot be found.
  // A file that was made anew at the same path has another, whatever connections still have open.
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
  void LookForControl() { control_.Look(); }
  StoredSettings settings() const;
  using Patience = ControlOwner::Patience;
  Status Change(bool make_file, const std::function<Status(StoredSettings&)>& change,
                Patience patience = Patience::kSecond, const ChangeMark& mark = ThisChange()) {
    return control_.ChangeSettings(make_file, change, patience, mark);
  }

  // What else keeps connections to this database, made at the first call. A caller that holds it
  // lets go before the last connection of the host's closes.
  std::shared_ptr<KeptConnections> Kept(KeptConnectionsMaker make);

  // --- checkpoints (checkpoint_engine.h)
  // What this process's connections want of them.
  CheckpointWishes& checkpoint_wishes() { return checkpoints_.wishes; }
  CheckpointReport AfterCommit(const HostConnection& host, ControlRegion& region,
                               const WalIndex& index, std::uint64_t now_ns);
  // Whether AfterCommit would do anything; a few loads. `region`: of the control file in use.
  bool IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const {
    return checkpoints_.gate.IsDue(region, log, now_ns);
  }
  static void WaitWhileLogIsCut(ControlRegion& region) { LogShrinker::WaitWhileLogIsCut(region); }
  CheckpointReport AutoCheckpoint(const HostConnection& host, const WalIndex& index) {
    return engine_.AutoCheckpoint(host, index);
  }
  CheckpointReport ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                    const WalIndex& index, std::uint64_t deadline_ns) {
    return engine_.ManualCheckpoint(host, mode, index, deadline_ns);
  }
  // A PRAGMA wal_checkpoint of the program's own did this. `index`: the log after it.
  void RecordOfApplication(CheckpointMode mode, const CheckpointOutcome& outcome,
                           const WalIndex& index, std::uint64_t start_ns, std::uint64_t end_ns);
  // Ends what runs on connections of the extension's and closes them; the checkpointer opens none
  // before the next commit that has something due. Before a PRAGMA of the host's that needs the
  // database for itself.
  void CloseOwnConnections();
  // After a commit of a connection whose statements are not traced: the same, and for ten seconds
  // the background thread opens nothing.
  void StayOutOfTheWay(std::uint64_t now_ns);
  // The last connection of this process is about to close, unless that fails: nothing of the
  // extension's stays on the file, so that its close does what it would do without it.
  void BeforeLastClose(const CloseBehaviour& behaviour, const WalFile& log);
  // As CheckpointState and StrategyInForce have them.
  std::string UnguardedBecause() const { return checkpoints_.UnguardedBecause(); }
  std::string StrategyError() const { return checkpoints_.strategy.error(); }
  // Empty where the background thread may copy frames here, as far as this process knows, else why
  // not. Does not wait.
  std::string InlineBecause() const;
  // Its last connection is being closed: threads of the extension's end what they are at.
  bool stopping() const { return checkpoints_.stopping.load(std::memory_order_relaxed); }
  bool TakePlanWishes(const HostConnection& host, const std::vector<PlanWish>& wishes) {
    return copier_.TakePlanWishes(host, wishes);
  }

  // --- questions
  // Whether a replicator such as Litestream checkpoints this database: then the extension only
  // looks.
  bool replicated() const { return checkpoints_.replicator.is_there(); }
  void LookForReplicator(const HostConnection& host) { checkpoints_.LookForReplicator(host); }
  std::optional<WalIndex> LastLook() { return checkpoints_.LastLook(); }
  // A connection has looked at the log.
  void SawLog(const WalIndex& index);
  std::optional<ReadMarks> FindReadMarks(const HostConnection* host = nullptr) {
    return checkpoints_.FindReadMarks(host);
  }
  // As LogReaders has them.
  bool OthersAreHidden() const { return checkpoints_.readers.SomeAreHidden(); }
  bool CheckpointRuns() const { return checkpoints_.readers.CheckpointRuns(); }
  std::optional<std::int64_t> CountUnmanagedProcesses() const {
    return checkpoints_.readers.CountUnmanagedProcesses();
  }
  // The mark on which the guard of a checkpoint of this process sits now.
  std::optional<int> GuardMark() const { return checkpoints_.checkpointer.guard_mark(); }
  std::optional<std::int64_t> MeasureWal() const { return checkpoints_.MeasureWal(); }
  std::optional<std::int64_t> DatabaseBytes() const;
  // Processes whose -wal or -shm file is not the one at its path.
  std::optional<ReplacedFiles> FindReplacedFiles() { return replaced_files_.Find(); }

  // --- the watch over its health
  // Whether samples are taken and alerts evaluated without a call of the user's.
  static bool WatchesByItself();
  // Takes a sample of what was counted and evaluates the alerts, where that is due and no other
  // process is at it. The watch's own thread does the same; where there is none, calls of the
  // user's do.
  enum class Watching { kSample, kSampleAndAlerts };
  void Watch(Watching what);
  // Forgets the samples of wal_history; how many they were.
  std::int64_t ForgetHistory() { return watch_.ForgetHistory(); }
  // Writes to the host's error log what became worse. In a thread of the host's alone.
  void TellNews() { news_.Write(); }

 private:
  Database(std::string path, const FileId& id);
  ControlRequests RequestsToControl();
  void CloseKept();
  void StartWatch();
  std::uint64_t WorkOfWatch();
  // The last close of all moved the rest of the log and removed it: that is a checkpoint, too.
  void RecordClose();

  const std::string path_;
  const FileId id_;
  ControlOwner control_;
  CheckpointState checkpoints_;
  BackgroundCopier copier_;
  CheckpointEngine engine_;
  ReplacedFilesWatch replaced_files_;
  HealthWatch watch_{*this};
  AlertNews news_;
  Mutex kept_mutex_;  // not held while what is kept closes
  std::shared_ptr<KeptConnections> kept_ GUARDED_BY(kept_mutex_);

  // How the last connection of the process closes.
  struct LastClose {
    std::optional<CloseBehaviour> behaviour;
    std::optional<WalIndex> index;
    std::uint64_t began_ns = 0;
  };
  Mutex close_mutex_;  // held for a copy
  LastClose last_close_ GUARDED_BY(close_mutex_);

  bool watch_ran_ = false;  // of the thread below
  std::atomic<bool> watch_started_{false};
  // Last, so that it goes first: it uses all of the above. Made by the thread that set
  // watch_started_.
  std::unique_ptr<BackgroundThread> watch_thread_;
};

}  // namespace walmanager
