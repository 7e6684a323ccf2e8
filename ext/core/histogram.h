// A log-linear histogram of durations, in the manner of HdrHistogram: each power of two is cut
// into 16 buckets of equal width, so that a bucket's middle is within 3.2 % of what fell into it.
//
// The counts live elsewhere (in the control file, where several processes write them); this file
// only knows which bucket a duration belongs to and how to read percentiles from counts. All
// functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace walmanager {

// Buckets count units of 64 ns; the last one also holds all that is longer than 2^40 ns (18 min).
inline constexpr std::size_t kHistogramBuckets = 496;

// The bucket of a duration in nanoseconds, 0..kHistogramBuckets-1.
std::size_t HistogramBucket(std::uint64_t nanoseconds);

// The middle of a bucket, in nanoseconds.
double HistogramBucketMiddle(std::size_t bucket);

// The duration in nanoseconds below or at which the share `quantile` (0..1] of all recorded
// durations lies (nearest rank); nullopt where nothing was recorded.
std::optional<double> HistogramQuantile(std::span<const std::uint64_t> counts, double quantile);

}  // namespace walmanager
