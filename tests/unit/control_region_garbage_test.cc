// With any bytes in the memory, values read are in range, and writing works again.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "ext/core/control/alerts.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/control_region.h"
#include "ext/core/control/history.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

// Reads everything, from memory that may hold anything.
void ExpectInRange(ControlRegion& region) {
  (void)region.Check(kIdentity);
  const auto settings = region.ReadSettings();
  ASSERT_TRUE(settings.has_value());
  EXPECT_LE(settings->settings.size(), layout::kSettings);
  EXPECT_LE(settings->rules.size(), layout::kRules);
  EXPECT_FALSE(settings->RulesOf(settings->strategy).empty());
  for (const StoredSetting& setting : settings->settings) {
    EXPECT_LT(setting.name.size(), sizeof(layout::SettingEntry::name));
    EXPECT_LT(setting.changed_by.size(), sizeof(layout::SettingEntry::changed_by));
  }
  for (const Rule& rule : settings->rules) {
    EXPECT_TRUE(CheckRule(rule).ok());
    EXPECT_LE(rule.strategy.size(), kMaxNameBytes);
    EXPECT_STRNE(ModeName(rule.mode), "");
    EXPECT_STRNE(RunsName(rule.runs), "");
    EXPECT_FALSE(rule.builtin);
  }
  const SettingValues values = settings->Values();
  for (std::size_t i = 0; i < kSettingCount; ++i) {
    EXPECT_TRUE(IsInRange(SettingSpecs()[i], values.at(i)));
  }
  const CommitTotals commits = region.ReadCommits(true);
  EXPECT_EQ(commits.histogram.size(), DurationScale::kBuckets);
  const CheckpointTotals checkpoints = region.ReadCheckpointTotals();
  EXPECT_EQ(checkpoints.histogram.size(), DurationScale::kBuckets);
  EXPECT_STRNE(ModeName(checkpoints.last_mode.value_or(CheckpointMode::kPassive)), "");
  const auto log = region.ReadCheckpointLog();
  EXPECT_LE(log.size(), kRing);
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_GE(log[i == 0 ? 0 : i - 1].id, log[i].id);
    EXPECT_NE(log[i].id, 0u);
    EXPECT_STRNE(ModeName(log[i].mode), "");
    EXPECT_STRNE(OriginName(log[i].origin), "");
    EXPECT_STRNE(ResultName(log[i].result), "");
    EXPECT_GE(log[i].wal_frames.value_or(0), 0);
    EXPECT_GE(log[i].blocked_by_pid.value_or(0), 0);
    EXPECT_LT(log[i].error.size(), sizeof(layout::CheckpointRecord::error));
  }
  for (std::size_t i = 0; i < layout::kRules + 1; ++i) (void)region.ReadFired(i % 2 == 0, i);
}

// The same of statements and connections.
void ExpectStatementsInRange(ControlSpace* space) {
  QueryStatistics statistics(space);
  for (const QueryRow& row : statistics.Read(true)) {
    EXPECT_LT(row.text.size(), sizeof(layout::QueryEntry::text));
    EXPECT_LT(row.plan.size(), sizeof(layout::QueryEntry::plan));
    EXPECT_STRNE(QueryKindName(row.kind), "");
    EXPECT_EQ(row.totals.histogram.size(), StatementScale::kBuckets);
  }
  for (const layout::ConnectionSlab& slab : space->file()->slabs) {
    const ConnectionEntry entry = ReadConnection(slab);
    EXPECT_STRNE(RoleName(entry.role), "");
    EXPECT_STRNE(TransactionStateName(entry.transaction), "");
    EXPECT_STRNE(TraceStateName(entry.trace), "");
    EXPECT_LT(entry.application.size(), sizeof(layout::ConnectionInfo::application));
  }
  const NormalizedQuery query = Normalize("SELECT 1", 100);
  if (const auto entry = statistics.FindOrMake(query, 1, 100)) {
    ASSERT_LT(*entry, layout::kQueries);
    statistics.Add(*entry, Execution());
    if (layout::HotQuery* hot = statistics.ClaimHot(3, *entry, query.id)) {
      statistics.Add(*hot, Execution());
    }
  }
  for (std::size_t slab = 0; slab <= layout::kConnections; ++slab) statistics.ReleaseHot(slab);
  (void)statistics.Reset();
  EXPECT_TRUE(statistics.Read(true).empty());
}

void ExpectInRange(const HistorySample& sample) {
  EXPECT_GE(sample.covers_ms, 0);
  EXPECT_GE(sample.samples, 0);
  for (const auto& histogram : {sample.commit_histogram, sample.query_histogram,
                                sample.lock_wait_histogram, sample.sync_histogram}) {
    EXPECT_TRUE(histogram.empty() || histogram.size() == HistoryScale::kBuckets);
  }
  EXPECT_GE(HistogramQuantile<HistoryScale>(sample.query_histogram, 0.99).value_or(0), 0);
  for (const auto& gauge : {sample.wal_bytes, sample.health_score}) {
    if (!gauge) continue;
    EXPECT_GE(gauge->mean, 0);
    EXPECT_GE(gauge->extreme, 0);
    EXPECT_GE(gauge->last, 0);
  }
}

// The same of the history; a sample can be taken, and all can be forgotten.
void ExpectHistoryInRange(ControlSpace* space) {
  constexpr std::int64_t kEnd = std::int64_t{1} << 62;
  History history(space);
  HistoryTotals totals;
  totals.commit_histogram.assign(DurationScale::kBuckets, 3);
  totals.query_histogram.assign(StatementScale::kBuckets, 3);
  for (const std::int64_t now_ms : {1'000, 1'000'000'000}) {
    const auto samples = history.Read();
    EXPECT_LE(samples.size(),
              layout::kHistorySamples + layout::kHistoryMinutes + layout::kHistoryHours);
    for (const HistorySample& sample : samples) ExpectInRange(sample);
    if (const auto merged = history.Merge(-kEnd, kEnd)) ExpectInRange(*merged);
    (void)history.last_ms();
    EXPECT_LE(history.DueInNs(5, 1000), 1'000'000'000u);
    history.Add(now_ms, 5, 1000, totals, {.wal_bytes = 4096});
    ASSERT_FALSE(history.Read().empty());
    EXPECT_EQ(history.Read().back().at_ms, now_ms);
    EXPECT_EQ(history.last_ms(), now_ms);
  }
  history.ForgetMonotonicTime();
  EXPECT_GE(history.Reset(), 1);
  EXPECT_TRUE(history.Read().empty());
  EXPECT_FALSE(history.Merge(-kEnd, kEnd).has_value());
}

// The same of alerts.
void ExpectAlertsInRange(ControlSpace* space) {
  Alerts alerts(space);
  const auto expect_in_range = [&] {
    const auto read = alerts.Read();
    EXPECT_LE(read.size(), layout::kAlerts);
    for (std::size_t i = 0; i < read.size(); ++i) {
      EXPECT_TRUE(i == 0 || read[i].id < read[i - 1].id);
      EXPECT_STRNE(AlertStatusName(read[i].status), "");
      EXPECT_LT(read[i].check.size(), sizeof(layout::AlertRecord::check_name));
      EXPECT_LT(read[i].detail.size(), sizeof(layout::AlertRecord::detail));
      EXPECT_TRUE(std::isfinite(read[i].value.value_or(0)));
      EXPECT_TRUE(std::isfinite(read[i].threshold.value_or(0)));
      EXPECT_GE(read[i].cleared_ms.value_or(read[i].raised_ms), read[i].raised_ms);
    }
  };
  expect_in_range();
  const std::string name = Text(space->file()->alerts.watched[0].name);
  const Alerts::Reading readings[] = {{"a", CheckStatus::kCritical, 5, 1, 2, "bad"},
                                      {name, CheckStatus::kOk, 0, 1, 2, "good"}};
  alerts.RecordChange("setting", "by ann", 1);
  for (int i = 0; i < 10; ++i) EXPECT_LE(alerts.Evaluate(readings, i + 1, 2).size(), 2u);
  expect_in_range();
  (void)alerts.Reset();
  EXPECT_TRUE(alerts.Read().empty());
  alerts.StartOver();
  (void)alerts.Evaluate(readings, 1, 1);
  expect_in_range();
}

void UseAll(ControlRegion& region) {
  ExpectInRange(region);
  bool reset = false;
  EXPECT_LE(region.AdvanceLog(1, 50, &reset), 50u);
  region.RecordCommit(0, {5, 1'000, 1});
  region.RecordCommit(kShared, {5, ~std::uint64_t{0}, 1});
  region.RecordCheckpoint(EntryOf(1), 1);
  region.CountFired(true, 0, 1);
  region.RaiseWalBytesMax(5);
  ExpectInRange(region);
  StoredSettings settings = FullSettings();
  ASSERT_TRUE(region.WriteSettings(settings).ok());
  ExpectEqual(*region.ReadSettings(), settings);
  (void)region.ResetWalStatistics(1, 1);
  EXPECT_EQ(region.ReadCheckpointTotals().total_ns, 0u);
}

TEST(ControlRegionGarbage, AWholeBlockOfIt) {
  Block block;
  auto* words = static_cast<std::uint64_t*>(block.memory.get());
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < sizeof(layout::ControlFile) / 8; ++i) words[i] = random();
    UseAll(block.region);
    ExpectStatementsInRange(&block.space);
    ExpectHistoryInRange(&block.space);
    ExpectAlertsInRange(&block.space);
  }
  for (const int byte : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
    std::memset(block.memory.get(), byte, sizeof(layout::ControlFile));
    UseAll(block.region);
    ExpectStatementsInRange(&block.space);
    ExpectHistoryInRange(&block.space);
    ExpectAlertsInRange(&block.space);
  }
}

// Small words are more often taken for something than whole random ones.
TEST(ControlRegionGarbage, SmallNumbersAllOver) {
  Block block;
  auto* words = static_cast<std::uint64_t*>(block.memory.get());
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < sizeof(layout::ControlFile) / 8; ++i) {
      const std::uint64_t word = random();
      words[i] = word % 3 == 0 ? word % 6 : word % 3 == 1 ? 0x4141414141414141u : ~(word % 4);
    }
    UseAll(block.region);
    ExpectStatementsInRange(&block.space);
    ExpectHistoryInRange(&block.space);
    ExpectAlertsInRange(&block.space);
  }
}

TEST(ControlRegionGarbage, InAGoodFile) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    MadeBlock block;
    ASSERT_TRUE(block.region.WriteSettings(FullSettings()).ok());
    block.region.header().slabs_used = 2;
    block.region.RecordCommit(0, {5, 1'000, 1});
    block.region.RecordCheckpoint(EntryOf(1), 1);
    for (int i = 0; i < 4; ++i) {
      History(&block.space).Add(i * 4'000'000, static_cast<std::uint64_t>(i), 1000, {}, {});
    }
    const Alerts::Reading bad[] = {{"a", CheckStatus::kWarning, 1, 1, 2, ""}};
    (void)Alerts(&block.space).Evaluate(bad, 1, 1);
    std::mt19937_64 random(seed);
    auto* bytes = static_cast<unsigned char*>(block.memory.get());
    const auto patch = [&](const void* start, std::size_t range) {
      const auto place = static_cast<std::size_t>(static_cast<const unsigned char*>(start) - bytes);
      bytes[place + random() % range] = static_cast<unsigned char>(random());
    };
    for (int i = 0; i < 1'000; ++i) {
      patch(bytes, sizeof(layout::ControlFile));
      // As often where the settings in force and their first rules are.
      patch(&block.file->settings[1], sizeof(layout::SettingsBlock));
      patch(&block.file->alerts, 2048);
    }
    for (int i = 0; i < 100; ++i) {
      patch(&block.file->history.states, sizeof block.file->history.states);
      patch(&block.file->hours, 4 * sizeof(layout::HistorySlot));
    }
    UseAll(block.region);
    ExpectStatementsInRange(&block.space);
    ExpectHistoryInRange(&block.space);
    ExpectAlertsInRange(&block.space);
  }
}

}  // namespace
}  // namespace walmanager
