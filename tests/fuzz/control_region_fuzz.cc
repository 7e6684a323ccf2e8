// Any bytes in a control file: readers stay in range, and what writers write can be read again.
//
// The input is a list of patches to a good file: a place (8 bytes), a length (1) and the bytes.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "ext/core/base/time_text.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/cancel_requests.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/control_region.h"
#include "ext/core/control/evidence.h"
#include "ext/core/control/held_locks.h"
#include "ext/core/control/history.h"
#include "ext/core/control/io_statistics.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_statistics.h"

namespace {

using walmanager::Alerts;
using walmanager::CheckStatus;
using walmanager::ControlRegion;
using walmanager::History;
using walmanager::QueryStatistics;
namespace layout = walmanager::layout;

void Require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::size_t kBytes = sizeof(layout::ControlFile);

void* NewMemory() {
  void* const memory = std::aligned_alloc(alignof(layout::ControlFile), kBytes);
  return std::memset(memory, 0, kBytes);
}

walmanager::WholeControlSpace& Space() {
  static walmanager::WholeControlSpace space(static_cast<layout::ControlFile*>(NewMemory()));
  return space;
}

walmanager::HistoryTotals TotalsAt(std::int64_t n) {
  walmanager::HistoryTotals totals;
  totals.counters.commits = static_cast<std::uint64_t>(n);
  totals.commit_histogram.assign(walmanager::DurationScale::kBuckets,
                                 static_cast<std::uint64_t>(n));
  totals.query_histogram.assign(walmanager::StatementScale::kBuckets, 0);
  return totals;
}
walmanager::LockWait WaitOf(std::uint64_t query) {
  walmanager::LockWait wait;
  wait.at_ms = wait.pid = 1;
  wait.query_id = query;
  wait.outcome = walmanager::LockOutcome::kBusy;
  wait.waited_ns = 5'000;
  wait.application = wait.holder.process = "words";
  return wait;
}
const Alerts::Reading kReadings[] = {
    {"higher", CheckStatus::kCritical, 5, 1, 2, "too much"},
    {"lower", CheckStatus::kWarning, 1, 2, 0.5, "too little"},
    {"fine", CheckStatus::kOk, {}, {}, {}, ""},
};

// A good file, made once and copied from.
const void* GoodFile() {
  static const void* const good = [] {
    void* memory = NewMemory();
    walmanager::WholeControlSpace space(static_cast<layout::ControlFile*>(memory));
    ControlRegion region(&space);
    region.Initialize({{7, 42, 0, 0}, "boot"}, 1, 2);
    walmanager::StoredSettings settings;
    settings.Set(walmanager::SettingSpecs()[1], 64, {"ann", 1});
    walmanager::Rule rule;
    rule.strategy = rule.name = "mine";
    rule.condition = "1";
    settings.rules = {rule, rule};
    settings.strategy = "mine";
    (void)region.WriteSettings(settings);
    region.header().slabs_used = 2;
    region.RecordCommit(0, {5, 1'000, 1});
    for (int i = 0; i < 3; ++i) region.RecordCheckpoint({}, 1);
    QueryStatistics statistics(&space);
    for (const char* sql : {"SELECT 1", "SELECT a FROM t", "COMMIT"}) {
      const auto query = walmanager::Normalize(sql, 100);
      const auto entry = statistics.FindOrMake(query, 1, 1000);
      walmanager::Execution execution;
      execution.duration_ns = 5'000;
      statistics.Add(*entry, execution);
      statistics.Add(*statistics.ClaimHot(0, *entry, query.id), execution);
      statistics.SetPlan(*entry, query.id, "SCAN t", 1);
    }
    walmanager::LockWaits waits(&space);
    for (int i = 0; i < 3; ++i) waits.Add(WaitOf(7), true);
    waits.AddToQuery(0, 9, walmanager::CountsOf(WaitOf(9)));
    (void)walmanager::CancelRequests(space.file()->cancels).Ask({1, 2, 3, 4, 5}, 6, 7, 8);
    walmanager::KeepBackup(space.file()->evidence, {1, 2, "b"});
    History history(&space);
    for (std::int64_t i = 0; i < 4; ++i) {
      history.Add(i * 2'000'000, static_cast<std::uint64_t>(i), 1000, TotalsAt(i),
                  {.wal_bytes = i});
    }
    Alerts alerts(&space);
    alerts.RecordChange("setting", "ann", 1);
    for (int i = 0; i < 3; ++i) (void)alerts.Evaluate(kReadings, i, 2);
    return memory;
  }();
  return good;
}

// The parts that are looked into one by one; places are offsets into them, so that inputs are
// short.
void Patch(layout::ControlFile* file, std::uint64_t place, const std::uint8_t* data,
           std::size_t size) {
  struct Part {
    void* start;
    std::size_t bytes;
  };
  const Part parts[] = {
      {&file->header, sizeof file->header},
      {&file->settings[1], 2048},  // the copy in force: its head and first settings
      {&file->settings[1].rules, 2 * sizeof(layout::RuleEntry)},
      {&file->rules, sizeof file->rules},
      {&file->checkpoints, sizeof file->checkpoints},
      {&file->ring, 2048},
      {&file->slabs[0], sizeof file->slabs[0]},
      {&file->queries.ids, sizeof file->queries.ids},
      {&file->queries.entries[0], sizeof(layout::QueryEntry)},
      {&file->hot[0], sizeof file->hot[0]},
      {&file->history, sizeof file->history.generation + sizeof file->history.states},
      {&file->samples, 6 * sizeof(layout::HistorySlot)},
      {&file->minutes, 6 * sizeof(layout::HistorySlot)},
      {&file->hours, 6 * sizeof(layout::HistorySlot)},
      {&file->alerts, 16 + 3 * sizeof(layout::WatchedCheck)},
      {&file->alerts.slots, 4 * sizeof(layout::AlertSlot)},
      {&file->evidence, sizeof file->evidence},
      {&file->cancels, sizeof file->cancels},
      {&file->lock_waits, offsetof(layout::LockWaits, slots) + 4 * sizeof(layout::LockWaitSlot)},
      {&file->lock_waits.evicted, 2 * sizeof(layout::QueryLocks)},
      {&file->io, sizeof file->io},
      {&file->more_traffic, sizeof file->more_traffic},
      {file, kBytes},
  };
  constexpr std::size_t kParts = std::size(parts);
  const Part& part = parts[place % kParts];
  const std::size_t offset = (place / kParts) % part.bytes;
  std::memcpy(static_cast<char*>(part.start) + offset, data, std::min(size, part.bytes - offset));
}

void ReadStatements(walmanager::ControlSpace* space) {
  QueryStatistics statistics(space);
  for (const auto& row : statistics.Read(true)) {
    Require(row.text.size() < sizeof(layout::QueryEntry::text));
    Require(row.plan.size() < sizeof(layout::QueryEntry::plan));
    Require(walmanager::QueryKindName(row.kind)[0] != 0);
    Require(row.totals.histogram.size() == walmanager::StatementScale::kBuckets);
    Require(walmanager::UtcText(row.totals.last_seen_ms).size() == 23);
  }
  const auto connection = walmanager::ReadConnection(space->slab(0));
  Require(walmanager::RoleName(connection.role)[0] != 0);
  Require(walmanager::TransactionStateName(connection.transaction)[0] != 0);
  Require(walmanager::TraceStateName(connection.trace)[0] != 0);
  Require(connection.application.size() < sizeof(layout::ConnectionInfo::application));
}

void UseStatements(walmanager::ControlSpace* space) {
  QueryStatistics statistics(space);
  walmanager::Execution execution;
  execution.duration_ns = 7'000;
  for (const char* sql : {"SELECT 1", "SELECT b FROM t"}) {
    const auto query = walmanager::Normalize(sql, 100);
    if (const auto entry = statistics.FindOrMake(query, 2, 10)) {
      Require(*entry < layout::kQueries);
      statistics.Add(*entry, execution);
      if (auto* hot = statistics.ClaimHot(0, *entry, query.id)) statistics.Add(*hot, execution);
      statistics.TakeBack(nullptr, *entry, execution);
    }
  }
  statistics.ReleaseHot(0);
  (void)statistics.Reset();
  Require(statistics.Read(true).empty());
}

void RequireInRange(const walmanager::HistorySample& sample) {
  Require(sample.covers_ms >= 0 && sample.resolution_ms >= 0 && sample.samples >= 0);
  Require(walmanager::UtcText(sample.at_ms).size() == 23);
  Require(!sample.health_score ||
          (sample.health_score->mean >= 0 && sample.health_score->last >= 0));
  using walmanager::HistoryScale;
  for (const auto& histogram : {sample.commit_histogram, sample.query_histogram,
                                sample.lock_wait_histogram, sample.sync_histogram}) {
    Require(histogram.empty() || histogram.size() == HistoryScale::kBuckets);
    const auto p99 = walmanager::HistogramQuantile<HistoryScale>(histogram, 0.99);
    Require(!p99 || (*p99 >= 0 && *p99 < 4.3e9));
  }
}

void UseHistory(walmanager::ControlSpace* space) {
  History history(space);
  constexpr std::int64_t kEnd = std::int64_t{1} << 60;
  for (const std::int64_t now_ms : {std::int64_t{0}, std::int64_t{9'000'000}, kEnd}) {
    const auto samples = history.Read();
    Require(samples.size() <=
            layout::kHistorySamples + layout::kHistoryMinutes + layout::kHistoryHours);
    for (const auto& sample : samples) RequireInRange(sample);
    if (const auto merged = history.Merge(now_ms - 5'000'000, now_ms)) RequireInRange(*merged);
    if (const auto merged = history.Merge(-kEnd, kEnd)) RequireInRange(*merged);
    Require(history.DueInNs(7, 1000) <= 1'000'000'000);
    history.Add(now_ms, 7, 1000, TotalsAt(now_ms), {.health_score = 100});
    Require(history.last_ms() == now_ms);
    Require(!history.Read().empty());
  }
  (void)history.Reset();
  Require(history.Read().empty() && !history.Merge(-kEnd, kEnd) && !history.last_ms());
}

void ReadAlerts(const Alerts& alerts) {
  const auto read = alerts.Read();
  Require(read.size() <= layout::kAlerts);
  for (const auto& alert : read) {
    Require(walmanager::AlertStatusName(alert.status)[0] != 0);
    Require(alert.check.size() < sizeof(layout::AlertRecord::check_name));
    Require(alert.detail.size() < sizeof(layout::AlertRecord::detail));
    Require(std::isfinite(alert.value.value_or(0)) && std::isfinite(alert.threshold.value_or(0)));
    Require(alert.cleared_ms.value_or(alert.raised_ms) >= alert.raised_ms);
    Require(walmanager::UtcText(alert.raised_ms).size() == 23);
  }
}

void UseAlerts(walmanager::ControlSpace* space) {
  Alerts alerts(space);
  ReadAlerts(alerts);
  alerts.RecordChange("setting", "bob", 2);
  for (int i = 0; i < 6; ++i) Require(alerts.Evaluate(kReadings, i + 5, 2).size() <= 3);
  for (int i = 0; i < 4; ++i) Require(alerts.Evaluate({}, i + 15, 2).empty());
  for (const auto& words : space->file()->alerts.watched) Require(words.name[0] == 0);
  ReadAlerts(alerts);
  (void)alerts.Reset();
  Require(alerts.Read().empty());
}

void UseIo(walmanager::ControlSpace* space) {
  using walmanager::IoFile;
  using walmanager::IoOrigin;
  walmanager::IoStatistics statistics(space);
  for (const std::size_t slab : {std::size_t{0}, layout::kFirstConnections, layout::kConnections}) {
    walmanager::IoPlace place(space, slab);
    place.Read(IoFile::kDatabase, 4096, 1000);
    place.Write(IoFile::kLog, 24, 500);
    place.Sync(IoFile::kLog, ~std::uint64_t{0});
    place.Failed(IoFile::kSharedMemory, 10, 5, 1);
  }
  for (const IoOrigin origin : {IoOrigin::kApplication, IoOrigin::kWalmanager}) {
    for (const IoFile file : {IoFile::kDatabase, IoFile::kLog}) {
      (void)statistics.ReadTraffic(origin, file);
      const auto syncs = statistics.ReadSyncs(origin, file);
      Require(syncs.histogram.size() == walmanager::HistoryWaitScale::kBuckets);
      const auto p99 =
          walmanager::HistogramQuantile<walmanager::HistoryWaitScale>(syncs.histogram, 0.99);
      Require(!p99 || (*p99 >= 0 && *p99 < 6.9e10));
    }
    const auto errors = statistics.ReadErrors(origin, IoFile::kSharedMemory);
    Require(walmanager::UtcText(errors.last_ms).size() == 23);
  }
  statistics.MoveTraffic(0, statistics, layout::kFirstConnections);
  statistics.Reset();
  Require(statistics.ReadSyncs(IoOrigin::kApplication, IoFile::kLog).syncs == 0);
}

void UseLockWaits(walmanager::ControlSpace* space) {
  walmanager::LockWaits waits(space);
  waits.Add(WaitOf(8), true);
  waits.AddToQuery(1, 9, walmanager::CountsOf(WaitOf(9)));
  const auto read = waits.ReadWaits();
  Require(read.size() <= layout::kLockWaitRecords);
  for (const auto& wait : read) {
    Require(walmanager::LockKindName(wait.lock)[0] != 0);
    Require(walmanager::LockOutcomeName(wait.outcome)[0] != 0);
    (void)walmanager::HolderStateName(wait.holder.state);
    Require(wait.application.size() <= sizeof(layout::LockWaitRecord::application));
    Require(wait.holder.process.size() <= sizeof(layout::LockWaitRecord::holder_process));
    Require(walmanager::UtcText(wait.at_ms).size() == 23);
  }
  Require(waits.ReadTotals().histogram.size() == walmanager::DurationScale::kBuckets);
  (void)waits.OfEvicted([](std::size_t place, std::uint64_t) { return place == 0; });
  const layout::ConnectionInfo& info = space->slab(0).info;
  const walmanager::HeldLocks held(info.locks.load(std::memory_order_relaxed), 1);
  const auto holder = walmanager::ReadLockHolder(info, held, walmanager::LockKind::kWrite);
  Require(holder.application.size() < sizeof(layout::ConnectionInfo::application));
  (void)waits.TakeQuery(1, 9);
  waits.Reset();
  Require(waits.ReadWaits().empty() && !waits.ReadTotals().counts.any());
}

void UseCancels(walmanager::ControlSpace* space) {
  walmanager::CancelRequests cancels(space->file()->cancels);
  for (const auto& asked : cancels.AskedOf(1, 7)) {
    Require(asked.ticket.place < layout::kCancelRequests);
    (void)cancels.SetAnswer(asked.ticket, walmanager::CancelAnswer::kInterrupted);
  }
  // Places whose callers gave up long ago are free.
  if (const auto ticket = cancels.Ask({1, 2, 3, 4, 5}, 11, ~std::uint64_t{0} >> 1, 1)) {
    Require(ticket->place < layout::kCancelRequests);
    Require(cancels.Answer(*ticket) == walmanager::CancelAnswer::kNone);
    Require(cancels.End(*ticket) == walmanager::CancelAnswer::kNone);
  }
}

void ReadEvidence(const layout::Evidence& evidence) {
  if (const auto integrity = walmanager::ReadIntegrity(evidence)) {
    Require(integrity->first.size() <= sizeof evidence.integrity_first);
    Require(walmanager::UtcText(integrity->at_ms).size() == 23);
  }
  if (const auto backup = walmanager::ReadBackup(evidence)) {
    Require(backup->path.size() <= sizeof evidence.backup_path);
    Require(walmanager::UtcText(backup->at_ms).size() == 23);
  }
  (void)walmanager::ReadStorage(evidence);
  (void)walmanager::ReadLayout(evidence);
  // Clocks may differ by a second.
  Require(walmanager::LastAttachedMs(evidence, 5) <= 1005);
}

void Read(ControlRegion& region) {
  (void)region.Check({{7, 42, 0, 0}, "boot"});
  const auto settings = region.ReadSettings();
  Require(settings.has_value());
  Require(settings->settings.size() <= layout::kSettings);
  Require(settings->rules.size() <= layout::kRules);
  Require(!settings->RulesOf(settings->strategy).empty());
  for (const auto& rule : settings->rules) Require(walmanager::CheckRule(rule).ok());
  const auto values = settings->Values();
  for (std::size_t i = 0; i < walmanager::kSettingCount; ++i) {
    Require(walmanager::IsInRange(walmanager::SettingSpecs()[i], values.at(i)));
  }
  const auto commits = region.ReadCommits(true);
  const auto median =
      walmanager::HistogramQuantile<walmanager::DurationScale>(commits.histogram, 0.5);
  Require(!median || (*median >= 0 && *median < 1.2e12));
  const auto totals = region.ReadCheckpointTotals();
  Require(!totals.last_mode || walmanager::ModeName(*totals.last_mode)[0] != 0);
  const auto log = region.ReadCheckpointLog();
  Require(log.size() <= layout::kCheckpointRecords);
  for (const auto& entry : log) {
    Require(walmanager::ModeName(entry.mode)[0] != 0);
    Require(walmanager::OriginName(entry.origin)[0] != 0);
    Require(walmanager::ResultName(entry.result)[0] != 0);
    Require(entry.wal_frames.value_or(0) >= 0);
    Require(walmanager::UtcText(entry.at_ms).size() == 23);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  layout::ControlFile* file = Space().file();
  std::memcpy(static_cast<void*>(file), GoodFile(), kBytes);
  while (size >= 9) {
    std::uint64_t place = 0;
    std::memcpy(&place, data, sizeof place);
    const std::size_t length = std::min<std::size_t>(data[8], size - 9);
    Patch(file, place, data + 9, length);
    data += 9 + length;
    size -= 9 + length;
  }
  ControlRegion region(&Space());
  Read(region);
  bool reset = false;
  Require(region.AdvanceLog(1, 50, &reset) <= 50);
  region.RecordCommit(0, {5, 1'000, 1});
  region.RecordCommit(layout::kConnections, {5, 1'000, 1});
  region.RecordCheckpoint({}, 1);
  region.CountFired(false, 1, 1);
  walmanager::StoredSettings settings;
  settings.strategy = "off";
  Require(region.WriteSettings(settings).ok());
  Require(region.ReadSettings()->strategy == "off");
  Read(region);
  ReadStatements(&Space());
  UseStatements(&Space());
  UseHistory(&Space());
  UseAlerts(&Space());
  UseIo(&Space());
  UseLockWaits(&Space());
  UseCancels(&Space());
  ReadEvidence(file->evidence);
  (void)region.ResetWalStatistics(1, 1);
  Require(region.ReadCheckpointTotals().total_ns == 0);
  return 0;
}
