#include "ext/registry.h"

#include <pthread.h>

#include <atomic>

namespace walmanager {
namespace {

std::atomic<Registry*> current{nullptr};

void ForgetInChild() { current.store(nullptr, std::memory_order_relaxed); }

}  // namespace

Registry& Registry::Get() {
  Registry* registry = current.load(std::memory_order_acquire);
  if (registry) return *registry;
  static std::mutex making;
  static bool watching_forks = false;
  const std::lock_guard lock(making);
  if (!watching_forks) watching_forks = pthread_atfork(nullptr, nullptr, ForgetInChild) == 0;
  registry = current.load(std::memory_order_acquire);
  if (!registry) {
    registry = new Registry;  // lives as long as the process
    // Release: whoever loads the pointer sees the object.
    current.store(registry, std::memory_order_release);
  }
  return *registry;
}

}  // namespace walmanager
