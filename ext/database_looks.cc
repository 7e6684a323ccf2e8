// The part of Database that looks at the log, asks the strategy and runs what it calls for. The
// control file, settings and questions are in database.cc.
#include <algorithm>

#include "ext/checkpointer.h"
#include "ext/clock.h"
#include "ext/core/value.h"
#include "ext/database.h"
#include "ext/registry.h"
#include "ext/rule_set.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kIdleNs = 1000 * kMs;  // then connections of ours are closed
constexpr std::uint64_t kFirstBackoffNs = 5 * kMs;
constexpr std::uint64_t kLongestBackoffNs = 100 * kMs;
constexpr std::int64_t kMostFramesBetweenLooks = 64;
constexpr double kRateSmoothing = 0.3;
constexpr std::uint64_t kStallSpacing = 50;  // budgets between one spent in vain and the next

double Milliseconds(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e6 : 0;
}

// Frames at which a checkpoint is due: checkpoint_frames or wal_limit_bytes, the smaller in bytes.
std::int64_t DueFrames(const SettingValues& values, std::uint32_t page_size) {
  const std::int64_t by_limit = values[Setting::kWalLimitBytes] / (page_size + kFrameHeaderBytes);
  return std::max<std::int64_t>(1, std::min(values[Setting::kCheckpointFrames], by_limit));
}

}  // namespace

bool Database::IsDue(const WalIndex& index, std::uint64_t settings, std::uint64_t now_ns) const {
  return settings != look_settings_.load(std::memory_order_relaxed) ||
         index.salt1 != look_salt_.load(std::memory_order_relaxed) ||
         index.max_frame >= next_look_frame_.load(std::memory_order_relaxed) ||
         now_ns - last_look_ns_.load(std::memory_order_relaxed) >=
             sample_interval_ns_.load(std::memory_order_relaxed);
}

void Database::PlanNextLook(const WalIndex& index, std::uint64_t now_ns) {
  const std::int64_t due = DueFrames(values_, index.page_size);
  const std::int64_t step = std::clamp<std::int64_t>(values_[Setting::kCheckpointFrames] / 16, 1,
                                                     kMostFramesBetweenLooks);
  // No built-in rule but the one for time can hold while the log itself is shorter than what is
  // due.
  const bool nothing_before_due =
      rules_ && std::all_of(rules_->rules().begin(), rules_->rules().end(),
                            [](const Rule& rule) { return rule.builtin; });
  std::int64_t next = index.max_frame + step;
  if (nothing_before_due && index.max_frame < due) next = due;
  // Land exactly on the frame at which a threshold is reached.
  for (const std::int64_t threshold : {due, index.backfill + due}) {
    if (threshold > index.max_frame) next = std::min(next, threshold);
  }
  next_look_frame_.store(static_cast<std::uint64_t>(next), std::memory_order_relaxed);
  look_salt_.store(index.salt1, std::memory_order_relaxed);
  look_settings_.store(compiled_.generation, std::memory_order_relaxed);
  last_look_ns_.store(now_ns, std::memory_order_relaxed);
  sample_interval_ns_.store(static_cast<std::uint64_t>(values_[Setting::kSampleIntervalMs]) * kMs,
                            std::memory_order_relaxed);
}

CheckpointReport Database::AfterCommit(const HostConnection& host, const WalIndex& index,
                                       std::uint64_t now_ns) {
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return {};  // another thread looks
  if (now_ns - last_look_ns_.load(std::memory_order_relaxed) >=
      sample_interval_ns_.load(std::memory_order_relaxed)) {
    LookForControl();
    if (checkpointer_->open() && now_ns > checkpointer_->last_used_ns() + kIdleNs) {
      checkpointer_->Close();
    }
  }
  return AutoCheckpointLocked(host, index, CheckpointOrigin::kInline, /*hurried=*/true);
}

CheckpointReport Database::AutoCheckpoint(const HostConnection& host, const WalIndex& index) {
  const std::lock_guard lock(checkpoint_mutex_);
  return AutoCheckpointLocked(host, index, CheckpointOrigin::kManual, /*hurried=*/false);
}

CheckpointReport Database::ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                            const WalIndex& index, std::uint64_t deadline_ns) {
  const std::lock_guard lock(checkpoint_mutex_);
  CheckpointReport report =
      RunLocked(host, mode, index, deadline_ns, CheckpointOrigin::kManual, "");
  report.strategy = settings().strategy;
  return report;
}

Status Database::FollowSettings() {
  const auto current = control();
  const std::uint64_t control_now = control_generation();
  if (rules_ && compiled_control_ == control_now &&
      compiled_.generation == current->region().settings_generation()) {
    return Ok{};
  }
  auto stored = current->region().ReadSettings();
  if (!stored) return Error{"the settings cannot be read: they change too fast"};
  const SettingValues values = stored->Values();
  auto rules = RuleSet::Compile(stored->RulesOf(stored->strategy), values);
  std::string error;
  if (!rules.ok()) {
    // Checked when it was defined, so somebody else has written it. The log must not grow for that.
    error = "strategy " + ShownText(stored->strategy) + ": " + rules.error().message;
    rules = RuleSet::Compile(stored->RulesOf(kDefaultStrategy), values);
    if (!rules.ok()) return rules.error();
  }
  {
    const std::lock_guard lock(words_mutex_);
    strategy_error_ = error;
  }
  rules_ = std::make_unique<RuleSet>(std::move(rules.value()));
  values_ = values;
  compiled_ = std::move(*stored);
  compiled_control_ = control_now;
  backoff_ns_ = not_before_ns_ = 0;
  return Ok{};
}

CheckpointReport Database::AutoCheckpointLocked(const HostConnection& host, const WalIndex& index,
                                                CheckpointOrigin origin, bool hurried) {
  const std::uint64_t now = MonotonicNs();
  CheckpointReport report;
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
  const Facts facts = GatherFacts(index, report.wal_bytes, now);
  const auto decision = rules_->Decide(facts);
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
  const bool host_is_busy = sqlite3_txn_state(host.db, host.schema) != SQLITE_TXN_NONE;
  if (rule.mode != CheckpointMode::kPassive && host_is_busy) {
    report.message = "rule '" + rule.name + "' asks for " + ModeName(rule.mode) +
                     ", which would wait for the transaction of this very connection";
    return report;
  }
  if (hurried && now < not_before_ns_) {
    control()->region().CountSkippedCheckpoint();
    report.message = "the last attempts moved nothing: waiting before the next";
    return report;
  }
  // A commit waits for readers at most every fiftieth part of the time, and never for itself: a
  // connection with a statement open reads.
  auto budget = static_cast<std::uint64_t>(StallBudgetMs(rule, values_) * 1e6);
  if (hurried && (now < no_stall_before_ns_ || host_is_busy)) budget = 0;
  CheckpointReport ran = RunLocked(host, rule.mode, index, now + budget, origin, rule.name);
  ran.strategy = compiled_.strategy;
  ran.rule = rule.name;
  CountFired(rule);
  if (ran.pinned) no_stall_before_ns_ = MonotonicNs() + kStallSpacing * budget;
  const bool in_vain =
      ran.result != CheckpointResult::kComplete && ran.moved_frames.value_or(0) == 0;
  backoff_ns_ = !in_vain           ? 0
                : backoff_ns_ == 0 ? kFirstBackoffNs
                                   : std::min(2 * backoff_ns_, kLongestBackoffNs);
  not_before_ns_ = in_vain ? MonotonicNs() + backoff_ns_ : 0;
  WalIndex after = index;
  if (ran.wal_frames) after.max_frame = static_cast<std::uint32_t>(*ran.wal_frames);
  if (ran.checkpointed_frames)
    after.backfill = static_cast<std::uint32_t>(*ran.checkpointed_frames);
  PlanNextLook(after, MonotonicNs());
  return ran;
}

void Database::CountFired(const Rule& rule) {
  const std::span<const Rule> all =
      rule.builtin ? BuiltinRules() : std::span<const Rule>(compiled_.rules);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].strategy == rule.strategy && all[i].name == rule.name) {
      control()->region().CountFired(rule.builtin, i, UnixMs());
    }
  }
}

CheckpointReport Database::RunLocked(const HostConnection& host, CheckpointMode mode,
                                     const WalIndex& index, std::uint64_t deadline_ns,
                                     CheckpointOrigin origin, const std::string& rule) {
  (void)WalBytes();  // its largest size may be the one before
  const std::uint64_t start = MonotonicNs();
  const CheckpointOutcome outcome = checkpointer_->Run(
      {host.db, host.schema, path_.c_str(), host.own_only}, mode, deadline_ns, index);
  const std::uint64_t end = MonotonicNs();
  {
    const std::lock_guard lock(words_mutex_);
    unguarded_because_ = checkpointer_->unguarded_because();
  }
  CheckpointReport report;
  report.result = outcome.result;
  report.busy = outcome.busy;
  report.pinned = outcome.pinned;
  report.wal_frames = outcome.wal_frames;
  report.checkpointed_frames = outcome.checkpointed_frames;
  report.moved_frames = outcome.moved_frames;
  report.wal_bytes = WalBytes();
  report.duration_ns = end - start;
  report.message = outcome.message;
  if (outcome.result == CheckpointResult::kSkipped) return report;
  report.mode = mode;
  CheckpointEntry entry;
  entry.at_ms = UnixMs();
  entry.pid = ThisProcess().pid;
  entry.mode = mode;
  entry.origin = origin;
  entry.result = outcome.result;
  entry.wal_frames = outcome.wal_frames;
  entry.checkpointed_frames = outcome.checkpointed_frames;
  entry.moved_frames = outcome.moved_frames;
  entry.wal_bytes = report.wal_bytes;
  entry.duration_ns = static_cast<std::int64_t>(report.duration_ns);
  entry.rule = rule;
  entry.error = outcome.message;
  control()->region().RecordCheckpoint(entry, end);
  return report;
}

Facts Database::GatherFacts(const WalIndex& index, std::optional<std::int64_t> wal_bytes,
                            std::uint64_t now_ns) {
  const auto current = control();
  const ControlRegion& region = current->region();
  const auto load = [](const layout::Counter& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  const double page_size = index.page_size;
  Facts facts;
  facts.pending_frames = index.pending();
  facts.pending_bytes = index.pending() * (page_size + kFrameHeaderBytes);
  facts.wal_frames = index.max_frame;
  if (wal_bytes) facts.wal_bytes = static_cast<double>(*wal_bytes);
  facts.page_size = page_size;
  if (const std::uint64_t last = load(region.header().last_commit_ns)) {
    facts.idle_ms = Milliseconds(last, now_ns);
  }
  facts.since_checkpoint_ms = Milliseconds(load(region.header().last_checkpoint_ns), now_ns);
  if (const std::uint64_t last = load(region.checkpoints().last_ns)) {
    facts.last_checkpoint_ms = static_cast<double>(last) / 1e6;
  }
  if (rules_->Asks(&Facts::commits_since_checkpoint) || rules_->Asks(&Facts::commit_rate)) {
    const std::uint64_t commits = region.ReadCommits(false).commits;
    const std::uint64_t then = load(region.header().commits_at_checkpoint);
    facts.commits_since_checkpoint = commits > then ? static_cast<double>(commits - then) : 0;
    if (rate_ns_ != 0 && now_ns > rate_ns_ && commits >= rate_commits_) {
      const double rate = static_cast<double>(commits - rate_commits_) * 1e9 /
                          static_cast<double>(now_ns - rate_ns_);
      commit_rate_ = commit_rate_ ? *commit_rate_ + kRateSmoothing * (rate - *commit_rate_) : rate;
    }
    rate_ns_ = now_ns;
    rate_commits_ = commits;
    facts.commit_rate = commit_rate_;
  }
  if (rules_->Asks(&Facts::readers) || rules_->Asks(&Facts::oldest_reader_lag)) {
    if (const auto marks = FindReadMarksLocked()) {
      std::uint32_t oldest = index.max_frame;
      int readers = 0;
      for (std::size_t i = 0; i < marks->held.size(); ++i) {
        if (!marks->held[i]) continue;
        ++readers;
        oldest = std::min(oldest, index.Snapshot(static_cast<int>(i)));
      }
      facts.readers = readers;
      facts.oldest_reader_lag = index.max_frame - oldest;
    }
  }
  return facts;
}

}  // namespace walmanager
