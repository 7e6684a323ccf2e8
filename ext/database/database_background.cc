// The part of Database that runs in a thread of ours: the tick, and copying frames in passes.
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "ext/checkpoint/rule_set.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/database/database.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kLeaseRetryNs = 5 * kMs;
constexpr useconds_t kGiveWayUs = 50;
constexpr std::uint32_t kMostPreparedFrames = 384;

constexpr std::uint64_t kIdleBeforeOptimizeNs = 10'000 * kMs;
constexpr std::int64_t kOptimizeEveryMs = 3'600'000;

}  // namespace

struct Database::Inside {
  // The engine last: nobody who forks waits for one who waits for the database.
  explicit Inside(Database& the_database)
      : database(the_database),
        registry(Registry::Get()),
        lock(database.checkpoint_mutex_),
        engine(registry.engine_mutex) {}
  // Lets others go first: a fork, a call of the user's, a commit that tries.
  void GiveWay() {
    engine.unlock();
    lock.unlock();
    while (registry.forks_waiting > 0 || database.callers_waiting_ > 0) usleep(kGiveWayUs);
    lock.lock();
    engine.lock();
  }
  Database& database;
  Registry& registry;
  std::unique_lock<std::mutex> lock;
  std::shared_lock<SharedTimedMutex> engine;
};

bool Database::HandOver(const HostConnection& host, std::uint64_t rest_ns) {
  if (stopping_) return false;
  if (!host.traced || inline_.LastsAt(MonotonicNs()) || !EngineHasThreads()) return false;
  if (checkpointer_.Permit({host.db, host.schema, host.log, host.own_only}) !=
      Checkpointer::Allowed::kYes) {
    return false;
  }
  checkpointer_.FollowCloseBehaviour(CloseBehaviourOf(host.db, host.schema));
  if (rest_ns == 0) {
    thread_rests_until_ns_ = 0;
  } else if (!thread_) {
    thread_rests_until_ns_ = MonotonicNs() + rest_ns;
  }
  if (!thread_) {
    auto made = std::make_unique<BackgroundThread>([this] { return Work(); });
    const bool started = made->Start();
    {
      const std::lock_guard words(words_mutex_);
      no_thread_ = !started;
    }
    if (!started) return false;
    thread_ = std::move(made);
    // Release: who sees it, sees the thread.
    thread_running_.store(true, std::memory_order_release);
  }
  if (rest_ns == 0) thread_->Wake();
  return true;
}

std::uint64_t Database::Work() {
  const std::uint64_t rests_until = thread_rests_until_ns_;
  if (MonotonicNs() < rests_until) return rests_until;
  // An exception (there is only bad_alloc) must not end the host: the next tick tries again.
  std::uint64_t next = MonotonicNs() + kIdleNs;
  AtCEdge([&] {
    Inside inside(*this);
    next = Tick(MonotonicNs(), inside);
    return SQLITE_OK;
  });
  return next;
}

void Database::StartWatch() {
  // A thread of its own: what copies frames is not to wait for it, and it is also there where
  // nothing is copied in the background. Without it calls of the user's do what it would have done.
  if (watch_thread_ || stopping_ || !EngineHasThreads()) return;
  watch_thread_ = std::make_unique<BackgroundThread>([this] { return WorkOfWatch(); });
  (void)watch_thread_->Start();
}

std::uint64_t Database::WorkOfWatch() {
  // At first only where somebody has sampled lately: a process that is soon gone shall not wait for
  // an evaluation at its close, unless there are many such, of which none stays for a second run.
  const bool evaluates = std::exchange(watched_, true) || watch_.SampledLately();
  AtCEdge([&] {
    // Whoever forks waits; commits and calls find the database free.
    const std::shared_lock engine(Registry::Get().engine_mutex);
    if (!stopping_) news_.Add(watch_.Tick(evaluates));
    return SQLITE_OK;
  });
  return MonotonicNs() + sample_interval_ns_;
}

void Database::Watch(Watching what) {
  news_.Add(watch_.Tick(/*alerts=*/what == Watching::kSampleAndAlerts));
  TellNews();
}

std::optional<WalIndex> Database::LookInBackground() {
  if (!checkpointer_.open()) {
    if (inline_.LastsAt(MonotonicNs())) return std::nullopt;
    const auto opened = checkpointer_.Open();
    if (opened == Checkpointer::Allowed::kNever)
      inline_.Begin(MonotonicNs(), checkpointer_.unguarded_because().c_str());
    if (opened != Checkpointer::Allowed::kYes) return std::nullopt;
  }
  const auto index = checkpointer_.Look();
  if (index) Keep(*index);
  return index;
}

void Database::LookForUnhookedCommits() {
  const std::uint64_t told = Get(control()->region().header().log_position);
  const FileStamp stamp = StampOf(wal_path_);
  const bool untold = stamp != wal_stamp_ && told == told_position_;
  wal_stamp_ = stamp;
  told_position_ = told;
  if (!untold || stamp.bytes == 0) return;
  const auto index = LookInBackground();
  if (!index || index->max_frame == 0) return;
  if (control_wanted()) MakeControl();
  ControlRegion& region = control()->region();
  bool reset = false;
  const std::uint64_t frames = region.AdvanceLog(index->salt1, index->max_frame, &reset);
  if (reset) region.CountLogReset();
  region.AddFrames(layout::kConnections, frames);
  told_position_ = Get(region.header().log_position);
}

std::uint64_t Database::Tick(std::uint64_t now, Inside& inside) {
  const std::uint64_t interval = sample_interval_ns_;
  if (stopping_) return now + interval;
  const bool ticked = now >= next_tick_ns_;
  if (ticked) {
    next_tick_ns_ = now + interval;
    LookForControl();
    if (checkpoint_wishes_.allow_copying()) LookForUnhookedCommits();
  }
  if (!FollowSettings().ok()) return next_tick_ns_;
  FollowReplicator();
  const auto current = control();
  ControlRegion& region = current->region();
  // Also while frames are due: a writer without a pause, or a reader that holds the log, would keep
  // plans waiting.
  if (ticked) CapturePlans(*current);

  // What commits have told of the log, so that an idle one is not opened to be looked at.
  const std::uint64_t position = region.header().log_position.load(std::memory_order_relaxed);
  const auto salt1 = static_cast<std::uint32_t>(position >> 32);
  WalIndex told = last_index_;
  if (salt1 != told.salt1) {
    told.salt1 = salt1;
    told.backfill = 0;
  }
  told.max_frame = static_cast<std::uint32_t>(position);
  Keep(told);
  const std::uint64_t last_commit = region.header().last_commit_ns.load(std::memory_order_relaxed);
  const bool idle = now > last_commit + std::max(interval, kIdleNs);

  const auto decide = [&](const WalIndex& log) {
    const bool early = !idle && IsEarly(log, now);
    const auto ours = [&](const Rule& rule) {
      // A rule that runs inline is a commit's to run, while there are any.
      return rule.runs == RuleRuns::kInline ? idle : !(rule.builtin && early);
    };
    return rules_->DecideAmong(
        GatherFacts(log, rules_->Asks(&Facts::wal_bytes) ? WalBytes() : std::nullopt, now), ours);
  };
  std::optional<WalIndex> index;
  const std::size_t again = std::exchange(missed_rule_, 0);
  // Whatever started this thread, it copies nothing that no connection wants copied.
  const bool may_copy = checkpoint_wishes_.allow_copying();
  auto rule = !may_copy || last_index_.complete() ? std::nullopt : decide(last_index_);
  if (rule || (may_copy && again != 0)) {
    if (now < retry_delay_.not_before_ns()) return retry_delay_.not_before_ns();
    index = LookInBackground();
    const bool left = index && !index->complete();
    rule = left ? decide(*index) : std::nullopt;
    if (!rule && left && again != 0 && again <= rules_->rules().size()) rule = again - 1;
  }
  if (!rule) {
    retry_delay_.Reset();
    if (checkpointer_.open() && checkpointer_.owes_sync()) {
      (void)checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
    }
    const auto next_step = idle && may_copy ? ShrinkWhileIdle(*current, now) : std::nullopt;
    CloseIfIdle(last_commit, now);
    CapturePlans(*current);
    if (values_[Setting::kAutoOptimize] != 0) Optimize(*current, last_commit, now);
    return next_step ? std::min(*next_step, next_tick_ns_) : next_tick_ns_;
  }
  if (LookForReplicator(now)) return next_tick_ns_;
  if (!current->TryLease()) return now + kLeaseRetryNs;
  // Also where memory ends.
  const auto end = [&](layout::EngineState* engine) {
    Put(engine->brake_frame, 0);
    Put(engine->at_work_until_ns, 0);
    current->EndLease();
    thread_->Relax();
  };
  const std::unique_ptr<layout::EngineState, decltype(end)> at_work(&region.engine(), end);
  return CopyInPasses(inside, *rule, *index);
}

bool Database::WatchesByItself() { return EngineHasThreads(); }

bool Database::TakePlanWishes(const HostConnection& host, std::vector<PlanWish> wishes) {
  constexpr std::size_t kMost = 64;
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  // The thread that this wakes asks for the lock first: it finds the wishes.
  if (!lock.owns_lock() || !HandOver(host)) return false;
  const std::lock_guard words(words_mutex_);
  if (plan_wishes_.size() >= kMost) return false;
  plan_wishes_.insert(plan_wishes_.end(), wishes.begin(), wishes.end());
  return true;
}

void Database::CapturePlans(ControlFile& current) {
  if (inline_.LastsAt(MonotonicNs())) return;  // they stay
  std::vector<PlanWish> wishes;
  {
    const std::lock_guard lock(words_mutex_);
    wishes = std::exchange(plan_wishes_, {});
  }
  if (wishes.empty()) return;
  QueryStatistics statistics(current.memory());
  checkpointer_.Explain([&](sqlite3* db, std::uint32_t schema_version) {
    for (const PlanWish& wish : wishes) {
      const auto entry = statistics.Find(wish.id);
      if (!entry || statistics.PlanSchemaVersion(*entry) == schema_version) continue;
      // One that needs a temporary table, an attached database or a function of the host's cannot
      // be prepared here.
      const auto plan = QueryPlan(db, wish.sql);
      if (plan.ok()) statistics.SetPlan(*entry, wish.id, plan.value(), schema_version);
    }
  });
}

void Database::Optimize(ControlFile& current, std::uint64_t last_commit, std::uint64_t now) {
  layout::Counter& optimized_ms = current.region().engine().optimized_ms;
  const auto optimized = static_cast<std::int64_t>(optimized_ms.load(std::memory_order_relaxed));
  if (last_commit == 0 || now < last_commit + kIdleBeforeOptimizeNs || stopping_ ||
      (optimized <= UnixMs() && UnixMs() - optimized < kOptimizeEveryMs) || replicated() ||
      inline_.LastsAt(MonotonicNs()) || !current.TryLease()) {
    return;
  }
  Put(optimized_ms, static_cast<std::uint64_t>(UnixMs()));
  (void)checkpointer_.Optimize();
  current.EndLease();
}

void Database::SyncWhatGrew(const WalIndex& index) {
  // While a reader is in the way the log grows. What is synced by now need not be when it leaves:
  // then the log is copied that much sooner.
  constexpr std::uint32_t kFrames = 4000;
  if (index.salt1 != synced_salt_) {
    synced_salt_ = index.salt1;
    synced_frame_ = 0;
  }
  if (index.max_frame < synced_frame_ + kFrames) return;
  checkpointer_.SyncLog();
  synced_frame_ = index.max_frame;
}

std::uint64_t Database::CopyInPasses(Inside& inside, std::size_t number, WalIndex index) {
  const Rule rule = rules_->rules()[number];
  const auto current = control();
  ControlRegion& region = current->region();
  layout::EngineState& engine = region.engine();
  const std::uint64_t generation = compiled_.generation;
  CountFired(rule);
  (void)WalBytes();
  const std::uint64_t start = MonotonicNs();
  if (rule.mode != CheckpointMode::kPassive) {
    const auto budget = static_cast<std::uint64_t>(StallBudgetMs(rule, values_) * 1e6);
    const CheckpointOutcome outcome = checkpointer_.RunOpen(rule.mode, start + budget);
    Record(rule.mode, CheckpointOrigin::kBackground, rule.name, outcome, start, MonotonicNs());
    DelayRetry(outcome.result != CheckpointResult::kComplete &&
               outcome.moved_frames.value_or(0) == 0);
    return std::max(retry_delay_.not_before_ns(), MonotonicNs() + kMs);
  }
  // Commits pause from the limit on and never before it. One writer needs no pause: at the limit
  // its commit waits for this pass. Several writers without a gap do: without any pause they
  // outgrow the limit manyfold on a busy machine.
  const std::uint64_t brake = wait_frame_.load(std::memory_order_relaxed);
  const auto pull_brake = [&] {
    Put(engine.brake_frame, brake);
    if (brake < next_look_frame_.load(std::memory_order_relaxed)) next_look_frame_ = brake;
  };
  // While a reader holds the log, as it did at the last attempt, which moved nothing, no pause of a
  // commit lets it start over.
  if (retry_delay_.lasts()) WatchReaders(index, start);
  const auto oldest = oldest_reader_.frame();
  const bool held = retry_delay_.lasts() && oldest && *oldest <= index.backfill;
  if (!held) pull_brake();
  CheckpointOutcome whole;
  std::int64_t moved = 0;
  bool in_vain = false;
  bool more = true;
  while (more) {
    const std::uint64_t before_ns = MonotonicNs();
    Put(engine.at_work_until_ns, before_ns + kAtWorkNs);
    whole = checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
    const auto pass_moved = static_cast<std::uint32_t>(whole.moved_frames.value_or(0));
    moved += pass_moved;
    if (pass_moved > 0) pull_brake();
    Learned learned = region.learned();
    const bool left_to_the_commit = commits_sync_ && learned.Multiple() > 1;
    if (pass_moved > 0 && !left_to_the_commit) checkpointer_.Sync();
    const auto after = checkpointer_.Look();
    const std::uint64_t after_ns = MonotonicNs();
    if (!after) break;
    Pass pass;
    pass.moved_frames = pass_moved;
    pass.added_frames =
        after->salt1 == index.salt1 ? after->max_frame - index.max_frame : after->max_frame;
    pass.duration_ns = after_ns - before_ns;
    learned.PassEnded(pass);
    if (commits_sync_ && !left_to_the_commit) learned.SyncedBeside();
    left_to_the_commit_ = left_to_the_commit;
    region.SetLearned(learned);
    index = *after;
    Keep(index);
    if (!after->complete()) WatchReaders(*after, after_ns);
    const std::uint32_t finish = learned.FinishFrames(values_);
    in_vain = pass_moved == 0 && !after->complete();
    if (in_vain && !commits_sync_) SyncWhatGrew(*after);
    if (after->pending() <= finish) {
      // The next commit may have made it a little more.
      const std::uint32_t frames =
          std::clamp(2 * after->pending(), finish, std::max(finish, kMostPreparedFrames));
      region.SetPrepared({after->salt1, frames, number + 1});
      next_look_frame_.store(0, std::memory_order_relaxed);
      more = false;
    }
    more = more && !in_vain && !stopping_ && !checkpointer_.cancelled() &&
           whole.result != CheckpointResult::kFailed;
    if (!more) break;
    inside.GiveWay();
    more = checkpointer_.open() && rules_ && compiled_.generation == generation &&
           checkpoint_wishes_.allow_copying() && !LookForReplicator(MonotonicNs());
  }
  Put(engine.brake_frame, 0);
  const std::uint64_t end = MonotonicNs();
  whole.moved_frames = moved;
  // What all passes together did, where the last one had nothing to do or was in somebody's way.
  if (moved > 0 && whole.result != CheckpointResult::kFailed) {
    whole.result = index.complete() ? CheckpointResult::kComplete : CheckpointResult::kPartial;
    whole.wal_frames = index.max_frame;
    whole.checkpointed_frames = index.backfill;
    if (whole.message.empty()) whole.commits_went_on = true;
  }
  // Interrupted, since the host needed the database: that says nothing about readers.
  if (checkpointer_.cancelled()) in_vain = false;
  // A reader that is soon gone is no news, and one line tells as much as one for each attempt.
  const bool worth_a_line = DelayRetry(in_vain) || moved > 0 || !in_vain;
  if (worth_a_line) {
    Record(CheckpointMode::kPassive, CheckpointOrigin::kBackground, rule.name, whole, start, end);
  } else {
    region.CountSkippedCheckpoint();
  }
  return in_vain ? retry_delay_.not_before_ns() : end + sample_interval_ns_;
}

}  // namespace walmanager
