// A thread that does a piece of work when it is woken or when a time has come.
//
// It has a low priority for CPU and disk until another thread waits for it. Then it gets the usual
// priority, because on a busy machine the waiting thread would run and this one would not. Where
// the process may not raise a priority again (RLIMIT_NICE, https://man7.org/linux/man-pages/man2/
// setpriority.2.html), the thread only lets other threads run first when it wakes (SCHED_BATCH).
// Where system calls are filtered (system_calls.h), it has the usual priority; a filter that comes
// later leaves it the priority that it has then.
//
// Thread rules: any thread may call Wake and Hurry, also while another thread starts or stops this
// one; one thread at a time calls Start and Stop. The work runs in this thread alone. The owner
// sees to it that the work returns soon when it is to stop. After a fork the child has no such
// thread and must not touch this object.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "ext/core/base/mutex.h"
#include "ext/system/own_thread.h"

namespace walmanager {

class BackgroundThread {
 public:
  // `work` returns when it wants to run next, in MonotonicNs. It must not throw.
  explicit BackgroundThread(std::function<std::uint64_t()> work) : work_(std::move(work)) {}
  ~BackgroundThread() { Stop(); }
  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;

  // False where the system gives no thread. The first run of the work comes at once.
  bool Start() noexcept;
  // The work runs as soon as the thread can; once for all that come before it does.
  void Wake() EXCLUDES(mutex_);
  // Priority as of any other thread, and low again.
  void Hurry() { SetPriority(/*low=*/false); }
  void Relax() { SetPriority(/*low=*/true); }
  // Returns when the work has ended; it does not run again.
  void Stop() EXCLUDES(mutex_);

 private:
  void Run() EXCLUDES(mutex_);
  void Prepare();
  void SetPriority(bool low);

  const std::function<std::uint64_t()> work_;
  Mutex mutex_;
  Condition changed_;  // of the two below
  bool woken_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;
  OwnThread thread_;
  std::atomic<int> id_{0};  // the system's, 0 before it runs
  std::atomic<bool> may_raise_{false};
  std::atomic<bool> low_{false};
  std::atomic<bool> stays_{false};  // as any other from now on: a thread that waits cannot raise it
  std::atomic<bool> raised_{false};  // and has tried to be that
};

}  // namespace walmanager
