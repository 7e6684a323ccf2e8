#include "ext/checkpoint/background_copier.h"

#include <unistd.h>

#include <algorithm>
#include <shared_mutex>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/policy/look_plan.h"
#include "ext/engine/engine_threads.h"
#include "ext/system/clock.h"
#include "ext/system/descriptor_room.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kIdleNs = 1'000 * kMs;
constexpr std::uint64_t kLeaseRetryNs = 5 * kMs;

}  // namespace

// Clang checks the users of this guard as those of a lock of the state's mutex. It cannot check the
// guard's own functions, since it does not follow locks that are members of an object.
class SCOPED_CAPABILITY BackgroundCopier::EngineGuard {
 public:
  // Takes the engine's mutex last, so that a thread that forks never waits for a thread that waits
  // for the database.
  explicit EngineGuard(CheckpointState& state) ACQUIRE(state.mutex) NO_THREAD_SAFETY_ANALYSIS
      : state_(state),
        registry_(Registry::Get()),
        lock_(state.mutex),
        engine_(registry_.engine_mutex) {}
  ~EngineGuard() RELEASE() NO_THREAD_SAFETY_ANALYSIS {}
  EngineGuard(const EngineGuard&) = delete;
  EngineGuard& operator=(const EngineGuard&) = delete;

  // Lets forks, calls of the user and commits that try the mutex go first. Holds both when it
  // returns.
  void GiveWay() NO_THREAD_SAFETY_ANALYSIS {
    constexpr useconds_t kGiveWayUs = 50;
    engine_.unlock();
    lock_.unlock();
    while (registry_.forks_waiting > 0 || state_.callers_waiting > 0) usleep(kGiveWayUs);
    lock_.lock();
    engine_.lock();
  }

 private:
  CheckpointState& state_;
  Registry& registry_;
  MutexLock lock_;
  std::shared_lock<SharedTimedMutex> engine_;  // of std: SharedLock cannot be released for a while
};

BackgroundCopier::BackgroundCopier(CheckpointState& state, ControlRequests control_requests)
    : state_(state),
      control_requests_(std::move(control_requests)),
      task_(Registry::Get().scheduler, Scheduler::Kind::kCopies, [this] { return Work(); }) {}

bool BackgroundCopier::IsPermitted(const HostConnection& host) {
  state_.mutex.AssertHeld();
  state_.commits_copy = true;
  if (state_.stopping || !host.traced || state_.inline_period.LastsAt(MonotonicNs()) ||
      !EngineHasThreads() ||
      state_.connections.Permit(host) != CheckpointConnections::Allowed::kYes) {
    return false;
  }
  state_.connections.FollowCloseBehaviour(CloseBehaviourOf(host.db, host.schema));
  state_.commits_copy = false;
  stands_by_ = true;
  return true;
}

bool BackgroundCopier::Wake(std::uint64_t at_ns) {
  const bool woken = task_.WakeAt(at_ns);
  lacks_thread_ = state_.commits_copy = !woken;
  is_at_work_ = woken;
  return woken;
}

bool BackgroundCopier::HandOver(const HostConnection& host) {
  constexpr std::uint64_t kLongestWaitNs = 1'000 * kMs;
  state_.mutex.AssertHeld();
  const std::uint64_t now = MonotonicNs();
  if (!IsPermitted(host) || !Wake(now)) return false;
  if (works_) return true;
  const std::uint64_t since = waits_since_ns_;
  if (since == 0) waits_since_ns_ = now;
  return since == 0 || now < since + kLongestWaitNs ||
         state_.last_index.max_frame < state_.gate.wait_frame();
}

bool BackgroundCopier::StandBy(const HostConnection& host) {
  constexpr std::uint64_t kRestNs = 20 * kMs;
  state_.mutex.AssertHeld();
  if (!IsPermitted(host)) return false;
  const std::uint64_t now = MonotonicNs();
  if (Registry::Get().IsYoungAt(now)) return true;
  return Wake(now + std::min(kRestNs, state_.gate.sample_interval_ns()));
}

void BackgroundCopier::FollowActivity(bool active) {
  if (active_.exchange(active) == active || !active || !stands_by_ || task_.Wake()) return;
  lacks_thread_ = true;
  is_at_work_ = false;
  active_ = false;  // so that the next call tries again
}

void BackgroundCopier::Stop() {
  state_.connections.Cancel();
  task_.Stop();
  state_.connections.Resume();
}

void BackgroundCopier::RemainderGrew(ControlRegion& region, std::size_t rule) {
  constexpr int kMostInARow = 3;
  state_.mutex.AssertHeld();
  region.SetPrepared({});
  if (is_at_work_ && ++grown_in_a_row_ <= kMostInARow) {
    rule_to_repeat_ = rule;
    (void)task_.Wake();
  }
}

bool BackgroundCopier::TakePlanWishes(const HostConnection& host,
                                      const std::vector<PlanWish>& wishes) {
  const std::uint64_t now = MonotonicNs();
  // A process in its first second has no thread yet, and may begin no statement after that.
  if (!EngineHasThreads() || !upkeep_.TakesRequests(now) || !state_.mutex.try_lock()) return false;
  const MutexLock lock(state_.mutex, std::adopt_lock);
  return !state_.stopping && !state_.inline_period.LastsAt(now) &&
         state_.connections.Permit(host) == CheckpointConnections::Allowed::kYes &&
         upkeep_.Request(wishes);
}

void BackgroundCopier::CapturePlans() {
  if (!upkeep_.has_requests() || !state_.mutex.try_lock()) return;
  const MutexLock lock(state_.mutex, std::adopt_lock);
  if (state_.stopping || state_.inline_period.LastsAt(MonotonicNs())) return;
  upkeep_.CapturePlans(*state_.control.Get());
}

std::uint64_t BackgroundCopier::Work() {
  // An exception (there is only bad_alloc) must not end the host: the next tick tries again.
  std::uint64_t next = MonotonicNs() + kIdleNs;
  works_ = true;
  AtCEdge([&] {
    EngineGuard guard(state_);
    next = Tick(MonotonicNs(), guard);
    const bool may_close = state_.connections.open() && !state_.copied_frames.owes_sync();
    if (may_close && ProgramNeedsDescriptors()) state_.connections.Close();
    return SQLITE_OK;
  });
  waits_since_ns_ = 0;
  works_ = false;
  if (next == Scheduler::kNever) state_.control.Get()->GivePagesBack();
  return next;
}

std::uint64_t BackgroundCopier::Tick(std::uint64_t now, EngineGuard& guard) {
  const std::uint64_t interval = state_.gate.sample_interval_ns();
  if (state_.stopping) return Scheduler::kNever;
  const bool ticked = now >= next_tick_ns_;
  if (ticked) {
    next_tick_ns_ = now + interval;
    control_requests_.look();
    if (state_.wishes.allow_copying()) CountUnhookedCommits();
  }
  if (!state_.FollowSettings().ok()) return active_ ? next_tick_ns_ : Scheduler::kNever;
  state_.replicator.Follow(state_.replicator_wish());
  const auto current = state_.control.Get();
  ControlRegion& region = current->region();
  TakeRecordedLog(region);
  const std::uint64_t last_commit = Get(region.header().last_commit_ns);
  const bool idle = now > last_commit + std::max(interval, kIdleNs);
  const Due due = FindWork(idle, now);
  if (due.not_before_ns != 0) return due.not_before_ns;
  if (!due.rule) {
    const std::uint64_t next = Rest(*current, last_commit, idle, now);
    if (idle) current->GivePagesBack();
    return next;
  }
  if (state_.LookForReplicator(now)) {
    if (active_) return next_tick_ns_;
    if (!state_.copied_frames.owes_sync()) state_.connections.Close();
    // Frames that a replicator is to copy stay for long. A replicator that has gone is noticed.
    const bool may_go = state_.replicator_wish() == ReplicatorWish::kAuto;
    return may_go ? now + ReplicatorWatch::kWaitNs / ReplicatorWatch::kLeastLooks
                  : Scheduler::kNever;
  }
  if (!current->TryLease()) return now + kLeaseRetryNs;
  // Runs also where memory runs out.
  const auto end = [&](layout::EngineState* engine) {
    if (!passes_.met_another()) {
      Put(engine->brake_frame, 0);
      Put(engine->at_work_until_ns, 0);
    }
    current->EndLease();
  };
  const std::unique_ptr<layout::EngineState, decltype(end)> at_work(&region.engine(), end);
  const auto retry_ns = passes_.Copy(*due.rule, due.index, [&guard] { guard.GiveWay(); });
  const std::uint64_t now_done = MonotonicNs();
  const std::uint64_t next = retry_ns            ? *retry_ns
                             : IsInUse(now_done) ? now_done + interval
                                                 : now_done;
  // At once: many databases may be due before the next tick of this one.
  if ((due.is_before_sleep || (idle && !retry_ns)) && !state_.copied_frames.owes_sync()) {
    state_.connections.Close();
  }
  if (!due.is_before_sleep) return next;
  const bool in_vain = state_.retry_delay.lasts();
  next_copy_before_sleep_ns_ = MonotonicNs() + (in_vain ? kIdleNs : IntervalNs());
  return in_vain ? next_copy_before_sleep_ns_ : next;
}

void BackgroundCopier::TakeRecordedLog(const ControlRegion& region) {
  const std::uint64_t position = Get(region.header().log_position);
  const auto salt1 = static_cast<std::uint32_t>(position >> 32);
  WalIndex recorded = state_.last_index;
  if (salt1 != recorded.salt1) {
    recorded.salt1 = salt1;
    recorded.backfill = 0;
  }
  recorded.max_frame = static_cast<std::uint32_t>(position);
  state_.RememberLog(recorded);
}

void BackgroundCopier::CountUnhookedCommits() {
  const std::uint64_t recorded = Get(state_.control.Get()->region().header().log_position);
  const FileStamp stamp = StampOf(state_.wal_path);
  const bool unrecorded = stamp != wal_stamp_ && recorded == recorded_position_;
  wal_stamp_ = stamp;
  recorded_position_ = recorded;
  if (!unrecorded || stamp.bytes == 0) return;
  const auto index = OpenAndLook();
  if (!index || index->max_frame == 0) return;
  control_requests_.make_if_wanted();
  const auto current = state_.control.Get();
  ControlRegion& region = current->region();
  bool reset = false;
  const std::uint64_t frames = region.AdvanceLog(index->salt1, index->max_frame, &reset);
  if (reset) region.CountLogReset();
  region.AddFrames(layout::kConnections, frames);
  recorded_position_ = Get(region.header().log_position);
}

std::optional<WalIndex> BackgroundCopier::OpenAndLook() {
  CheckpointConnections& connections = state_.connections;
  if (!connections.open()) {
    if (state_.inline_period.LastsAt(MonotonicNs())) return std::nullopt;
    const auto opened = connections.Open();
    if (opened == CheckpointConnections::Allowed::kNever) {
      state_.inline_period.Begin(MonotonicNs(), connections.unguarded_because().c_str());
    }
    if (opened != CheckpointConnections::Allowed::kYes) return std::nullopt;
  }
  const auto index = connections.Look();
  if (index) state_.RememberLog(*index);
  return index;
}

std::optional<std::size_t> BackgroundCopier::ChooseRuleForThread(const WalIndex& log, bool idle,
                                                                 std::uint64_t now) {
  const bool early = !idle && state_.IsEarly(log, now);
  const auto is_for_thread = [&](const Rule& rule) {
    // Commits run an inline rule, as long as there are commits.
    return rule.runs == RuleRuns::kInline ? idle : !(rule.builtin && early);
  };
  const auto wal_bytes =
      state_.strategy.Asks(&Facts::wal_bytes) ? state_.MeasureWal() : std::nullopt;
  return state_.strategy.ChooseRuleAmong(
      state_.facts.Gather(log, wal_bytes, state_.DueFrames(log), now), is_for_thread);
}

BackgroundCopier::Due BackgroundCopier::FindWork(bool idle, std::uint64_t now) {
  const std::size_t repeated = std::exchange(rule_to_repeat_, 0);
  Due due;
  // Whatever this thread was started for, it copies nothing unless a connection wants automatic
  // checkpoints.
  if (!state_.wishes.allow_copying()) return due;
  if (!state_.last_index.complete()) {
    due.rule = ChooseRuleForThread(state_.last_index, idle, now);
  }
  const auto before_sleep = due.rule ? std::nullopt : ChooseRuleBeforeSleep(now);
  if (!due.rule && !before_sleep && repeated == 0) return due;
  if (now < state_.retry_delay.not_before_ns()) {
    due.not_before_ns = state_.retry_delay.not_before_ns();
    return due;
  }
  const auto index = OpenAndLook();
  due.rule.reset();
  if (!index || index->complete()) return due;
  due.index = *index;
  due.rule = ChooseRuleForThread(*index, idle, now);
  if (!due.rule && repeated != 0 && repeated <= state_.strategy.rules().size()) {
    due.rule = repeated - 1;
  }
  due.is_before_sleep = !due.rule && before_sleep;
  if (due.is_before_sleep) due.rule = before_sleep;
  return due;
}

bool BackgroundCopier::IsInUse(std::uint64_t now) const {
  // A commit looks once per sample interval. Another process copies what it commits.
  const std::uint64_t lately = 2 * std::max(state_.gate.sample_interval_ns(), kIdleNs);
  return active_ || now < state_.gate.last_look_ns() + lately;
}

std::optional<std::size_t> BackgroundCopier::ChooseRuleBeforeSleep(std::uint64_t now) {
  if (IsInUse(now) || state_.last_index.complete() || now < next_copy_before_sleep_ns_) {
    return std::nullopt;
  }
  const std::span<const Rule> rules = state_.strategy.rules();
  const auto by_time = std::find_if(rules.begin(), rules.end(), [](const Rule& rule) {
    return rule.builtin && rule.runs == RuleRuns::kBackground && AsksForTime(rule);
  });
  if (by_time == rules.end()) return std::nullopt;
  return by_time - rules.begin();
}

std::uint64_t BackgroundCopier::IntervalNs() const {
  return static_cast<std::uint64_t>(state_.strategy[Setting::kCheckpointIntervalMs]) * kMs;
}

std::uint64_t BackgroundCopier::Rest(ControlFile& current, std::uint64_t last_commit, bool idle,
                                     std::uint64_t now) {
  state_.retry_delay.Reset();
  if (state_.connections.open() && state_.copied_frames.owes_sync()) {
    (void)state_.checkpointer.RunOpen(CheckpointMode::kPassive, 0);
  }
  const auto next_step =
      idle && state_.wishes.allow_copying() ? ShrinkWhileIdle(current, now) : std::nullopt;
  const bool in_use = IsInUse(now);
  if (in_use || next_step) {
    state_.CloseIfIdle(in_use ? last_commit : 0, now);
  } else if (state_.connections.open() && !state_.copied_frames.owes_sync()) {
    state_.connections.Close();
  }
  if (!state_.inline_period.LastsAt(MonotonicNs())) {
    if (state_.strategy[Setting::kAutoOptimize] != 0 && !state_.stopping &&
        !state_.replicator.is_there()) {
      upkeep_.OptimizeIfDue(current, last_commit, now, [this] {
        return Registry::Get().forks_waiting > 0 || state_.callers_waiting > 0;
      });
    }
  }
  const std::uint64_t next =
      in_use ? next_tick_ns_ : NextOfWhatIsLeft(current.region(), last_commit, now);
  return next_step ? std::min(*next_step, next) : next;
}

std::uint64_t BackgroundCopier::NextOfWhatIsLeft(ControlRegion& region, std::uint64_t last_commit,
                                                 std::uint64_t now) {
  // These end by themselves, so the next look finds them done.
  if (state_.connections.open() || state_.copied_frames.owes_sync()) {
    return next_tick_ns_;
  }
  std::uint64_t next = NextByTime(region, now);
  if (state_.strategy[Setting::kAutoOptimize] != 0 && !state_.replicator.is_there()) {
    const auto optimize = upkeep_.NextOptimize(region, last_commit);
    if (optimize) next = std::min(next, std::max(*optimize, next_tick_ns_));
  }
  return next;
}

std::uint64_t BackgroundCopier::NextByTime(ControlRegion& region, std::uint64_t now) {
  const std::span<const Rule> rules = state_.strategy.rules();
  // After a checkpoint of the host's own the task has no connections until a commit permits them.
  const bool has_connections = state_.connections.open() || state_.connections.permitted();
  if (state_.last_index.complete() || !state_.wishes.allow_copying() || !has_connections) {
    return Scheduler::kNever;
  }
  // What a rule of the user's asks, for instance about readers, is known once its condition is
  // evaluated.
  if (!std::all_of(rules.begin(), rules.end(), [](const Rule& rule) { return rule.builtin; })) {
    return next_tick_ns_;
  }
  if (std::none_of(rules.begin(), rules.end(), AsksForTime)) return Scheduler::kNever;
  // Another process may have written a time that lies ahead.
  std::uint64_t due = std::min(Get(region.header().last_checkpoint_ns), now) + IntervalNs();
  if (next_copy_before_sleep_ns_ > now) due = std::min(due, next_copy_before_sleep_ns_);
  return due > now ? due : next_tick_ns_;
}

std::optional<std::uint64_t> BackgroundCopier::ShrinkWhileIdle(ControlFile& current,
                                                               std::uint64_t now) {
  LogShrinker& shrinker = state_.shrinker;
  const std::int64_t limit = state_.strategy[Setting::kWalLimitBytes];
  if (wal_stamp_.bytes <= limit || state_.strategy.rules().empty() ||
      state_.replicator.is_there()) {
    return std::nullopt;
  }
  if (!shrinker.IsDueWhileIdle(current, IsInUse(now), now)) return shrinker.next_idle_step_ns();
  const auto index = OpenAndLook();
  if (!index || state_.LookForReplicator(now)) return shrinker.next_idle_step_ns();
  const auto step = shrinker.ShrinkWhileIdle(current, *index, limit, wal_stamp_.bytes);
  if (step.log) {
    state_.RememberLog(*step.log);
    recorded_position_ = step.log_position;
  }
  if (step.taken) {
    wal_stamp_ = StampOf(state_.wal_path);
    state_.wal_bytes = wal_stamp_.bytes;
  }
  return shrinker.next_idle_step_ns();
}

}  // namespace walmanager
