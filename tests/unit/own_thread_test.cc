// A thread of the extension has the stack that it asks for, whatever the system gives by itself.
#include "ext/system/own_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <cstddef>

namespace walmanager {
namespace {

std::size_t StackOfThisThread() {
  pthread_attr_t attributes;
  std::size_t bytes = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  pthread_attr_getstacksize(&attributes, &bytes);
  pthread_attr_destroy(&attributes);
  return bytes;
}

TEST(OwnThreadTest, TheStackHasTheSizeThatTheThreadAsksFor) {
  OwnThread thread;
  std::size_t found = 0;
  const auto look = [](void* to) { *static_cast<std::size_t*>(to) = StackOfThisThread(); };
  ASSERT_TRUE(thread.Start("wal-test", look, &found));
  thread.Join();
  EXPECT_GE(found, OwnThread::kStackBytes);
  EXPECT_LT(found, 2 * OwnThread::kStackBytes);  // glibc by itself: 8 MB as a rule
}

}  // namespace
}  // namespace walmanager
