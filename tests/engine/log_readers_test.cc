#include "ext/checkpoint/log_readers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

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

TEST_F(LogReadersTest, AnUnmanagedProcessThatHasTheDatabaseOpenIsFound) {
  database_.Commit(5);
  OpenConnections();
  if (!readers_.OnlyManagedHaveItOpen()) {
    GTEST_SKIP() << "the table of locks does not show all processes here";
  }
  std::array<int, 2> opened{}, done{};
  ASSERT_EQ(pipe(opened.data()), 0);
  ASSERT_EQ(pipe(done.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int shm = open((database_.path() + "-shm").c_str(), O_RDWR | O_CLOEXEC);
    struct flock lock = {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 128;  // of SQLite: shared by each process that has the log open
    lock.l_len = 1;
    char byte = 0;
    const bool locked = fcntl(shm, F_SETLK, &lock) == 0;
    const bool told = write(opened[1], &byte, 1) == 1 && read(done[0], &byte, 1) == 1;
    _exit(locked && told ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(opened[0], &byte, 1), 1);
  EXPECT_FALSE(readers_.OnlyManagedHaveItOpen());
  ASSERT_EQ(write(done[1], &byte, 1), 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(readers_.OnlyManagedHaveItOpen());
  for (const int descriptor : {opened[0], opened[1], done[0], done[1]}) close(descriptor);
}

}  // namespace
}  // namespace walmanager
