// For test_configure.py and test_slow_disk.py, preloaded: each read, mapping or sync of a database
// file takes longer by the microseconds that SLOW_READ_US, SLOW_MAP_US and SLOW_SYNC_US in the
// environment say. Of the reads it is each SLOW_EVERY-th alone where that is set.
#include <dlfcn.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<long> slowed{0};  // calls that took longer

bool IsDatabase(int fd) {
  char link[40], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  return length > 3 && std::memcmp(path + length - 3, ".db", 3) == 0;
}

void Wait(const char* variable, int fd) {
  const char* us = std::getenv(variable);
  if (!us || !IsDatabase(fd)) return;
  ++slowed;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const long until = now.tv_sec * 1'000'000'000 + now.tv_nsec + std::atol(us) * 1000;
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec * 1'000'000'000 + now.tv_nsec < until);
}

// As a disk does: the processor is free meanwhile.
void Sleep(const char* variable, int fd) {
  const char* us = std::getenv(variable);
  if (!us || !IsDatabase(fd)) return;
  ++slowed;
  usleep(static_cast<useconds_t>(std::atol(us)));
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
long slowed_calls() { return slowed; }
ssize_t pread64(int fd, void* bytes, size_t count, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  static std::atomic<int> reads = 0;
  const char* every = std::getenv("SLOW_EVERY");
  if (!every || ++reads % std::atoi(every) == 0) Wait("SLOW_READ_US", fd);
  return real(fd, bytes, count, at);
}
ssize_t pread(int fd, void* bytes, size_t count, off_t at) { return pread64(fd, bytes, count, at); }
void* mmap64(void* at, size_t bytes, int protection, int flags, int fd, off64_t offset) noexcept {
  static const auto real = Real<void* (*)(void*, size_t, int, int, int, off64_t)>("mmap64");
  if (fd >= 0) Wait("SLOW_MAP_US", fd);
  return real(at, bytes, protection, flags, fd, offset);
}
void* mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  return mmap64(at, bytes, protection, flags, fd, offset);
}
int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  Sleep("SLOW_SYNC_US", fd);
  return real(fd);
}
int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  Sleep("SLOW_SYNC_US", fd);
  return real(fd);
}
}
