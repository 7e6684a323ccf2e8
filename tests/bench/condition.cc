#include "tests/bench/condition.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {
namespace {

std::vector<int> UsableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) Fail("sched_getaffinity failed");
  std::vector<int> usable;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) usable.push_back(cpu);
  }
  return usable;
}

void UseOnly(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) Fail("sched_setaffinity failed");
}

[[noreturn]] void KeepBusy(int cpu) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  UseOnly({cpu});
  for (volatile unsigned long count = 0;;) count = count + 1;
}

}  // namespace

Condition::Condition(int cpus, int busy) {
  std::vector<int> usable = usable_ = UsableProcessors();
  const std::string all = std::to_string(usable.size());
  const auto most = static_cast<int>(usable.size());
  if (cpus > most) Fail("--cpus: this process may use " + all + " processors");
  if (cpus > 0) usable.resize(static_cast<std::size_t>(cpus));
  const auto used = static_cast<int>(usable.size());
  if (busy > used) Fail("--busy: the run has " + std::to_string(used) + " processors");
  if (cpus > 0) UseOnly(usable);
  text_ = "processors: " + std::to_string(used) + " of " + all;
  if (busy > 0) text_ += ", " + std::to_string(busy) + " of them kept busy";
  for (int i = 0; i < busy; ++i) {
    const pid_t child = fork();
    if (child < 0) Fail("fork: no more processes");
    if (child == 0) KeepBusy(usable[static_cast<std::size_t>(used - 1 - i)]);
    busy_.push_back(child);
  }
}

Condition::~Condition() {
  for (const pid_t child : busy_) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : usable_) CPU_SET(cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

}  // namespace walmanager::bench
