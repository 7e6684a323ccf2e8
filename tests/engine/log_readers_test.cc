#include "ext/checkpoint/log_readers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

class LogReadersTest : public CheckpointParts {
 protected:
  layout::Counter& at_work_until_ns() {
    return control_->Get()->region().engine().at_work_until_ns;
  }

  std::unique_ptr<ControlInUse> control_ = MakeControl(database_);
  LogReaders readers_{database_.path(), connections_, checkpointer_, *control_};
};

TEST_F(LogReadersTest, AReaderIsFoundWithItsProcess) {
  database_.Commit(5);
  OpenConnections();
  EXPECT_TRUE(readers_.FindUnknown(/*asked=*/false).empty());
  const OwnedDb reader = database_.OpenReader();
  const auto marks = readers_.Find();
  ASSERT_TRUE(marks);
  EXPECT_FALSE(marks->held[0]);
  int held = 0;
  for (int mark = 1; mark < kReadMarks; ++mark) {
    const auto place = static_cast<std::size_t>(mark);
    if (!marks->held[place]) continue;
    ++held;
    if (marks->knows_pids) {
      EXPECT_EQ(marks->pids[place], std::vector<std::int64_t>{getpid()});
    }
    EXPECT_FALSE(marks->held_by_others[place]);
  }
  EXPECT_EQ(held, 1);
}

TEST_F(LogReadersTest, AReaderOfAnUnmanagedConnectionIsUnknown) {
  database_.Commit(5);
  OpenConnections();
  const OwnedDb reader = database_.OpenReader();
  const auto unknown = readers_.FindUnknown(/*asked=*/false);
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0].frame, database_.Look().max_frame);
}

TEST_F(LogReadersTest, AnotherProcessCopiesUntilTheTimeThatItSays) {
  EXPECT_FALSE(readers_.CheckpointRuns());
  Put(at_work_until_ns(), MonotonicNs() + 500 * kMs);
  EXPECT_TRUE(readers_.CheckpointRuns());
  Put(at_work_until_ns(), MonotonicNs() - 1);
  EXPECT_FALSE(readers_.CheckpointRuns());
  // No pass takes so long: the process was killed, or the word is corrupt.
  Put(at_work_until_ns(), MonotonicNs() + 60'000 * kMs);
  EXPECT_FALSE(readers_.CheckpointRuns());
}

TEST_F(LogReadersTest, ThisProcessIsNoUnmanagedOne) {
  const auto unmanaged = readers_.CountUnmanagedProcesses();
  if (!unmanaged) {
    GTEST_SKIP() << "this machine has no /proc/locks that shows locks on " << database_.path();
  }
  EXPECT_EQ(*unmanaged, 0);
}

}  // namespace
}  // namespace walmanager
