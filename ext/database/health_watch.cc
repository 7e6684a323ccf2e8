#include "ext/database/health_watch.h"

#include <unistd.h>

#include <algorithm>

#include "ext/core/base/time_units.h"
#include "ext/core/control/history.h"
#include "ext/core/control/io_statistics.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/database/database.h"
#include "ext/database/shared_observer.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr useconds_t kRetryUs = 500;

// Whether the interval has passed since `last_ns`. True also after a boot, when the clock began
// anew.
bool IsDue(std::uint64_t last_ns, std::uint64_t now_ns, std::uint64_t interval_ns) {
  return last_ns == 0 || last_ns > now_ns || now_ns - last_ns >= interval_ns;
}

HistoryTotals ReadTotals(ControlFile& control, QueryTotals queries) {
  const CommitTotals commits = control.region().ReadCommits(/*with_histogram=*/true);
  const CheckpointTotals checkpoints = control.region().ReadCheckpointTotals();
  const auto by_result = [&](CheckpointResult result) {
    return checkpoints.by_result[static_cast<std::size_t>(result)];
  };
  HistoryTotals totals;
  HistoryCounters& counters = totals.counters;
  counters.commits = commits.commits;
  counters.frames_written = commits.frames_written;
  counters.commit_ns = commits.commit_ns;
  counters.stall_ns = commits.stall_ns;
  totals.commit_histogram = commits.histogram;
  for (const std::uint64_t count : checkpoints.by_mode) counters.checkpoints += count;
  counters.checkpoint_ns = checkpoints.total_ns;
  counters.checkpoint_frames = checkpoints.frames;
  counters.checkpoints_in_vain = by_result(CheckpointResult::kPartial) +
                                 by_result(CheckpointResult::kBusy) +
                                 by_result(CheckpointResult::kFailed);
  counters.statements = queries.calls;
  counters.slow_statements = queries.slow_calls;
  counters.transactions_upgraded = queries.upgraded;
  counters.upgrades_failed = queries.upgrades_failed;
  counters.cache_hits = queries.cache_hits;
  counters.cache_misses = queries.cache_misses;
  totals.query_histogram = std::move(queries.histogram);
  const LockWaits waits(control.space());
  control.space()->Follow();
  if (waits.is_made()) {
    LockTotals locks = waits.ReadTotals();
    counters.lock_waits = locks.counts.waits;
    counters.lock_wait_ns = locks.counts.wait_ns;
    counters.busy_errors = locks.counts.busy_errors;
    counters.snapshot_conflicts = locks.counts.snapshot_conflicts;
    totals.lock_wait_histogram = std::move(locks.histogram);
  }
  IoSyncs syncs = IoStatistics(control.space()).ReadAllSyncs();
  counters.syncs = syncs.syncs;
  counters.sync_ns = syncs.sync_ns;
  totals.sync_histogram = std::move(syncs.histogram);
  return totals;
}

HistoryGauges ReadGauges(Database& database, ControlFile& control) {
  HistoryGauges gauges;
  gauges.wal_bytes = database.MeasureWal();
  gauges.database_bytes = database.DatabaseBytes();
  if (const auto index = database.LastLook()) gauges.pending_frames = index->pending();
  if (const auto marks = database.FindReadMarks()) {
    gauges.active_readers = std::count(marks->held.begin(), marks->held.end(), true);
  }
  const auto connections = control.Connections();
  gauges.connections = std::count_if(
      connections.begin(), connections.end(),
      [](const ConnectionEntry& entry) { return entry.role == ConnectionRole::kApplication; });
  const std::uint64_t score = Get(control.region().engine().health_score);
  if (score != 0 && score <= 101) gauges.health_score = static_cast<std::int64_t>(score) - 1;
  return gauges;
}

}  // namespace

HealthWatch::HealthWatch(Database& database)
    : database_(database), observer_(SharedObserver::OfThisProcess()) {}

HealthWatch::~HealthWatch() = default;

std::vector<AlertEntry> HealthWatch::Tick(bool alerts) {
  if (busy_.test_and_set(std::memory_order_acquire)) return {};
  const auto done = [](std::atomic_flag* flag) { flag->clear(std::memory_order_release); };
  const std::unique_ptr<std::atomic_flag, decltype(done)> until_then(&busy_, done);
  const auto control = database_.control();
  const SettingValues values = database_.settings().Values();
  const std::int64_t sample_interval = values[Setting::kSampleIntervalMs];
  sample_interval_ns_ = static_cast<std::uint64_t>(sample_interval) * kMs;
  History history(control->space());
  // Reads the clock each time. A time from before a sample that another process takes meanwhile
  // would seem to be of another boot, and a sample would be due at once.
  const auto sample_due = [&] { return history.DueInNs(MonotonicNs(), sample_interval) == 0; };
  const auto alerts_due = [&] {
    return alerts && IsDue(Get(control->region().engine().evaluated_ns), MonotonicNs(),
                           static_cast<std::uint64_t>(values[Setting::kAlertIntervalMs]) * kMs);
  };
  if ((!sample_due() && !alerts_due()) || !control->TrySampler()) return {};
  const auto end = [](ControlFile* file) { file->EndSampler(); };
  const std::unique_ptr<ControlFile, decltype(end)> sampling(control.get(), end);
  // Another process may have taken it while this one asked.
  if (sample_due()) Sample(*control, sample_interval);
  if (!alerts_due()) return {};
  return EvaluateAlerts(*control, static_cast<int>(values[Setting::kAlertSamples]));
}

Result<std::vector<HealthObserver::Check>> HealthWatch::ReadChecks() {
  return observer_->Read(database_);
}

std::uint64_t HealthWatch::SampleDueInNs() const {
  const auto control = database_.control();
  const SettingValues values = database_.settings().Values();
  return History(control->space()).DueInNs(MonotonicNs(), values[Setting::kSampleIntervalMs]);
}

bool HealthWatch::HasSampledSince(std::uint64_t then_ns) const {
  const std::uint64_t now = MonotonicNs();
  const auto passed_ms = static_cast<std::int64_t>((now - std::min(now, then_ns)) / kMs);
  const auto control = database_.control();
  return History(control->space()).DueInNs(now, passed_ms) > 0;
}

bool HealthWatch::HasRoomForAlerts(std::uint64_t now_ns) const {
  return observer_->HasRoom(now_ns);
}

bool HealthWatch::SampledLately() const {
  constexpr std::int64_t kLatelyMs = 60'000;
  const auto control = database_.control();
  const auto last_ms = History(control->space()).last_ms();
  const std::int64_t now_ms = UnixMs();
  // A file that has just been made has the time of its making in this place.
  const auto made_ms =
      static_cast<std::int64_t>(Get(control->region().header().statistics_since_ms));
  return last_ms && *last_ms != made_ms && *last_ms <= now_ms && now_ms - *last_ms < kLatelyMs;
}

std::int64_t HealthWatch::ForgetHistory() {
  const auto control = database_.control();
  const std::uint64_t deadline = MonotonicNs() + 1000 * kMs;
  while (busy_.test_and_set(std::memory_order_acquire)) {
    if (MonotonicNs() > deadline) return 0;
    usleep(kRetryUs);
  }
  const auto done = [](std::atomic_flag* flag) { flag->clear(std::memory_order_release); };
  const std::unique_ptr<std::atomic_flag, decltype(done)> until_then(&busy_, done);
  while (!control->TrySampler()) {
    if (MonotonicNs() > deadline) return 0;
    usleep(kRetryUs);
  }
  const std::int64_t gone = History(control->space()).Reset();
  control->EndSampler();
  return gone;
}

void HealthWatch::Sample(ControlFile& control, std::int64_t interval_ms) {
  const QueryStatistics statistics(control.space());
  QueryTotals queries = statistics.ReadTotals();
  // Counters that are being moved are at neither place for a moment: read again.
  if (queries.calls < last_calls_) queries = statistics.ReadTotals();
  last_calls_ = queries.calls;
  // Both clocks are read together, after the counters, since reading these takes a while.
  const std::uint64_t now = MonotonicNs();
  const std::int64_t unix_ms = UnixMs();
  History(control.space())
      .Add(unix_ms, now, interval_ms, ReadTotals(control, std::move(queries)),
           ReadGauges(database_, control));
  control.WatchStatements(now);
}

std::vector<AlertEntry> HealthWatch::EvaluateAlerts(ControlFile& control, int raise_after) {
  layout::EngineState& engine = control.region().engine();
  const auto checks = observer_->ReadForAlerts(database_);
  Put(engine.evaluated_ns, MonotonicNs());
  if (!checks.ok()) return {};
  std::vector<Alerts::Reading> readings;
  for (const HealthObserver::Check& check : checks.value()) {
    if (check.name == "overall") {
      Put(engine.health_score, check.score ? static_cast<std::uint64_t>(*check.score) + 1 : 0);
      continue;
    }
    readings.push_back(
        {check.name, check.status, check.value, check.warning_at, check.critical_at, check.detail});
  }
  return Alerts(control.space()).Evaluate(readings, UnixMs(), raise_after);
}

}  // namespace walmanager
