#include "ext/system/background_thread.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

#include "ext/system/clock.h"
#include "ext/system/system_calls.h"

namespace walmanager {
namespace {

constexpr int kNice = 10;

// linux/ioprio.h: the idle class gets the disk when no other thread wants it; 0 follows
// the CPU's priority. Every thread may choose both.
constexpr int kIoWhoProcess = 1;
constexpr int kIoIdle = 3 << 13;
constexpr int kIoNormal = 0;

}  // namespace

void BackgroundThread::SetPriority(bool low) {
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

bool BackgroundThread::Start() noexcept {
  return thread_.Start(
      "walmanager", [](void* self) { static_cast<BackgroundThread*>(self)->Run(); }, this);
}

void BackgroundThread::Wake() {
  {
    const MutexLock lock(mutex_);
    if (woken_) return;
    woken_ = true;
  }
  changed_.notify_one();
}

void BackgroundThread::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  // From here on this thread waits for it.
  if (thread_.running()) Hurry();
  changed_.notify_one();
  thread_.Join();
}

void BackgroundThread::Run() {
  if (!SystemCallsAreFiltered()) Prepare();
  MutexLock lock(mutex_);
  while (!stopped_) {
    woken_ = false;
    lock.unlock();
    const std::uint64_t next = work_();
    lock.lock();
    const std::uint64_t now = MonotonicNs();
    if (next <= now) continue;
    const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(next - now);
    while (!woken_ && !stopped_) {
      if (changed_.WaitUntil(mutex_, until) == std::cv_status::timeout) break;
    }
  }
}

void BackgroundThread::Prepare() {
  const auto id = static_cast<int>(syscall(SYS_gettid));
  // Only where the host runs its threads at the usual priority.
  const bool plain = getpriority(PRIO_PROCESS, static_cast<id_t>(id)) == 0;
  may_raise_ = plain && setpriority(PRIO_PROCESS, static_cast<id_t>(id), 1) == 0 &&
               setpriority(PRIO_PROCESS, static_cast<id_t>(id), 0) == 0;
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);
  id_ = id;
  Relax();
}

}  // namespace walmanager
