#include "ext/checkpoint/checkpoint_engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ext/checkpoint/finishing_commit.h"
#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/policy/backpressure.h"
#include "ext/core/policy/look_plan.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/untraced_pragma.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"

namespace walmanager {
namespace {

constexpr char kReplicatorIsThere[] =
    "a replicator checkpoints this database: walmanager only looks";
constexpr char kHandedOver[] = "handed to the background thread";
constexpr std::uint64_t kFramesThatAreSoonCopied = 16'000;
constexpr char kTriedInVain[] = "the last attempts moved nothing: waiting before the next";
constexpr char kNoRuleHolds[] = "no rule of the strategy holds";

bool IsBusy(const HostConnection& host) {
  return sqlite3_txn_state(host.db, host.schema) != SQLITE_TXN_NONE;
}

// Where a reader has been in the way, what is to be copied now takes too long to wait for.
bool IsFarBeyond(std::uint32_t max_frame, std::uint64_t limit) {
  return max_frame > limit && max_frame - limit > std::max(limit, kFramesThatAreSoonCopied);
}

bool CommitsSync(const HostConnection& host) {
  const std::string pragma = QuoteName(host.schema) + ".synchronous";
  const auto synchronous =
      host.traced ? QueryText(host.db, "PRAGMA " + pragma) : AskUntraced(host.db, pragma);
  return synchronous.ok() && synchronous.value() &&
         (*synchronous.value() == "2" || *synchronous.value() == "3");
}

}  // namespace

CheckpointReport CheckpointEngine::AfterCommit(const HostConnection& host, ControlRegion& region,
                                               WalIndex index, std::uint64_t now_ns) {
  CheckpointReport report = LookAfterCommit(host, region, &index, now_ns);
  state_.gate.SlowDown(host.log, index.max_frame);
  return report;
}

CheckpointReport CheckpointEngine::LookAfterCommit(const HostConnection& host,
                                                   ControlRegion& region, WalIndex* seen,
                                                   std::uint64_t now_ns) {
  WalIndex& index = *seen;
  CommitGate& gate = state_.gate;
  layout::EngineState& engine = region.engine();
  layout::Counter& gate_until_ns = region.header().gate_until_ns;
  const bool host_is_busy = IsBusy(host);
  const auto look_again = [&] {
    if (const auto now = ReadWalIndex(host.log)) index = *now;
  };
  // A connection that still reads would wait for a commit that waits for it.
  if (const std::uint64_t until = Get(gate_until_ns); until > now_ns && !host_is_busy) {
    gate.WaitAtGate(gate_until_ns, until, now_ns);
    look_again();
  } else if (const std::uint64_t brake = Get(engine.brake_frame);
             brake != 0 && index.max_frame >= brake &&
             Get(engine.at_work_until_ns) - now_ns < LogReaders::kLongestPassNs) {
    copier_.Hurry();
    // A connection that still reads may be the reader that keeps the log.
    const std::uint64_t longest = host_is_busy ? 0 : LongestPauseNs(index.max_frame, brake);
    if (gate.PauseForCopier(engine.brake_frame, longest, now_ns)) look_again();
  }
  bool waited = false;
  if (!LockInCommit(index.max_frame, host_is_busy, now_ns, &waited)) return {};
  const MutexLock lock(state_.mutex, std::adopt_lock);
  if (waited) look_again();
  if (!copier_.is_at_work() && now_ns - gate.last_look_ns() >= gate.sample_interval_ns()) {
    look_for_control_();
    state_.CloseIfIdle(/*last_commit_ns=*/0, now_ns);
  }
  return ApplyStrategy({.host = host,
                        .origin = CheckpointOrigin::kInline,
                        .hurried = true,
                        .began_ns = now_ns,
                        .now_ns = MonotonicNs()},
                       index);
}

std::uint64_t CheckpointEngine::LongestPauseNs(std::uint32_t max_frame, std::uint64_t brake) const {
  // Where the control file lies, a commit below the limit pauses no longer for it.
  const std::uint64_t limit = std::max(brake, state_.gate.wait_frame());
  if (state_.readers_seen && IsFarBeyond(max_frame, limit)) return 0;
  // Below what a user sees as a stop.
  constexpr std::uint64_t kMostNs = 50'000'000;
  return std::min({CopierPauseNs(max_frame, limit), state_.gate.wait_ns(), kMostNs});
}

bool CheckpointEngine::LockInCommit(std::uint32_t max_frame, bool host_is_busy,
                                    std::uint64_t now_ns, bool* waited) {
  if (state_.mutex.try_lock()) return true;
  if (state_.only_looks()) {
    // Another thread holds it for a few microseconds, once in a second: worth a short pause.
    CommitGate::Pause();
    if (state_.mutex.try_lock()) return true;
  }
  // The background thread or another commit is at work. Near the limit this commit waits for it,
  // since little is left to copy then, and the log can start over. Far beyond the limit a reader
  // has been in the way, and copying would take too long to wait for.
  const std::uint64_t waits = std::min(state_.gate.wait_ns(), ReaderWait::kLongestCopyNs);
  const std::uint64_t limit = state_.gate.wait_frame();
  if (max_frame < limit) return false;
  copier_.Hurry();
  if (IsFarBeyond(max_frame, limit) || host_is_busy || waits == 0 || state_.readers_seen ||
      now_ns < state_.retry_delay.not_before_ns()) {
    return false;
  }
  // Not charged: SQLite's own checkpoint would take this time in the commit, too.
  bool locked = false;
  while (!(locked = state_.mutex.try_lock()) && MonotonicNs() < now_ns + waits) {
    CommitGate::Pause();
  }
  *waited = true;
  return locked;
}

void CheckpointEngine::LockForCaller() {
  ++state_.callers_waiting;
  copier_.Hurry();
  state_.mutex.lock();
  --state_.callers_waiting;
}

CheckpointReport CheckpointEngine::AutoCheckpoint(const HostConnection& host,
                                                  const WalIndex& index) {
  LockForCaller();
  const MutexLock lock(state_.mutex, std::adopt_lock);
  const std::uint64_t now = MonotonicNs();
  return ApplyStrategy({.host = host,
                        .origin = CheckpointOrigin::kManual,
                        .hurried = false,
                        .began_ns = now,
                        .now_ns = now},
                       index);
}

CheckpointReport CheckpointEngine::ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                                    const WalIndex& index,
                                                    std::uint64_t deadline_ns) {
  LockForCaller();
  const MutexLock lock(state_.mutex, std::adopt_lock);
  CheckpointReport report = Run(host, mode, index, deadline_ns, CheckpointOrigin::kManual, "");
  report.strategy =
      state_.control.Get()->region().ReadSettings().value_or(StoredSettings{}).strategy;
  return report;
}

void CheckpointEngine::CloseOwnConnections() {
  state_.connections.Cancel();
  {
    LockForCaller();
    const MutexLock lock(state_.mutex, std::adopt_lock);
    state_.connections.Close();
    state_.connections.Revoke();
  }
  state_.connections.Resume();
}

void CheckpointEngine::StayOutOfTheWay(std::uint64_t now_ns) {
  const char* const because =
      sqlite3_api->trace_v2
          ? "another callback has taken the trace of a connection that commits: its PRAGMA "
            "journal_mode would not be announced"
          : "this SQLite was built with SQLITE_OMIT_TRACE: the PRAGMA journal_mode of a connection "
            "would not be announced";
  if (state_.inline_period.Begin(now_ns, because)) {
    CloseOwnConnections();
  } else if (state_.connections.open()) {
    // Where another commit is at work on them, that commit closes them when it has done its work.
    if (!state_.mutex.try_lock()) return;
    const MutexLock lock(state_.mutex, std::adopt_lock);
    state_.connections.Close();
  }
}

bool CheckpointEngine::RulesCanWait(const HostConnection& host, const WalIndex& index,
                                    std::uint64_t now_ns) {
  const auto current = state_.control.Get();
  if (current->region().prepared().frames != 0) return false;
  auto stored = current->region().ReadSettings();
  if (!stored) return false;
  SettingValues values = stored->Values();
  values.Lower(Setting::kWalLimitBytes, WalLimitInForce(values[Setting::kWalLimitBytes]));
  const std::vector<Rule> rules = stored->RulesOf(stored->strategy);
  const auto can_wait = [](const Rule& rule) {
    return rule.builtin && (rule.runs == RuleRuns::kBackground || !AsksForTime(rule));
  };
  if (index.max_frame >= LeastDueFrames(values, index.page_size) ||
      !std::all_of(rules.begin(), rules.end(), can_wait) ||
      std::none_of(rules.begin(), rules.end(), AsksForTime)) {
    return false;
  }
  state_.strategy.TakeUncompiled(std::move(*stored), values);
  state_.PlanNextLook(index, now_ns, rules);
  // The thread compiles the rules, if the database is still open then. Without a thread, commits
  // must.
  return copier_.is_at_work() || copier_.StandBy(host);
}

CheckpointReport CheckpointEngine::ApplyStrategy(const Ask& ask, const WalIndex& index) {
  StrategyInForce& strategy = state_.strategy;
  CheckpointReport report;
  state_.RememberLog(index);
  if (ask.hurried && !strategy.is_compiled() && RulesCanWait(ask.host, index, ask.now_ns)) {
    report.message = kNoRuleHolds;
    return report;
  }
  if (Status status = state_.FollowSettings(); !status.ok()) {
    state_.PlanNextLook(index, ask.now_ns);
    report.message = status.error().message;
    return report;
  }
  report.strategy = strategy.name();
  report.wal_frames = index.max_frame;
  report.checkpointed_frames = index.backfill;
  // A commit asks for the file's size only where a rule uses it.
  if (!ask.hurried || strategy.Asks(&Facts::wal_bytes)) report.wal_bytes = state_.MeasureWal();
  state_.PlanNextLook(index, ask.now_ns);
  state_.replicator.Follow(state_.replicator_wish());
  if (ask.hurried && !state_.replicator.is_there()) {
    const auto current = state_.control.Get();
    if (auto finished = FinishRemainder(ask.host, index, current->region())) return *finished;
    const std::int64_t limit = strategy[Setting::kWalLimitBytes];
    if (state_.wal_bytes > limit && ask.now_ns >= state_.shrinker.not_before_ns() &&
        state_.OpenFor(ask.host)) {
      state_.wal_bytes = state_.shrinker.ShrinkInCommit(index, limit).value_or(state_.wal_bytes);
    }
  }
  return DecideAndRun(ask, index, std::move(report));
}

CheckpointReport CheckpointEngine::DecideAndRun(const Ask& ask, const WalIndex& index,
                                                CheckpointReport report) {
  StrategyInForce& strategy = state_.strategy;
  // Where no thread may copy, this commit copies as early as SQLite's would.
  if (ask.hurried && index.pending() >= LeastDueFrames(strategy.values(), index.page_size)) {
    (void)copier_.IsPermitted(ask.host);
    const bool did_sync = state_.commits_sync;
    if (!ask.host.own_only) LearnWhetherCommitsSync(ask.host);
    if (state_.commits_sync != did_sync) state_.PlanNextLook(index, ask.now_ns);
  }
  // A call of the user copies what SQLite would.
  const std::int64_t due =
      ask.hurried ? state_.DueFrames(index) : Learned().DueFrames(strategy.values(), index);
  const Facts facts = state_.facts.Gather(index, report.wal_bytes, due, ask.now_ns);
  if (ask.origin == CheckpointOrigin::kInline && state_.replicator.is_there() &&
      ReplicatorIsThere(ask)) {
    report.message = kReplicatorIsThere;
    return report;
  }
  const auto chosen = strategy.ChooseRule(facts);
  // Rules about time hold while no connection commits.
  if (ask.hurried && !copier_.is_at_work() &&
      (strategy.Asks(&Facts::idle_ms) || strategy.Asks(&Facts::since_checkpoint_ms))) {
    (void)copier_.StandBy(ask.host);
  }
  if (!chosen) {
    report.message = kNoRuleHolds;
    return report;
  }
  const Rule& rule = strategy.rules()[*chosen];
  if (auto why = Postpone(ask, rule, index)) {
    report.message = std::move(*why);
    return report;
  }
  // A connection with an open statement reads, so it would wait for itself.
  const std::uint64_t longest =
      IsBusy(ask.host) ? 0 : ReaderWait::LongestNs(rule, strategy.values());
  const std::uint64_t budget =
      longest != 0 && ask.hurried ? wait_.BudgetNs(rule, index, ask.began_ns, ask.now_ns) : longest;
  if (IsDelayed(ask) && budget == 0) {
    state_.control.Get()->region().CountSkippedCheckpoint();
    report.message = kTriedInVain;
    return report;
  }
  // Not the moment to wait, or more to copy than the budget is for: the thread copies that, and the
  // next commits wait for the thread. While readers leave there is time to copy.
  const std::uint64_t copies =
      state_.oldest_reader.frame() ? budget / 2 : std::min(budget, ReaderWait::kLongestCopyNs);
  if (ask.hurried && longest != 0 && rule.builtin &&
      CopyingNs(index) >= static_cast<double>(copies) && copier_.HandOver(ask.host)) {
    report.message = kHandedOver;
    return report;
  }
  const auto current = state_.control.Get();
  const std::uint64_t start = MonotonicNs();
  {
    const bool waits = budget > 0;
    const FinishingCommit shown(current->region().header(), current->region().engine(),
                                waits ? ask.now_ns + budget : 0,
                                waits ? state_.gate.wait_frame() : 0);
    report = Run(ask.host, rule.mode, index, ask.now_ns + budget, ask.origin, rule.name);
    if (ask.hurried && budget > 0 && (report.pinned || state_.oldest_reader.frame())) {
      wait_.Ended(start, CopiedNs(report), budget, rule, report.pinned);
    }
  }
  report.strategy = strategy.name();
  report.rule = rule.name;
  strategy.CountFired(rule);
  PlanAfterRun(report, index);
  // A file that is longer than its limit is cut once nothing commits any more, which this process
  // may never do again.
  if (ask.hurried && state_.wal_bytes > strategy[Setting::kWalLimitBytes]) {
    (void)copier_.HandOver(ask.host);
  }
  return report;
}

double CheckpointEngine::CopyingNs(const WalIndex& index) const {
  constexpr double kUsualFrameUs = 5;  // to copy a frame, until that is learned
  const Learned learned = state_.control.Get()->region().learned();
  return index.pending() * learned[LearnedValue::kFrameUs].value_or(kUsualFrameUs) * 1e3;
}

std::uint64_t CheckpointEngine::CopiedNs(const CheckpointReport& ran) const {
  constexpr double kUsualSyncMs = 5;  // until that is learned
  const Learned learned = state_.control.Get()->region().learned();
  WalIndex moved;
  moved.max_frame = static_cast<std::uint32_t>(ran.moved_frames.value_or(0));
  const double copied = CopyingNs(moved);
  const double synced = 2e6 * learned[LearnedValue::kSyncMs].value_or(kUsualSyncMs);
  return std::min(ran.copying_ns, static_cast<std::uint64_t>(copied + synced));
}

bool CheckpointEngine::ReplicatorIsThere(const Ask& ask) {
  const bool is_stale = IsStale(state_.control.Get()->region().engine().replicator, ask.now_ns);
  if (!state_.replicator.IsDue(ask.now_ns) && !is_stale) return true;
  if (state_.OpenFor(ask.host)) return state_.LookForReplicator(ask.now_ns);
  return !is_stale || state_.replicator_wish() == ReplicatorWish::kAlways;
}

bool CheckpointEngine::IsDelayed(const Ask& ask) const {
  return ask.hurried && ask.now_ns < state_.retry_delay.not_before_ns();
}

std::optional<std::string> CheckpointEngine::Postpone(const Ask& ask, const Rule& rule,
                                                      const WalIndex& index) {
  const bool starts_over =
      rule.mode == CheckpointMode::kRestart || rule.mode == CheckpointMode::kTruncate;
  if (index.complete() && !starts_over) return "nothing to move";
  const bool is_for_thread = ask.hurried && rule.runs == RuleRuns::kBackground;
  if (is_for_thread && rule.builtin && !ask.host.own_only) {
    LearnWhetherCommitsSync(ask.host);
    if (state_.IsEarly(index, ask.now_ns)) return "commits sync the log themselves: not due yet";
  }
  if (is_for_thread && copier_.HandOver(ask.host)) return kHandedOver;
  if (rule.mode != CheckpointMode::kPassive && IsBusy(ask.host)) {
    return "rule '" + rule.name + "' asks for " + ModeName(rule.mode) +
           ", which would wait for the transaction of this very connection";
  }
  if (IsDelayed(ask) && !wait_.MayHelp(rule, ask.now_ns)) {
    state_.control.Get()->region().CountSkippedCheckpoint();
    return kTriedInVain;
  }
  if (ask.origin == CheckpointOrigin::kInline && state_.OpenFor(ask.host) &&
      state_.LookForReplicator(ask.now_ns)) {
    return kReplicatorIsThere;
  }
  return std::nullopt;
}

void CheckpointEngine::LearnWhetherCommitsSync(const HostConnection& host) {
  if (!host.commits_sync) return;
  if (!*host.commits_sync) *host.commits_sync = CommitsSync(host);
  state_.commits_sync = **host.commits_sync;
  const auto current = state_.control.Get();
  layout::Counter& shown = current->region().engine().commits_sync;
  const std::uint64_t word = state_.commits_sync ? layout::kCommitsSync : layout::kCommitsDoNotSync;
  if (Get(shown) != word) Put(shown, word);
}

void CheckpointEngine::PlanAfterRun(const CheckpointReport& ran, const WalIndex& index) {
  if (ran.pinned) {
    if (const auto now_there = state_.connections.Look()) {
      state_.WatchReaders(*now_there, MonotonicNs());
    }
  }
  state_.DelayRetry(ran.result != CheckpointResult::kComplete && ran.moved_frames.value_or(0) == 0);
  WalIndex after = index;
  if (ran.wal_frames) after.max_frame = static_cast<std::uint32_t>(*ran.wal_frames);
  if (ran.checkpointed_frames)
    after.backfill = static_cast<std::uint32_t>(*ran.checkpointed_frames);
  state_.PlanNextLook(after, MonotonicNs());
}

CheckpointReport CheckpointEngine::Run(const HostConnection& host, CheckpointMode mode,
                                       const WalIndex& index, std::uint64_t deadline_ns,
                                       CheckpointOrigin origin, const std::string& rule) {
  (void)state_.MeasureWal();  // the file may be at its largest now
  const std::uint64_t start = MonotonicNs();
  const CheckpointOutcome outcome = state_.checkpointer.Run(host, mode, deadline_ns, index);
  return state_.Record(mode, origin, rule, outcome, start, MonotonicNs());
}

std::optional<CheckpointReport> CheckpointEngine::FinishRemainder(const HostConnection& host,
                                                                  const WalIndex& index,
                                                                  ControlRegion& region) {
  const ControlRegion::Prepared prepared = region.prepared();
  if (prepared.frames == 0 || prepared.salt1 != index.salt1 || index.complete()) {
    return std::nullopt;
  }
  if (!host.traced) return std::nullopt;
  if (index.pending() > prepared.frames) {
    // Commits have added more frames than the thread had announced.
    copier_.RemainderGrew(region, prepared.rule);
    return std::nullopt;
  }
  if (!state_.OpenFor(host)) return std::nullopt;
  // Where this commit cannot, the next one tries again: a short read is soon over.
  state_.gate.LookAtNextCommit();
  if (IsBusy(host) || state_.connections.IsPinned()) return std::nullopt;
  const std::uint64_t start = MonotonicNs();
  const bool gated = IsFarBehind(index);
  // Beyond the limit others wait for as long as the disk takes to sync.
  const std::uint64_t gate_ns = index.max_frame < state_.gate.wait_frame()
                                    ? CommitGate::kGateNs
                                    : std::max(CommitGate::kGateNs, state_.gate.wait_ns());
  const std::span<const Rule> rules = state_.strategy.rules();
  const std::string rule =
      prepared.rule >= 1 && prepared.rule <= rules.size() ? rules[prepared.rule - 1].name : "";
  // A connection that was about to commit when the gate was shut still commits, so the pass is
  // repeated until no frame is left.
  CheckpointOutcome outcome;
  {
    const FinishingCommit shown(region.header(), region.engine(), gated ? start + gate_ns : 0,
                                state_.gate.wait_frame());
    outcome = state_.checkpointer.RunOpen(CheckpointMode::kPassive,
                                          gated ? start + CommitGate::kGateNs : 0);
  }
  const std::uint64_t end = MonotonicNs();
  CheckpointReport report =
      state_.Record(CheckpointMode::kPassive, CheckpointOrigin::kInline, rule, outcome, start, end);
  report.strategy = state_.strategy.name();
  report.rule = rule;
  if (outcome.result == CheckpointResult::kFailed || outcome.result == CheckpointResult::kBusy) {
    region.SetPrepared({});
    state_.DelayRetry(true);
  }
  // Without a gate, other connections commit while this one copies. Each would try to finish the
  // remainder, and sync, in vain.
  if (outcome.result == CheckpointResult::kPartial && !gated) {
    copier_.RemainderGrew(region, prepared.rule);
  }
  if (outcome.result == CheckpointResult::kComplete) LearnFromFinish(region, start, end);
  return report;
}

void CheckpointEngine::LearnFromFinish(ControlRegion& region, std::uint64_t start_ns,
                                       std::uint64_t end_ns) {
  region.SetPrepared({});
  copier_.RemainderFinished();
  Learned learned = region.learned();
  learned.Finished(end_ns - start_ns);
  region.SetLearned(learned);
  WalIndex finished = state_.last_index;
  finished.backfill = finished.max_frame;
  state_.RememberLog(finished);
  state_.PlanNextLook(finished, end_ns);
}

bool CheckpointEngine::IsFarBehind(const WalIndex& index) const {
  WalIndex begun = index;
  begun.backfill = 0;
  const std::int64_t target = state_.commits_sync
                                  ? SyncedDueFrames(state_.strategy.values(), index.page_size)
                                  : state_.DueFrames(begun);
  const std::int64_t limit =
      state_.strategy[Setting::kWalLimitBytes] / (index.page_size + kFrameHeaderBytes);
  return index.max_frame > std::min(2 * target, std::max(target, (target + limit) / 2));
}

}  // namespace walmanager
