#include "ext/core/base/sort_by_key.h"

#include <numeric>

namespace walmanager {

std::vector<std::size_t> SortedPositions(const std::vector<std::int64_t>& keys) {
  std::vector<std::size_t> positions(keys.size());
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  std::stable_sort(positions.begin(), positions.end(),
                   [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  return positions;
}

}  // namespace walmanager
