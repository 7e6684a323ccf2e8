// One database file as this process uses it: its control file, its strategy and its checkpoints,
// shared by all of the process's connections to it.
//
// Thread rules: all members may be called from any thread. Lock order: a host's handle,
// checkpoint_mutex_, control_mutex_, then one of the mutexes of registry.h and control_file.h, of
// which no two are held together; never back. The commit path takes checkpoint_mutex_ only by
// try-lock: who loses goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ext/control_file.h"
#include "ext/core/strategy.h"
#include "ext/core/wal_index_format.h"
#include "ext/read_marks.h"

struct sqlite3;
struct sqlite3_file;

namespace walmanager {

class Checkpointer;
class RuleSet;
struct CloseBehaviour;

// A connection of the host's, in whose thread and name something runs. Valid for the call.
struct HostConnection {
  sqlite3* db;
  const char* schema;
  sqlite3_file* file;     // of the schema
  bool own_only = false;  // the host's handle must not run anything now
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

// This process and this moment, for what it changes.
ChangeMark ThisChange();

class Database {
 public:
  // The process's object for the database file at `path`; nullptr where the file cannot be found.
  static std::shared_ptr<Database> ForFile(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }

  // The control file in use. It can be replaced by a newer one; whoever keeps the pointer compares
  // `control_generation`, which is cheap, and asks again.
  std::shared_ptr<ControlFile> control() const;
  std::uint64_t control_generation() const {
    return control_generation_.load(std::memory_order_acquire);
  }
  // Makes the file if it is not there: at the first commit to the log and at the first setting.
  void MakeControl() { (void)MakeControl(ControlFile::Wish::kMake); }
  // Whether nobody has asked for it to be made yet; one load.
  bool control_wanted() const { return control_wanted_.load(std::memory_order_relaxed); }
  // Has the file been deleted, can it be had by now? At calls of the user's, and once per sample
  // interval at commits.
  void LookForControl();

  // --- settings
  StoredSettings settings() const;
  // Lets `change` edit the settings of all processes. What it returns is what this returns; after
  // an error nothing is changed. `make_file`: false in a read-only or rollback-mode database.
  // `patience`: a call of the user's waits up to a second for other processes, a commit does not.
  enum class Patience { kNone, kSecond };
  Status Change(bool make_file, const std::function<Status(StoredSettings&)>& change,
                Patience patience = Patience::kSecond);

  // --- checkpoints
  // After a commit to the log: evaluates the strategy where that is due, in the committing thread.
  CheckpointReport AfterCommit(const HostConnection& host, const WalIndex& index,
                               std::uint64_t now_ns);
  // Whether AfterCommit would do anything; a few loads. `settings`: the generation of the settings.
  bool IsDue(const WalIndex& index, std::uint64_t settings, std::uint64_t now_ns) const;
  // Evaluates the strategy now, in a call of the user's.
  CheckpointReport AutoCheckpoint(const HostConnection& host, const WalIndex& index);
  CheckpointReport ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                    const WalIndex& index, std::uint64_t deadline_ns);
  // Closes our own connections, unless a checkpoint is running on them: before a PRAGMA of the
  // host's that needs the database for itself.
  void CloseOwnConnections();
  void FollowCloseBehaviour(const CloseBehaviour& behaviour);
  // Empty where checkpoints are guarded or none ran yet, else why not. Does not wait.
  std::string UnguardedBecause() const;
  // Empty where the active strategy is in force, else why the default one is. Does not wait.
  std::string StrategyError() const;

  // Held read marks; nullopt where they cannot be known. Does not wait for a running checkpoint.
  std::optional<ReadMarks> FindReadMarks();
  // The size of the -wal file, 0 where there is none; the largest that was seen is kept. nullopt:
  // unknown.
  std::optional<std::int64_t> WalBytes() const;
  std::optional<std::int64_t> DatabaseBytes() const;

 private:
  explicit Database(std::string path);
  // With control_mutex_ held; false where another process is still making the file.
  bool Replace(ControlFile::Wish wish);
  CheckpointReport AutoCheckpointLocked(const HostConnection& host, const WalIndex& index,
                                        CheckpointOrigin origin, bool hurried);
  CheckpointReport RunLocked(const HostConnection& host, CheckpointMode mode, const WalIndex& index,
                             std::uint64_t deadline_ns, CheckpointOrigin origin,
                             const std::string& rule);
  Facts GatherFacts(const WalIndex& index, std::optional<std::int64_t> wal_bytes,
                    std::uint64_t now_ns);
  // Compiles the active strategy if settings changed since; the default one where it cannot be.
  Status FollowSettings();
  void CountFired(const Rule& rule);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns);
  std::optional<ReadMarks> FindReadMarksLocked();

  const std::string path_;
  const std::string wal_path_;
  const std::string shm_path_;

  bool MakeControl(ControlFile::Wish wish);

  mutable std::mutex control_mutex_;
  std::uint64_t next_attempt_ns_ = 0;      // guarded by control_mutex_, as the next
  std::uint64_t attempt_interval_ns_ = 0;  // doubles while the file cannot be made
  std::shared_ptr<ControlFile> control_;   // guarded by control_mutex_
  std::atomic<std::uint64_t> control_generation_{0};
  std::atomic<bool> control_wanted_{true};

  // When to look next. Written under checkpoint_mutex_, read by every commit; a stale value makes a
  // look early or late by one commit.
  std::atomic<std::uint64_t> next_look_frame_{0};
  std::atomic<std::uint32_t> look_salt_{0};
  std::atomic<std::uint64_t> look_settings_{0};
  std::atomic<std::uint64_t> last_look_ns_{0};
  std::atomic<std::uint64_t> sample_interval_ns_{1'000'000'000};

  std::mutex checkpoint_mutex_;  // guards all below
  std::unique_ptr<Checkpointer> checkpointer_;
  std::unique_ptr<RuleSet> rules_;
  StoredSettings compiled_;  // what rules_ was compiled from
  SettingValues values_;
  std::uint64_t compiled_control_ = 0;  // control_generation_ of compiled_
  std::uint64_t rate_commits_ = 0;
  std::uint64_t rate_ns_ = 0;
  std::optional<double> commit_rate_;
  std::uint64_t backoff_ns_ = 0;
  std::uint64_t not_before_ns_ = 0;
  std::uint64_t no_stall_before_ns_ = 0;

  mutable std::mutex words_mutex_;  // held for moments; guards the two below
  std::string unguarded_because_;
  std::string strategy_error_;
};

}  // namespace walmanager
