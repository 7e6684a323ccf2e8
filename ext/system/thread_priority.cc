#include "ext/system/thread_priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ext/system/system_calls.h"

namespace walmanager {
namespace {

constexpr int kNice = 10;

// linux/ioprio.h: the idle class gets the disk when no other thread wants it; 0 is what the CPU's
// priority says. Both may be chosen freely.
constexpr int kIoWhoProcess = 1;
constexpr int kIoIdle = 3 << 13;
constexpr int kIoNormal = 0;

}  // namespace

void ThreadPriority::Begin() {
  low_ = stays_ = raised_ = false;
  if (SystemCallsAreFiltered()) return;
  const auto id = static_cast<int>(syscall(SYS_gettid));
  // What the host gave its own threads stays the measure.
  const bool plain = getpriority(PRIO_PROCESS, static_cast<id_t>(id)) == 0;
  may_raise_ = plain && setpriority(PRIO_PROCESS, static_cast<id_t>(id), 1) == 0 &&
               setpriority(PRIO_PROCESS, static_cast<id_t>(id), 0) == 0;
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);
  id_ = id;
  Set(/*low=*/true);
}

void ThreadPriority::Set(bool low) {
  const int id = id_;
  if (id == 0) return;
  if (low && stays_) {
    if (raised_.exchange(true)) return;
    low = false;
  } else if (low_.exchange(low) == low) {
    return;
  }
  if (SystemCallsAreFiltered()) {
    // A thread that waits cannot raise it. It raises itself, where it may, and stays so.
    stays_ = true;
    return;
  }
  syscall(SYS_ioprio_set, kIoWhoProcess, id, low ? kIoIdle : kIoNormal);
  if (may_raise_) setpriority(PRIO_PROCESS, static_cast<id_t>(id), low ? kNice : 0);
}

}  // namespace walmanager
