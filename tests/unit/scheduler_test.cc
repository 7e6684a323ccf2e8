// Which task runs when, and in how many threads. The work of the tasks is the test's; the times are
// real, and short.
#include "ext/system/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ext/system/clock.h"

namespace walmanager {
namespace {

using Kind = Scheduler::Kind;
using Task = Scheduler::Task;
constexpr std::uint64_t kNever = Scheduler::kNever;
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::chrono::seconds kPatience(20);

template <typename Condition>
bool Soon(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// Open once, for all.
class Door {
 public:
  void Open() {
    if (!open_.exchange(true)) promise_.set_value();
  }
  void Wait() { opened_.wait(); }
  bool OpensSoon() { return opened_.wait_for(kPatience) == std::future_status::ready; }

 private:
  std::atomic<bool> open_{false};
  std::promise<void> promise_;
  std::shared_future<void> opened_ = promise_.get_future().share();
};

// A task that stays in its work until it is let go.
struct Stuck {
  Stuck(Scheduler& scheduler, Kind kind)
      : task(scheduler, kind, [this] {
          began.Open();
          let_go.Wait();
          return kNever;
        }) {}
  ~Stuck() { let_go.Open(); }
  Door began, let_go;
  Task task;
};

int Threads(Scheduler& scheduler) {
  return scheduler.CountThreads(Kind::kLooks) + scheduler.CountThreads(Kind::kCopies);
}

TEST(Scheduler, HasNoThreadBeforeATaskIsWoken) {
  Scheduler scheduler;
  Task task(scheduler, Kind::kLooks, [] { return kNever; });
  EXPECT_EQ(Threads(scheduler), 0);
}

TEST(Scheduler, RunsATaskThatIsWoken) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kCopies, [&] {
    ++runs;
    return kNever;
  });
  EXPECT_TRUE(task.Wake());
  EXPECT_TRUE(Soon([&] { return runs == 1; }));
  EXPECT_EQ(scheduler.CountThreads(Kind::kCopies), 1);
  EXPECT_EQ(scheduler.CountThreads(Kind::kLooks), 0);
}

TEST(Scheduler, RunsATaskAgainWhenItWantsToNotEarlier) {
  Scheduler scheduler;
  std::mutex mutex;
  std::vector<std::uint64_t> times;
  Door done;
  Task task(scheduler, Kind::kLooks, [&] {
    const std::lock_guard lock(mutex);
    times.push_back(MonotonicNs());
    if (times.size() == 4) done.Open();
    return times.size() < 4 ? times.back() + 10 * kMs : kNever;
  });
  task.Wake();
  ASSERT_TRUE(done.OpensSoon());
  const std::lock_guard lock(mutex);
  for (std::size_t i = 1; i < times.size(); ++i) EXPECT_GE(times[i] - times[i - 1], 10 * kMs);
}

TEST(Scheduler, RunsTasksInTheOrderInWhichTheyAreDue) {
  Scheduler scheduler;
  Stuck first(scheduler, Kind::kLooks);
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(std::make_unique<Task>(scheduler, Kind::kLooks, [&, i] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
      return kNever;
    }));
  }
  first.task.Wake();
  ASSERT_TRUE(first.began.OpensSoon());  // the only thread is at work
  const std::uint64_t now = MonotonicNs();
  for (const int i : {3, 0, 4, 2, 1}) tasks[static_cast<std::size_t>(i)]->WakeAt(now + i * kMs);
  first.let_go.Open();
  ASSERT_TRUE(Soon([&] {
    const std::lock_guard lock(mutex);
    return order.size() == 5;
  }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Scheduler, AHurriedTaskRunsBeforeThoseThatWereDueEarlier) {
  Scheduler scheduler;
  Stuck first(scheduler, Kind::kLooks);
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(std::make_unique<Task>(scheduler, Kind::kLooks, [&, i] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
      return kNever;
    }));
  }
  first.task.Wake();
  ASSERT_TRUE(first.began.OpensSoon());
  for (const auto& task : tasks) task->Wake();
  tasks[2]->Hurry();
  first.let_go.Open();
  ASSERT_TRUE(Soon([&] {
    const std::lock_guard lock(mutex);
    return order.size() == 3;
  }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(order, (std::vector<int>{2, 0, 1}));
}

TEST(Scheduler, AHurryDoesNotWakeATaskThatIsNotDue) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kCopies, [&] {
    ++runs;
    return kNever;
  });
  task.Hurry();
  task.WakeAt(MonotonicNs() + 3'600'000 * kMs);
  task.Hurry();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(runs, 0);
  task.Wake();
  EXPECT_TRUE(Soon([&] { return runs == 1; }));
}

TEST(Scheduler, AnEarlierWakeMovesATaskForwardALaterOneDoesNotMoveItBack) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kLooks, [&] {
    ++runs;
    return kNever;
  });
  const std::uint64_t hour = MonotonicNs() + 3'600'000 * kMs;
  task.WakeAt(hour);
  task.WakeAt(MonotonicNs() + 5 * kMs);
  task.WakeAt(hour);
  EXPECT_TRUE(Soon([&] { return runs == 1; }));
}

TEST(Scheduler, ATaskRunsInOneThreadAtATimeAndOnceMoreForTheWakesMeanwhile) {
  Scheduler scheduler;
  std::atomic<int> inside{0}, most{0}, runs{0};
  Door began, let_go;
  Task task(scheduler, Kind::kCopies, [&] {
    most = std::max<int>(most, ++inside);
    if (++runs == 1) {
      began.Open();
      let_go.Wait();
    }
    --inside;
    return kNever;
  });
  // There is a second thread.
  Stuck other(scheduler, Kind::kCopies);
  other.task.Wake();
  ASSERT_TRUE(other.began.OpensSoon());
  task.Wake();
  ASSERT_TRUE(began.OpensSoon());
  for (int i = 0; i < 100; ++i) task.Wake();
  let_go.Open();
  EXPECT_TRUE(Soon([&] { return runs == 2; }));
  other.let_go.Open();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(most, 1);
}

TEST(Scheduler, ThreeTasksCopyAtOnceAndNotFour) {
  Scheduler scheduler;
  std::vector<std::unique_ptr<Stuck>> stuck;
  for (int i = 0; i < 3; ++i) {
    stuck.push_back(std::make_unique<Stuck>(scheduler, Kind::kCopies));
    stuck.back()->task.Wake();
    ASSERT_TRUE(stuck.back()->began.OpensSoon());
  }
  std::atomic<bool> ran{false};
  Task fourth(scheduler, Kind::kCopies, [&] {
    ran = true;
    return kNever;
  });
  EXPECT_TRUE(fourth.Wake());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(ran);
  EXPECT_EQ(Threads(scheduler), 3);
  stuck[1]->let_go.Open();
  EXPECT_TRUE(Soon([&] { return ran.load(); }));
  for (const int i : {0, 2}) stuck[static_cast<std::size_t>(i)]->let_go.Open();
}

TEST(Scheduler, OneTaskHasOneThreadHoweverOftenItIsWoken) {
  for (int round = 0; round < 50; ++round) {
    Scheduler scheduler;
    std::atomic<int> runs{0};
    Task task(scheduler, Kind::kCopies, [&] {
      ++runs;
      return MonotonicNs() + kMs / 10;
    });
    for (int i = 0; i < 20; ++i)
      task.WakeAt(MonotonicNs() + static_cast<std::uint64_t>(20 - i) * kMs / 10);
    task.Wake();
    EXPECT_TRUE(Soon([&] { return runs > 3; }));
    EXPECT_EQ(Threads(scheduler), 1);
  }
}

TEST(Scheduler, CopiesThatAreStuckLeaveTheLooksAlone) {
  Scheduler scheduler;
  std::vector<std::unique_ptr<Stuck>> stuck;
  for (int i = 0; i < 5; ++i) {
    stuck.push_back(std::make_unique<Stuck>(scheduler, Kind::kCopies));
    stuck.back()->task.Wake();
  }
  std::atomic<int> looks{0};
  Task looking(scheduler, Kind::kLooks,
               [&] { return ++looks < 10 ? MonotonicNs() + kMs : kNever; });
  looking.Wake();
  EXPECT_TRUE(Soon([&] { return looks == 10; }));
  for (const auto& each : stuck) each->let_go.Open();
}

TEST(Scheduler, ATimerIsKeptWhileTheThreadThatSetItIsStuck) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task timed(scheduler, Kind::kCopies,
             [&] { return ++runs < 5 ? MonotonicNs() + 5 * kMs : kNever; });
  Stuck stuck(scheduler, Kind::kCopies);
  timed.WakeAt(MonotonicNs() + 20 * kMs);
  stuck.task.Wake();
  ASSERT_TRUE(stuck.began.OpensSoon());
  EXPECT_TRUE(Soon([&] { return runs == 5; }));
  stuck.let_go.Open();
}

TEST(Scheduler, ATimerIsKeptWhenTheThreadThatSetItEnds) {
  Scheduler scheduler({.idle_ns = 20 * kMs});
  Task later(scheduler, Kind::kCopies, [] { return kNever; });
  std::atomic<std::uint64_t> set_ns{0}, ran_ns{0};
  Task timed(scheduler, Kind::kCopies, [&] {
    if (set_ns != 0) {
      ran_ns = MonotonicNs();
      return kNever;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    set_ns = MonotonicNs();
    return set_ns + 200 * kMs;
  });
  const std::uint64_t later_ns = MonotonicNs() + 8'000 * kMs;
  later.WakeAt(later_ns);
  timed.Wake();  // in one thread, while another one waits for `later`
  ASSERT_TRUE(Soon([&] { return ran_ns != 0; }));
  EXPECT_GE(ran_ns, set_ns + 200 * kMs);
  EXPECT_LT(ran_ns, later_ns);
}

TEST(Scheduler, ATimeThatIsAbsurdlyFarAheadDoesNotKeepAThreadBusy) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kLooks, [&] {
    ++runs;
    return kNever - 1;
  });
  task.Wake();
  EXPECT_TRUE(Soon([&] { return runs == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(runs, 1);
  task.Wake();
  EXPECT_TRUE(Soon([&] { return runs == 2; }));
}

TEST(Scheduler, NeverHasMoreThanFourThreads) {
  Scheduler scheduler;
  std::atomic<int> runs{0}, inside{0}, most{0};
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 200; ++i) {
    tasks.push_back(std::make_unique<Task>(scheduler, i % 2 ? Kind::kLooks : Kind::kCopies, [&] {
      const int now = ++inside;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      --inside;
      ++runs;
      return MonotonicNs() + kMs;
    }));
    tasks.back()->Wake();
  }
  EXPECT_TRUE(Soon([&] { return runs > 2000; }));
  EXPECT_LE(most, 4);
  EXPECT_LE(Threads(scheduler), 4);
}

// --- threads that end

TEST(Scheduler, ThreadsThatHaveNothingToDoEndAndTheNextWakeStartsOne) {
  Scheduler scheduler({.idle_ns = 20 * kMs});
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kLooks, [&] {
    ++runs;
    return kNever;
  });
  for (int round = 1; round < 4; ++round) {
    EXPECT_TRUE(task.Wake());
    EXPECT_TRUE(Soon([&] { return runs == round; }));
    EXPECT_TRUE(Soon([&] { return Threads(scheduler) == 0; }));
  }
}

TEST(Scheduler, OneThreadStaysToKeepTheTime) {
  Scheduler scheduler({.idle_ns = 5 * kMs});
  std::vector<std::unique_ptr<Stuck>> stuck;
  for (int i = 0; i < 3; ++i) {
    stuck.push_back(std::make_unique<Stuck>(scheduler, Kind::kCopies));
    stuck.back()->task.Wake();
  }
  for (const auto& each : stuck) ASSERT_TRUE(each->began.OpensSoon());
  EXPECT_EQ(Threads(scheduler), 3);
  std::atomic<bool> ran{false};
  Task later(scheduler, Kind::kCopies, [&] {
    ran = true;
    return kNever;
  });
  later.WakeAt(MonotonicNs() + 100 * kMs);
  for (const auto& each : stuck) each->let_go.Open();
  EXPECT_TRUE(Soon([&] { return Threads(scheduler) == 1 || ran; }));
  EXPECT_TRUE(Soon([&] { return ran.load(); }));
  EXPECT_TRUE(Soon([&] { return Threads(scheduler) == 0; }));
}

TEST(Scheduler, ThreadsEndWithTheLastTask) {
  Scheduler scheduler;
  auto first = std::make_unique<Task>(scheduler, Kind::kLooks, [] { return kNever; });
  auto second = std::make_unique<Task>(scheduler, Kind::kCopies, [] { return kNever; });
  first->Wake();
  second->Wake();
  EXPECT_EQ(Threads(scheduler), 2);
  first.reset();
  EXPECT_EQ(Threads(scheduler), 2);
  second.reset();
  EXPECT_EQ(Threads(scheduler), 0);
  Task third(scheduler, Kind::kLooks, [] { return kNever; });
  EXPECT_TRUE(third.Wake());
  EXPECT_EQ(Threads(scheduler), 1);
}

TEST(Scheduler, IdleThreadsCanBeEndedAndTheNextWakeStartsOne) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  const auto work = [&] {
    ++runs;
    return kNever;
  };
  Task looking(scheduler, Kind::kLooks, work), copying(scheduler, Kind::kCopies, work);
  scheduler.EndIdleThreads();
  looking.Wake();
  copying.Wake();
  ASSERT_TRUE(Soon([&] {
    scheduler.EndIdleThreads();  // does nothing while one of them works
    return runs == 2 && Threads(scheduler) == 0;
  }));
  EXPECT_TRUE(looking.Wake());
  EXPECT_TRUE(Soon([&] { return runs == 3; }));
  EXPECT_EQ(Threads(scheduler), 1);
}

TEST(Scheduler, ThreadsAreNotIdleWhileATaskIsToCome) {
  Scheduler scheduler;
  Task task(scheduler, Kind::kLooks, [] { return kNever; });
  task.WakeAt(MonotonicNs() + 3'600'000 * kMs);
  scheduler.EndIdleThreads();
  EXPECT_EQ(Threads(scheduler), 1);
  task.Cancel();
  scheduler.EndIdleThreads();
  EXPECT_EQ(Threads(scheduler), 0);
}

TEST(Scheduler, ThreadsDoNotStayForATaskThatIsDone) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kLooks, [&] {
    ++runs;
    return Scheduler::kDone;
  });
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(task.Wake());
    EXPECT_TRUE(Soon([&] { return runs == i && Threads(scheduler) == 0; }));
  }
  // They stay for another task, and end with that.
  {
    Task other(scheduler, Kind::kLooks, [] { return kNever; });
    EXPECT_TRUE(other.Wake());
    EXPECT_TRUE(task.Wake());
    EXPECT_TRUE(Soon([&] { return runs == 4; }));
    EXPECT_GE(Threads(scheduler), 1);
  }
  EXPECT_EQ(Threads(scheduler), 0);
}

TEST(Scheduler, ThreadsDoNotStayForATaskThatIsCancelled) {
  Scheduler scheduler;
  Task task(scheduler, Kind::kLooks, [] { return kNever; });
  EXPECT_TRUE(task.WakeAt(MonotonicNs() + 3'600'000 * kMs));
  EXPECT_EQ(Threads(scheduler), 1);
  task.Cancel();
  EXPECT_TRUE(Soon([&] { return Threads(scheduler) == 0; }));
}

TEST(Scheduler, ACancelledTaskRunsWhenItIsWokenAgain) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kCopies, [&] {
    ++runs;
    return kNever;
  });
  task.Cancel();
  task.WakeAt(MonotonicNs() + 10 * kMs);
  task.Cancel();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(runs, 0);
  task.Wake();
  EXPECT_TRUE(Soon([&] { return runs == 1; }));
}

TEST(Scheduler, AThreadThatWaitsForAnEarlierTimeRunsALaterTaskInTime) {
  Scheduler scheduler({.idle_ns = 10 * kMs});
  std::atomic<std::uint64_t> ran_ns{0};
  Task earlier(scheduler, Kind::kCopies, [] { return kNever; });
  Task later(scheduler, Kind::kCopies, [&] {
    ran_ns = MonotonicNs();
    return kNever;
  });
  for (const std::uint64_t ms : {5, 15, 40}) {  // before, about and after the time at which it ends
    ran_ns = 0;
    const std::uint64_t now = MonotonicNs();
    earlier.WakeAt(now + 3 * kMs);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    earlier.Cancel();
    later.WakeAt(now + ms * kMs);
    ASSERT_TRUE(Soon([&] { return ran_ns != 0; })) << ms;
    EXPECT_GE(ran_ns, now + ms * kMs);
  }
}

TEST(Scheduler, WhereThereIsNoThreadAWakeSaysSo) {
  Scheduler scheduler({.looking_threads = 1, .copying_threads = 0});
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kCopies, [&] {
    ++runs;
    return kNever;
  });
  EXPECT_FALSE(task.Wake());
  EXPECT_FALSE(task.WakeAt(MonotonicNs() + kMs));
  task.Hurry();
  task.Stop();
  EXPECT_EQ(runs, 0);
}

// --- stop

TEST(Scheduler, StopWaitsForTheWorkThatRuns) {
  Scheduler scheduler;
  Stuck stuck(scheduler, Kind::kCopies);
  stuck.task.Wake();
  ASSERT_TRUE(stuck.began.OpensSoon());
  auto stopped = std::async(std::launch::async, [&] { stuck.task.Stop(); });
  EXPECT_EQ(stopped.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  stuck.let_go.Open();
  EXPECT_EQ(stopped.wait_for(kPatience), std::future_status::ready);
  EXPECT_FALSE(stuck.task.Wake());
}

TEST(Scheduler, StopDoesNotWaitForOtherTasks) {
  Scheduler scheduler;
  Stuck stuck(scheduler, Kind::kLooks);
  std::atomic<int> runs{0};
  Task task(scheduler, Kind::kLooks, [&] {
    ++runs;
    return kNever;
  });
  stuck.task.Wake();
  ASSERT_TRUE(stuck.began.OpensSoon());
  task.Wake();
  task.Stop();  // it waits for the only thread
  stuck.let_go.Open();
  stuck.task.Stop();
  EXPECT_EQ(runs, 0);
}

TEST(Scheduler, ATaskThatIsStoppedDoesNotRunAgainWhateverItsWorkReturns) {
  Scheduler scheduler;
  std::atomic<bool> stopped{false}, late{false};
  Task task(scheduler, Kind::kLooks, [&] {
    if (stopped) late = true;
    return MonotonicNs();
  });
  Task other(scheduler, Kind::kLooks, [] { return kNever; });  // so that the threads stay
  other.Wake();
  task.Wake();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  task.Stop();
  stopped = true;
  EXPECT_FALSE(task.Wake());
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(late);
}

TEST(Scheduler, StopOfOneThatNeverRanDoesNothing) {
  Scheduler scheduler;
  Task task(scheduler, Kind::kLooks, [] { return kNever; });
  task.Stop();
  task.Stop();
  EXPECT_EQ(Threads(scheduler), 0);
}

TEST(Scheduler, AThousandTasksStopAtOnceFromManyThreads) {
  Scheduler scheduler;
  std::atomic<int> runs{0};
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 1000; ++i) {
    tasks.push_back(std::make_unique<Task>(scheduler, i % 3 ? Kind::kCopies : Kind::kLooks, [&] {
      ++runs;
      return MonotonicNs() + kMs / 10;
    }));
    tasks.back()->Wake();
  }
  EXPECT_TRUE(Soon([&] { return runs > 100; }));
  std::vector<std::future<void>> stops;
  for (std::size_t first = 0; first < 8; ++first) {
    stops.push_back(std::async(std::launch::async, [&, first] {
      for (std::size_t i = first; i < tasks.size(); i += 8) tasks[i].reset();
    }));
  }
  for (auto& stop : stops) ASSERT_EQ(stop.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(Threads(scheduler), 0);
}

TEST(Scheduler, TasksComeAndGoInManyThreads) {
  Scheduler scheduler({.idle_ns = kMs});
  std::atomic<int> runs{0};
  std::vector<std::future<void>> hosts;
  for (int host = 0; host < 4; ++host) {
    hosts.push_back(std::async(std::launch::async, [&] {
      for (int i = 0; i < 300; ++i) {
        Task looks(scheduler, Kind::kLooks, [&] { return ++runs % 3 ? MonotonicNs() : kNever; });
        Task copies(scheduler, Kind::kCopies, [&] { return ++runs % 3 ? MonotonicNs() : kNever; });
        EXPECT_TRUE(looks.Wake());
        EXPECT_TRUE(copies.WakeAt(MonotonicNs() + kMs / 10));
        copies.Hurry();
        if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
        EXPECT_TRUE(copies.Wake());
      }
    }));
  }
  for (auto& host : hosts) ASSERT_EQ(host.wait_for(kPatience), std::future_status::ready);
  EXPECT_GT(runs, 0);
  EXPECT_EQ(Threads(scheduler), 0);
}

}  // namespace
}  // namespace walmanager
