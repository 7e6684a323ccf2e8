// A replicator counts as gone after a minute without a sign of it, and as there at the first sign.
#include "ext/core/control/replicator_watch.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

class ReplicatorWatchTest : public testing::Test {
 protected:
  // Looks once a second for `seconds`; the state after the last look.
  ReplicatorState LookFor(int seconds, const ReplicatorLook& look) {
    for (int i = 0; i < seconds; ++i) Look(look);
    return ReadReplicatorState(shared_);
  }
  ReplicatorWatch::Outcome Look(const ReplicatorLook& look) {
    now_ns_ += kSecond;
    const auto outcome = watch_.Look(shared_, wish_, look, now_ns_);
    EXPECT_EQ(outcome.state, ReadReplicatorState(shared_));
    changes_ += outcome.changed ? 1 : 0;
    return outcome;
  }
  static ReplicatorLook Seen(std::uint64_t content, std::vector<UnknownReader> readers = {}) {
    return {true, content, std::move(readers), false};
  }

  layout::ReplicatorWords shared_{};
  ReplicatorWatch watch_;
  ReplicatorWish wish_ = ReplicatorWish::kAuto;
  std::uint64_t now_ns_ = 1000 * kSecond;
  int changes_ = 0;
};

TEST_F(ReplicatorWatchTest, WithoutItsTableThereIsNone) {
  EXPECT_EQ(ReadReplicatorState(shared_), ReplicatorState::kUnknown);
  EXPECT_EQ(LookFor(100, {false, 0, {{1, 7, std::nullopt}}}), ReplicatorState::kNone);
  EXPECT_EQ(changes_, 0);
}

TEST_F(ReplicatorWatchTest, AStateIsStaleTenMinutesAfterTheLastLookOfAnyProcess) {
  EXPECT_TRUE(IsStale(shared_, now_ns_)) << "no look yet";
  Look(Seen(5));
  EXPECT_FALSE(IsStale(shared_, now_ns_ + 600 * kSecond));
  EXPECT_TRUE(IsStale(shared_, now_ns_ + 601 * kSecond));
  EXPECT_TRUE(IsStale(shared_, now_ns_ - kSecond)) << "of another boot";
}

TEST_F(ReplicatorWatchTest, BugItsTableAloneCountedAsAReplicatorForLife) {
  EXPECT_EQ(LookFor(60, Seen(5)), ReplicatorState::kThere) << "59 s after the first look";
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kGone);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(LookFor(1000, Seen(5)), ReplicatorState::kGone);
  EXPECT_EQ(changes_, 1) << "the change is reported once";
}

TEST_F(ReplicatorWatchTest, BugALogBeyondItsLimitGrewForAMinuteThoughNoReplicatorCouldBeThere) {
  ReplicatorLook away = Seen(5);
  away.away_beyond_limit = true;
  EXPECT_EQ(LookFor(3, away), ReplicatorState::kThere) << "2 s after the first look";
  EXPECT_EQ(LookFor(1, away), ReplicatorState::kGone);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kGone) << "the log has started over";
  EXPECT_EQ(LookFor(1, Seen(6)), ReplicatorState::kThere);
}

TEST_F(ReplicatorWatchTest, AReplicatorThatIsRestartedKeepsTheCheckpoints) {
  ReplicatorLook away = Seen(5);
  away.away_beyond_limit = true;
  for (int restart = 0; restart < 10; ++restart) {
    EXPECT_EQ(LookFor(3, away), ReplicatorState::kThere);
    // It has the database open, and shows no sign yet.
    EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kThere);
  }
  // The sign that another process has seen counts, too.
  LookFor(2, away);
  ReplicatorWatch other;
  other.Look(shared_, wish_, Seen(6), now_ns_);
  EXPECT_EQ(LookFor(2, {true, 6, {}, true}), ReplicatorState::kThere);
}

TEST_F(ReplicatorWatchTest, AChangeOfItsTableIsASign) {
  LookFor(59, Seen(5));
  EXPECT_EQ(LookFor(60, Seen(6)), ReplicatorState::kThere);
  EXPECT_EQ(LookFor(1, Seen(6)), ReplicatorState::kGone);
}

TEST_F(ReplicatorWatchTest, AMarkThatIsFreeAroundACheckpointIsNoAbsence) {
  const std::vector<UnknownReader> held = {{2, 40, 77}};
  for (int checkpoint = 0; checkpoint < 20; ++checkpoint) {
    EXPECT_EQ(LookFor(30, Seen(5, held)), ReplicatorState::kThere);
    EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kThere);
  }
}

TEST_F(ReplicatorWatchTest, AHeldMarkWhoseHolderCannotBeNamedIsASign) {
  std::uint32_t frame = 0;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(Look(Seen(5, {{1, ++frame, std::nullopt}})).state, ReplicatorState::kThere);
  }
}

TEST_F(ReplicatorWatchTest, ANamedReaderThatMovesWithTheLogIsNoSign) {
  std::uint32_t frame = 0;
  for (int i = 0; i < 61; ++i) Look(Seen(5, {{1, ++frame, 77}}));
  EXPECT_EQ(ReadReplicatorState(shared_), ReplicatorState::kGone);
  // The same mark at the next look, but another process holds it.
  Look(Seen(5, {{1, frame, 78}}));
  EXPECT_EQ(ReadReplicatorState(shared_), ReplicatorState::kGone);
  EXPECT_EQ(LookFor(1, Seen(5, {{1, frame, 78}})), ReplicatorState::kThere);
}

TEST_F(ReplicatorWatchTest, AProcessThatHasNotLookedBeforeTakesEveryReaderForASign) {
  LookFor(70, Seen(5));
  watch_ = {};
  EXPECT_EQ(LookFor(1, Seen(5, {{1, 9, 77}})), ReplicatorState::kThere);
}

TEST_F(ReplicatorWatchTest, ItIsThereAgainAtTheFirstSignAndGoneOnlyAMinuteAfterTheLast) {
  LookFor(61, Seen(5));
  const auto back = Look(Seen(6));
  EXPECT_EQ(back.state, ReplicatorState::kThere);
  EXPECT_TRUE(back.changed);
  EXPECT_EQ(LookFor(59, Seen(6)), ReplicatorState::kThere);
  EXPECT_EQ(LookFor(1, Seen(6)), ReplicatorState::kGone);
  EXPECT_EQ(changes_, 3);
}

TEST_F(ReplicatorWatchTest, LooksOfSeveralProcessesAreLooksOfOne) {
  ReplicatorWatch other;
  LookFor(30, Seen(5));
  now_ns_ += 31 * kSecond;
  const auto seen = other.Look(shared_, wish_, Seen(5), now_ns_);
  EXPECT_EQ(seen.state, ReplicatorState::kGone);
  EXPECT_TRUE(seen.changed);
  EXPECT_FALSE(Look(Seen(5)).changed) << "the other process has reported it";
}

TEST_F(ReplicatorWatchTest, OneLateLookIsNotEnough) {
  Look(Seen(5));
  now_ns_ += 3600 * kSecond;
  EXPECT_EQ(Look(Seen(5)).state, ReplicatorState::kThere);
  EXPECT_EQ(watch_.Look(shared_, wish_, Seen(5), now_ns_ + 1).state, ReplicatorState::kThere)
      << "two looks at the same moment are one";
  EXPECT_EQ(Look(Seen(5)).state, ReplicatorState::kThere);
  EXPECT_EQ(Look(Seen(5)).state, ReplicatorState::kGone);
}

TEST_F(ReplicatorWatchTest, ATableThatComesAgainBeginsTheWaitAnew) {
  LookFor(61, Seen(5));
  EXPECT_EQ(LookFor(1, {}), ReplicatorState::kNone);
  EXPECT_EQ(LookFor(60, Seen(5)), ReplicatorState::kThere);
}

TEST_F(ReplicatorWatchTest, AlwaysKeepsItThereAndNeverIgnoresIt) {
  LookFor(61, Seen(5));
  wish_ = ReplicatorWish::kAlways;
  EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kThere);
  EXPECT_EQ(LookFor(200, Seen(5)), ReplicatorState::kThere);
  for (const auto state :
       {ReplicatorState::kUnknown, ReplicatorState::kThere, ReplicatorState::kGone}) {
    EXPECT_TRUE(IsReplicators(ReplicatorWish::kAlways, state));
    EXPECT_FALSE(IsReplicators(ReplicatorWish::kNever, state));
    EXPECT_EQ(IsReplicators(ReplicatorWish::kAuto, state), state != ReplicatorState::kGone);
  }
}

TEST_F(ReplicatorWatchTest, CorruptWordsErrTowardsAReplicator) {
  LookFor(61, Seen(5));
  shared_.sign_ns = ~std::uint64_t{0};
  EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kThere);
  shared_.looked_ns = now_ns_ + 3600 * kSecond;
  EXPECT_EQ(LookFor(60, Seen(5)), ReplicatorState::kThere);
  EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kGone);
  shared_.state = 99;
  EXPECT_EQ(ReadReplicatorState(shared_), ReplicatorState::kUnknown);
  EXPECT_EQ(LookFor(1, Seen(5)), ReplicatorState::kThere);
}

}  // namespace
}  // namespace walmanager
