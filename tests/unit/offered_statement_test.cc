// A statement that is offered to another thread is interrupted while it runs, or not at all.
#include "ext/core/base/offered_statement.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace walmanager {
namespace {

TEST(OfferedStatement, IsInterruptedOnlyWhileItIsOffered) {
  OfferedStatement statement;
  int interrupts = 0;
  const auto interrupt = [&](std::uint64_t number) {
    return statement.InterruptIfOffered(number, [&] { ++interrupts; });
  };
  EXPECT_EQ(statement.number(), 0U);
  EXPECT_FALSE(interrupt(0));
  EXPECT_FALSE(interrupt(1));
  EXPECT_FALSE(statement.Withdraw());
  statement.Offer();
  EXPECT_EQ(statement.number(), 1U);
  EXPECT_FALSE(interrupt(2));
  EXPECT_TRUE(interrupt(1));
  EXPECT_EQ(statement.number(), 0U);
  EXPECT_FALSE(interrupt(1));  // once
  EXPECT_TRUE(statement.Withdraw());
  EXPECT_FALSE(statement.Withdraw());
  EXPECT_EQ(interrupts, 1);
}

TEST(OfferedStatement, TheNextOneIsAnotherOne) {
  OfferedStatement statement;
  statement.Offer();
  const std::uint64_t first = statement.number();
  EXPECT_FALSE(statement.Withdraw());
  EXPECT_FALSE(statement.InterruptIfOffered(first, [] { FAIL(); }));
  statement.Offer();
  EXPECT_NE(statement.number(), first);
  EXPECT_FALSE(statement.InterruptIfOffered(first, [] { FAIL(); }));
}

TEST(OfferedStatement, WithdrawWaitsForAnInterruptThatRuns) {
  OfferedStatement statement;
  std::atomic<bool> begins{false}, is_over{false};
  statement.Offer();
  std::thread other([&] {
    EXPECT_TRUE(statement.InterruptIfOffered(1, [&] {
      begins = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      is_over = true;
    }));
  });
  while (!begins) std::this_thread::yield();
  EXPECT_TRUE(statement.Withdraw());
  EXPECT_TRUE(is_over);
  other.join();
}

TEST(OfferedStatement, NoInterruptComesWhileNoneIsOffered) {
  constexpr int kRounds = 200'000;
  OfferedStatement statement;
  std::atomic<bool> runs{false}, ends{false};
  std::atomic<int> wrong{0};
  int seen = 0;
  std::thread other([&] {
    while (!ends) {
      const std::uint64_t number = statement.number();
      statement.InterruptIfOffered(number, [&] { wrong += !runs.load(); });
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    runs = true;
    statement.Offer();
    seen += statement.Withdraw();
    runs = false;
  }
  // The rounds above may be over before the other thread runs.
  for (int i = 0; i < kRounds && seen == 0; ++i) {
    runs = true;
    statement.Offer();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    seen += statement.Withdraw();
    runs = false;
  }
  ends = true;
  other.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(seen, 0);
}

}  // namespace
}  // namespace walmanager
