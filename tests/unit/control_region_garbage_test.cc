// Whatever bytes the memory holds, what is read is in range, and writing works again.
#include <gtest/gtest.h>

#include <random>

#include "ext/core/connection_entry.h"
#include "ext/core/control_region.h"
#include "ext/core/query_statistics.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

// Everything that may be asked, of memory that may hold anything.
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
    EXPECT_GE(values.at(i), SettingSpecs()[i].minimum);
    EXPECT_LE(values.at(i), SettingSpecs()[i].maximum);
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
void ExpectStatementsInRange(layout::ControlFile* file) {
  QueryStatistics statistics(file);
  for (const QueryRow& row : statistics.Read(true)) {
    EXPECT_LT(row.text.size(), sizeof(layout::QueryEntry::text));
    EXPECT_LT(row.plan.size(), sizeof(layout::QueryEntry::plan));
    EXPECT_STRNE(QueryKindName(row.kind), "");
    EXPECT_EQ(row.totals.histogram.size(), StatementScale::kBuckets);
  }
  for (const layout::ConnectionSlab& slab : file->slabs) {
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
    for (std::size_t i = 0; i < layout::kFileBytes / 8; ++i) words[i] = random();
    UseAll(block.region);
    ExpectStatementsInRange(block.file);
  }
  for (const int byte : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
    std::memset(block.memory.get(), byte, layout::kFileBytes);
    UseAll(block.region);
    ExpectStatementsInRange(block.file);
  }
}

// Small words are more often taken for something than whole random ones.
TEST(ControlRegionGarbage, SmallNumbersAllOver) {
  Block block;
  auto* words = static_cast<std::uint64_t*>(block.memory.get());
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < layout::kFileBytes / 8; ++i) {
      const std::uint64_t word = random();
      words[i] = word % 3 == 0 ? word % 6 : word % 3 == 1 ? 0x4141414141414141u : ~(word % 4);
    }
    UseAll(block.region);
    ExpectStatementsInRange(block.file);
  }
}

TEST(ControlRegionGarbage, InAGoodFile) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    MadeBlock block;
    ASSERT_TRUE(block.region.WriteSettings(FullSettings()).ok());
    block.region.header().slabs_used = 2;
    block.region.RecordCommit(0, {5, 1'000, 1});
    block.region.RecordCheckpoint(EntryOf(1), 1);
    std::mt19937_64 random(seed);
    auto* bytes = static_cast<unsigned char*>(block.memory.get());
    const auto* settings = reinterpret_cast<unsigned char*>(&block.file->settings[1]);
    for (int i = 0; i < 2'000; ++i) {
      // Half of it where the settings in force and their first rules are.
      const std::size_t start = i % 2 == 0 ? 0 : static_cast<std::size_t>(settings - bytes);
      const std::size_t range = i % 2 == 0 ? layout::kFileBytes : sizeof(layout::SettingsBlock);
      bytes[start + random() % range] = static_cast<unsigned char>(random());
    }
    UseAll(block.region);
    ExpectStatementsInRange(block.file);
  }
}

}  // namespace
}  // namespace walmanager
