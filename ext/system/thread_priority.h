// The priority of a thread of this library, for CPU and disk: low, until a thread of the host waits
// for it. Then it is that of any other thread: on a busy machine the waiting thread would get its
// turn and this one would not.
//
// Where a process may not raise what it has lowered (RLIMIT_NICE,
// https://man7.org/linux/man-pages/man2/setpriority.2.html), the thread only lets others run first
// when it wakes (SCHED_BATCH). Where system calls are filtered (system_calls.h), it has the
// priority of any other thread. Where they come to be filtered later, it keeps the priority that it
// has then.
// Thread rules: Begin() and End() in the thread itself, Set() in any thread.
#pragma once

#include <atomic>

namespace walmanager {

class ThreadPriority {
 public:
  // The thread begins its work, with low priority where that can be raised again.
  void Begin();
  // The thread is about to end: Set() does nothing from here on.
  void End() { id_ = 0; }
  void Set(bool low);

 private:
  std::atomic<int> id_{0};  // the system's; 0: there is no such thread, or it cannot be changed
  std::atomic<bool> may_raise_{false};
  std::atomic<bool> low_{false};
  std::atomic<bool> stays_{false};   // high from now on: a thread that waits cannot raise it
  std::atomic<bool> raised_{false};  // and has tried to be that
};

}  // namespace walmanager
