#include "ext/system/own_processor.h"

#include "ext/system/clock.h"
#include "ext/system/system_calls.h"

namespace walmanager {
namespace {

constexpr int kMost = 64;
constexpr std::uint64_t kBoundNs = 2'000'000;

std::uint64_t BitOfThis() {
  const int cpu = sched_getcpu();
  return cpu >= 0 && cpu < kMost ? std::uint64_t{1} << cpu : 0;
}

}  // namespace

OwnProcessor::OwnProcessor(std::atomic<std::uint64_t>& taken) : taken_(taken) {
  if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;
  mine_ = BitOfThis();
  const std::uint64_t others = taken_.fetch_or(mine_);
  cpu_set_t wanted;
  if ((others & mine_) == 0) {
    if (mine_ == 0) return;
    CPU_ZERO(&wanted);
    CPU_SET(sched_getcpu(), &wanted);
  } else {
    mine_ = 0;  // another thread has it
    wanted = allowed_;
    for (int cpu = 0; cpu < kMost; ++cpu) {
      if ((others >> cpu & 1) != 0) CPU_CLR(cpu, &wanted);
    }
  }
  if (CPU_COUNT(&wanted) == 0 || SystemCallsAreFiltered()) return;
  if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) return;
  bound_ = true;
  until_ns_ = MonotonicNs() + kBoundNs;
  if (mine_ == 0) {
    const std::uint64_t now = BitOfThis();
    if ((taken_.fetch_or(now) & now) == 0) mine_ = now;
  }
}

OwnProcessor::~OwnProcessor() {
  if (bound_) LetGo();
  taken_ &= ~mine_;
}

void OwnProcessor::LetGo() {
  bound_ = false;
  // A filter that came within these milliseconds leaves the thread where it is.
  if (SystemCallsAreFiltered()) return;
  sched_setaffinity(0, sizeof allowed_, &allowed_);
}

}  // namespace walmanager
