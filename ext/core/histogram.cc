#include "ext/core/histogram.h"

#include <bit>
#include <cmath>

namespace walmanager {
namespace {

constexpr int kUnitBits = 6;  // 64 ns
constexpr int kSubBits = 4;   // 16 buckets per power of two
constexpr std::uint64_t kSubBuckets = 1u << kSubBits;

}  // namespace

std::size_t HistogramBucket(std::uint64_t nanoseconds) {
  const std::uint64_t units = nanoseconds >> kUnitBits;
  if (units < kSubBuckets) return static_cast<std::size_t>(units);
  const int exponent = std::bit_width(units) - 1;
  const std::uint64_t within = (units >> (exponent - kSubBits)) & (kSubBuckets - 1);
  const std::size_t bucket = static_cast<std::size_t>(exponent - kSubBits + 1) * kSubBuckets +
                             static_cast<std::size_t>(within);
  return bucket < kHistogramBuckets ? bucket : kHistogramBuckets - 1;
}

double HistogramBucketMiddle(std::size_t bucket) {
  const double unit = static_cast<double>(1u << kUnitBits);
  if (bucket < kSubBuckets) return (static_cast<double>(bucket) + 0.5) * unit;
  const int exponent = static_cast<int>(bucket / kSubBuckets) + kSubBits - 1;
  const double width = std::ldexp(1.0, exponent - kSubBits);
  const double lower =
      std::ldexp(1.0, exponent) + static_cast<double>(bucket % kSubBuckets) * width;
  return (lower + width / 2) * unit;
}

std::optional<double> HistogramQuantile(std::span<const std::uint64_t> counts, double quantile) {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts) total += count;
  if (total == 0) return std::nullopt;
  const double rank = std::ceil(quantile * static_cast<double>(total));
  double seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    seen += static_cast<double>(counts[bucket]);
    if (counts[bucket] != 0 && seen >= rank) return HistogramBucketMiddle(bucket);
  }
  return HistogramBucketMiddle(counts.size() - 1);
}

}  // namespace walmanager
