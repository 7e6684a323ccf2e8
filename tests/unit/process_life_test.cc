#include "ext/system/process_life.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <limits>

#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;

TEST(ProcessLife, TellsAProcessFromALaterOneWithItsPid) {
  EXPECT_TRUE(ProcessLives().IsStillThere(getpid(), UnixMs()));
  EXPECT_FALSE(ProcessLives().IsStillThere(getpid(), UnixMs() - kHourMs));
}

TEST(ProcessLife, AProcessThatHasEndedIsGoneBeforeItsParentNotices) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(ProcessLives().IsStillThere(child, UnixMs()));
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(ProcessLives().IsStillThere(child, UnixMs()));
}

// Bug: 4294967295 was -1 for kill(), which means all processes.
TEST(ProcessLife, APidThatIsGarbageIsNoProcess) {
  constexpr std::int64_t k32Bits = std::int64_t{1} << 32;
  for (const std::int64_t pid :
       {std::int64_t{0}, std::int64_t{-1}, k32Bits - 1, k32Bits + getpid(),
        std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    EXPECT_FALSE(ProcessLives().IsStillThere(pid, UnixMs())) << pid;
  }
}

// Bug: a time near the end of the range overflowed.
TEST(ProcessLife, ATimeThatIsGarbageIsCompared) {
  EXPECT_TRUE(ProcessLives().IsStillThere(getpid(), std::numeric_limits<std::int64_t>::max()));
  EXPECT_FALSE(ProcessLives().IsStillThere(getpid(), std::numeric_limits<std::int64_t>::min()));
}

}  // namespace
}  // namespace walmanager
