#include "ext/system/mapped_control.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "ext/core/control/alerts.h"
#include "ext/core/control/control_region.h"
#include "ext/core/control/layout_locks.h"
#include "ext/core/control/query_statistics.h"
#include "ext/system/byte_lock.h"
#include "ext/system/clock.h"
#include "ext/system/write_zeros.h"
#include "tests/file_size_limit.h"

namespace walmanager {
namespace {

using Kind = ControlSpace::Kind;

std::atomic<bool> hold_writes{false};
std::atomic<int> held_writes{0};

// How many bytes of the mapping that begins there are in the memory of this process.
std::uint64_t ResidentAt(const void* begin) {
  std::ostringstream start;
  start << std::hex << reinterpret_cast<std::uintptr_t>(begin) << '-';
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  while (std::getline(smaps, line) && line.rfind(start.str(), 0) != 0) {
  }
  while (std::getline(smaps, line)) {
    if (line.rfind("Rss:", 0) == 0) return std::stoull(line.substr(4)) * 1024;
  }
  return std::numeric_limits<std::uint64_t>::max();
}

// A control file of which the first part is there.
struct MappedControlTest : testing::Test {
  std::string path = "/tmp/mapped_control_test.XXXXXX";
  int fd = mkstemp(path.data());
  MappedControlTest() { EXPECT_TRUE(WriteZeros(fd, 0, layout::kFirstBytes)); }
  ~MappedControlTest() override {
    close(fd);
    unlink(path.c_str());
  }
  std::unique_ptr<MappedControl> Map(int of) const {
    struct stat status {};
    EXPECT_EQ(fstat(of, &status), 0);
    return MappedControl::Shared(of, path, status);
  }
  std::unique_ptr<MappedControl> Map() const { return Map(fd); }
  std::uint64_t Bytes() const {
    struct stat status {};
    fstat(fd, &status);
    return static_cast<std::uint64_t>(status.st_size);
  }
};

TEST_F(MappedControlTest, WhatIsNotThereReadsAsZeros) {
  const auto space = Map();
  EXPECT_TRUE(space->Has(Kind::kMoreQueries, layout::kFirstQueries - 1));
  EXPECT_FALSE(space->Has(Kind::kMoreQueries, layout::kFirstQueries));
  EXPECT_EQ(space->file()->query(layout::kQueries - 1).counters.calls, 0u);
  EXPECT_EQ(space->file()->hours.back().id, 0u);
  EXPECT_EQ(Bytes(), layout::kFirstBytes);
}

TEST_F(MappedControlTest, ASectionThatOneAppendsTheOtherFollows) {
  const auto one = Map(), other = Map();
  ASSERT_TRUE(one->Make(Kind::kMoreAlerts, 20));
  EXPECT_EQ(Bytes(), layout::kFirstBytes + layout::kBlockBytes);
  one->file()->alert(20).cleared_ms = 7;
  EXPECT_EQ(other->file()->alert(20).cleared_ms, 0u) << "not mapped yet";
  other->Follow();
  EXPECT_EQ(other->file()->alert(20).cleared_ms, 7u);
  EXPECT_TRUE(other->Make(Kind::kMoreAlerts, 20));
  EXPECT_EQ(Bytes(), layout::kFirstBytes + layout::kBlockBytes) << "there is one of each";
}

TEST_F(MappedControlTest, GivesPagesBackAndFindsThemAgain) {
  const auto space = Map();
  space->file()->header.slabs_used = 3;
  space->file()->evidence.page_count = 5;
  EXPECT_GT(ResidentAt(space->file()), 0u);
  space->GivePagesBack();
  EXPECT_EQ(ResidentAt(space->file()), 0u);
  EXPECT_EQ(space->file()->header.slabs_used, 3u);
  EXPECT_EQ(space->file()->evidence.page_count, 5u);
}

TEST_F(MappedControlTest, PrivateMemoryKeepsItsPages) {
  const auto space = MappedControl::Private();
  space->file()->header.slabs_used = 3;
  space->GivePagesBack();
  EXPECT_EQ(space->file()->header.slabs_used, 3u);
}

TEST_F(MappedControlTest, MapsThePagesOfARecordThatIsWrittenAlone) {
  // In memory the system keeps each page by itself.
  const int memory = memfd_create("mapped_control_test", 0);
  ASSERT_GE(memory, 0);
  ASSERT_TRUE(WriteZeros(memory, 0, layout::kFirstBytes));
  {
    const auto space = Map(memory);
    layout::ConnectionSlab& slab = space->slab(1);
    space->ExpectWrites(&slab, sizeof slab);
    const std::uint64_t resident = ResidentAt(space->file());
    if (resident != 0) {  // 0: Linux before 5.14
      EXPECT_LE(resident, sizeof slab + 2 * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
      EXPECT_EQ(slab.commit_histogram.back(), 0u);
      slab.commits = 4;
      EXPECT_EQ(ResidentAt(space->file()), resident);
    }
  }
  close(memory);
}

TEST_F(MappedControlTest, PrivateMemoryGrowsToo) {
  const auto space = MappedControl::Private();
  ASSERT_TRUE(space->Make(Kind::kMoreQueries, layout::kQueries - 1));
  space->file()->query(layout::kQueries - 1).kind = 3;
  ASSERT_TRUE(space->MakeSlab(layout::kConnections - 1));
  space->slab(layout::kConnections - 1).commits = 4;
  EXPECT_EQ(space->slab(layout::kConnections - 1).commits, 4u);
}

TEST_F(MappedControlTest, EachRecordOfEachKindCanBeHad) {
  const auto space = Map();
  for (std::size_t number = 1; number < layout::kSectionKinds; ++number) {
    const auto kind = static_cast<Kind>(number);
    for (std::size_t i = 0; i < ShapeOf(kind)->records; ++i) {
      ASSERT_TRUE(space->Make(kind, i)) << number << " " << i;
    }
  }
  space->slab(layout::kConnections - 1).owner = 1;
  space->hot(layout::kConnections - 1).back().counters.histogram.back() = 1;
  space->slab(layout::kConnections).owner = 1;  // the shared one
  for (std::size_t copy : {0, 1}) {
    space->file()->setting(copy, layout::kSettings - 1).value = 1;
    space->file()->rule(copy, layout::kRules - 1).runs = 1;
  }
  space->file()->checkpoint(layout::kCheckpointRecords - 1).id = 1;
  const auto other = Map();
  other->Follow();
  EXPECT_EQ(other->slab(layout::kConnections - 1).owner, 1u);
  EXPECT_EQ(other->file()->rule(1, layout::kRules - 1).runs, 1u);
  EXPECT_EQ(Bytes() % layout::kBlockBytes, 0u);
}

TEST_F(MappedControlTest, ManyThreadsAppendEachSectionOnce) {
  const auto space = Map();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (std::size_t sample = 0; sample < 400; ++sample) {
        if (space->Make(Kind::kSamples, sample)) space->file()->samples[sample].id = sample + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::size_t sections = SectionsOf(Kind::kSamples, 399)->last + 1;
  EXPECT_EQ(CountSections(space->file()->sections), sections);
  EXPECT_EQ(space->file()->samples[399].id, 400u);
}

// Another process that holds the lock to append a section until it is killed.
class StoppedWhileItGrows {
 public:
  explicit StoppedWhileItGrows(int fd) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const char done = SetByteLock(fd, ByteLock::kExclusive, layout::kLockGrow) ? 1 : 0;
      (void)!write(ready[1], &done, 1);
      for (;;) pause();
    }
    char done = 0;
    EXPECT_EQ(read(ready[0], &done, 1), 1);
    EXPECT_EQ(done, 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~StoppedWhileItGrows() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  StoppedWhileItGrows(const StoppedWhileItGrows&) = delete;
  StoppedWhileItGrows& operator=(const StoppedWhileItGrows&) = delete;

 private:
  pid_t pid_;
};

TEST_F(MappedControlTest, AProcessThatIsStoppedWhileItGrowsIsWaitedForOnce) {
  constexpr std::uint64_t kMs = 1'000'000, kWaitMs = 50;
  const auto space = Map();
  const auto attempt_ms = [&](Kind kind) {
    usleep(25'000);
    const std::uint64_t start = MonotonicNs();
    EXPECT_FALSE(space->Make(kind, 0));
    return (MonotonicNs() - start) / kMs;
  };
  {
    const StoppedWhileItGrows other(fd);
    EXPECT_GE(attempt_ms(Kind::kHours), kWaitMs);
    std::uint64_t later_ms = 0;
    for (int i = 0; i < 10; ++i) later_ms += attempt_ms(Kind::kHours);
    EXPECT_LT(later_ms, 5 * kWaitMs);
  }
  usleep(25'000);
  EXPECT_TRUE(space->Make(Kind::kHours, 0));
  EXPECT_EQ(space->growth_failed(), "");
  const StoppedWhileItGrows other(fd);
  EXPECT_GE(attempt_ms(Kind::kMinutes), kWaitMs) << "it waits again";
}

TEST_F(MappedControlTest, ADescriptorThatIsAnotherFilesIsNotWritten) {
  const auto space = Map();
  const auto before = Bytes();
  std::string victim = "/tmp/mapped_control_victim.XXXXXX";
  const int other = mkstemp(victim.data());
  const int kept = dup(fd);
  ASSERT_GE(dup2(other, fd), 0);  // as a daemon's descriptors may be
  EXPECT_FALSE(space->Make(Kind::kMoreAlerts, 20));
  EXPECT_EQ(space->growth_failed(), "the descriptor of the control file was closed");
  struct stat status {};
  fstat(other, &status);
  EXPECT_EQ(status.st_size, 0);
  dup2(kept, fd);
  EXPECT_EQ(Bytes(), before);
  close(kept);
  close(other);
  unlink(victim.c_str());
}

TEST_F(MappedControlTest, SettingsThatCannotBeReadAreNotTakenForNone) {
  const auto space = Map();
  ControlRegion region(space.get());
  region.Initialize({}, 1, 1);
  StoredSettings many;
  for (std::size_t i = 0; i < layout::kRules; ++i) {
    Rule rule;
    rule.strategy = "mine";
    rule.name = "rule" + std::to_string(i);
    rule.condition = "1";
    many.rules.push_back(rule);
  }
  ASSERT_TRUE(region.WriteSettings(many).ok());
  const auto other = Map();
  EXPECT_EQ(ControlRegion(other.get()).ReadSettings()->rules.size(), layout::kRules);
  // One that cannot map the section: its descriptor is another file's.
  const auto daemon = Map();
  const int kept = dup(fd);
  std::string victim = "/tmp/mapped_control_victim.XXXXXX";
  const int another = mkstemp(victim.data());
  dup2(another, fd);
  EXPECT_FALSE(ControlRegion(daemon.get()).ReadSettings());
  dup2(kept, fd);
  EXPECT_EQ(ControlRegion(daemon.get()).ReadSettings()->rules.size(), layout::kRules);
  close(kept);
  close(another);
  unlink(victim.c_str());
}

TEST_F(MappedControlTest, ALimitOfFileSizesLeavesWhatIsThere) {
  const auto space = Map();
  const FileSizeLimit limit(layout::kFirstBytes);
  EXPECT_FALSE(space->Make(Kind::kHours, 0));  // and no SIGXFSZ ends this process
  EXPECT_NE(space->growth_failed(), "");
  EXPECT_EQ(Bytes(), layout::kFirstBytes);
  EXPECT_EQ(space->file()->hours[0].id, 0u);
}

TEST_F(MappedControlTest, EachKindOfSectionComesOnceThereIsRoom) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{layout::kFirstBytes, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  std::vector<std::unique_ptr<MappedControl>> spaces;  // each remembers its failure for a second
  for (std::size_t number = 1; number < layout::kSectionKinds; ++number) {
    const auto kind = static_cast<Kind>(number);
    spaces.push_back(Map());
    EXPECT_FALSE(spaces.back()->Make(kind, ShapeOf(kind)->records - 1)) << number;
    EXPECT_TRUE(spaces.back()->IsFull()) << number;
    EXPECT_NE(spaces.back()->growth_failed(), "") << number;
  }
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(Bytes(), layout::kFirstBytes);
  usleep(1'050'000);
  for (std::size_t number = 1; number < layout::kSectionKinds; ++number) {
    const auto kind = static_cast<Kind>(number);
    MappedControl& space = *spaces[number - 1];
    EXPECT_TRUE(space.Make(kind, ShapeOf(kind)->records - 1)) << number;
    EXPECT_FALSE(space.IsFull()) << number;
    EXPECT_EQ(space.growth_failed(), "") << number;
  }
}

// Bug: the file grew for the alert of wal_cancel() while a thread of the program waited.
TEST_F(MappedControlTest, AnAlertThatHasItsRoomWritesNothingToTheDisk) {
  const auto space = Map();
  ControlRegion(space.get()).Initialize({}, 1, 1);
  Alerts alerts(space.get());
  for (std::size_t id = 1; id < layout::kFirstAlerts; ++id) alerts.RecordChange("one", "", 1);
  EXPECT_EQ(Bytes(), layout::kFirstBytes);
  alerts.MakeRoom();
  const std::uint64_t bytes = Bytes();
  EXPECT_GT(bytes, layout::kFirstBytes);
  const FileSizeLimit limit(bytes);
  EXPECT_EQ(alerts.RecordChange("one", "the first elsewhere", 1), layout::kFirstAlerts);
  EXPECT_EQ(Bytes(), bytes);
  EXPECT_EQ(alerts.Read().at(0).detail, "the first elsewhere");
}

TEST_F(MappedControlTest, WithoutRoomStatementsShareThePlacesThatThereAre) {
  const auto space = Map();
  const FileSizeLimit limit(layout::kFirstBytes);
  QueryStatistics statistics(space.get());
  for (std::uint64_t id = 1; id <= 50; ++id) {
    const auto entry = statistics.FindOrMake({id, QueryKind::kRead, "SELECT " + std::to_string(id)},
                                             static_cast<std::int64_t>(id), layout::kQueries);
    ASSERT_TRUE(entry);
    EXPECT_LT(*entry, layout::kFirstQueries);
  }
  EXPECT_GE(statistics.evictions(), 50 - layout::kFirstQueries);
}

TEST_F(MappedControlTest, AMutexThatManyTakeIsNoWriteThatDoesNotEnd) {
  const auto space = Map();
  for (const Kind kind : {Kind::kHours, Kind::kMinutes, Kind::kMoreAlerts}) {
    const std::size_t record = ShapeOf(kind)->records - 1;
    hold_writes = true;
    std::thread stuck([&] { EXPECT_TRUE(space->Make(kind, record)); });
    while (held_writes == 0) usleep(100);
    EXPECT_FALSE(space->Make(Kind::kSamples, 0));
    EXPECT_EQ(space->growth_failed(), "a write to the control file does not end");
    hold_writes = false;
    stuck.join();
    std::atomic<bool> ends = false;
    std::vector<std::thread> others;
    for (int i = 0; i < 2; ++i) {
      others.emplace_back([&] {
        while (!ends) space->GivePagesBack();
      });
    }
    usleep(1'000);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(space->growth_failed(), "");
    ends = true;
    for (std::thread& other : others) other.join();
  }
  EXPECT_TRUE(space->Make(Kind::kSamples, 0));
}

}  // namespace
}  // namespace walmanager

// In the place of the system's, for all of this program: a write that does not return for a while.
extern "C" {
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) noexcept {
  ++walmanager::held_writes;
  while (walmanager::hold_writes) usleep(100);
  --walmanager::held_writes;
  return syscall(SYS_pwrite64, fd, bytes, count, at);
}
}
