// Mutexes that Clang's thread safety analysis follows: it reports a field that is used without its
// mutex, a function that is called without the one it requires, and a mutex that is not released.
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html describes the annotations; other compilers
// skip them. The rule that is easy to break: std::lock_guard and std::unique_lock have no
// annotations, so a Mutex is held by a MutexLock.
//
// The checker looks at one function at a time, and at a lambda as a function of its own: a
// condition that reads guarded fields is a `while` loop around Condition::Wait(), not a predicate.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define WALMANAGER_ANNOTATION(x) __attribute__((x))
#else
#define WALMANAGER_ANNOTATION(x)
#endif

// A class that is a lock, and one that holds a lock from its constructor to its destructor.
#define CAPABILITY(name) WALMANAGER_ANNOTATION(capability(name))
#define SCOPED_CAPABILITY WALMANAGER_ANNOTATION(scoped_lockable)
// A field that is used with the mutex held, and a pointer to data of that kind.
#define GUARDED_BY(mutex) WALMANAGER_ANNOTATION(guarded_by(mutex))
#define PT_GUARDED_BY(mutex) WALMANAGER_ANNOTATION(pt_guarded_by(mutex))
// A function that is called with the mutexes held (shared: at least so), or without them.
#define REQUIRES(...) WALMANAGER_ANNOTATION(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) WALMANAGER_ANNOTATION(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) WALMANAGER_ANNOTATION(locks_excluded(__VA_ARGS__))
// A function that takes or releases a mutex. TRY_ACQUIRE: first the result that means success.
#define ACQUIRE(...) WALMANAGER_ANNOTATION(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) WALMANAGER_ANNOTATION(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) WALMANAGER_ANNOTATION(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) WALMANAGER_ANNOTATION(release_shared_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) WALMANAGER_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE_SHARED(...) WALMANAGER_ANNOTATION(try_acquire_shared_capability(__VA_ARGS__))
// Tells the checker that the mutex is held where it cannot see it, without a check at run time.
#define ASSERT_CAPABILITY(...) WALMANAGER_ANNOTATION(assert_capability(__VA_ARGS__))
// A function that returns a reference to the mutex.
#define RETURN_CAPABILITY(mutex) WALMANAGER_ANNOTATION(lock_returned(mutex))
// Turns the checker off in one function. The reason stands beside it.
#define NO_THREAD_SAFETY_ANALYSIS WALMANAGER_ANNOTATION(no_thread_safety_analysis)

namespace walmanager {

class CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  // The caller knows that this thread holds it: in a lambda that runs under it, for example.
  void AssertHeld() const ASSERT_CAPABILITY() {}

 private:
  friend class Condition;
  std::mutex mutex_;
};

// Holds a mutex while it lives. A try-lock is
//   if (!mutex_.try_lock()) return;
//   const MutexLock lock(mutex_, std::adopt_lock);
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex), held_(true) { mutex.lock(); }
  MutexLock(Mutex& mutex, std::adopt_lock_t) REQUIRES(mutex) : mutex_(mutex), held_(true) {}
  ~MutexLock() RELEASE() {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  // Released for a while, and taken again. A lock that is not held is not released again.
  void unlock() RELEASE() {
    held_ = false;
    mutex_.unlock();
  }
  void lock() ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_;
};

// As std::condition_variable. Wakes up for no reason at times: the caller looks in a loop.
class Condition {
 public:
  void Wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // Up to a moment of the steady clock.
  std::cv_status WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point moment)
      REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_until(lock, moment);
    lock.release();
    return status;
  }
  std::cv_status WaitFor(Mutex& mutex, std::chrono::nanoseconds time) REQUIRES(mutex) {
    return WaitUntil(mutex, std::chrono::steady_clock::now() + time);
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

// Held by many threads shared, or by one alone, with a longest time to wait for it.
class CAPABILITY("mutex") SharedTimedMutex {
 public:
  SharedTimedMutex() = default;
  SharedTimedMutex(const SharedTimedMutex&) = delete;
  SharedTimedMutex& operator=(const SharedTimedMutex&) = delete;

  void lock() ACQUIRE() { mutex_.lock(); }
  bool try_lock_for(std::chrono::nanoseconds time) TRY_ACQUIRE(true) {
    return mutex_.try_lock_for(time);
  }
  void unlock() RELEASE() { mutex_.unlock(); }
  void lock_shared() ACQUIRE_SHARED() { mutex_.lock_shared(); }
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true) { return mutex_.try_lock_shared(); }
  bool try_lock_shared_for(std::chrono::nanoseconds time) TRY_ACQUIRE_SHARED(true) {
    return mutex_.try_lock_shared_for(time);
  }
  void unlock_shared() RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::shared_timed_mutex mutex_;
};

// Holds one shared while it lives.
class SCOPED_CAPABILITY SharedLock {
 public:
  explicit SharedLock(SharedTimedMutex& mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex.lock_shared();
  }
  ~SharedLock() RELEASE() { mutex_.unlock_shared(); }
  SharedLock(const SharedLock&) = delete;
  SharedLock& operator=(const SharedLock&) = delete;

 private:
  SharedTimedMutex& mutex_;
};

}  // namespace walmanager
