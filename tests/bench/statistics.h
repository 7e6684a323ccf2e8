// Order statistics of measured values. All functions are pure and take copies that they may sort.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace walmanager::bench {

// The value at or below which the share `quantile` (0..1] of a sorted list lies (nearest rank).
double Quantile(const std::vector<std::uint64_t>& sorted, double quantile);

// nullopt of an empty list; the mean of the two in the middle where the count is even.
std::optional<double> Median(std::vector<double> values);

// The median of the upper half less the median of the lower half; an odd count has its middle in
// both. 0 of an empty list.
double QuartileDistance(std::vector<double> values);

}  // namespace walmanager::bench
