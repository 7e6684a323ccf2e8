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
  // Adds a table with an index to the one with which the database begins, and opens connections.
  void MakeTwoTablesToAnalyze() {
    database_.Run(
        "CREATE INDEX t_v ON t(v); CREATE TABLE u(v); CREATE INDEX u_v ON u(v); INSERT INTO u "
        "VALUES(1)");
    database_.Commit(20);
    OpenConnections();
  }
  std::int64_t AnalyzedTables() {
    return database_.Number("SELECT count(DISTINCT tbl) FROM sqlite_stat1");
  }
  // When it is asked for the second time, one table has been analyzed, and one is left.
  template <typename Then>
  std::function<bool()> AfterOneTable(Then then) {
    return [this, then] { return ++asked_ == 2 && then(); };
  }
  void OptimizeAt(std::uint64_t now_ns, const std::function<bool()>& others_wait = NobodyWaits) {
    upkeep_.OptimizeIfDue(*file_, kCommitNs, now_ns, others_wait);
  }
  std::optional<std::uint64_t> NextOptimize() {
    return upkeep_.NextOptimize(file_->region(), kCommitNs);
  }
  static bool NobodyWaits() { return false; }

  static constexpr std::uint64_t kCommitNs = 1'000'000 * kMs, kNowNs = 2'000'000 * kMs;

  std::shared_ptr<ControlFile> file_ = MakeControl(database_)->Get();
  QueryStatistics statistics_{file_->space()};
  Upkeep upkeep_{connections_};
  int asked_ = 0;  // AfterOneTable()
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
  database_.Run("CREATE INDEX t_v ON t(v)");
  database_.Commit(20);
  OpenConnections();
  upkeep_.OptimizeIfDue(*file_, /*last_commit_ns=*/0, kCommitNs, NobodyWaits);
  OptimizeAt(kCommitNs + 10'000 * kMs - 1);
  EXPECT_EQ(OptimizedMs(), 0u);
  EXPECT_FALSE(HasStatistics());
  EXPECT_EQ(NextOptimize(), kCommitNs + 10'000 * kMs);
  OptimizeAt(kCommitNs + 10'000 * kMs);
  EXPECT_GT(OptimizedMs(), 0u);
  EXPECT_TRUE(HasStatistics());
  EXPECT_EQ(NextOptimize(), std::nullopt);
}

TEST_F(UpkeepTest, ACancelEndsTheOptimizingBeforeTheNextTable) {
  MakeTwoTablesToAnalyze();
  OptimizeAt(kNowNs, AfterOneTable([this] {
               connections_.Cancel();
               return false;
             }));
  connections_.Resume();
  // The cancel came after the look for one, so the second table was the last.
  EXPECT_EQ(AnalyzedTables(), 2);
  EXPECT_EQ(OptimizedMs(), 0u);
  connections_.Cancel();
  OptimizeAt(*NextOptimize());
  EXPECT_EQ(OptimizedMs(), 0u);
  connections_.Resume();
  OptimizeAt(*NextOptimize());
  EXPECT_GT(OptimizedMs(), 0u);
}

TEST_F(UpkeepTest, BugWhatAWriterKeptFromBeingOptimizedWasReportedAsDone) {
  MakeTwoTablesToAnalyze();
  const OwnedDb writer = database_.Open();
  OptimizeAt(kNowNs, AfterOneTable([&] {
               WalDatabase::Run(writer.get(), "BEGIN IMMEDIATE");
               return false;
             }));
  EXPECT_EQ(AnalyzedTables(), 1);
  EXPECT_EQ(OptimizedMs(), 0u);
  // The writer stays for long: each pause is longer than the last.
  EXPECT_EQ(NextOptimize(), kNowNs + 10'000 * kMs);
  OptimizeAt(kNowNs + 10'000 * kMs - 1);
  OptimizeAt(kNowNs + 10'000 * kMs);
  EXPECT_EQ(NextOptimize(), kNowNs + 30'000 * kMs);
  WalDatabase::Run(writer.get(), "ROLLBACK");
  OptimizeAt(kNowNs + 30'000 * kMs);
  EXPECT_EQ(AnalyzedTables(), 2);
  EXPECT_GT(OptimizedMs(), 0u);
}

TEST_F(UpkeepTest, BugAForkWaitedUntilAllTablesWereOptimized) {
  MakeTwoTablesToAnalyze();
  OptimizeAt(kNowNs, AfterOneTable([] { return true; }));
  EXPECT_EQ(AnalyzedTables(), 1);
  EXPECT_EQ(OptimizedMs(), 0u);
  OptimizeAt(*NextOptimize());
  EXPECT_EQ(AnalyzedTables(), 2);
  EXPECT_GT(OptimizedMs(), 0u);
}

TEST_F(UpkeepTest, AnErrorThatStaysIsMetOnceAnHour) {
  MakeTwoTablesToAnalyze();
  database_.Run(
      "PRAGMA writable_schema=ON; INSERT INTO sqlite_master VALUES('view', 'sqlite_stat1', "
      "'sqlite_stat1', 0, 'CREATE VIEW sqlite_stat1 AS SELECT 1 AS tbl')");
  OptimizeAt(kNowNs);
  EXPECT_EQ(OptimizedMs(), 0u);
  EXPECT_EQ(NextOptimize(), kNowNs + 3'600'000 * kMs);
}

TEST_F(UpkeepTest, WithoutPermissionThereIsNoTimeForIt) {
  MakeTwoTablesToAnalyze();
  connections_.Close();
  connections_.Revoke();
  EXPECT_EQ(NextOptimize(), std::nullopt);
  OptimizeAt(kNowNs);
  EXPECT_EQ(OptimizedMs(), 0u);
}

TEST_F(UpkeepTest, OptimizesOnceAnHourOfAllProcesses) {
  OpenConnections();
  const std::int64_t lately = UnixMs() - 3'500'000;
  SetOptimizedMs(lately);
  OptimizeAt(kNowNs);
  EXPECT_EQ(OptimizedMs(), static_cast<std::uint64_t>(lately));
  SetOptimizedMs(UnixMs() - 3'600'000);
  OptimizeAt(kNowNs);
  EXPECT_GT(OptimizedMs(), static_cast<std::uint64_t>(lately));
  // A time to come is of a clock that was set back.
  const std::int64_t to_come = UnixMs() + 7'200'000;
  SetOptimizedMs(to_come);
  OptimizeAt(kNowNs);
  EXPECT_LT(OptimizedMs(), static_cast<std::uint64_t>(to_come));
}

}  // namespace
}  // namespace walmanager
