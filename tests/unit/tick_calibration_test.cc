// The time that a processor's counter tells.
#include "ext/core/policy/tick_calibration.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

constexpr std::uint64_t kBaseTicks = 40'000'000'000, kBaseNs = 7'000'000'000;
constexpr std::uint64_t kUntilTicks = kBaseTicks + 20'000'000'000;

// Two ticks in a nanosecond.
struct Calibrated : TickCalibration {
  Calibrated() {
    base_ticks = kBaseTicks;
    base_ns = kBaseNs;
    multiplier = std::uint64_t{1} << 31;
    until_ticks = kUntilTicks;
  }
};

TEST(TickCalibration, TellsTheTimeOfATick) {
  const Calibrated calibration;
  std::uint64_t ns = 0;
  ASSERT_TRUE(calibration.At(kBaseTicks, &ns));
  EXPECT_EQ(ns, kBaseNs);
  ASSERT_TRUE(calibration.At(kBaseTicks + 3'000'000, &ns));
  EXPECT_EQ(ns, kBaseNs + 1'500'000);
}

TEST(TickCalibration, AnotherProcessorMayBeSomeTicksBehind) {
  const Calibrated calibration;
  std::uint64_t ns = 0;
  ASSERT_TRUE(calibration.At(kBaseTicks - 2000, &ns));
  EXPECT_EQ(ns, kBaseNs - 1000);
}

TEST(TickCalibration, TellsNothingWhenItIsOverOrVoid) {
  const Calibrated calibration;
  std::uint64_t ns = 0;
  EXPECT_FALSE(calibration.At(kUntilTicks, &ns));
  calibration.Void();
  EXPECT_FALSE(calibration.At(kBaseTicks, &ns));
}

// A bug: it told the time of seconds ago until the counter had passed its value before the suspend.
TEST(TickCalibration, TellsNothingOfACounterThatHasStartedAgain) {
  const Calibrated calibration;
  std::uint64_t ns = 0;
  EXPECT_FALSE(calibration.At(1, &ns));
  EXPECT_FALSE(calibration.At(kBaseTicks - 2'000'000, &ns));
}

}  // namespace
}  // namespace walmanager
