// Which alerts are kept and for how long, also after a process was killed and with any bytes.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "ext/core/control/alerts.h"
#include "ext/core/control/shared_words.h"
#include "tests/unit/alerts_fixture.h"

namespace walmanager {
namespace {

using AlertsKept = AlertsTest;

TEST_F(AlertsKept, AReturnedAlertIsTheOneThatIsKept) {
  const Reading readings[] = {Of(500), Of(150, "other")};
  const auto raised = alerts_.Evaluate(readings, 77, 1);
  const auto kept = alerts_.Read();
  ASSERT_EQ(raised.size(), 2u);
  ASSERT_EQ(kept.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(raised[i].id, kept[1 - i].id);
    EXPECT_EQ(raised[i].check, kept[1 - i].check);
    EXPECT_EQ(raised[i].status, kept[1 - i].status);
    EXPECT_EQ(raised[i].value, kept[1 - i].value);
    EXPECT_EQ(raised[i].threshold, kept[1 - i].threshold);
    EXPECT_EQ(raised[i].raised_ms, 77);
    EXPECT_EQ(raised[i].detail, kept[1 - i].detail);
  }
  EXPECT_EQ(raised[0].threshold, 200) << "of the status that was raised";
}

TEST_F(AlertsKept, TheFirstReadingOfANameCounts) {
  const std::string name(47, 'n'), longer = name + "x", longest = name + "y";
  Evaluate({Of(150, longer.c_str()), Of(50, longest.c_str())});
  Evaluate({Of(150, longest.c_str()), Of(50, longest.c_str())});
  EXPECT_EQ(Evaluate({Of(150, name.c_str()), Of(50, longer.c_str())}), "1 warning");
  EXPECT_EQ(alerts_.Read()[0].check, name);
  EXPECT_EQ(Evaluate(10, Of(150, "")), "") << "no name, no check";
}

TEST_F(AlertsKept, TextsAreCutAtWholeCharactersAndMadeUtf8) {
  const std::string detail = std::string(318, 'd') + "é";
  Reading reading = Of(150, "bad\xff");
  reading.detail = detail;
  EXPECT_EQ(Evaluate(10, reading), "1 warning");
  EXPECT_EQ(alerts_.Read()[0].check, "bad?");
  EXPECT_EQ(alerts_.Read()[0].detail, std::string(318, 'd'));
}

TEST_F(AlertsKept, MoreChecksThanAreWatchedWaitUntilOthersGo) {
  std::vector<std::string> names;
  std::vector<Reading> readings;
  for (std::size_t i = 0; i <= layout::kWatchedChecks; ++i) names.push_back(std::to_string(i));
  for (const std::string& name : names) readings.push_back(Of(150, name.c_str()));
  std::size_t raised = 0;
  for (int i = 0; i < 10; ++i) raised += alerts_.Evaluate(readings, i, kAfter).size();
  EXPECT_EQ(raised, layout::kWatchedChecks);
  readings.erase(readings.begin());
  raised = 0;
  for (int i = 0; i < 20; ++i) raised += alerts_.Evaluate(readings, 10 + i, kAfter).size();
  EXPECT_EQ(raised, 1u);
  EXPECT_EQ(alerts_.Read()[0].check, names.back());
}

TEST_F(AlertsKept, AClockSetBackClearsNothingBeforeItWasRaised) {
  now_ms_ = 1'000'000;
  Evaluate(3, Of(150));
  now_ms_ = 0;
  Evaluate(6, Of(50));
  EXPECT_EQ(Log(), "1 latency warning 1003000-1003000");
}

TEST_F(AlertsKept, AChangeGetsAnotherDetailWhereItStillIs) {
  const std::uint64_t id = alerts_.RecordChange("cancel", "it was interrupted", 5);
  alerts_.Amend(id, "it was interrupted, and has ended");
  ASSERT_EQ(alerts_.Read().size(), 1U);
  EXPECT_EQ(alerts_.Read()[0].detail, "it was interrupted, and has ended");
  EXPECT_EQ(alerts_.Read()[0].check, "cancel");
  EXPECT_EQ(alerts_.Read()[0].raised_ms, 5);
  for (std::size_t i = 0; i < layout::kAlerts; ++i) alerts_.RecordChange("x", "another", 6);
  alerts_.Amend(id, "too late");
  for (const AlertEntry& alert : alerts_.Read()) EXPECT_EQ(alert.detail, "another");
}

TEST_F(AlertsKept, AChangeHasItsProcessAndTime) {
  alerts_.RecordChange("checkpoint_frames", "500 (was 1000), by ann (pid 1)", 5);
  Evaluate(3, Of(150));
  alerts_.RecordChange("strategy", "off, by bob (pid 2)", 6);
  Evaluate(30, Of(50));
  EXPECT_EQ(Log(),
            "1 checkpoint_frames changed 5-5, 2 latency warning 3000-9000, 3 strategy changed 6-6");
  const auto alerts = alerts_.Read();
  EXPECT_EQ(alerts[0].detail, "off, by bob (pid 2)");
  EXPECT_EQ(alerts[0].value, std::nullopt);
  EXPECT_EQ(alerts[0].threshold, std::nullopt);
}

TEST_F(AlertsKept, TheNewestAreKeptAndOneThatWasPushedOutIsNotRaisedAgain) {
  Evaluate(3, Of(150));
  for (std::size_t i = 0; i < layout::kAlerts; ++i) alerts_.RecordChange("x", "", 1);
  EXPECT_EQ(alerts_.Read().size(), layout::kAlerts);
  EXPECT_EQ(alerts_.Read().back().id, 2u);
  EXPECT_EQ(Evaluate(10, Of(150)), "");
  Evaluate(10, Of(50));
  EXPECT_EQ(Evaluate(3, Of(150)), std::to_string(layout::kAlerts + 2) + " warning");
}

TEST_F(AlertsKept, ResetForgetsAndWhatIsStillBadIsRaisedAgain) {
  alerts_.RecordChange("x", "", 1);
  Evaluate(5, Of(150));
  Evaluate({Of(150), Bare(kWarning)});
  EXPECT_EQ(alerts_.Reset(), 2);
  EXPECT_EQ(Log(), "");
  EXPECT_EQ(alerts_.Reset(), 0);
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "");
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "3 warning") << "bare was not raised before";
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "4 warning");
  EXPECT_EQ(Log(), "3 bare warning 8000-, 4 latency warning 9000-");
}

TEST_F(AlertsKept, AnotherEvaluatorGoesOnWhereThisOneEnded) {
  Evaluate(2, Of(150));
  Alerts other(&block_.space);
  const Reading bad[] = {Of(150)};
  EXPECT_EQ(other.Evaluate(bad, 3000, kAfter).size(), 1u);
  EXPECT_EQ(Evaluate(10, Of(150)), "") << "once for all";
}

TEST_F(AlertsKept, AnotherBootKeepsThemAndAnotherDatabaseDoesNot) {
  Evaluate(3, Of(150));
  Evaluate({Of(150), Bare(kWarning)});
  block_.region.Adopt({kIdentity.database, "another boot"}, 1, 1);
  EXPECT_EQ(Log(), "1 latency warning 3000-");
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "") << "in force";
  block_.region.Adopt({{kIdentity.database.device, kIdentity.database.inode + 1}, "another boot"},
                      1, 1);
  EXPECT_EQ(Log(), "");
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "") << "counted anew";
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "");
  EXPECT_EQ(Evaluate({Of(150), Bare(kWarning)}), "2 warning, 3 warning");
}

// The state as it was before an evaluation, the ring as it is after: a kill between the two.
TEST_F(AlertsKept, KilledBetweenTheAlertAndItsStateItIsRaisedAgainAndTheFirstIsCleared) {
  Evaluate(2, Of(150));
  std::vector<char> state(sizeof block_.file->alerts.watched);
  std::memcpy(state.data(), &block_.file->alerts.watched, state.size());
  EXPECT_EQ(Evaluate({Of(150)}), "1 warning");
  std::memcpy(static_cast<void*>(&block_.file->alerts.watched), state.data(), state.size());
  EXPECT_EQ(Evaluate({Of(150)}), "2 warning");
  EXPECT_EQ(Log(), "1 latency warning 3000-4000, 2 latency warning 4000-");
}

TEST_F(AlertsKept, KilledBeforeItIsClearedTheNextEvaluationClearsIt) {
  Evaluate(3, Of(150));
  Evaluate(6, Of(50));
  block_.file->alerts.slots[1].cleared_ms = 0;
  EXPECT_EQ(Log(), "1 latency warning 3000-");
  Evaluate({Of(50)});
  EXPECT_EQ(Log(), "1 latency warning 3000-10000");
}

TEST_F(AlertsKept, AWriterThatIsKilledLosesItsAlertAlone) {
  alerts_.RecordChange("a", "", 1);
  alerts_.RecordChange("b", "", 2);
  alerts_.RecordChange("c", "", 3);
  block_.file->alerts.slots[2].id = 0;
  EXPECT_EQ(Log(), "1 a changed 1-1, 3 c changed 3-3");
  alerts_.RecordChange("d", "", 4);
  EXPECT_EQ(Log(), "1 a changed 1-1, 3 c changed 3-3, 4 d changed 4-4");
}

TEST_F(AlertsKept, AnImpossibleIdOrStateCountsAsNone) {
  Evaluate(3, Of(150));
  layout::AlertLog& log = block_.file->alerts;
  for (const std::uint64_t word : {std::uint64_t{9} << 3 | 1, std::uint64_t{1} << 3 | 3,
                                   std::uint64_t{1} << 3, std::uint64_t{2}, ~std::uint64_t{0}}) {
    const std::size_t before = alerts_.Read().size();
    log.watched[0].in_force = word;
    EXPECT_NE(Evaluate(3, Of(150)), "") << word << ": raised anew";
    EXPECT_EQ(alerts_.Read().size(), before + 1);
  }
  log.forgotten_id = ~std::uint64_t{0};
  EXPECT_EQ(Log(), "");
  Evaluate(3, Of(150));
  EXPECT_EQ(alerts_.Read().size(), 0u) << "all of them, until a Reset";
  EXPECT_EQ(alerts_.Reset(), 0);
  EXPECT_NE(Evaluate(3, Of(150)), "");
  EXPECT_EQ(alerts_.Read().size(), 1u);
}

// Each round writes each slot at most once more: two threads that write one slot at the same time
// are 256 alerts apart.
TEST_F(AlertsKept, ReadersBesideWritersSeeWholeAlerts) {
  constexpr int kRounds = 100, kEach = 80;
  std::atomic<int> mixtures{0};
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> working{3};
    RunThreads(5, [&](int thread) {
      for (int i = 0; thread < 3 && i < kEach; ++i) {
        const int at_ms = (thread * kRounds + round) * kEach + i + 1;
        const std::string number = std::to_string(at_ms);
        if (thread > 0) {
          alerts_.RecordChange(number, number, at_ms);
        } else {
          const Reading reading{"latency", i % 5 < 2 ? kWarning : kOk, i, {}, {}, number};
          (void)alerts_.Evaluate(std::span(&reading, 1), at_ms, 1);
        }
      }
      if (thread < 3) --working;
      while (thread >= 3 && working > 0) {
        for (const AlertEntry& entry : alerts_.Read()) {
          const bool changed = entry.status == AlertStatus::kChanged;
          if (entry.detail != std::to_string(entry.raised_ms)) ++mixtures;
          if (entry.check != (changed ? entry.detail : "latency")) ++mixtures;
          if (changed && entry.cleared_ms != entry.raised_ms) ++mixtures;
        }
      }
    });
  }
  EXPECT_EQ(mixtures, 0);
  EXPECT_EQ(alerts_.Read()[0].id, Get(block_.file->alerts.next_id));
  EXPECT_EQ(alerts_.Read().size(), layout::kAlerts);
}

}  // namespace
}  // namespace walmanager
