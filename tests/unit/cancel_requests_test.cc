// Requests of one process to another, and what becomes of those that were left.
#include "ext/core/control/cancel_requests.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace walmanager {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000, kNowNs = 1'000 * kSecondNs,
                        kDeadlineNs = kNowNs + 2 * kSecondNs;

class CancelRequestsTest : public testing::Test {
 protected:
  std::optional<CancelRequests::Ticket> Ask(std::uint64_t owner, std::uint64_t number,
                                            std::uint64_t now_ns = kNowNs) {
    return requests_.Ask({.owner = owner, .connection = 5, .started_ns = 7, .by_pid = 8, .by = 9},
                         number, now_ns, now_ns + 2 * kSecondNs);
  }

  std::unique_ptr<layout::CancelRequests> memory_ = std::make_unique<layout::CancelRequests>();
  CancelRequests requests_{*memory_};
};

TEST_F(CancelRequestsTest, TheOwnerFindsWhatItIsAskedAndAnswers) {
  const std::uint64_t before = requests_.asked();
  const auto ticket = Ask(1, 11);
  ASSERT_TRUE(ticket);
  EXPECT_NE(requests_.asked(), before);
  EXPECT_TRUE(requests_.AskedOf(2, kNowNs).empty());
  const auto asked = requests_.AskedOf(1, kNowNs);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].wish.connection, 5u);
  EXPECT_EQ(asked[0].wish.started_ns, 7u);
  EXPECT_EQ(asked[0].wish.by_pid, 8u);
  EXPECT_EQ(asked[0].wish.by, 9u);
  EXPECT_EQ(requests_.Answer(*ticket), CancelAnswer::kNone);
  EXPECT_TRUE(requests_.SetAnswer(asked[0].ticket, CancelAnswer::kInterrupted));
  EXPECT_TRUE(requests_.AskedOf(1, kNowNs).empty());
  EXPECT_EQ(requests_.Answer(*ticket), CancelAnswer::kInterrupted);
  EXPECT_EQ(requests_.End(*ticket), CancelAnswer::kInterrupted);
  EXPECT_EQ(requests_.Answer(*ticket), CancelAnswer::kNone);
}

TEST_F(CancelRequestsTest, ACallerThatGaveUpIsNotAnswered) {
  const auto ticket = Ask(1, 11);
  const auto asked = requests_.AskedOf(1, kNowNs);
  EXPECT_TRUE(requests_.AskedOf(1, kDeadlineNs + 1).empty());
  EXPECT_EQ(requests_.End(*ticket), CancelAnswer::kNone);
  const auto next = Ask(1, 12);
  EXPECT_FALSE(requests_.SetAnswer(asked[0].ticket, CancelAnswer::kInterrupted));
  EXPECT_EQ(requests_.Answer(*next), CancelAnswer::kNone);
}

TEST_F(CancelRequestsTest, AnAnswerThatComesLastIsNotLost) {
  const auto ticket = Ask(1, 11);
  EXPECT_TRUE(
      requests_.SetAnswer(requests_.AskedOf(1, kNowNs)[0].ticket, CancelAnswer::kNotRunning));
  EXPECT_EQ(requests_.End(*ticket), CancelAnswer::kNotRunning);
}

TEST_F(CancelRequestsTest, ThePlaceOfAKilledCallerIsFreeLater) {
  std::uint64_t number = 1;
  for (std::size_t i = 0; i < layout::kCancelRequests; ++i) EXPECT_TRUE(Ask(1, number++));
  EXPECT_FALSE(Ask(1, number));
  EXPECT_FALSE(Ask(1, number, kDeadlineNs + 10 * kSecondNs));
  EXPECT_TRUE(Ask(1, number, kDeadlineNs + 10 * kSecondNs + 1));
}

TEST_F(CancelRequestsTest, GarbageIsNoRequestAndIsFreeAtOnce) {
  std::memset(static_cast<void*>(memory_.get()), 0xff, sizeof *memory_);
  EXPECT_TRUE(requests_.AskedOf(1, kNowNs).empty());
  EXPECT_TRUE(requests_.AskedOf(~std::uint64_t{0}, kNowNs).empty());
  const auto ticket = Ask(1, 11);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(requests_.AskedOf(1, kNowNs).size(), 1u);
  memory_->requests[ticket->place].answer = 77;
  memory_->requests[ticket->place].state = ticket->number << 2 | 3;
  EXPECT_EQ(requests_.Answer(*ticket), CancelAnswer::kNoConnection);
}

}  // namespace
}  // namespace walmanager
