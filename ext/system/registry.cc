#include "ext/system/registry.h"

#include <pthread.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "ext/core/base/value.h"
#include "ext/system/clock.h"
#include "ext/system/host_turn.h"
#include "ext/system/system_text.h"

namespace walmanager {
namespace {

std::atomic<bool> watching_forks{false};

// A thread of the extension may wait, inside the engine, for a lock that the forking thread holds
// (in a host's log callback that wants an interpreter's lock): then the fork goes on without it, as
// it would beside any other thread that uses SQLite.
constexpr std::chrono::seconds kLongestWaitForThreads{10};
// This is more likely for a thread of the host: in a call of the extension it runs the host's
// callbacks.
constexpr std::chrono::milliseconds kLongestWaitForHosts{500};

// Not checked for locks: the forking thread keeps the mutexes that it got until the second call.
void BeforeFork() NO_THREAD_SAFETY_ANALYSIS {
  // Acquire: as in Registry::Get(). So below.
  Registry* registry = Registry::current.load(std::memory_order_acquire);
  if (!registry) return;
  // The child has no use for these, and the host may want to fork without threads.
  registry->kept_controls.LetGoOfAll(*registry);
  registry->scheduler.EndIdleThreads();
  const std::thread::id self = std::this_thread::get_id();
  ++registry->forks_waiting;
  HostTurn::LeaveForFork(*registry);
  if (registry->host_mutex.try_lock_for(kLongestWaitForHosts)) registry->forks_with_hosts = self;
  if (registry->engine_mutex.try_lock_for(kLongestWaitForThreads)) {
    registry->forks_with_engine = self;
  }
  --registry->forks_waiting;
}

void AfterForkInParent() NO_THREAD_SAFETY_ANALYSIS {
  // BeforeFork() may have found no registry; another thread has made one since, and no lock is
  // held.
  Registry* registry = Registry::current.load(std::memory_order_acquire);
  if (!registry) return;
  const std::thread::id self = std::this_thread::get_id();
  if (registry->forks_with_engine == self) {
    registry->forks_with_engine = std::thread::id();
    registry->engine_mutex.unlock();
  }
  if (registry->forks_with_hosts == self) {
    registry->forks_with_hosts = std::thread::id();
    registry->host_mutex.unlock();
  }
  HostTurn::ReturnAfterFork(*registry);
}

// Relaxed: the child has one thread.
void ForgetInChild() { Registry::current.store(nullptr, std::memory_order_relaxed); }

ProcessIdentity ReadProcess() {
  ProcessIdentity process;
  process.pid = getpid();
  struct stat space {};
  if (stat("/proc/self/ns/pid", &space) == 0) process.pid_namespace = space.st_ino;
  process.name = WithoutControlCharacters(FirstLineOf("/proc/self/comm"));
  process.boot_id = FirstLineOf("/proc/sys/kernel/random/boot_id");
  if (getrandom(&process.token, sizeof process.token, GRND_NONBLOCK) != sizeof process.token) {
    process.token = MonotonicNs() ^ static_cast<std::uint64_t>(process.pid) << 40;
  }
  if (process.token == 0) process.token = 1;
  return process;
}

}  // namespace

Registry::Registry() : process(ReadProcess()), made_ns_(MonotonicNs()) {}

std::atomic<Registry*> Registry::current{nullptr};

Registry& Registry::Make() {
  Registry* registry = nullptr;
  if (!watching_forks.exchange(true)) pthread_atfork(BeforeFork, AfterForkInParent, ForgetInChild);
  auto* made = new Registry;  // lives as long as the process
  // Release for the object that was made, and acquire for the one that another thread has made.
  if (current.compare_exchange_strong(registry, made, std::memory_order_acq_rel)) return *made;
  delete made;
  return *registry;
}

}  // namespace walmanager
