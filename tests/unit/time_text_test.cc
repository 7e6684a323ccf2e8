// Points in time come out as SQLite's date functions write them.
#include "ext/core/base/time_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace walmanager {
namespace {

TEST(UtcText, Epoch) { EXPECT_EQ(UtcText(0), "1970-01-01 00:00:00.000"); }

TEST(UtcText, LeapDays) {
  EXPECT_EQ(UtcText(1'709'210'096'789), "2024-02-29 12:34:56.789");
  EXPECT_EQ(UtcText(951'782'400'000), "2000-02-29 00:00:00.000");
  // 1900 was not a leap year: the day before March is the 28th.
  EXPECT_EQ(UtcText(-2'203'891'200'000), "1900-03-01 00:00:00.000");
  EXPECT_EQ(UtcText(-2'203'891'200'001), "1900-02-28 23:59:59.999");
}

TEST(UtcText, Milliseconds) {
  EXPECT_EQ(UtcText(1), "1970-01-01 00:00:00.001");
  EXPECT_EQ(UtcText(86'399'999), "1970-01-01 23:59:59.999");
  EXPECT_EQ(UtcText(86'400'000), "1970-01-02 00:00:00.000");
  EXPECT_EQ(UtcText(4'102'444'799'050), "2099-12-31 23:59:59.050");
}

TEST(UtcText, Before1970) {
  EXPECT_EQ(UtcText(-1), "1969-12-31 23:59:59.999");
  EXPECT_EQ(UtcText(-86'400'000), "1969-12-31 00:00:00.000");
  EXPECT_EQ(UtcText(-86'400'001), "1969-12-30 23:59:59.999");
}

TEST(UtcText, TheYearsThatSqliteReads) {
  EXPECT_EQ(UtcText(-62'167'219'200'000), "0000-01-01 00:00:00.000");
  EXPECT_EQ(UtcText(253'402'300'799'999), "9999-12-31 23:59:59.999");
}

// Times in the control file are not trusted: the ends of the range overflowed in chrono.
TEST(UtcText, BugTimesOutOfRangeOverflow) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t ms : {kLeast, kLeast + 1, -62'167'219'200'001}) {
    EXPECT_EQ(UtcText(ms), "0000-01-01 00:00:00.000") << ms;
  }
  for (const std::int64_t ms : {kMost, kMost - 1, 253'402'300'800'000}) {
    EXPECT_EQ(UtcText(ms), "9999-12-31 23:59:59.999") << ms;
  }
}

}  // namespace
}  // namespace walmanager
