#include "ext/system/host_turn.h"

#include <unistd.h>

#include <chrono>

#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kLongestNs = 500'000'000;
constexpr useconds_t kLookUs = 50;

}  // namespace

HostTurn::HostTurn() : registry_(Registry::Get()), thread_(std::this_thread::get_id()) {
  {
    const MutexLock lock(registry_.turns_mutex);
    outer_ = Find(registry_, thread_);
    if (outer_) return;
    next_ = registry_.turns;
    registry_.turns = this;
  }
  Enter();
}

HostTurn::~HostTurn() {
  if (outer_ || !BelongsHere()) return;
  Leave();
  const MutexLock lock(registry_.turns_mutex);
  HostTurn** link = &registry_.turns;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

HostTurn* HostTurn::Find(Registry& registry, std::thread::id thread) {
  HostTurn* turn = registry.turns;
  while (turn && turn->thread_ != thread) turn = turn->next_;
  return turn;
}

bool HostTurn::BelongsHere() const {
  // Relaxed: the pointer is compared, and not followed. It changes in a forked child alone, which
  // has one thread.
  return Registry::current.load(std::memory_order_relaxed) == &registry_;
}

void HostTurn::Enter() {
  if (holds_ || gave_up_ || !BelongsHere()) return;
  holds_ = registry_.host_mutex.try_lock_shared_for(std::chrono::nanoseconds(kLongestNs));
  gave_up_ = !holds_;
}

void HostTurn::Leave() {
  if (!holds_ || !BelongsHere()) return;
  holds_ = false;
  registry_.host_mutex.unlock_shared();
}

void HostTurn::GiveWay() {
  HostTurn& turn = Whole();
  // Relaxed: a fork that is seen late waits until the next call.
  if (!turn.holds_ || registry_.forks_waiting.load(std::memory_order_relaxed) == 0) return;
  const Outside outside(turn);
  const std::uint64_t deadline = MonotonicNs() + kLongestNs;
  while (registry_.forks_waiting > 0 && MonotonicNs() < deadline) usleep(kLookUs);
}

void HostTurn::LeaveForFork(Registry& registry) {
  const MutexLock lock(registry.turns_mutex);
  if (HostTurn* turn = Find(registry, std::this_thread::get_id())) turn->Leave();
}

void HostTurn::ReturnAfterFork(Registry& registry) {
  HostTurn* turn = nullptr;
  {
    const MutexLock lock(registry.turns_mutex);
    turn = Find(registry, std::this_thread::get_id());
  }
  if (turn) turn->Enter();
}

}  // namespace walmanager
