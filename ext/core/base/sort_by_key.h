// Sorts large values: the keys are sorted, then each value is moved once. Values with the same key
// keep their order. One sort of keys serves all types of values, so each call adds little code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace walmanager {

// Positions of values with these keys, the smallest key first.
std::vector<std::size_t> SortedPositions(const std::vector<std::int64_t>& keys);

// The numbers of both kinds in their order, from the least to the greatest of std::int64_t.
template <typename Number>
std::int64_t InOrder(Number number) {
  constexpr auto kSign = std::uint64_t{std::is_unsigned_v<Number>} << 63;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(number) ^ kSign);
}

template <typename Value, typename KeyOf>
void SortSmallestFirst(std::vector<Value>& values, KeyOf key_of) {
  std::vector<std::int64_t> keys;
  keys.reserve(values.size());
  for (const Value& value : values) keys.push_back(InOrder(key_of(value)));
  std::vector<Value> sorted;
  sorted.reserve(values.size());
  for (const std::size_t i : SortedPositions(keys)) sorted.push_back(std::move(values[i]));
  values = std::move(sorted);
}

template <typename Value, typename KeyOf>
void SortLargestFirst(std::vector<Value>& values, KeyOf key_of) {
  SortSmallestFirst(values, [&](const Value& value) {
    return ~InOrder(key_of(value));  // -1 - key: it cannot overflow
  });
}

}  // namespace walmanager
