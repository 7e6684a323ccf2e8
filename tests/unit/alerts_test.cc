// When a check becomes an alert, and when it is over.
#include "ext/core/control/alerts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/alerts_fixture.h"

namespace walmanager {
namespace {

TEST_F(AlertsTest, NothingIsThereAtFirst) {
  EXPECT_EQ(Log(), "");
  EXPECT_EQ(Evaluate({}), "");
  EXPECT_EQ(Evaluate(100, Of(50)), "");
  EXPECT_EQ(alerts_.Reset(), 0);
}

TEST_F(AlertsTest, RaisedWhenItHeldForTheReadingsAskedFor) {
  EXPECT_EQ(Evaluate(2, Of(120)), "");
  EXPECT_EQ(Evaluate({Of(150)}), "1 warning");
  EXPECT_EQ(Evaluate(100, Of(130)), "") << "once";
  const auto alerts = alerts_.Read();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].check, "latency");
  EXPECT_EQ(alerts[0].status, AlertStatus::kWarning);
  EXPECT_EQ(alerts[0].value, 150);
  EXPECT_EQ(alerts[0].threshold, 100);
  EXPECT_EQ(alerts[0].raised_ms, 3000);
  EXPECT_EQ(alerts[0].cleared_ms, std::nullopt);
  EXPECT_EQ(alerts[0].detail, "slow");
}

TEST_F(AlertsTest, OneBetterReadingBeginsTheCountAnew) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Evaluate(2, Of(120)), "");
    EXPECT_EQ(Evaluate({Of(99)}), "");
  }
  EXPECT_EQ(Evaluate(3, Of(120)), "1 warning");
}

TEST_F(AlertsTest, MoreSevereReadingsCountForTheLesserStatus) {
  EXPECT_EQ(Evaluate({Of(120)}), "");
  EXPECT_EQ(Evaluate({Of(220)}), "");
  EXPECT_EQ(Evaluate({Of(220)}), "1 warning");
  EXPECT_EQ(Evaluate({Of(220)}), "2 critical");
  EXPECT_EQ(Log(), "1 latency warning 3000-4000, 2 latency critical 4000-");
}

TEST_F(AlertsTest, CriticalAtOnceIsOneAlert) {
  EXPECT_EQ(Evaluate(10, Of(300)), "1 critical");
  EXPECT_EQ(Log(), "1 latency critical 3000-");
}

TEST_F(AlertsTest, WarningThenCriticalIsTwoAlertsAndTheFirstIsCleared) {
  EXPECT_EQ(Evaluate(5, Of(150)), "1 warning");
  EXPECT_EQ(Evaluate(2, Of(250)), "");
  EXPECT_EQ(Evaluate({Of(250)}), "2 critical");
  EXPECT_EQ(Log(), "1 latency warning 3000-8000, 2 latency critical 8000-");
}

TEST_F(AlertsTest, ClearedAfterTwiceTheReadings) {
  Evaluate(3, Of(150));
  EXPECT_EQ(Evaluate(5, Of(50)), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-");
  EXPECT_EQ(Evaluate({Of(50)}), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-9000");
  EXPECT_EQ(Evaluate(100, Of(50)), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-9000") << "the time stays";
  EXPECT_EQ(Evaluate(3, Of(150)), "2 warning") << "and it may come again";
}

TEST_F(AlertsTest, FlappingAroundTheThresholdIsOneAlert) {
  Evaluate(3, Of(101));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(Evaluate({Of(i % 6 == 0 ? 101 : 50)}), "");
  }
  EXPECT_EQ(Log(), "1 latency warning 3000-") << "never six better ones in a row";
}

TEST_F(AlertsTest, ClearedOnlyATenthBeyondTheThreshold) {
  Evaluate(3, Of(150));
  EXPECT_EQ(Evaluate(20, Of(91)), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-");
  EXPECT_EQ(Evaluate({Of(90)}), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-24000");
}

TEST_F(AlertsTest, ClearedWithoutTheTenthWhenItStaysGoodForLong) {
  Evaluate(3, Of(150));
  EXPECT_EQ(Evaluate(59, Of(99)), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-");
  EXPECT_EQ(Evaluate({Of(99)}), "");
  EXPECT_EQ(Log(), "1 latency warning 3000-63000");
}

TEST_F(AlertsTest, WhereLowerIsWorseTheTenthIsAbove) {
  EXPECT_EQ(Evaluate(3, Share(0.4)), "1 warning");
  EXPECT_EQ(Evaluate(20, Share(0.54)), "");
  EXPECT_EQ(Log(), "1 share warning 3000-");
  EXPECT_EQ(Evaluate({Share(0.56)}), "");
  EXPECT_EQ(Log(), "1 share warning 3000-24000");
  EXPECT_EQ(Evaluate(3, Share(0.1)), "2 critical");
  EXPECT_EQ(alerts_.Read()[0].threshold, 0.25);
  EXPECT_EQ(Evaluate(6, Share(0.6)), "");
  EXPECT_EQ(Log(), "1 share warning 3000-24000, 2 share critical 27000-33000");
}

// The direction is that of the reading that raised it: both thresholds tell, else the value.
TEST_F(AlertsTest, OneThresholdAndTheValueTellWhatIsWorse) {
  const auto disk_free = [](double value) {
    return Reading{"free", value <= 10 ? kCritical : kOk, value, {}, 10, ""};
  };
  EXPECT_EQ(Evaluate(3, disk_free(5)), "1 critical");
  Evaluate(10, disk_free(10.5));
  EXPECT_EQ(Log(), "1 free critical 3000-");
  Evaluate({disk_free(11)});
  EXPECT_EQ(Log(), "1 free critical 3000-14000");
  const auto pages = [](double value) {
    return Reading{"pages", value >= 10 ? kWarning : kOk, value, 10, {}, ""};
  };
  EXPECT_EQ(Evaluate(3, pages(10)), "2 warning");
  Evaluate(10, pages(9.5));
  EXPECT_EQ(alerts_.Read()[0].cleared_ms, std::nullopt);
  Evaluate({pages(9)});
  EXPECT_NE(alerts_.Read()[0].cleared_ms, std::nullopt);
}

TEST_F(AlertsTest, WithoutANumberTheStatusAloneDecides) {
  const double kNaN = std::nan(""), kInfinity = std::numeric_limits<double>::infinity();
  const Reading bad[] = {{"none", kWarning, {}, {}, {}, ""},
                         {"no value", kWarning, {}, 100, 200, ""},
                         {"no threshold", kWarning, 5, {}, {}, ""},
                         {"zero", kWarning, 5, 0, {}, ""},
                         {"nan", kWarning, kNaN, kNaN, kNaN, ""},
                         {"infinity", kWarning, kInfinity, 100, kInfinity, ""}};
  for (const Reading& reading : bad) {
    Reading good = reading;
    good.status = kOk;
    EXPECT_NE(Evaluate(3, reading), "") << reading.check;
    const AlertEntry raised = alerts_.Read()[0];
    EXPECT_TRUE(std::isfinite(raised.value.value_or(0)));
    EXPECT_TRUE(std::isfinite(raised.threshold.value_or(0)));
    Evaluate(5, good);
    EXPECT_EQ(alerts_.Read()[0].cleared_ms, std::nullopt) << reading.check;
    Evaluate({good});
    EXPECT_EQ(alerts_.Read()[0].cleared_ms, now_ms_) << reading.check;
  }
}

TEST_F(AlertsTest, ThresholdsBelowZeroHaveTheirTenthToo) {
  const auto drift = [](double value) {
    return Reading{"drift", value >= -10 ? kWarning : kOk, value, -10, 0, ""};
  };
  Evaluate(3, drift(-5));
  Evaluate(10, drift(-10.5));
  EXPECT_EQ(Log(), "1 drift warning 3000-");
  Evaluate({drift(-11)});
  EXPECT_EQ(Log(), "1 drift warning 3000-14000");
}

TEST_F(AlertsTest, CriticalThatBecomesAWarningIsFollowedByOneAndNothingIsReturned) {
  Evaluate(3, Of(300));
  EXPECT_EQ(Evaluate(5, Of(150)), "");
  EXPECT_EQ(Log(), "1 latency critical 3000-");
  EXPECT_EQ(Evaluate({Of(150)}), "");
  EXPECT_EQ(Log(), "1 latency critical 3000-9000, 2 latency warning 9000-");
  EXPECT_EQ(Evaluate(2, Of(300)), "");
  EXPECT_EQ(Evaluate({Of(300)}), "3 critical") << "worse again";
  EXPECT_EQ(Evaluate(6, Of(50)), "");
  EXPECT_EQ(Log(),
            "1 latency critical 3000-9000, 2 latency warning 9000-12000, "
            "3 latency critical 12000-18000");
}

TEST_F(AlertsTest, CriticalNeedsItsTenthToBecomeAWarning) {
  Evaluate(3, Of(300));
  Evaluate(30, Of(190));
  EXPECT_EQ(Log(), "1 latency critical 3000-");
  Evaluate({Of(180)});
  EXPECT_EQ(Log(), "1 latency critical 3000-34000, 2 latency warning 34000-");
}

TEST_F(AlertsTest, CriticalThatFallsThroughTheWarningIsClearedWithoutOne) {
  Evaluate(3, Of(300));
  Evaluate({Of(150)});
  EXPECT_EQ(Evaluate(5, Of(50)), "");
  EXPECT_EQ(Log(), "1 latency critical 3000-") << "it is not known yet whether it stays good";
  Evaluate({Of(50)});
  EXPECT_EQ(Log(), "1 latency critical 3000-10000");
}

TEST_F(AlertsTest, UnknownReadingsCountForNothing) {
  for (const int round : {1, 2}) {
    for (int i = 0; i < kAfter; ++i) {
      Evaluate(10, Unknown());
      EXPECT_EQ(Evaluate({Of(150)}), i < kAfter - 1 ? "" : std::to_string(round) + " warning");
    }
    for (int i = 0; i < 2 * kAfter; ++i) {
      EXPECT_EQ(alerts_.Read()[0].cleared_ms, std::nullopt);
      Evaluate({Of(50)});
      Evaluate(10, Unknown());
    }
    EXPECT_NE(alerts_.Read()[0].cleared_ms, std::nullopt);
  }
}

TEST_F(AlertsTest, ACheckThatIsGoneIsClearedAfterAWhile) {
  Evaluate(3, Of(150));
  for (int i = 0; i < 5; ++i) Evaluate({});
  EXPECT_EQ(Log(), "1 latency warning 3000-");
  Evaluate({Unknown()});
  for (int i = 0; i < 5; ++i) Evaluate({Bare(kOk)});
  EXPECT_EQ(Log(), "1 latency warning 3000-") << "it was seen in between";
  Evaluate({Bare(kOk)});
  EXPECT_EQ(Log(), "1 latency warning 3000-15000");
  EXPECT_EQ(Evaluate(2, Of(150)), "") << "it begins anew";
  EXPECT_EQ(Evaluate({Of(150)}), "2 warning");
}

TEST_F(AlertsTest, ChecksDoNotDisturbEachOther) {
  EXPECT_EQ(Evaluate({Of(150), Of(50, "b"), Of(300, "c")}), "");
  EXPECT_EQ(Evaluate({Of(300, "c"), Of(150), Of(150, "b")}), "");
  EXPECT_EQ(Evaluate({Of(150), Of(150, "b"), Of(300, "c")}), "1 warning, 2 critical");
  EXPECT_EQ(Evaluate({Of(150), Of(150, "b"), Of(300, "c")}), "3 warning");
  EXPECT_EQ(Log(), "1 latency warning 3000-, 2 c critical 3000-, 3 b warning 4000-");
}

TEST_F(AlertsTest, ReadingsAskedForAreWithinReason) {
  const Reading bad[] = {Of(150)};
  EXPECT_EQ(alerts_.Evaluate(bad, 1, std::numeric_limits<int>::max()).size(), 0u);
  EXPECT_EQ(alerts_.Evaluate(bad, 2, 0).size(), 1u) << "as 1";
  EXPECT_EQ(alerts_.Evaluate(bad, 3, std::numeric_limits<int>::min()).size(), 0u) << "in force";
}

}  // namespace
}  // namespace walmanager
