// One database file as this process uses it: its control file, its strategy and its checkpoints,
// shared by all of the process's connections to it.
//
// Two take part in its checkpoints. A thread of ours copies frames while commits go on, and syncs;
// when little is left it says so (ControlRegion::prepared), and the next commit finishes that, so
// that the one after it starts the log over. Where there can be no thread the committing thread
// does all of it. The files: database.cc has control file, settings and questions,
// database_looks.cc what a committing thread does, database_background.cc what ours does,
// database_checkpoints.cc what both need.
//
// Thread rules: all members may be called from any thread. Lock order: a host's handle,
// checkpoint_mutex_, the registry's engine_mutex (our thread alone), those of ControlOwner and of
// ControlInUse, then one of the mutexes of registry.h and control_file.h, of which no two are held
// together; never back. The commit path takes checkpoint_mutex_ only by try-lock: who loses goes
// on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "ext/checkpoint/checkpoint_wishes.h"
#include "ext/checkpoint/checkpointer.h"
#include "ext/core/control/replicator_watch.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/core/policy/inline_period.h"
#include "ext/core/policy/learned.h"
#include "ext/core/policy/oldest_reader.h"
#include "ext/core/policy/retry_delay.h"
#include "ext/core/policy/strategy.h"
#include "ext/database/alert_news.h"
#include "ext/database/control_owner.h"
#include "ext/database/health_watch.h"
#include "ext/database/kept_connections.h"
#include "ext/database/plan_wish.h"
#include "ext/engine/wal_index.h"
#include "ext/system/background_thread.h"
#include "ext/system/file_system.h"
#include "ext/system/read_marks.h"
#include "ext/system/replaced_files.h"

struct sqlite3;

namespace walmanager {

class RuleSet;

// A connection of the host's, in whose thread and name something runs. Valid for the call.
struct HostConnection {
  sqlite3* db;
  const char* schema;
  WalFile log;            // of the schema
  bool own_only = false;  // the host's handle must not run anything now
  // We see its statements: nothing of ours is in its way when it changes the mode of the database.
  bool traced = true;
  // Whether its commits sync by themselves (synchronous FULL or EXTRA), once it was asked; nullptr
  // where nothing keeps that in mind, then nobody asks.
  std::optional<bool>* commits_sync = nullptr;
};

// What a checkpoint did, or why there was none; the fields of wal_checkpoint's JSON.
struct CheckpointReport {
  std::string strategy;
  std::optional<std::string> rule;
  std::optional<CheckpointMode> mode;  // nullopt where none ran
  CheckpointResult result = CheckpointResult::kSkipped;
  bool busy = false;
  bool pinned = false;  // its stall budget was spent in vain
  std::optional<std::int64_t> wal_frames, checkpointed_frames, moved_frames, wal_bytes;
  std::uint64_t duration_ns = 0;
  std::string message;  // why it was skipped, was busy or failed
};

class Database {
 public:
  // The process's object for the database file at `path`; nullptr where the file cannot be found.
  // One that was made anew at the same path has another, whatever connections still have open.
  static std::shared_ptr<Database> ForFile(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }

  // The control file in use. It can be replaced by a newer one; whoever keeps the pointer compares
  // `control_generation`, which is cheap, and asks again.
  std::shared_ptr<ControlFile> control() const { return control_.in_use().Get(); }
  std::uint64_t control_generation() const { return control_.in_use().generation(); }
  const std::atomic<std::uint64_t>& control_generation_word() const {
    return control_.in_use().generation_word();
  }
  // As ControlOwner has them.
  void MakeControl() { (void)control_.Make(ControlFile::Wish::kMake); }
  bool control_wanted() const { return control_.is_wanted(); }
  void LookForControl() { control_.Look(); }

  // --- settings
  StoredSettings settings() const;
  // ControlOwner::ChangeSettings().
  using Patience = ControlOwner::Patience;
  Status Change(bool make_file, const std::function<Status(StoredSettings&)>& change,
                Patience patience = Patience::kSecond, const ChangeMark& mark = ThisChange()) {
    return control_.ChangeSettings(make_file, change, patience, mark);
  }

  // What else keeps connections to this database, made at the first call. A caller that holds it
  // lets go before the last connection of the host's closes.
  std::shared_ptr<KeptConnections> Kept(KeptConnectionsMaker make);

  // --- checkpoints
  // What this process's connections want of them.
  CheckpointWishes& checkpoint_wishes() { return checkpoint_wishes_; }
  // After a commit to the log: finishes what is prepared, or evaluates the strategy, where one of
  // them is due. In the committing thread.
  CheckpointReport AfterCommit(const HostConnection& host, ControlRegion& region, WalIndex index,
                               std::uint64_t now_ns);
  // Whether AfterCommit would do anything; a few loads. `region`: of the control file in use.
  bool IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const;
  // Before a statement that shows itself already: waits while a process cuts the -wal file under
  // the write lock, since the host may have no busy handler. A few ms; a quarter of a second at
  // most, where that process is killed or stopped. One load where none cuts.
  static void WaitWhileLogIsCut(ControlRegion& region) {
    layout::Counter& until_ns = region.header().cut_until_ns;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (until_ns.load(std::memory_order_relaxed) != 0) [[unlikely]]
      WaitUntilCut(until_ns);
  }
  // Evaluates the strategy now, in a call of the user's.
  CheckpointReport AutoCheckpoint(const HostConnection& host, const WalIndex& index);
  CheckpointReport ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                    const WalIndex& index, std::uint64_t deadline_ns);
  // A PRAGMA wal_checkpoint of the program's own did this. `index`: the log after it.
  void RecordOfApplication(CheckpointMode mode, CheckpointOutcome outcome, const WalIndex& index,
                           std::uint64_t start_ns, std::uint64_t end_ns);
  // Ends what runs on connections of ours and closes them; none is opened before the next commit
  // that has something due. Before a PRAGMA of the host's that needs the database for itself.
  void CloseOwnConnections();
  // After a commit of a connection whose statements we do not see: the same, and for ten seconds
  // the thread opens nothing.
  void StayOutOfTheWay(std::uint64_t now_ns);
  // The last connection of this process is about to close, unless that fails: nothing of ours stays
  // on the file, so that its close does what it would do without us.
  void BeforeLastClose(const CloseBehaviour& behaviour, const WalFile& log);
  // Empty where checkpoints are guarded or none ran yet, else why not. Does not wait.
  std::string UnguardedBecause() const;
  // Empty where the active strategy is in force, else why the default one is. Does not wait.
  std::string StrategyError() const;

  // Its last connection is being closed: threads of ours end what they are at. Any thread.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  // Empty where a thread of ours may copy frames here, as far as this process knows, else why not.
  // Does not wait.
  std::string InlineBecause() const;
  // Whether samples are taken and alerts evaluated without a call of anybody's.
  static bool WatchesByItself();
  // Whether a replicator such as Litestream checkpoints this database: then we only look.
  bool replicated() const { return replicated_.load(std::memory_order_relaxed); }
  // Looks for it in a call of the user's, since where no connection wants checkpoints nothing else
  // looks. `host` has the schema in WAL mode.
  void LookForReplicator(const HostConnection& host);

  // The log as this process last saw it; nullopt where it has not, or a checkpoint runs just now.
  std::optional<WalIndex> LastLook();
  // Somebody has looked at it.
  void SawLog(const WalIndex& index);
  // Takes a sample of what was counted and evaluates the alerts, where that is due and no other
  // process is at it. From our thread and, where there is none, from calls of the user's.
  enum class Watching { kSample, kSampleAndAlerts };
  // Forgets the samples of wal_history; how many they were.
  std::int64_t ForgetHistory() { return watch_.ForgetHistory(); }
  void Watch(Watching what);
  // Writes to the host's error log what became worse. In a thread of the host's alone.
  void TellNews() { news_.Write(); }

  // Held read marks; nullopt where they cannot be known. Does not wait for a running checkpoint.
  // `host`, in WAL mode, in a call of the user's: where no connections of ours are open they are
  // opened for the moment, since the lock table does not show readers of other PID namespaces.
  std::optional<ReadMarks> FindReadMarks(const HostConnection* host = nullptr);
  // Whether a managed connection is of a PID namespace that this process's does not show.
  bool OthersAreHidden() const;
  // The mark on which the guard of a checkpoint of this process sits now.
  std::optional<int> GuardMark() const { return checkpointer_.guard_mark(); }
  // Whether some process copies frames now: then a guard of its holds a mark.
  bool CheckpointRuns() const;
  // Processes that have the database open, and have not loaded this; nullopt: nobody knows.
  std::optional<std::int64_t> CountUnmanagedProcesses() const;
  // Statements of this process whose plan is wanted: the thread asks for them on a connection of
  // ours. False where it cannot; then the caller keeps them.
  bool TakePlanWishes(const HostConnection& host, std::vector<PlanWish> wishes);
  // The size of the -wal file, 0 where there is none; the largest that was seen is kept. nullopt:
  // unknown.
  std::optional<std::int64_t> WalBytes() const;
  std::optional<std::int64_t> DatabaseBytes() const;
  // Processes whose -wal or -shm file is not the one at its path.
  std::optional<ReplacedFiles> FindReplacedFiles() { return replaced_files_.Find(); }

 private:
  static constexpr std::uint64_t kIdleNs = 1'000'000'000;  // then connections of ours are closed
  // What a checkpointer that was killed, or a word that lies, is believed: no pass takes longer on
  // a disk that works.
  static constexpr std::uint64_t kAtWorkNs = 1'000'000'000;

  Database(std::string path, const FileId& id);
  void CloseKept();
  // checkpoint_mutex_ for a call of the user's, which the thread lets go first.
  std::unique_lock<std::mutex> LockForCaller();
  CheckpointReport LookAfterCommit(const HostConnection& host, ControlRegion& region,
                                   WalIndex* index, std::uint64_t now_ns);
  static void WaitUntilCut(layout::Counter& until_ns);
  // Also where the system does not say.
  bool OthersHaveItOpen() const;
  // Whether these, those of `spares` and the checkpointer's are all connections of this process. No
  // also where that is not known. Opens spare ones to find out.
  bool EachIsManaged(const std::vector<ConnectionEntry>& connections, std::vector<OwnedDb>& spares);
  // Lets the thread that copies catch up; whether time has passed.
  bool Brake(std::uint64_t now_ns);

  // Frames before which no built-in rule but that for time can hold: checkpoint_frames or a quarter
  // of wal_limit_bytes, the smaller in bytes.
  static std::int64_t DueFrames(const SettingValues& values, std::uint32_t page_size);

  // --- with checkpoint_mutex_ held, from here on
  // What somebody saw of the log.
  void Keep(const WalIndex& index);

  CheckpointReport AutoCheckpointLocked(const HostConnection& host, WalIndex index,
                                        CheckpointOrigin origin, bool hurried,
                                        std::uint64_t began_ns);
  // The prepared remainder; nullopt where there is none or this is not the moment.
  std::optional<CheckpointReport> FinishLocked(const HostConnection& host, const WalIndex& index,
                                               ControlRegion& region);
  // A remainder could not be finished: the thread copies once more, unless that happens again and
  // again.
  void Missed(ControlRegion& region, std::size_t rule);
  CheckpointReport RunLocked(const HostConnection& host, CheckpointMode mode, const WalIndex& index,
                             std::uint64_t deadline_ns, CheckpointOrigin origin,
                             const std::string& rule);
  CheckpointReport Record(CheckpointMode mode, CheckpointOrigin origin, const std::string& rule,
                          const CheckpointOutcome& outcome, std::uint64_t start_ns,
                          std::uint64_t end_ns);
  // Writes it to the checkpoint log. `index`: the log after it, where that is known.
  void WriteRecord(CheckpointEntry entry, const CheckpointOutcome& outcome,
                   const std::optional<WalIndex>& index, std::uint64_t start_ns,
                   std::uint64_t end_ns);
  struct InTheWay {
    std::optional<std::int64_t> pid;  // nullopt: nobody is in the way, or nobody knows
    bool writes = false;
    std::uint32_t frame = 0;  // where it reads
  };
  InTheWay WhoIsInTheWay(const CheckpointEntry& entry, const CheckpointOutcome& outcome,
                         const WalIndex& index, std::uint64_t start_ns) const;
  // Whether a connection of this process has been reading since before then. `in_call`: the
  // statement that asks runs, and is none.
  bool ReadsHere(std::uint64_t since_ns, bool in_call) const;
  Facts GatherFacts(const WalIndex& index, std::optional<std::int64_t> wal_bytes,
                    std::uint64_t now_ns);
  // Compiles the active strategy if settings changed since; the default one where it cannot be.
  Status FollowSettings();
  void CountFired(const Rule& rule);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns, std::span<const Rule> rules);
  // While the log is too short for any rule but those for time, and those are the thread's, no rule
  // is compiled: many a program opens the database, commits twice and closes it. Reads the settings
  // and plans the next look; false where the rules are to be asked.
  bool RulesCanWait(const HostConnection& host, const WalIndex& index, std::uint64_t now_ns);
  std::optional<ReadMarks> FindReadMarksLocked();
  // What a try-lock on a connection of ours tells, where one is open.
  void AddTriedMarks(std::optional<ReadMarks>& marks);
  // How long a commit may wait for readers under this rule, at this moment.
  std::uint64_t StallNs(const Rule& rule, std::uint64_t now_ns, const WalIndex& index);
  // Keeps in mind which reader is the oldest and since when.
  void WatchReaders(const WalIndex& index, std::uint64_t now_ns);
  // Before the log may grow beyond what SQLite lets it, and at most every 50 ms: how long it may
  // become, and whether the reserve of the disk stays free then. Else committing threads copy for a
  // second, as SQLite's own autocheckpoint does.
  void FollowRoom(std::uint64_t now_ns);
  // Whether it is too early to copy, since commits sync by themselves.
  bool IsEarly(const WalIndex& index, std::uint64_t now_ns) const;
  // In connection_metrics, while they are open.
  void ShowOwnConnections(bool open);
  // Whether connections of ours are open, or could be opened, in a host's commit.
  bool OpenFor(const HostConnection& host);
  // With connections of ours open: looks for a replicator, once per sample interval. Whether the
  // checkpoints are its own. `asked`: within a statement of the host's, which may read by itself.
  bool LookForReplicator(std::uint64_t now_ns, bool asked = false);
  // Takes from the control file what the looks of all processes found.
  void FollowReplicator();
  // The held read marks for which no managed connection accounts.
  std::vector<UnknownReader> UnknownReaders(bool asked);
  // Gives back what the -wal file has beyond its limit, a little at a time, while the log in it is
  // short and nobody reads. Ours are open. In a committing thread, since it takes the write lock.
  void Shrink(const WalIndex& index);
  // The same while nobody commits, one step at a time, in our thread: where this process alone has
  // the database open, and each of its connections is managed and in no statement. MonotonicNs of
  // the next step; nullopt where none is due. wal_stamp_ is fresh.
  std::optional<std::uint64_t> ShrinkWhileIdle(ControlFile& current, std::uint64_t now_ns);
  // After an attempt: sets when the next one may be. RetryDelay says what is returned.
  bool DelayRetry(bool moved_nothing);
  // Closes connections of ours that nobody has used for a second.
  void CloseIfIdle(std::uint64_t last_commit_ns, std::uint64_t now_ns);
  // Whether the log is over twice the length at which it is to start over.
  bool IsOverTwiceItsTarget(const WalIndex& index, const Learned& learned) const;

  // --- the thread

  // Wakes the thread, which is made where there is none; false where there can be none. `rest_ns`:
  // one that is made has nothing to do for so long, unless it is woken again.
  bool HandOver(const HostConnection& host, std::uint64_t rest_ns = 0);
  std::uint64_t Work();
  // The thread of the watch; with checkpoint_mutex_ held.
  void StartWatch();
  std::uint64_t WorkOfWatch();
  void CapturePlans(ControlFile& current);
  void Optimize(ControlFile& current, std::uint64_t last_commit_ns, std::uint64_t now_ns);
  // Of the process's last connection, after ours are closed.
  void RecordClose();
  // What the thread holds while it is inside the engine.
  struct Inside;
  std::uint64_t Tick(std::uint64_t now_ns, Inside& inside);
  std::optional<WalIndex> LookInBackground();
  // Counts what was added to the log by commits that reached no hook.
  void LookForUnhookedCommits();
  void SyncWhatGrew(const WalIndex& index);
  // Copies in passes; returns when to look again.
  std::uint64_t CopyInPasses(Inside& inside, std::size_t rule, WalIndex index);

  const std::string path_;
  const FileId id_;
  const std::string wal_path_;
  const std::string shm_path_;

  ControlOwner control_;

  // When to look next. Written under checkpoint_mutex_, read by every commit; a stale value makes a
  // look early or late by one commit.
  std::atomic<std::uint64_t> next_look_frame_{0};
  std::atomic<std::uint32_t> look_salt_{0};
  std::atomic<std::uint64_t> look_settings_{0};
  std::atomic<std::uint64_t> last_look_ns_{0};
  std::atomic<std::uint64_t> sample_interval_ns_{1'000'000'000};
  // Likewise: from this frame on a commit waits for the thread, and for how long.
  std::atomic<std::uint64_t> wait_frame_{~std::uint64_t{0}};
  std::atomic<std::uint64_t> wait_ns_{0};
  // Likewise: from this frame on commits are slowed; all ones: never.
  std::atomic<std::uint64_t> pressure_frame_{~std::uint64_t{0}};
  std::atomic<std::uint64_t> no_stall_before_ns_{0};
  InlinePeriod inline_;
  std::atomic<std::int64_t> pause_debt_ns_{0};
  std::atomic<int> callers_waiting_{0};  // for checkpoint_mutex_, in calls of the user's
  std::atomic<bool> stopping_{false};
  std::atomic<bool> thread_running_{false};
  std::atomic<std::uint64_t> thread_rests_until_ns_{0};
  std::atomic<bool> replicated_{false};
  CheckpointWishes checkpoint_wishes_;
  std::atomic<bool> watch_looks_{false};  // checkpoint_mutex_ is held for microseconds

  RetryDelay retry_delay_;  // changed with checkpoint_mutex_ held

  std::mutex checkpoint_mutex_;            // guards all below
  std::shared_ptr<ControlFile> shown_in_;  // where connections of ours are described, and at which
  std::size_t shown_slab_ = 0;             // slab; nullptr: nowhere
  std::uint64_t shown_id_ = 0;
  Checkpointer checkpointer_;
  std::unique_ptr<RuleSet> rules_;
  StoredSettings compiled_;  // what rules_ was compiled from
  SettingValues values_;
  std::uint64_t compiled_control_ = 0;  // control_generation_ of compiled_
  std::int64_t wal_limit_ = 0;          // as it was stored, before RLIMIT_FSIZE made it less
  std::int64_t most_wal_bytes_ = 0;  // what RLIMIT_FSIZE makes of the largest; a look, as the next
  std::uint64_t next_room_look_ns_ = 0;
  bool is_short_of_room_ = false;
  std::uint64_t rate_commits_ = 0;
  std::uint64_t rate_ns_ = 0;
  std::optional<double> commit_rate_;
  WalIndex last_index_;         // as somebody last saw it; written by Keep()
  std::int64_t wal_bytes_ = 0;  // size of the -wal file, as somebody last saw it
  std::uint64_t no_shrink_before_ns_ = 0;
  LogEnd idle_end_;  // of the log, when ShrinkWhileIdle() looked last
  std::uint64_t next_replicator_look_ns_ = 0;
  ReplicatorWatch replicator_watch_;
  std::uint64_t next_tick_ns_ = 0;  // the thread's
  // The -wal file and what commits had told of the log at the last tick.
  FileStamp wal_stamp_;
  std::uint64_t told_position_ = 0;
  // As far as the log was synced while nothing could be copied.
  std::uint32_t synced_salt_ = 0, synced_frame_ = 0;
  bool commits_sync_ = false;        // the host's last known synchronous was FULL or EXTRA
  bool left_to_the_commit_ = false;  // what the thread copied last was not synced
  int missed_ = 0;                   // remainders in a row that grew before a commit could finish
  std::size_t missed_rule_ = 0;      // index + 1 of the rule whose remainder is to be copied again
  OldestReader oldest_reader_;

  ReplacedFilesWatch replaced_files_{path_};  // guards itself
  HealthWatch watch_{*this};
  AlertNews news_{path_};
  std::mutex kept_mutex_;  // guards the one below, not what it keeps
  std::shared_ptr<KeptConnections> kept_;

  std::mutex shown_mutex_;  // held for a copy; guards the next
  WalIndex shown_index_;    // last_index_ for those without checkpoint_mutex_

  mutable std::mutex words_mutex_;  // held for moments; guards those below
  std::string unguarded_because_;
  bool no_thread_ = false;  // the system gave none
  std::string strategy_error_;
  std::optional<CloseBehaviour> close_behaviour_;
  std::optional<WalIndex> index_at_close_;
  std::vector<PlanWish> plan_wishes_;
  std::uint64_t close_began_ns_ = 0;

  bool watched_ = false;  // the thread of the watch has run
  // Last, so that they go first: they use all of the above. Made under checkpoint_mutex_.
  std::unique_ptr<BackgroundThread> thread_, watch_thread_;
};

}  // namespace walmanager
