// Whatever bytes the memory holds, what is read is in range, and writing works again.
#include <gtest/gtest.h>

#include <random>

#include "ext/core/control_region.h"
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
  }
  for (const int byte : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
    std::memset(block.memory.get(), byte, layout::kFileBytes);
    UseAll(block.region);
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
  }
}

}  // namespace
}  // namespace walmanager
