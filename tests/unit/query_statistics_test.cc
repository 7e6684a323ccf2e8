// The table of statements: every execution is counted once, also when statements and connections
// go.
#include "ext/core/control/query_statistics.h"

#include <algorithm>

#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

constexpr std::size_t kMost = 1000;

struct Statements : MadeBlock {
  QueryStatistics statistics{&space};
  std::size_t Make(const std::string& sql, std::size_t most = kMost, std::int64_t now_ms = 1) {
    return *statistics.FindOrMake(Normalize(sql, 1000), now_ms, most);
  }
  std::optional<QueryRow> Row(const std::string& text) const {
    for (QueryRow& row : statistics.Read(true)) {
      if (row.text == text) return std::move(row);
    }
    return std::nullopt;
  }
  std::uint64_t Calls() const {
    std::uint64_t calls = 0;
    for (const QueryRow& row : statistics.Read(false)) calls += row.totals.calls;
    return calls;
  }
};

Execution Lasting(std::uint64_t ns, std::int64_t at_ms = 5) {
  Execution execution;
  execution.duration_ns = ns;
  execution.rows = 2;
  execution.at_ms = at_ms;
  return execution;
}

TEST(QueryStatistics, AStatementHasOnePlaceAndItsTextWithoutLiterals) {
  Statements block;
  const std::size_t place = block.Make("SELECT a FROM t WHERE b = 'x'");
  EXPECT_EQ(block.Make("select a from T where b=17"), place);
  EXPECT_NE(block.Make("SELECT b FROM t"), place);
  const auto row = block.Row("SELECT a FROM t WHERE b = ?");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->kind, QueryKind::kRead);
  EXPECT_EQ(row->first_seen_ms, 1);
  EXPECT_EQ(row->totals.calls, 0u);
}

TEST(QueryStatistics, SharedAndOwnCountersAddUpToTheSame) {
  Statements block;
  const std::size_t place = block.Make("SELECT 1");
  const std::uint64_t id = Normalize("SELECT 1", 10).id;
  block.file->header.slabs_used = 1;
  layout::HotQuery* hot = block.statistics.ClaimHot(0, place, id);
  ASSERT_TRUE(hot);
  EXPECT_EQ(block.statistics.ClaimHot(0, place, id), hot);
  for (const std::uint64_t ns : {1'000u, 3'000u}) block.statistics.Add(*hot, Lasting(ns));
  for (const std::uint64_t ns : {2'000u, 10'000u}) block.statistics.Add(place, Lasting(ns, 9));
  block.statistics.AddCommit(hot, place, 3, 50);
  block.statistics.AddCommit(nullptr, place, 4, 60);
  const auto check = [&] {
    const QueryTotals totals = block.Row("SELECT ?")->totals;
    EXPECT_EQ(totals.calls, 4u);
    EXPECT_EQ(totals.total_ns, 16'000u);
    EXPECT_EQ(totals.min_ns, 1'000u);
    EXPECT_EQ(totals.max_ns, 10'000u);
    EXPECT_DOUBLE_EQ(totals.squares, 114e6);
    EXPECT_EQ(totals.rows, 8u);
    EXPECT_EQ(totals.wal_frames, 7u);
    EXPECT_EQ(totals.stall_ns, 110u);
    EXPECT_EQ(totals.last_seen_ms, 9);
    EXPECT_NEAR(*HistogramQuantile<StatementScale>(totals.histogram, 1.0), 10'000, 600);
    EXPECT_NEAR(*HistogramQuantile<StatementScale>(totals.histogram, 0.25), 1'000, 60);
  };
  check();
  block.statistics.ReleaseHot(0);  // its connection leaves, or was killed
  check();
  EXPECT_FALSE(block.statistics.IsCurrent(*hot, id));
}

TEST(QueryStatistics, SquaresGoBeyond64Bits) {
  Statements block;
  const std::size_t place = block.Make("SELECT 1");
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  for (int i = 0; i < 3; ++i) block.statistics.Add(place, Lasting(kHour));
  EXPECT_NEAR(block.Row("SELECT ?")->totals.squares, 3 * 3.6e12 * 3.6e12, 1e12);
}

TEST(QueryStatistics, AnExecutionThatIsTakenBackLeavesNoCount) {
  Statements block;
  const std::size_t place = block.Make("SELECT 1");
  block.statistics.Add(place, Lasting(4'000));
  Execution beginning = Lasting(2'500);
  beginning.rows = 0;
  beginning.min_before_ns = block.statistics.LeastNs(nullptr, place);
  block.statistics.Add(place, beginning);
  block.statistics.TakeBack(nullptr, place, beginning);
  const QueryTotals totals = block.Row("SELECT ?")->totals;
  EXPECT_EQ(totals.calls, 1u);
  EXPECT_EQ(totals.total_ns, 4'000u);
  EXPECT_EQ(totals.min_ns, 4'000u);
  EXPECT_DOUBLE_EQ(totals.squares, 16e6);
  EXPECT_EQ(std::count_if(totals.histogram.begin(), totals.histogram.end(),
                          [](std::uint64_t count) { return count != 0; }),
            1);
}

TEST(QueryStatistics, StatementsUnseenForLongestMakeRoomAndNoCountIsLost) {
  Statements block;
  for (int i = 0; i < 32; ++i) {
    const std::size_t place = block.Make("SELECT c" + std::to_string(i) + " FROM t", 32);
    block.statistics.Add(place, Lasting(1'000, 100 + i));
  }
  EXPECT_EQ(block.statistics.evictions(), 0u);
  // One of the oldest is run again, by a connection with counters of its own.
  const auto query = Normalize("SELECT c0 FROM t", 100);
  block.file->header.slabs_used = 4;
  block.statistics.Add(*block.statistics.ClaimHot(3, *block.statistics.Find(query.id), query.id),
                       Lasting(1'000, 900));
  block.Make("SELECT another FROM t", 32);
  EXPECT_EQ(block.statistics.evictions(), 2u);
  EXPECT_TRUE(block.Row("SELECT c0 FROM t"));
  EXPECT_FALSE(block.Row("SELECT c1 FROM t"));
  EXPECT_FALSE(block.Row("SELECT c2 FROM t"));
  EXPECT_TRUE(block.Row("SELECT c3 FROM t"));
  const auto evicted = block.Row("(evicted)");
  ASSERT_TRUE(evicted);
  EXPECT_EQ(evicted->id, 0u);
  EXPECT_EQ(evicted->totals.calls, 2u);
  EXPECT_EQ(block.Calls(), 33u);
}

TEST(QueryStatistics, TheNewestOfManyInOneMillisecondDoesNotMakeRoom) {
  Statements block;
  constexpr std::size_t kPlaces = 20;
  const auto text = [](int i) { return "SELECT a AS a" + std::to_string(i); };
  for (int i = 0; i < 100; ++i) {
    block.Make(text(i), kPlaces);
    if (i == 0) continue;
    EXPECT_TRUE(block.Row(text(i - 1))) << i;
  }
}

TEST(QueryStatistics, AStatementThatRunsDoesNotMakeRoom) {
  Statements block;
  block.Make("SELECT leaked FROM t", 10);
  block.file->header.slabs_used = 3;
  layout::ConnectionInfo& info = block.file->slabs[2].info;
  info.query_id = Normalize("SELECT leaked FROM t", 100).id;
  info.started_ns = 5;
  for (int i = 0; i < 30; ++i) {
    block.statistics.Add(block.Make("SELECT c" + std::to_string(i) + " FROM t", 10, 50 + i),
                         Lasting(1'000, 100 + i));
  }
  EXPECT_TRUE(block.Row("SELECT leaked FROM t"));
  info.started_ns = 0;
  for (int i = 30; i < 60; ++i) block.Make("SELECT c" + std::to_string(i) + " FROM t", 10, 200 + i);
  EXPECT_FALSE(block.Row("SELECT leaked FROM t"));
}

TEST(QueryStatistics, CountsOfAnEvictedStatementGoToTheEvicted) {
  Statements block;
  block.file->header.slabs_used = 1;
  const auto query = Normalize("SELECT old FROM t", 100);
  const std::size_t place = block.Make("SELECT old FROM t", 10);
  layout::HotQuery* hot = block.statistics.ClaimHot(0, place, query.id);
  block.statistics.Add(*hot, Lasting(1'000, 1));
  for (int i = 0; i < 10; ++i) {
    block.statistics.Add(block.Make("SELECT c" + std::to_string(i) + " FROM t", 10),
                         Lasting(1'000, 100 + i));
  }
  EXPECT_FALSE(block.statistics.Holds(place, query.id));
  EXPECT_EQ(block.Row("(evicted)")->totals.calls, 1u);
  EXPECT_EQ(block.Calls(), 11u);
  // The connection takes its place for another one.
  std::vector<layout::HotQuery*> claimed;
  for (int i = 0; i < 9; ++i) {
    const auto next = Normalize("SELECT c" + std::to_string(i) + " FROM t", 100);
    if (const auto entry = block.statistics.Find(next.id))
      claimed.push_back(block.statistics.ClaimHot(0, *entry, next.id));
  }
  EXPECT_EQ(block.Calls(), 11u);
  block.statistics.ReleaseHot(0);
  EXPECT_EQ(block.Calls(), 11u);
}

TEST(QueryStatistics, AConnectionHasTwelveCountersOfItsOwn) {
  Statements block;
  std::size_t claimed = 0;
  for (std::size_t i = 0; i <= layout::kHotQueries; ++i) {
    const std::string sql = "SELECT c" + std::to_string(i) + " FROM t";
    if (block.statistics.ClaimHot(7, block.Make(sql), Normalize(sql, 100).id)) ++claimed;
  }
  EXPECT_EQ(claimed, layout::kHotQueries);
  EXPECT_EQ(block.statistics.ClaimHot(layout::kConnections, 0, 1), nullptr);
}

TEST(QueryStatistics, AResetForgetsWhatConnectionsStillCount) {
  Statements block;
  block.file->header.slabs_used = 1;
  const auto query = Normalize("SELECT 1", 100);
  const std::size_t place = block.Make("SELECT 1");
  layout::HotQuery* hot = block.statistics.ClaimHot(0, place, query.id);
  block.statistics.Add(*hot, Lasting(1'000));
  block.statistics.Add(place, Lasting(1'000));
  EXPECT_EQ(block.statistics.Reset(), 1);
  EXPECT_EQ(block.Calls(), 0u);
  EXPECT_FALSE(block.statistics.IsCurrent(*hot, query.id));
  EXPECT_FALSE(block.statistics.Holds(place, query.id));
  block.statistics.Add(*block.statistics.ClaimHot(0, block.Make("SELECT 1"), query.id),
                       Lasting(1'000));
  EXPECT_EQ(block.Calls(), 1u);
}

TEST(QueryStatistics, APlanIsWholeAndOfItsStatement) {
  Statements block;
  const auto query = Normalize("SELECT a FROM t", 100);
  const std::size_t place = block.Make("SELECT a FROM t");
  EXPECT_EQ(block.statistics.PlanSchemaVersion(place), std::nullopt);
  block.statistics.SetPlan(place, query.id, "SCAN t", 7);
  EXPECT_EQ(block.statistics.PlanSchemaVersion(place), 7u);
  EXPECT_EQ(block.Row("SELECT a FROM t")->plan, "SCAN t");
  block.statistics.SetPlan(place, query.id + 2, "SCAN other", 7);
  EXPECT_EQ(block.Row("SELECT a FROM t")->plan, "SCAN t");
  block.file->queries.entries[place].plan[0] = 'X';  // its writer was killed half-way
  EXPECT_EQ(block.Row("SELECT a FROM t")->plan, "");
}

TEST(QueryStatistics, CountsMoveFromPrivateMemoryIntoAFile) {
  Statements before, after;
  before.statistics.Add(before.Make("SELECT 1"), Lasting(1'000));
  before.statistics.Add(before.Make("SELECT a FROM t"), Lasting(1'000));
  after.statistics.Add(after.Make("SELECT 2"), Lasting(1'000));
  before.statistics.MoveTo(after.statistics, kMost);
  before.statistics.MoveTo(after.statistics, kMost);
  EXPECT_EQ(after.Row("SELECT ?")->totals.calls, 2u);
  EXPECT_EQ(after.Row("SELECT a FROM t")->totals.calls, 1u);
  EXPECT_EQ(before.Calls(), 0u);
}

TEST(QueryStatistics, ABucketNearItsEndIsHalvedWithAllOthers) {
  Statements block;
  const std::size_t place = block.Make("SELECT 1");
  auto& histogram = block.file->queries.entries[place].counters.histogram;
  histogram[StatementScale::Bucket(1'000)] = std::uint32_t{1} << 31;
  histogram[StatementScale::Bucket(9'000)] = 1000;
  block.statistics.Add(place, Lasting(1'000));
  EXPECT_EQ(histogram[StatementScale::Bucket(1'000)], std::uint32_t{1} << 30);
  EXPECT_EQ(histogram[StatementScale::Bucket(9'000)], 500u);
}

TEST(QueryStatistics, ThreadsOfManyConnectionsCountExactly) {
  Statements block;
  constexpr int kThreads = 8;
  constexpr int kEach = 20'000;
  block.file->header.slabs_used = kThreads;
  RunThreads(kThreads, [&](int thread) {
    const auto query = Normalize("SELECT hot FROM t", 100);
    const std::size_t place = *block.statistics.FindOrMake(query, 1, kMost);
    layout::HotQuery* hot = nullptr;
    for (int i = 0; i < kEach; ++i) {
      if (i == kEach / 2)
        hot = block.statistics.ClaimHot(static_cast<std::size_t>(thread), place, query.id);
      hot ? block.statistics.Add(*hot, Lasting(1'000)) : block.statistics.Add(place, Lasting(900));
      if (i == kEach - 1 && thread % 2 == 0)
        block.statistics.ReleaseHot(static_cast<std::size_t>(thread));
    }
  });
  const QueryTotals totals = block.Row("SELECT hot FROM t")->totals;
  EXPECT_EQ(totals.calls, std::uint64_t{kThreads} * kEach);
  EXPECT_EQ(totals.rows, std::uint64_t{kThreads} * kEach * 2);
}

}  // namespace
}  // namespace walmanager
