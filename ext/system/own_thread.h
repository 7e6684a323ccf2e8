// A thread of this library: with all signals blocked, so that the host's handlers never run in it,
// and started without an exception, so that it can be started where memory is lacking.
//
// The stack has a size of its own. musl gives a thread 128 KB, glibc as much as `ulimit -s` says,
// which may be less still, or so much that a program that locks its memory pays for it.
//
// Thread rules: Start and Join by one thread at a time. After a fork the child has no such thread
// and must not touch this object.
#pragma once

#include <pthread.h>

#include <cstddef>

namespace walmanager {

class OwnThread {
 public:
  // Most of it stays untouched, and takes no memory.
  static constexpr std::size_t kStackBytes = std::size_t{1} << 20;

  OwnThread() = default;
  ~OwnThread() { Join(); }
  OwnThread(const OwnThread&) = delete;
  OwnThread& operator=(const OwnThread&) = delete;

  // Runs `body(argument)`, which must not throw, in a new thread. `name`: as the system shows it,
  // at most 15 bytes, lives as long as the process. False where the system gives no thread; the
  // caller's signal mask is as before in any case.
  bool Start(const char* name, void (*body)(void*), void* argument) noexcept;
  // Returns when the body has; at once where there is no thread.
  void Join() noexcept;
  bool running() const { return running_; }  // until Join()

 private:
  static void* Run(void* self) noexcept;

  pthread_t thread_{};
  bool running_ = false;
  const char* name_ = nullptr;
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
};

}  // namespace walmanager
