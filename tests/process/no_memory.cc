// For test_pool_of_readers.py, preloaded: makes one allocation of the pool's threads fail.
// It needs glibc, and calls the real functions by the names that glibc provides for that.
#include <sys/prctl.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
}

namespace {

std::atomic<long> armed{-1};  // fails after so many; negative: none does

// A thread has its name before its first allocation that counts.
bool IsOfThePool() {
  static thread_local int known = -1;
  if (known < 0) {
    char name[17] = {};
    prctl(PR_GET_NAME, name);
    known = std::strcmp(name, "walmanager-read") == 0 ? 1 : 0;
  }
  return known == 1;
}

bool Fails() {
  if (armed.load(std::memory_order_relaxed) < 0 || !IsOfThePool()) return false;
  if (armed.fetch_sub(1) != 0) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {
void fail_after(long allocations) { armed = allocations; }
bool has_failed() { return armed < 0; }
void* malloc(std::size_t bytes) { return Fails() ? nullptr : __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) {
  return Fails() ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  return Fails() ? nullptr : __libc_realloc(memory, bytes);
}
}
