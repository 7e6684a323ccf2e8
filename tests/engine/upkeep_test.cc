#include "ext/checkpoint/upkeep.h"

#include <gtest/gtest.h>

#include <algorithm>

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
  // As soon as the time for it has come.
  void CaptureAgain(const PlanWish& wish) {
    ASSERT_TRUE(upkeep_.Request({wish}));
    while (upkeep_.has_requests()) upkeep_.CapturePlans(*file_);
  }
  std::string PlanOf(const Known& known) {
    for (const QueryRow& row : statistics_.Read(/*with_plans=*/true)) {
      if (row.id == known.wish.id) return row.plan;
    }
    return "";
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
  EXPECT_FALSE(statistics_.HasPlan(missing.entry));
  EXPECT_TRUE(statistics_.HasPlan(known.entry));
  // It is written down, so that the next execution does not ask again.
  const auto version = database_.Number("PRAGMA schema_version");
  EXPECT_EQ(statistics_.PlanSchemaVersion(missing.entry), version);
  EXPECT_TRUE(upkeep_.planned_schema()->IsCurrent(version));
}

TEST_F(UpkeepTest, MakesAPlanOncePerVersionOfTheSchema) {
  OpenConnections();
  const Known known = Know("SELECT id FROM t WHERE v = 5");
  ASSERT_TRUE(upkeep_.Request({known.wish}));
  upkeep_.CapturePlans(*file_);
  const std::uint32_t epoch = upkeep_.planned_schema()->epoch();
  statistics_.SetPlan(known.entry, known.wish.id, "as it was",
                      *statistics_.PlanSchemaVersion(known.entry));
  CaptureAgain(known.wish);
  EXPECT_EQ(PlanOf(known), "as it was");
  EXPECT_EQ(upkeep_.planned_schema()->epoch(), epoch);
  database_.Run("CREATE INDEX t_v ON t(v)");
  CaptureAgain(known.wish);
  EXPECT_NE(PlanOf(known).find("INDEX t_v"), std::string::npos) << PlanOf(known);
  EXPECT_NE(upkeep_.planned_schema()->epoch(), epoch);
}

TEST_F(UpkeepTest, ExplainsWithoutTheConnectionsThatCheckpoint) {
  ASSERT_EQ(connections_.Permit(database_.host()), Allowed::kYes);
  const Known known = Know("SELECT v FROM t WHERE id = 5");
  ASSERT_TRUE(upkeep_.Request({known.wish}));
  upkeep_.CapturePlans(*file_);
  EXPECT_TRUE(statistics_.HasPlan(known.entry));
  EXPECT_FALSE(connections_.open());
}

TEST_F(UpkeepTest, TakesAFiftiethOfTheTimeAtMost) {
  OpenConnections();
  std::vector<PlanWish> wishes;
  std::vector<Known> all;
  for (int i = 0; i < 50; ++i) {
    all.push_back(Know("SELECT v AS v" + std::to_string(i) + " FROM t"));
    wishes.push_back(all.back().wish);
  }
  ASSERT_TRUE(upkeep_.Request(wishes));
  const std::uint64_t begin = MonotonicNs();
  upkeep_.CapturePlans(*file_);
  const std::uint64_t took = MonotonicNs() - begin;
  const Known late = Know("SELECT id, v FROM t");
  ASSERT_TRUE(upkeep_.Request({late.wish}));
  while (MonotonicNs() < begin + 20 * took) upkeep_.CapturePlans(*file_);
  EXPECT_FALSE(statistics_.HasPlan(late.entry));
  const auto has_plan = [&](const Known& known) { return statistics_.HasPlan(known.entry); };
  while (!has_plan(late) || !std::all_of(all.begin(), all.end(), has_plan)) {
    ASSERT_LT(MonotonicNs(), begin + 60'000 * kMs);
    upkeep_.CapturePlans(*file_);
  }
}

TEST_F(UpkeepTest, StatementsAskAgainWhereNoConnectionCanBeOpened) {
  const Known known = Know("SELECT v FROM t");
  const std::uint32_t epoch = upkeep_.planned_schema()->epoch();
  ASSERT_TRUE(upkeep_.TakesRequests(MonotonicNs()));
  ASSERT_TRUE(upkeep_.Request({known.wish}));
  upkeep_.CapturePlans(*file_);
  EXPECT_FALSE(upkeep_.has_requests());
  EXPECT_NE(upkeep_.planned_schema()->epoch(), epoch);
  EXPECT_FALSE(upkeep_.TakesRequests(MonotonicNs() + 9'000 * kMs));
  EXPECT_TRUE(upkeep_.TakesRequests(MonotonicNs() + 10'000 * kMs));
}

TEST_F(UpkeepTest, KeepsSoManyRequestsUntilTheyAreServed) {
  OpenConnections();
  const Known known = Know("SELECT v FROM t");
  // The same one is kept once.
  EXPECT_TRUE(upkeep_.Request(std::vector<PlanWish>(2000, known.wish)));
  EXPECT_TRUE(upkeep_.Request({known.wish}));
  std::vector<PlanWish> many;
  for (std::uint64_t id = 1; id < 1024; ++id) many.push_back({id, "SELECT v FROM t"});
  EXPECT_TRUE(upkeep_.Request(many));
  EXPECT_FALSE(upkeep_.Request({known.wish}));
  upkeep_.CapturePlans(*file_);
  EXPECT_TRUE(upkeep_.Request({known.wish}));
}

TEST_F(UpkeepTest, KeepsSoManyBytesOfRequests) {
  OpenConnections();
  const std::string text(std::size_t{1} << 19, ' ');
  EXPECT_TRUE(upkeep_.Request({{1, text}, {2, text}}));
  EXPECT_FALSE(upkeep_.Request({{3, "SELECT 1"}}));
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
