#include "ext/core/base/sort_by_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <random>
#include <string>

namespace walmanager {
namespace {

struct Entry {
  std::int64_t key;
  std::string name;
};

std::string Names(const std::vector<Entry>& entries) {
  std::string names;
  for (const Entry& entry : entries) names += entry.name;
  return names;
}

TEST(SortByKey, EqualKeysKeepTheirOrder) {
  std::vector<Entry> entries = {{2, "a"}, {1, "b"}, {2, "c"}, {1, "d"}, {3, "e"}};
  SortSmallestFirst(entries, [](const Entry& entry) { return entry.key; });
  EXPECT_EQ(Names(entries), "bdace");
  SortLargestFirst(entries, [](const Entry& entry) { return entry.key; });
  EXPECT_EQ(Names(entries), "eacbd");
}

TEST(SortByKey, TheLeastAndTheGreatestNumberAreKeysToo) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::vector<Entry> entries = {{0, "b"}, {kLeast, "a"}, {kMost, "d"}, {kMost - 1, "c"}};
  SortSmallestFirst(entries, [](const Entry& entry) { return entry.key; });
  EXPECT_EQ(Names(entries), "abcd");
  SortLargestFirst(entries, [](const Entry& entry) { return entry.key; });
  EXPECT_EQ(Names(entries), "dcba");
  // Negative ones are the greatest without a sign.
  const auto unsigned_key = [](const Entry& entry) {
    return static_cast<std::uint64_t>(entry.key);
  };
  SortSmallestFirst(entries, unsigned_key);
  EXPECT_EQ(Names(entries), "bcda");
  SortLargestFirst(entries, unsigned_key);
  EXPECT_EQ(Names(entries), "adcb");
}

TEST(SortByKey, ItSortsAsTheStandardLibraryDoes) {
  std::mt19937 random(7);
  for (const std::size_t size : {0, 1, 2, 3, 100, 1000}) {
    // Values that cannot be copied.
    std::vector<std::unique_ptr<std::uint64_t>> values;
    std::vector<std::uint64_t> expected;
    for (std::size_t i = 0; i < size; ++i) {
      expected.push_back(random() % 50 * 1000 + i);
      values.push_back(std::make_unique<std::uint64_t>(expected.back()));
    }
    std::stable_sort(expected.begin(), expected.end(),
                     [](std::uint64_t a, std::uint64_t b) { return a / 1000 < b / 1000; });
    SortSmallestFirst(values, [](const auto& value) { return *value / 1000; });
    ASSERT_EQ(values.size(), size);
    for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(*values[i], expected[i]);
  }
}

}  // namespace
}  // namespace walmanager
