#include "ext/system/control_in_use.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

std::shared_ptr<ControlFile> PrivateFile() { return MakePrivateControl()->Get(); }

TEST(ControlInUse, AReplacementIsSeenByGenerationAndByGet) {
  const auto first = PrivateFile();
  const auto second = PrivateFile();
  ControlInUse control(first);
  EXPECT_EQ(control.Get(), first);
  const std::uint64_t generation = control.generation();
  control.Replace(second);
  EXPECT_EQ(control.Get(), second);
  EXPECT_EQ(control.generation(), generation + 1);
  EXPECT_EQ(control.generation_word().load(), generation + 1);
}

TEST(ControlInUse, TheFileBeforeLivesAsLongAsACallerHoldsIt) {
  ControlInUse control(PrivateFile());
  std::shared_ptr<ControlFile> held = control.Get();
  const std::weak_ptr<ControlFile> before = held;
  control.Replace(PrivateFile());
  EXPECT_FALSE(before.expired());
  held.reset();
  EXPECT_TRUE(before.expired());
}

TEST(ControlInUse, AThreadThatSeesANewGenerationFindsANewFile) {
  constexpr std::uint64_t kReplacements = 100;
  ControlInUse control(PrivateFile());
  std::atomic<bool> ended{false};
  std::thread replacer([&] {
    for (std::uint64_t i = 1; i <= kReplacements; ++i) {
      const auto file = PrivateFile();
      // The number of the replacement, where a reader finds it.
      file->region().header().last_commit_ns.store(i);
      control.Replace(file);
    }
    ended = true;
  });
  while (!ended) {
    const std::uint64_t generation = control.generation();
    EXPECT_GE(control.Get()->region().header().last_commit_ns.load(), generation);
  }
  replacer.join();
  EXPECT_EQ(control.generation(), kReplacements);
}

}  // namespace
}  // namespace walmanager
