// Whether a block of memory is a control file, and of which database; each rule has its own counts.
#include "ext/core/control/control_region.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

using Fit = ControlRegion::Fit;

TEST(ControlRegion, ANewFileFits) {
  const MadeBlock block;
  EXPECT_EQ(block.region.Check(kIdentity), Fit::kFits);
  const auto settings = block.region.ReadSettings();
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->generation, 0u);
  EXPECT_EQ(settings->strategy, kDefaultStrategy);
  EXPECT_TRUE(settings->settings.empty());
  EXPECT_TRUE(settings->rules.empty());
  EXPECT_EQ(settings->strategy_changed.at_ms, 0);
  EXPECT_EQ(block.region.ReadCommits(true).commits, 0u);
  EXPECT_TRUE(block.region.ReadCheckpointLog().empty());
  EXPECT_EQ(block.region.header().statistics_since_ms.load(), 1'000u);
  EXPECT_EQ(block.region.header().last_checkpoint_ns.load(), 2'000u);
}

TEST(ControlRegion, EachReasonWhyAFileDoesNotFit) {
  EXPECT_EQ(Block().region.Check(kIdentity), Fit::kUnfinished) << "zeros";
  const auto check = [](const std::function<void(layout::ControlFile&)>& change) {
    MadeBlock block;
    change(*block.file);
    return block.region.Check(kIdentity);
  };
  EXPECT_EQ(check([](auto& f) { f.header.ready = 0; }), Fit::kUnfinished);
  EXPECT_EQ(check([](auto& f) { f.header.ready = 2; }), Fit::kUnfinished);
  EXPECT_EQ(check([](auto& f) {
              f.header.ready = 0;
              f.header.magic[0] = 'S';
            }),
            Fit::kForeign);
  EXPECT_EQ(check([](auto& f) { f.header.magic[15] = '!'; }), Fit::kForeign);
  EXPECT_EQ(check([](auto& f) { std::memset(f.header.magic, 0, sizeof f.header.magic); }),
            Fit::kForeign);
  EXPECT_EQ(check([](auto& f) { ++f.header.layout_number; }), Fit::kOtherLayout);
  EXPECT_EQ(check([](auto& f) { f.header.file_bytes -= 4096; }), Fit::kFits);  // see Repair
  EXPECT_EQ(check([](auto& f) { ++f.header.database_device; }), Fit::kOtherDatabase);
  EXPECT_EQ(check([](auto& f) { ++f.header.database_inode; }), Fit::kOtherDatabase);
  EXPECT_EQ(check([](auto& f) { ++f.header.database_birth_ns; }), Fit::kOtherDatabase)
      << "made anew, with the number of the one before";
  EXPECT_EQ(check([](auto& f) { ++f.header.database_handle; }), Fit::kOtherDatabase);
  EXPECT_EQ(check([](auto& f) { f.header.database_birth_ns = f.header.database_handle = 0; }),
            Fit::kFits)
      << "an unknown word is not compared";
  EXPECT_EQ(check([](auto& f) { f.header.boot_id[0] = 'x'; }), Fit::kOtherBoot);
  EXPECT_EQ(check([](auto& f) { std::memset(f.header.boot_id, 'b', sizeof f.header.boot_id); }),
            Fit::kOtherBoot)
      << "a text without its end";
}

// A process that was alone with such a file took it as it was, and every second one stayed private.
TEST(ControlRegion, BugAWrongSizeInTheHeaderStayed) {
  MadeBlock block;
  block.file->header.file_bytes = 99;
  block.region.header().last_commit_ns = 20'000;
  block.region.header().last_checkpoint_ns = 20'000;
  block.region.Repair(10'000);
  EXPECT_EQ(block.file->header.file_bytes, layout::kFirstBytes);
  EXPECT_EQ(block.region.header().last_commit_ns.load(), 0u) << "yet to come";
  EXPECT_EQ(block.region.header().last_checkpoint_ns.load(), 10'000u);
  block.region.header().last_commit_ns = 9'000;
  block.region.Repair(10'000);
  EXPECT_EQ(block.region.header().last_commit_ns.load(), 9'000u);
}

TEST(ControlRegion, AfterAnotherBootTimesAreVoidAndCountsStay) {
  MadeBlock block;
  block.region.RecordCommit(0, {3, 1'000, 0});
  block.region.header().slabs_used = 1;
  block.region.header().last_commit_ns = 5'000;
  const ControlRegion::Identity rebooted{kIdentity.database,
                                         "b0075a5e-0000-4000-8000-000000000002"};
  ASSERT_EQ(block.region.Check(rebooted), Fit::kOtherBoot);
  block.region.Adopt(rebooted, 9'000, 10);
  EXPECT_EQ(block.region.Check(rebooted), Fit::kFits);
  EXPECT_EQ(block.region.header().last_commit_ns.load(), 0u);
  EXPECT_EQ(block.region.header().last_checkpoint_ns.load(), 10u);
  EXPECT_EQ(block.region.header().statistics_since_ms.load(), 1'000u);
  EXPECT_EQ(block.region.ReadCommits(false).commits, 1u);
}

TEST(ControlRegion, ForAnotherDatabaseStatisticsStartAnewAndSettingsStay) {
  MadeBlock block;
  StoredSettings settings;
  settings.Set(SettingSpecs()[0], 1 << 20, {"ann", 1});
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  block.region.RecordCommit(kShared, {3, 1'000, 0});
  block.region.RecordCheckpoint(EntryOf(1), 3'000);
  const ControlRegion::Identity other{{7, 43}, kIdentity.boot_id};
  ASSERT_EQ(block.region.Check(other), Fit::kOtherDatabase);
  block.region.Adopt(other, 9'000, 10'000);
  EXPECT_EQ(block.region.Check(other), Fit::kFits);
  EXPECT_EQ(block.region.ReadCommits(false).commits, 0u);
  EXPECT_TRUE(block.region.ReadCheckpointLog().empty());
  EXPECT_EQ(block.region.ReadCheckpointTotals().by_mode[0], 0u);
  EXPECT_EQ(block.region.header().statistics_since_ms.load(), 9'000u);
  EXPECT_EQ(block.region.ReadSettings()->Values().at(0), 1 << 20);
}

// Statistics start anew for another database: its first log is not a log that started over, and
// what rules did for the database before does not count.
TEST(ControlRegion, BugAnotherDatabaseInheritsTheLogPosition) {
  MadeBlock block;
  bool reset = false;
  EXPECT_EQ(block.region.AdvanceLog(7, 10, &reset), 10u);
  block.region.CountFired(true, 0, 5);
  block.region.Adopt({{7, 43}, kIdentity.boot_id}, 9'000, 10'000);
  EXPECT_EQ(block.region.AdvanceLog(99, 3, &reset), 3u);
  EXPECT_FALSE(reset);
  EXPECT_EQ(block.region.ReadFired(true, 0).fired, 0u);
}

TEST(ControlRegionRules, FiredIsCountedByRule) {
  MadeBlock block;
  block.region.CountFired(true, 0, 100);
  block.region.CountFired(true, 0, 200);
  block.region.CountFired(false, 0, 300);
  block.region.CountFired(true, layout::kBuiltinRules, 400);
  block.region.CountFired(false, layout::kRules, 400);
  EXPECT_EQ(block.region.ReadFired(true, 0).fired, 2u);
  EXPECT_EQ(block.region.ReadFired(true, 0).last_fired_ms, 200);
  EXPECT_EQ(block.region.ReadFired(false, 0).fired, 1u);
  EXPECT_EQ(block.region.ReadFired(true, 1).fired, 0u);
  EXPECT_EQ(block.region.ReadFired(true, layout::kBuiltinRules).fired, 0u);
  EXPECT_EQ(block.region.ReadFired(false, ~std::size_t{0}).fired, 0u);
  block.region.ResetWalStatistics(1, 1);
  EXPECT_EQ(block.region.ReadFired(true, 0).fired, 2u) << "settings and rules stay";
}

TEST(ControlRegionRules, CountsFollowTheirRuleWhenOtherRulesComeAndGo) {
  MadeBlock block;
  StoredSettings settings;
  settings.rules = {RuleOf("mine", 1, "a"), RuleOf("mine", 2, "b"), RuleOf("yours", 1, "a")};
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t n = 0; n <= i; ++n) {
      block.region.CountFired(false, i, static_cast<std::int64_t>(100 * i));
    }
  }
  settings.rules = {RuleOf("yours", 1, "a"), RuleOf("mine", 1, "new"), RuleOf("mine", 2, "b")};
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  EXPECT_EQ(block.region.ReadFired(false, 0).fired, 3u);
  EXPECT_EQ(block.region.ReadFired(false, 0).last_fired_ms, 200);
  EXPECT_EQ(block.region.ReadFired(false, 1).fired, 0u);
  EXPECT_EQ(block.region.ReadFired(false, 2).fired, 2u);
  settings.rules.clear();
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  settings.rules = {RuleOf("yours", 1, "a")};
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  EXPECT_EQ(block.region.ReadFired(false, 0).fired, 0u) << "dropped and defined again";
}

}  // namespace
}  // namespace walmanager
