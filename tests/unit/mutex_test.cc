// The annotated mutexes lock as the standard library's.
#include "ext/core/base/mutex.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace walmanager {
namespace {

// As another thread finds the mutex.
bool IsFree(Mutex& mutex) {
  return std::async(std::launch::async,
                    [&] {
                      if (!mutex.try_lock()) return false;
                      mutex.unlock();
                      return true;
                    })
      .get();
}

bool MayShare(SharedTimedMutex& mutex) {
  return std::async(std::launch::async,
                    [&] {
                      if (!mutex.try_lock_shared()) return false;
                      mutex.unlock_shared();
                      return true;
                    })
      .get();
}

bool MayHaveAlone(SharedTimedMutex& mutex) {
  return std::async(std::launch::async,
                    [&] {
                      if (!mutex.try_lock_for(std::chrono::milliseconds(1))) return false;
                      mutex.unlock();
                      return true;
                    })
      .get();
}

TEST(MutexLock, HoldsTheMutexWhileItLives) {
  Mutex mutex;
  {
    const MutexLock lock(mutex);
    EXPECT_FALSE(IsFree(mutex));
  }
  EXPECT_TRUE(IsFree(mutex));
}

TEST(MutexLock, AdoptsWhatATryLockTook) {
  Mutex mutex;
  {
    if (!mutex.try_lock()) FAIL() << "no thread has it";
    const MutexLock lock(mutex, std::adopt_lock);
    EXPECT_FALSE(IsFree(mutex));
  }
  EXPECT_TRUE(IsFree(mutex));
}

TEST(MutexLock, ReleasesForAWhile) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    lock.unlock();
    EXPECT_TRUE(IsFree(mutex));
    lock.lock();
    EXPECT_FALSE(IsFree(mutex));
    lock.unlock();
  }
  EXPECT_TRUE(IsFree(mutex));
}

TEST(Condition, WaitsWithoutTheMutexAndReturnsWithIt) {
  Mutex mutex;
  Condition changed;
  bool done = false;
  std::thread other;
  {
    const MutexLock lock(mutex);
    other = std::thread([&] {
      const MutexLock other_lock(mutex);  // taken only while the wait has released it
      done = true;
      changed.notify_one();
    });
    while (!done) changed.Wait(mutex);
    EXPECT_FALSE(IsFree(mutex));
  }
  other.join();
  EXPECT_TRUE(IsFree(mutex));
}

TEST(Condition, WaitsNoLongerThanItsTime) {
  Mutex mutex;
  Condition changed;
  const MutexLock lock(mutex);
  const auto began = std::chrono::steady_clock::now();
  const auto until = began + std::chrono::milliseconds(5);
  while (changed.WaitUntil(mutex, until) != std::cv_status::timeout) {
  }
  EXPECT_GE(std::chrono::steady_clock::now(), until);
  EXPECT_FALSE(IsFree(mutex));
}

TEST(SharedLock, LetsThreadsShareItAndNoThreadHaveItAlone) {
  SharedTimedMutex mutex;
  {
    const SharedLock lock(mutex);
    EXPECT_TRUE(MayShare(mutex));
    EXPECT_FALSE(MayHaveAlone(mutex));
  }
  EXPECT_TRUE(MayHaveAlone(mutex));
  if (!mutex.try_lock_for(std::chrono::milliseconds(1))) FAIL() << "no thread has it";
  EXPECT_FALSE(MayShare(mutex));
  mutex.unlock();
}

}  // namespace
}  // namespace walmanager
