// Durations fall into the right bucket, and percentiles come back within the promised error.
#include "ext/core/base/histogram.h"

#include <gtest/gtest.h>

#include <vector>

namespace walmanager {
namespace {

template <typename Scale>
void ExpectMiddlesWithin(double error, std::uint64_t from_ns, std::uint64_t to_ns) {
  for (std::uint64_t ns = from_ns; ns < to_ns; ns += 1 + ns / 197) {
    const double middle = Scale::Middle(Scale::Bucket(ns));
    ASSERT_NEAR(middle, static_cast<double>(ns), static_cast<double>(ns) * error) << ns;
  }
}

TEST(Histogram, EveryDurationIsWithinItsBucketsError) {
  ExpectMiddlesWithin<DurationScale>(0.031, 1024, std::uint64_t{1} << 39);
  ExpectMiddlesWithin<StatementScale>(0.059, 256, std::uint64_t{1} << 38);
  ExpectMiddlesWithin<HistoryScale>(0.112, 1024, std::uint64_t{1} << 32);
}

template <typename Scale>
void ExpectOrder() {
  std::size_t last = 0;
  for (std::uint64_t ns = 0; ns < (std::uint64_t{1} << 41); ns += 1 + ns / 50) {
    const std::size_t bucket = Scale::Bucket(ns);
    ASSERT_GE(bucket, last);
    ASSERT_LT(bucket, Scale::kBuckets);
    last = bucket;
  }
  EXPECT_EQ(Scale::Bucket(~std::uint64_t{0}), Scale::kBuckets - 1);
}

TEST(Histogram, BucketsNeverFallAndTheLastHoldsTheRest) {
  ExpectOrder<DurationScale>();
  ExpectOrder<StatementScale>();
  ExpectOrder<HistoryScale>();
}

TEST(Histogram, ABucketEndsWhereTheNextBegins) {
  for (std::size_t bucket = 0; bucket + 1 < StatementScale::kBuckets; ++bucket) {
    const auto end = static_cast<std::uint64_t>(StatementScale::Upper(bucket));
    EXPECT_EQ(StatementScale::Bucket(end), bucket + 1);
    EXPECT_EQ(StatementScale::Bucket(end - 1), bucket);
  }
}

// So counts that are moved from one to the other by the middles of their buckets are where the
// durations themselves would have been counted.
template <typename Scale>
void ExpectFoldsExactly() {
  for (std::uint64_t ns = 0; ns < (std::uint64_t{1} << 33); ns += 1 + ns / 197) {
    const double middle = Scale::Middle(Scale::Bucket(ns));
    ASSERT_EQ(HistoryScale::Bucket(static_cast<std::uint64_t>(middle)), HistoryScale::Bucket(ns));
  }
}

TEST(Histogram, TheHistorysBucketsAreUnionsOfTheOthers) {
  ExpectFoldsExactly<DurationScale>();
  ExpectFoldsExactly<StatementScale>();
}

TEST(Histogram, QuantilesAreNearestRank) {
  std::vector<std::uint64_t> counts(DurationScale::kBuckets);
  EXPECT_FALSE(HistogramQuantile<DurationScale>(counts, 0.5).has_value());
  for (int i = 0; i < 99; ++i) ++counts[DurationScale::Bucket(1'000'000)];
  ++counts[DurationScale::Bucket(50'000'000)];
  EXPECT_NEAR(*HistogramQuantile<DurationScale>(counts, 0.50), 1e6, 1e6 * 0.033);
  EXPECT_NEAR(*HistogramQuantile<DurationScale>(counts, 0.99), 1e6, 1e6 * 0.033);
  EXPECT_NEAR(*HistogramQuantile<DurationScale>(counts, 0.995), 50e6, 50e6 * 0.033);
  EXPECT_NEAR(*HistogramQuantile<DurationScale>(counts, 1.0), 50e6, 50e6 * 0.033);
}

}  // namespace
}  // namespace walmanager
