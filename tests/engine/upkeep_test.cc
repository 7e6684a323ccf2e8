#include "ext/checkpoint/upkeep.h"

#include <gtest/gtest.h>

#include "ext/core/base/time_units.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/text/normalize.h"
#include "ext/system/clock.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

class UpkeepTest : public CheckpointParts {
 protected:
  // A statement of which query_performance has a row.
  struct Known {
    PlanWish wish;
    std::size_t entry;
  };
  Known Know(const std::string& sql) {
    const NormalizedQuery query = Normalize(sql, 1'000);
    const auto entry = statistics_.FindOrMake(query, /*unix_ms=*/1, /*max_queries=*/100);
    EXPECT_TRUE(entry);
    return {{query.id, sql}, entry.value_or(0)};
  }
  std::uint64_t OptimizedMs() { return Get(file_->region().engine().optimized_ms); }
  void SetOptimizedMs(std::int64_t unix_ms) {
    Put(file_->region().engine().optimized_ms, static_cast<std::uint64_t>(unix_ms));
  }
  bool HasStatistics() {
    return database_.Number("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'") == 1;
  }

  std::shared_ptr<ControlFile> file_ = MakeControl(database_)->Get();
  QueryStatistics statistics_{file_->space()};
  Upkeep upkeep_{connections_};
};

TEST_F(UpkeepTest, CapturesThePlanThatAStatementAskedFor) {
  OpenConnections();
  const Known known = Know("SELECT v FROM t WHERE id = 5");
  ASSERT_TRUE(upkeep_.Request({known.wish}));
  upkeep_.CapturePlans(*file_);
  EXPECT_EQ(statistics_.PlanSchemaVersion(known.entry), database_.Number("PRAGMA schema_version"));
  const auto rows = statistics_.Read(/*with_plans=*/true);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_NE(rows[0].plan.find("USING INTEGER PRIMARY KEY"), std::string::npos) << rows[0].plan;
}

TEST_F(UpkeepTest, AStatementThatCannotBePreparedKeepsNoOtherFromItsPlan) {
  OpenConnections();
  const Known missing = Know("SELECT v FROM temporary_table");
  const Known known = Know("SELECT v FROM t");
  ASSERT_TRUE(upkeep_.Request({missing.wish, known.wish}));
  upkeep_.CapturePlans(*file_);
  EXPECT_FALSE(statistics_.PlanSchemaVersion(missing.entry));
  EXPECT_TRUE(statistics_.PlanSchemaVersion(known.entry));
}

TEST_F(UpkeepTest, KeepsSixtyFourRequestsUntilTheyAreServed) {
  OpenConnections();
  const Known known = Know("SELECT v FROM t");
  EXPECT_TRUE(upkeep_.Request(std::vector<PlanWish>(63, known.wish)));
  EXPECT_TRUE(upkeep_.Request({known.wish}));
  EXPECT_FALSE(upkeep_.Request({known.wish}));
  upkeep_.CapturePlans(*file_);
  EXPECT_TRUE(upkeep_.Request({known.wish}));
}

TEST_F(UpkeepTest, OptimizesTenSecondsAfterTheLastCommit) {
  constexpr std::uint64_t kCommitNs = 1'000'000 * kMs;
  database_.Run("CREATE INDEX t_v ON t(v)");
  database_.Commit(20);
  OpenConnections();
  upkeep_.OptimizeIfDue(*file_, /*last_commit_ns=*/0, kCommitNs);
  upkeep_.OptimizeIfDue(*file_, kCommitNs, kCommitNs + 10'000 * kMs - 1);
  EXPECT_EQ(OptimizedMs(), 0u);
  EXPECT_FALSE(HasStatistics());
  upkeep_.OptimizeIfDue(*file_, kCommitNs, kCommitNs + 10'000 * kMs);
  EXPECT_GT(OptimizedMs(), 0u);
  EXPECT_TRUE(HasStatistics());
}

TEST_F(UpkeepTest, ACancelEndsTheOptimizingBeforeTheNextTable) {
  constexpr std::uint64_t kCommitNs = 1'000'000 * kMs, kNowNs = 2'000'000 * kMs;
  database_.Run("CREATE INDEX t_v ON t(v)");
  database_.Commit(20);
  OpenConnections();
  connections_.Cancel();
  upkeep_.OptimizeIfDue(*file_, kCommitNs, kNowNs);
  connections_.Resume();
  EXPECT_FALSE(HasStatistics());
}

TEST_F(UpkeepTest, OptimizesOnceAnHourOfAllProcesses) {
  constexpr std::uint64_t kCommitNs = 1'000'000 * kMs, kNowNs = 2'000'000 * kMs;
  OpenConnections();
  const std::int64_t lately = UnixMs() - 3'500'000;
  SetOptimizedMs(lately);
  upkeep_.OptimizeIfDue(*file_, kCommitNs, kNowNs);
  EXPECT_EQ(OptimizedMs(), static_cast<std::uint64_t>(lately));
  SetOptimizedMs(UnixMs() - 3'600'000);
  upkeep_.OptimizeIfDue(*file_, kCommitNs, kNowNs);
  EXPECT_GT(OptimizedMs(), static_cast<std::uint64_t>(lately));
  // A time to come is of a clock that was set back.
  const std::int64_t to_come = UnixMs() + 7'200'000;
  SetOptimizedMs(to_come);
  upkeep_.OptimizeIfDue(*file_, kCommitNs, kNowNs);
  EXPECT_LT(OptimizedMs(), static_cast<std::uint64_t>(to_come));
}

}  // namespace
}  // namespace walmanager
