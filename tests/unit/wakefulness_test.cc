// When the looks at a database begin, and when they end.
#include "ext/core/policy/wakefulness.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

TEST(Wakefulness, SleepsUntilItIsWoken) {
  Wakefulness wakefulness;
  EXPECT_TRUE(wakefulness.is_drowsy());
  EXPECT_TRUE(wakefulness.Wake()) << "nothing looks: the caller has it begin";
  EXPECT_FALSE(wakefulness.is_drowsy());
  EXPECT_FALSE(wakefulness.Wake()) << "it looks already";
}

TEST(Wakefulness, LooksOnWhileSomethingHappens) {
  Wakefulness wakefulness;
  wakefulness.Wake();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(wakefulness.LooksAgain(true));
    EXPECT_FALSE(wakefulness.is_drowsy());
  }
}

TEST(Wakefulness, FallsAsleepAtTheSecondLookThatFindsNothing) {
  Wakefulness wakefulness;
  wakefulness.Wake();
  wakefulness.LooksAgain(true);
  EXPECT_TRUE(wakefulness.LooksAgain(false)) << "a statement may have missed that";
  EXPECT_TRUE(wakefulness.is_drowsy());
  EXPECT_FALSE(wakefulness.LooksAgain(false));
  EXPECT_TRUE(wakefulness.is_drowsy());
  EXPECT_TRUE(wakefulness.Wake());
}

TEST(Wakefulness, AStatementBetweenTheTwoKeepsItAwakeWithoutAWake) {
  Wakefulness wakefulness;
  wakefulness.Wake();
  wakefulness.LooksAgain(false);
  EXPECT_FALSE(wakefulness.Wake()) << "there is a look to come";
  EXPECT_TRUE(wakefulness.LooksAgain(false)) << "the statement came after what this look has seen";
  EXPECT_FALSE(wakefulness.LooksAgain(false));
}

TEST(Wakefulness, WhatALookItselfFindsKeepsItAwake) {
  Wakefulness wakefulness;
  wakefulness.Wake();
  wakefulness.LooksAgain(false);
  EXPECT_TRUE(wakefulness.LooksAgain(true)) << "of a statement that did not see the state";
  EXPECT_FALSE(wakefulness.is_drowsy());
}

TEST(Wakefulness, WhereTheLooksCannotBeginTheNextStatementTriesAgain) {
  Wakefulness wakefulness;
  EXPECT_TRUE(wakefulness.Wake());
  wakefulness.StayAsleep();
  EXPECT_TRUE(wakefulness.is_drowsy());
  EXPECT_TRUE(wakefulness.Wake());
}

}  // namespace
}  // namespace walmanager
