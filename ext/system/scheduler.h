// The threads of this process that serve all of its databases: one that looks, and up to three that
// copy, however many databases there are. Each part that has work in the background has a Task, and
// tasks run in the order in which they are due.
//
// The rule that is easy to break: the work of a task of the kind kLooks must neither copy frames
// nor sync. A long copy, or a disk that does not answer a sync, then holds up copies at most:
// samples and alerts go on. Looks call stat, so a file system that hangs there holds up the looks
// at all databases.
//
// - A thread is started when a task is due and no thread of its kind waits. A thread that has
//   nothing to do for kIdleNs ends, and so do all of them with the last task.
// - A task runs in one thread at a time. A thread that takes a task leaves another one behind that
//   keeps the time of those that wait, as long as there may be one.
// - `mutex_` is held for a change of the queues, while a thread is started, and never while work
//   runs. A thread that holds it takes no other lock.
//
// Thread rules: Wake, WakeAt and Hurry may be called from any thread, also while another one stops
// the task. After a fork the child has none of the threads and must not touch this object: its
// Registry has a Scheduler of its own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <utility>

#include "ext/core/base/mutex.h"
#include "ext/system/own_thread.h"
#include "ext/system/thread_priority.h"

namespace walmanager {

class Scheduler {
 public:
  // Of the work: it wants to run again only when it is woken.
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  // The same, and the threads may end at once where no other task is due later.
  static constexpr std::uint64_t kDone = kNever - 1;
  static constexpr std::uint64_t kIdleNs = 5'000'000'000;

  enum class Kind { kLooks, kCopies };
  class Task;

  struct Limits {
    std::uint64_t idle_ns = kIdleNs;
    int looking_threads = 1, copying_threads = 3;  // at most so many
  };
  Scheduler() : Scheduler(Limits{}) {}
  explicit Scheduler(const Limits& limits);
  // All tasks are stopped.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  int CountThreads(Kind kind) EXCLUDES(mutex_);
  // Ends the threads where no task is due, now or later: before a fork, so that the host need not
  // fork with threads that do nothing. The next wake starts them again.
  void EndIdleThreads() EXCLUDES(mutex_);

 private:
  static constexpr int kMostThreads = 4;

  using Queue = std::set<std::pair<std::uint64_t, Task*>>;  // due at, in MonotonicNs; 0: at once
  // The tasks and threads of one kind.
  struct Pool {
    Queue queue;  // tasks that neither run nor sleep
    Condition changed;
    int most = 0;     // threads
    int alive = 0;    // threads
    int busy = 0;     // of those: in the work of a task
    int waiting = 0;  // of those; the others are about to look at the queue
  };
  struct Thread {
    Scheduler* scheduler = nullptr;
    Pool* pool = nullptr;
    OwnThread own;  // joined before it is started again
    ThreadPriority priority;
    bool alive = false;
    std::uint64_t waits_until_ns = kNever;  // then it looks at the queue by itself
  };

  // False where there is no thread for it; then it is not in the queue either.
  bool Enqueue(Task& task, std::uint64_t due_ns) REQUIRES(mutex_);
  void Insert(Task& task, std::uint64_t due_ns) REQUIRES(mutex_);
  void Remove(Task& task) REQUIRES(mutex_);
  // Has a thread wait for the queue of the pool, or take what is due. False: there is none at all.
  bool Attend(Pool& pool, bool all) REQUIRES(mutex_);
  // Whether a thread of the pool that waits looks at the queue by then, without being told.
  bool LooksBy(const Pool& pool, std::uint64_t due_ns) REQUIRES(mutex_);
  bool StartThread(Pool& pool) REQUIRES(mutex_);
  // No thread needs to stay for the task before it is woken again.
  void Uncount(Task& task) REQUIRES(mutex_);
  // In the thread.
  void Run(Thread& self) EXCLUDES(mutex_);
  void RunTask(Thread& self, Task& task) REQUIRES(mutex_);
  // Waits for what is due; false where the thread is to end.
  bool Wait(Thread& self, std::uint64_t now_ns, std::uint64_t idle_since_ns) REQUIRES(mutex_);
  // No task runs, or is about to.
  void EndThreads() REQUIRES(mutex_);

  const std::uint64_t idle_ns_;
  Mutex mutex_;
  Condition task_ended_, threads_ended_;
  Pool looking_ GUARDED_BY(mutex_), copying_ GUARDED_BY(mutex_);
  std::array<Thread, kMostThreads> threads_;  // all but `priority`: with the mutex
  int tasks_ GUARDED_BY(mutex_) = 0;          // that were woken, and neither stopped nor done
  bool ending_ GUARDED_BY(mutex_) = false;
};

// Work that is done again and again.
class Scheduler::Task {
 public:
  // `work` returns when it wants to run next, in MonotonicNs. It must not throw, and return soon
  // once it is to stop, which its owner tells it. It runs when it is woken.
  Task(Scheduler& scheduler, Kind kind, std::function<std::uint64_t()> work);
  ~Task() { Stop(); }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // The work runs as soon as a thread can; once for all calls that come before it does. False where
  // the system gives no thread, and once it is stopped: then it does not run.
  bool Wake();
  // The same at this time, or earlier.
  bool WakeAt(std::uint64_t due_ns);
  // A thread waits for the work: it runs before any other, with the priority of any thread, until
  // it returns. Does not wake it.
  void Hurry();
  // The work does not run before it is woken again, unless it runs just now. Then it is done.
  void Cancel();
  // Returns when the work has ended; it does not run again. Not in the work itself.
  void Stop();

 private:
  friend class Scheduler;

  Scheduler& scheduler_;
  Pool& pool_;
  const std::function<std::uint64_t()> work_;
  // Changed in order (seq_cst). Hurry() looks relaxed first: where it reads an old `true`, the task
  // has just ended, or runs with the priority that Hurry() would give.
  std::atomic<bool> hurried_{false};
  // With the scheduler's mutex. Not annotated: to the checker the mutex of each task's scheduler is
  // another one.
  bool counted_ = false;  // among tasks_: it was woken
  bool stopped_ = false;
  Thread* thread_ = nullptr;    // in which it runs
  std::uint64_t again_ns_ = 0;  // while it runs: it was woken, to run then
  bool queued_ = false;
  Queue::iterator place_;  // while it is queued
  Queue::node_type node_;  // else: so that to queue it needs no memory
};

}  // namespace walmanager
