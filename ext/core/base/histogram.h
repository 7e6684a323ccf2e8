// Log-linear histograms of durations, in the manner of HdrHistogram: each power of two is cut into
// buckets of equal width.
//
// The counts live elsewhere (in the control file, where several processes write them); this file
// only knows which bucket a duration belongs to and how to read percentiles from counts. All
// functions are pure.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace walmanager {

// Buckets count units of 2^unit_bits ns, 2^sub_bits of them per power of two; the last one also
// holds all that is longer.
template <int unit_bits, int sub_bits, std::size_t buckets>
struct LogLinearScale {
  static constexpr std::size_t kBuckets = buckets;

  // The bucket of a duration in nanoseconds, 0..kBuckets-1.
  static std::size_t Bucket(std::uint64_t nanoseconds) {
    const std::uint64_t units = nanoseconds >> unit_bits;
    if (units < kSub) return static_cast<std::size_t>(units);
    const int exponent = std::bit_width(units) - 1;
    const std::uint64_t within = (units >> (exponent - sub_bits)) & (kSub - 1);
    const std::size_t bucket =
        static_cast<std::size_t>(exponent - sub_bits + 1) * kSub + static_cast<std::size_t>(within);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }

  // The duration in nanoseconds that is, by its share, as far from the bucket's lower end as from
  // its upper: nothing in the bucket is further from it than 1 / (2 * 2^sub_bits + 1) of itself.
  static double Middle(std::size_t bucket) {
    constexpr double kUnit = static_cast<double>(1u << unit_bits);
    if (bucket == 0) return kUnit / 2;
    const double lower = Lower(bucket), upper = Lower(bucket + 1);
    return 2 * lower * upper / (lower + upper) * kUnit;
  }

  // The duration in nanoseconds at which the next bucket begins.
  static double Upper(std::size_t bucket) {
    return Lower(bucket + 1) * static_cast<double>(1u << unit_bits);
  }

 private:
  static constexpr std::uint64_t kSub = 1u << sub_bits;
  static double Lower(std::size_t bucket) {
    if (bucket < kSub) return static_cast<double>(bucket);
    const int exponent = static_cast<int>(bucket / kSub) + sub_bits - 1;
    return std::ldexp(static_cast<double>(kSub + bucket % kSub), exponent - sub_bits);
  }
};

// Of commits and checkpoints: within 3.1 % from 1 µs to 18 min.
using DurationScale = LogLinearScale<6, 4, 496>;
// Of statements, of which there are many: within 5.9 % from 256 ns to 9 min.
using StatementScale = LogLinearScale<5, 3, 256>;
// Of samples of the history, of which there are thousands: within 11.2 % from 1.024 µs to 4.29 s.
// Each of its buckets is a union of whole buckets of the two above, except the last.
using HistoryScale = LogLinearScale<8, 2, 92>;
// Of waits and syncs in these samples, which can last longer: within 11.2 % from 16.4 µs to 68.7 s.
using HistoryWaitScale = LogLinearScale<12, 2, 92>;

// The duration in nanoseconds below or at which the share `quantile` (0..1] of all recorded
// durations lies (nearest rank); nullopt where nothing was recorded.
template <typename Scale>
std::optional<double> HistogramQuantile(std::span<const std::uint64_t> counts, double quantile) {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts) total += count;
  if (total == 0) return std::nullopt;
  const double rank = std::ceil(quantile * static_cast<double>(total));
  double seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    seen += static_cast<double>(counts[bucket]);
    if (counts[bucket] != 0 && seen >= rank) return Scale::Middle(bucket);
  }
  return Scale::Middle(counts.size() - 1);
}

}  // namespace walmanager
