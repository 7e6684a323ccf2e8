// Durations fall into the right bucket, and percentiles come back within the promised error.
#include "ext/core/histogram.h"

#include <gtest/gtest.h>

#include <vector>

namespace walmanager {
namespace {

TEST(Histogram, EveryDurationIsWithinItsBucketsError) {
  for (std::uint64_t ns = 1024; ns < (std::uint64_t{1} << 39); ns += 1 + ns / 97) {
    const double middle = HistogramBucketMiddle(HistogramBucket(ns));
    EXPECT_NEAR(middle, static_cast<double>(ns), static_cast<double>(ns) * 0.033) << ns;
  }
}

TEST(Histogram, BucketsNeverFallAndTheLastHoldsTheRest) {
  std::size_t last = 0;
  for (std::uint64_t ns = 0; ns < (std::uint64_t{1} << 41); ns += 1 + ns / 50) {
    const std::size_t bucket = HistogramBucket(ns);
    ASSERT_GE(bucket, last);
    ASSERT_LT(bucket, kHistogramBuckets);
    last = bucket;
  }
  EXPECT_EQ(HistogramBucket(~std::uint64_t{0}), kHistogramBuckets - 1);
}

TEST(Histogram, QuantilesAreNearestRank) {
  std::vector<std::uint64_t> counts(kHistogramBuckets);
  EXPECT_FALSE(HistogramQuantile(counts, 0.5).has_value());
  for (int i = 0; i < 99; ++i) ++counts[HistogramBucket(1'000'000)];
  ++counts[HistogramBucket(50'000'000)];
  EXPECT_NEAR(*HistogramQuantile(counts, 0.50), 1e6, 1e6 * 0.033);
  EXPECT_NEAR(*HistogramQuantile(counts, 0.99), 1e6, 1e6 * 0.033);
  EXPECT_NEAR(*HistogramQuantile(counts, 0.995), 50e6, 50e6 * 0.033);
  EXPECT_NEAR(*HistogramQuantile(counts, 1.0), 50e6, 50e6 * 0.033);
}

}  // namespace
}  // namespace walmanager
