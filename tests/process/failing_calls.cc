// For tests in this folder, preloaded: makes system calls on control files fail, not return, or
// tell another type of file system, or ends the process after one of them.
//
// The rule that is easy to break: a library calls fstat() or fstat64(), by the size of its off_t.
// So both names are here, of each call, and a test asks whether a call was changed at all.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace {

std::atomic<long> armed{-1};          // fstat fails after so many others; negative: none does
std::atomic<bool> all_fail{false};    // each fstat does
std::atomic<bool> quota_ends{false};  // a disk quota is used up
std::atomic<bool> held{false};        // writes do not return
std::atomic<int> held_now{0};
// kill -9 after so many other calls by which a file grows: locks, writes, mappings; negative: none.
std::atomic<long> deadly{-1};
std::atomic<long> file_system{0};      // the type that fstatfs tells; 0: the true one
std::atomic<long> changed{0};          // calls that failed or told something else
constexpr long kFirstBytes = 196'608;  // sections come after these

bool IsControlFile(int fd) {
  char link[40], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = 0;
  return std::strstr(path, "-walmanager") != nullptr;
}

bool Fails(int fd) {
  if ((armed.load() < 0 && !all_fail) || !IsControlFile(fd)) return false;
  if (!all_fail && armed.fetch_sub(1) != 0) return false;
  ++changed;
  errno = EIO;
  return true;
}

// After a call, or in the middle of a write.
bool IsLast() { return deadly.load() >= 0 && deadly.fetch_sub(1) == 0; }

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
void fail_after(long calls) { armed = calls; }
void fail_all(bool fail) { all_fail = fail; }
void end_quota(bool ends) { quota_ends = ends; }
void hold_writes(bool hold) { held = hold; }
int held_writes() { return held_now; }
void kill_after(long calls) { deadly = calls; }
void tell_file_system(long type) { file_system = type; }
long changed_calls() { return changed; }
int fstatfs64(int fd, struct statfs64* facts) noexcept {
  static const auto real = Real<int (*)(int, struct statfs64*)>("fstatfs64");
  const int result = real(fd, facts);
  if (result == 0 && file_system != 0 && IsControlFile(fd)) {
    facts->f_type = file_system;
    ++changed;
  }
  return result;
}
int fstatfs(int fd, struct statfs* facts) noexcept {
  static_assert(sizeof(struct statfs) == sizeof(struct statfs64));
  return fstatfs64(fd, reinterpret_cast<struct statfs64*>(facts));
}
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) noexcept {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  if ((!quota_ends && !held && deadly < 0) || !IsControlFile(fd)) return real(fd, bytes, count, at);
  if (quota_ends) {
    ++changed;
    errno = EDQUOT;
    return -1;
  }
  ++held_now;
  while (held) usleep(1000);
  --held_now;
  if (at < kFirstBytes || deadly < 0) return real(fd, bytes, count, at);
  if (IsLast()) {
    (void)real(fd, bytes, count / 2, at);
    kill(getpid(), SIGKILL);
  }
  const ssize_t wrote = real(fd, bytes, count, at);
  if (IsLast()) kill(getpid(), SIGKILL);
  return wrote;
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) noexcept {
  return pwrite64(fd, bytes, count, at);
}
int fcntl64(int fd, int command, ...) {
  static const auto real = Real<int (*)(int, int, ...)>("fcntl64");
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const int result = real(fd, command, argument);
  if (deadly >= 0 && command == F_SETLK && IsControlFile(fd) && IsLast()) kill(getpid(), SIGKILL);
  return result;
}
void* mmap64(void* place, size_t bytes, int access, int flags, int fd, off64_t at) noexcept {
  static const auto real = Real<void* (*)(void*, size_t, int, int, int, off64_t)>("mmap64");
  void* const result = real(place, bytes, access, flags, fd, at);
  if (deadly >= 0 && fd >= 0 && at >= kFirstBytes && IsControlFile(fd) && IsLast())
    kill(getpid(), SIGKILL);
  return result;
}
void* mmap(void* place, size_t bytes, int access, int flags, int fd, off_t at) noexcept {
  return mmap64(place, bytes, access, flags, fd, at);
}
int fstat64(int fd, struct stat64* status) noexcept {
  static const auto real = Real<int (*)(int, struct stat64*)>("fstat64");
  return Fails(fd) ? -1 : real(fd, status);
}
int fstat(int fd, struct stat* status) noexcept {
  static_assert(sizeof(struct stat) == sizeof(struct stat64));
  return fstat64(fd, reinterpret_cast<struct stat64*>(status));
}
}
