// The part of Database that runs in a committing thread or in a call of the user's: when to look at
// the log, what to wait for, and what the strategy calls for.
#include <time.h>

#include <algorithm>

#include "ext/checkpoint/rule_set.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/policy/backpressure.h"
#include "ext/database/database.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::int64_t kMostFramesBetweenLooks = 64;
// Budgets between one spent in vain and the next, and where readers are known to last longer.
constexpr std::uint64_t kStallSpacing = 50;
constexpr std::uint64_t kLongStallSpacing = 200;
// What one that finishes the remainder may keep others waiting, while the log is not beyond its
// limit: twice what a finish takes on a slow disk.
constexpr std::uint64_t kGateNs = 2 * kMs;
constexpr std::int64_t kPauseNs = 50'000;
// Before a thread that is made for rules about time first looks.
constexpr std::uint64_t kRestNs = 20 * kMs;
constexpr double kUsualFrameUs = 5;  // to copy a frame, until that is learned
constexpr int kMostMissed = 3;       // times in a row that the thread copies again at once

constexpr char kReplicatorIsThere[] =
    "a replicator checkpoints this database: walmanager only looks";
constexpr char kHandedOver[] = "handed to the background thread";

void SleepNs(std::uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&time, nullptr);
}

bool CommitsSync(const HostConnection& host) {
  const auto synchronous = QueryText(host.db, "PRAGMA " + QuoteName(host.schema) + ".synchronous");
  return synchronous.ok() && synchronous.value() &&
         (*synchronous.value() == "2" || *synchronous.value() == "3");
}

bool AsksForTime(const Rule& rule) {
  return rule.condition.find("since_checkpoint_ms") != std::string::npos ||
         rule.condition.find("idle_ms") != std::string::npos;
}

// As short as a sleep gets: 50 to 60 µs, of which all but one nanosecond is the system's slack for
// timers.
void Pause() { SleepNs(1); }

}  // namespace

std::int64_t Database::DueFrames(const SettingValues& values, std::uint32_t page_size) {
  const std::int64_t by_limit =
      values[Setting::kWalLimitBytes] / 4 / (page_size + kFrameHeaderBytes);
  return std::max<std::int64_t>(1, std::min(values[Setting::kCheckpointFrames], by_limit));
}

bool Database::IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const {
  return region.settings_generation() != look_settings_.load(std::memory_order_relaxed) ||
         log.salt1 != look_salt_.load(std::memory_order_relaxed) ||
         log.max_frame >= next_look_frame_.load(std::memory_order_relaxed) ||
         now_ns >= last_look_ns_.load(std::memory_order_relaxed) +
                       sample_interval_ns_.load(std::memory_order_relaxed) ||
         Get(region.header().gate_until_ns) > now_ns;
}

void Database::PlanNextLook(const WalIndex& index, std::uint64_t now_ns) {
  PlanNextLook(index, now_ns,
               rules_ ? std::span<const Rule>(rules_->rules()) : std::span<const Rule>());
}

void Database::PlanNextLook(const WalIndex& index, std::uint64_t now_ns,
                            std::span<const Rule> rules) {
  const std::int64_t due = DueFrames(values_, index.page_size);
  const std::int64_t step = std::clamp<std::int64_t>(values_[Setting::kCheckpointFrames] / 16, 1,
                                                     kMostFramesBetweenLooks);
  // No built-in rule but the one for time can hold while the log itself is shorter than what is
  // due.
  const bool nothing_before_due =
      !rules.empty() &&
      std::all_of(rules.begin(), rules.end(), [](const Rule& rule) { return rule.builtin; });
  std::int64_t next = index.max_frame + step;
  if (nothing_before_due && index.max_frame < due) next = due;
  // Land exactly on the frame at which a threshold is reached.
  const std::int64_t limit =
      values_[Setting::kWalLimitBytes] / (index.page_size + kFrameHeaderBytes);
  for (const std::int64_t frames : {due, values_[Setting::kCheckpointFrames], limit}) {
    for (const std::int64_t threshold : {frames, index.backfill + frames}) {
      if (threshold > index.max_frame) next = std::min(next, threshold);
    }
  }
  // Where commits pause or are slowed, each of them looks.
  const auto current = control();
  const std::uint64_t brake = Get(current->region().engine().brake_frame);
  const bool slowed = values_[Setting::kBackpressure] != 0 && index.max_frame >= limit;
  if (slowed || (brake != 0 && index.max_frame >= brake)) next = 0;
  next_look_frame_.store(static_cast<std::uint64_t>(next), std::memory_order_relaxed);
  look_salt_.store(index.salt1, std::memory_order_relaxed);
  look_settings_.store(compiled_.generation, std::memory_order_relaxed);
  last_look_ns_.store(now_ns, std::memory_order_relaxed);
  sample_interval_ns_.store(static_cast<std::uint64_t>(values_[Setting::kSampleIntervalMs]) * kMs,
                            std::memory_order_relaxed);
  // Beyond the limit a commit waits for the thread, where the strategy lets it wait at all.
  double budget_ms = 0;
  for (const Rule& rule : rules) {
    if (rule.builtin && rule.runs == RuleRuns::kInline)
      budget_ms = std::max(budget_ms, StallBudgetMs(rule, values_));
  }
  wait_ns_.store(static_cast<std::uint64_t>(budget_ms * 1e6), std::memory_order_relaxed);
  wait_frame_.store(static_cast<std::uint64_t>(limit), std::memory_order_relaxed);
  pressure_frame_.store(
      values_[Setting::kBackpressure] != 0 ? static_cast<std::uint64_t>(limit) : ~std::uint64_t{0},
      std::memory_order_relaxed);
}

bool Database::Brake(std::uint64_t now_ns) {
  // A commit pauses for no more than 50 µs in the mean: on a machine whose CPUs are all at work a
  // sleep takes milliseconds, which the commits to come then need not pay again.
  std::int64_t debt = pause_debt_ns_.load(std::memory_order_relaxed);
  if (debt > 0) {
    pause_debt_ns_.store(debt - kPauseNs, std::memory_order_relaxed);
    return false;
  }
  Pause();
  debt = static_cast<std::int64_t>(MonotonicNs() - now_ns) - 2 * kPauseNs;
  pause_debt_ns_.store(std::max<std::int64_t>(debt, 0), std::memory_order_relaxed);
  return true;
}

CheckpointReport Database::AfterCommit(const HostConnection& host, ControlRegion& region,
                                       WalIndex index, std::uint64_t now_ns) {
  const CheckpointReport report = LookAfterCommit(host, region, &index, now_ns);
  const std::uint64_t limit = pressure_frame_.load(std::memory_order_relaxed);
  if (index.max_frame <= limit) return report;
  if (const auto now_there = ReadWalIndex(host.log); now_there && now_there->max_frame > limit) {
    SleepNs(BackpressureNs(now_there->max_frame, limit));
  }
  return report;
}

CheckpointReport Database::LookAfterCommit(const HostConnection& host, ControlRegion& region,
                                           WalIndex* seen, std::uint64_t now_ns) {
  WalIndex& index = *seen;
  layout::EngineState& engine = region.engine();
  layout::Counter& gate_until_ns = region.header().gate_until_ns;
  const bool host_is_busy = sqlite3_txn_state(host.db, host.schema) != SQLITE_TXN_NONE;
  const auto look_again = [&] {
    if (const auto now = ReadWalIndex(host.log)) index = *now;
  };
  // Another commit finishes the remainder, and can only while nobody adds to it. A connection that
  // still reads would wait for one that waits for it.
  std::uint64_t gate = Get(gate_until_ns);
  if (gate > now_ns && !host_is_busy) {
    gate = std::min(gate, now_ns + std::max(wait_ns_.load(std::memory_order_relaxed), kGateNs));
    while (Get(gate_until_ns) != 0 && MonotonicNs() < gate) Pause();
    // Whoever was to open it is gone, or the file lies: nobody shall wait for that again.
    if (MonotonicNs() >= gate) Put(gate_until_ns, 0);
    look_again();
  } else if (const std::uint64_t brake = Get(engine.brake_frame);
             brake != 0 && index.max_frame >= brake &&
             Get(engine.at_work_until_ns) - now_ns < kAtWorkNs) {
    if (thread_running_.load(std::memory_order_acquire)) thread_->Hurry();
    if (Brake(now_ns)) look_again();
  }
  std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (!lock.owns_lock() && watch_looks_.load(std::memory_order_relaxed)) {
    // The watch has it for a moment, once in a second: no reason to go on without a look.
    Pause();
    (void)lock.try_lock();
  }
  if (!lock.owns_lock()) {
    // The thread is at work, or another commit. Beyond the limit this one waits for it: what is
    // left then is little, and the log can start over. Far beyond it a reader has been in the way,
    // and there is too much to copy to wait for that.
    const std::uint64_t waits = wait_ns_.load(std::memory_order_relaxed);
    const std::uint64_t limit = wait_frame_.load(std::memory_order_relaxed);
    if (index.max_frame < limit) return {};
    if (thread_running_.load(std::memory_order_acquire)) thread_->Hurry();
    if (index.max_frame / 2 > limit || host_is_busy || waits == 0 || now_ns < no_stall_before_ns_ ||
        now_ns < retry_delay_.not_before_ns()) {
      return {};
    }
    while (!lock.try_lock()) {
      if (MonotonicNs() >= now_ns + waits) return {};
      Pause();
    }
    look_again();
  }
  StartWatch();
  if (!thread_ && now_ns - last_look_ns_.load(std::memory_order_relaxed) >=
                      sample_interval_ns_.load(std::memory_order_relaxed)) {
    LookForControl();
    CloseIfIdle(/*last_commit_ns=*/0, now_ns);
  }
  return AutoCheckpointLocked(host, index, CheckpointOrigin::kInline, /*hurried=*/true, now_ns);
}

std::unique_lock<std::mutex> Database::LockForCaller() {
  ++callers_waiting_;
  if (thread_running_.load(std::memory_order_acquire)) thread_->Hurry();
  std::unique_lock lock(checkpoint_mutex_);
  --callers_waiting_;
  return lock;
}

CheckpointReport Database::AutoCheckpoint(const HostConnection& host, const WalIndex& index) {
  const auto lock = LockForCaller();
  return AutoCheckpointLocked(host, index, CheckpointOrigin::kManual, /*hurried=*/false,
                              MonotonicNs());
}

CheckpointReport Database::ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                            const WalIndex& index, std::uint64_t deadline_ns) {
  const auto lock = LockForCaller();
  CheckpointReport report =
      RunLocked(host, mode, index, deadline_ns, CheckpointOrigin::kManual, "");
  report.strategy = settings().strategy;
  return report;
}

bool Database::RulesCanWait(const HostConnection& host, const WalIndex& index,
                            std::uint64_t now_ns) {
  const auto current = control();
  if (current->region().prepared().frames != 0) return false;
  auto stored = current->region().ReadSettings();
  if (!stored) return false;
  SettingValues values = stored->Values();
  values.Lower(Setting::kWalLimitBytes, WalLimitInForce(values[Setting::kWalLimitBytes]));
  const std::vector<Rule> rules = stored->RulesOf(stored->strategy);
  const auto can_wait = [](const Rule& rule) {
    return rule.builtin && (rule.runs == RuleRuns::kBackground || !AsksForTime(rule));
  };
  if (index.max_frame >= DueFrames(values, index.page_size) ||
      !std::all_of(rules.begin(), rules.end(), can_wait) ||
      std::none_of(rules.begin(), rules.end(), AsksForTime)) {
    return false;
  }
  values_ = values;
  compiled_ = std::move(*stored);
  PlanNextLook(index, now_ns, rules);
  // The thread compiles them, if the database is still open then. Without one, commits must.
  return thread_ ||
         HandOver(host, std::min(kRestNs, sample_interval_ns_.load(std::memory_order_relaxed)));
}

CheckpointReport Database::AutoCheckpointLocked(const HostConnection& host, WalIndex index,
                                                CheckpointOrigin origin, bool hurried,
                                                std::uint64_t began_ns) {
  const std::uint64_t now = MonotonicNs();
  CheckpointReport report;
  Keep(index);
  if (hurried && !rules_ && RulesCanWait(host, index, now)) {
    report.message = "no rule of the strategy holds";
    return report;
  }
  if (Status status = FollowSettings(); !status.ok()) {
    PlanNextLook(index, now);
    report.message = status.error().message;
    return report;
  }
  report.strategy = compiled_.strategy;
  report.wal_frames = index.max_frame;
  report.checkpointed_frames = index.backfill;
  // At commits a stat only where a rule wants to know.
  if (!hurried || rules_->Asks(&Facts::wal_bytes)) report.wal_bytes = WalBytes();
  PlanNextLook(index, now);
  FollowReplicator();
  if (hurried && !replicated()) {
    const auto current = control();
    if (auto finished = FinishLocked(host, index, current->region())) return *finished;
    if (wal_bytes_ > values_[Setting::kWalLimitBytes] && now >= no_shrink_before_ns_ &&
        OpenFor(host)) {
      Shrink(index);
    }
  }
  const Facts facts = GatherFacts(index, report.wal_bytes, now);
  const auto replicator_is_there = [&] {
    const bool is_stale = IsStale(control()->region().engine().replicator, now);
    if (now < next_replicator_look_ns_ && !is_stale) return true;
    if (OpenFor(host)) return LookForReplicator(now);
    return !is_stale ||
           static_cast<ReplicatorWish>(values_[Setting::kReplicator]) == ReplicatorWish::kAlways;
  };
  if (origin == CheckpointOrigin::kInline && replicated() && replicator_is_there()) {
    report.message = kReplicatorIsThere;
    return report;
  }
  const auto decision = rules_->Decide(facts);
  // Rules about time hold while nobody commits.
  if (hurried && (rules_->Asks(&Facts::idle_ms) || rules_->Asks(&Facts::since_checkpoint_ms)) &&
      !thread_) {
    HandOver(host);
  }
  if (!decision) {
    report.message = "no rule of the strategy holds";
    return report;
  }
  const Rule& rule = rules_->rules()[*decision];
  const bool starts_over =
      rule.mode == CheckpointMode::kRestart || rule.mode == CheckpointMode::kTruncate;
  if (index.complete() && !starts_over) {
    report.message = "nothing to move";
    return report;
  }
  if (hurried && rule.builtin && rule.runs == RuleRuns::kBackground && !host.own_only) {
    if (host.commits_sync) {
      if (!*host.commits_sync) *host.commits_sync = CommitsSync(host);
      commits_sync_ = **host.commits_sync;
    }
    if (IsEarly(index, now)) {
      report.message = "commits sync by themselves: later";
      return report;
    }
  }
  if (hurried && rule.runs == RuleRuns::kBackground && HandOver(host)) {
    report.message = kHandedOver;
    return report;
  }
  const bool host_is_busy = sqlite3_txn_state(host.db, host.schema) != SQLITE_TXN_NONE;
  if (rule.mode != CheckpointMode::kPassive && host_is_busy) {
    report.message = "rule '" + rule.name + "' asks for " + ModeName(rule.mode) +
                     ", which would wait for the transaction of this very connection";
    return report;
  }
  if (hurried && now < retry_delay_.not_before_ns()) {
    control()->region().CountSkippedCheckpoint();
    report.message = "the last attempts moved nothing: waiting before the next";
    return report;
  }
  if (origin == CheckpointOrigin::kInline && OpenFor(host) && LookForReplicator(now)) {
    report.message = kReplicatorIsThere;
    return report;
  }
  // Never for itself: a connection with a statement open reads.
  std::uint64_t budget =
      host_is_busy ? 0 : static_cast<std::uint64_t>(StallBudgetMs(rule, values_) * 1e6);
  if (hurried && budget > 0) {
    const double frame_us =
        control()->region().learned()[LearnedValue::kFrameUs].value_or(kUsualFrameUs);
    budget = StallNs(rule, now, index);
    // What this commit has waited already counts.
    budget -= std::min(budget, now - began_ns);
    // Not the moment to wait, or more to copy than the budget is for: that is the thread's, and the
    // commits to come wait for it.
    const double copying_ns = index.pending() * frame_us * 1e3;
    if (rule.builtin && copying_ns >= static_cast<double>(budget) && HandOver(host)) {
      report.message = kHandedOver;
      return report;
    }
  }
  const auto current = control();
  layout::Counter& gate = current->region().header().gate_until_ns;
  if (budget > 0) Put(gate, now + budget);
  CheckpointReport ran = RunLocked(host, rule.mode, index, now + budget, origin, rule.name);
  if (budget > 0) Put(gate, 0);
  ran.strategy = compiled_.strategy;
  ran.rule = rule.name;
  CountFired(rule);
  if (ran.pinned) {
    if (const auto now_there = checkpointer_.Look()) WatchReaders(*now_there, MonotonicNs());
    const bool pays = current->region().learned().WaitPays(budget);
    // Far beyond the limit, more of the time.
    const bool far_beyond = index.max_frame > wait_frame_.load(std::memory_order_relaxed) * 3 / 2;
    const std::uint64_t spacing = (pays ? kStallSpacing : kLongStallSpacing) / (far_beyond ? 4 : 1);
    no_stall_before_ns_ = MonotonicNs() + spacing * budget;
  }
  DelayRetry(ran.result != CheckpointResult::kComplete && ran.moved_frames.value_or(0) == 0);
  WalIndex after = index;
  if (ran.wal_frames) after.max_frame = static_cast<std::uint32_t>(*ran.wal_frames);
  if (ran.checkpointed_frames)
    after.backfill = static_cast<std::uint32_t>(*ran.checkpointed_frames);
  PlanNextLook(after, MonotonicNs());
  return ran;
}

std::uint64_t Database::StallNs(const Rule& rule, std::uint64_t now_ns, const WalIndex& index) {
  // Not for a reader that has been there for longer than the wait would be.
  const auto most = static_cast<std::uint64_t>(StallBudgetMs(rule, values_) * 1e6);
  if (now_ns < no_stall_before_ns_) return 0;
  if (checkpointer_.open()) WatchReaders(index, now_ns);
  if (oldest_reader_.IsOlderThan(most, now_ns)) return 0;
  return most;
}

void Database::Missed(ControlRegion& region, std::size_t rule) {
  region.SetPrepared({});
  if (thread_ && ++missed_ <= kMostMissed) {
    missed_rule_ = rule;
    thread_->Wake();
  }
}

std::optional<CheckpointReport> Database::FinishLocked(const HostConnection& host,
                                                       const WalIndex& index,
                                                       ControlRegion& region) {
  const ControlRegion::Prepared prepared = region.prepared();
  if (prepared.frames == 0 || prepared.salt1 != index.salt1 || index.complete()) {
    return std::nullopt;
  }
  if (!host.traced) return std::nullopt;
  if (index.pending() > prepared.frames) {
    // Commits were faster than the thread could tell.
    Missed(region, prepared.rule);
    return std::nullopt;
  }
  if (!OpenFor(host)) return std::nullopt;
  // The next commit tries again: a reader that lasts no longer than a commit is soon gone.
  next_look_frame_.store(0, std::memory_order_relaxed);
  if (sqlite3_txn_state(host.db, host.schema) != SQLITE_TXN_NONE) return std::nullopt;
  if (!checkpointer_.NobodyPins()) return std::nullopt;
  const std::uint64_t start = MonotonicNs();
  layout::Counter& gate_until_ns = region.header().gate_until_ns;
  const bool gated = IsOverTwiceItsTarget(index, region.learned());
  if (gated) Put(gate_until_ns, start + kGateNs);
  const std::string rule = prepared.rule >= 1 && prepared.rule <= rules_->rules().size()
                               ? rules_->rules()[prepared.rule - 1].name
                               : "";
  // Who was about to commit as the gate closed still does: again, until nobody is left.
  const CheckpointOutcome outcome =
      checkpointer_.RunOpen(CheckpointMode::kPassive, gated ? start + kGateNs : 0);
  if (gated) Put(gate_until_ns, 0);
  const std::uint64_t end = MonotonicNs();
  CheckpointReport report =
      Record(CheckpointMode::kPassive, CheckpointOrigin::kInline, rule, outcome, start, end);
  report.strategy = compiled_.strategy;
  report.rule = rule;
  if (outcome.result == CheckpointResult::kFailed || outcome.result == CheckpointResult::kBusy) {
    region.SetPrepared({});
    DelayRetry(true);
  }
  // Others commit while this one copies, and each would try, and sync, in vain, as long as there is
  // no gate.
  if (outcome.result == CheckpointResult::kPartial && !gated) Missed(region, prepared.rule);
  if (outcome.result == CheckpointResult::kComplete) {
    region.SetPrepared({});
    missed_ = 0;
    Learned learned = region.learned();
    if (left_to_the_commit_) {
      learned.FinishedWithSync(end - start);
    } else {
      learned.Finished(end - start);
    }
    region.SetLearned(learned);
    WalIndex finished = last_index_;
    finished.backfill = finished.max_frame;
    Keep(finished);
    PlanNextLook(finished, end);
  }
  return report;
}

bool Database::IsEarly(const WalIndex& index, std::uint64_t now_ns) const {
  // As learned.h says of commits that sync by themselves.
  if (!commits_sync_ || is_short_of_room_) return false;
  const auto current = control();
  const ControlRegion& region = current->region();
  const auto interval = static_cast<std::uint64_t>(values_[Setting::kCheckpointIntervalMs]) * kMs;
  return index.max_frame < region.learned().Multiple() * DueFrames(values_, index.page_size) &&
         now_ns < Get(region.header().last_checkpoint_ns) + interval;
}

bool Database::OpenFor(const HostConnection& host) {
  return host.traced &&
         checkpointer_.Permit({host.db, host.schema, host.log, host.own_only}) ==
             Checkpointer::Allowed::kYes &&
         checkpointer_.Open() == Checkpointer::Allowed::kYes;
}

}  // namespace walmanager
