// For test_io_faults.py, preloaded: one call on one file fails, and its maker is known.
//
// The rule that is easy to break: the stack tells the maker of a call, so lock_metrics is off:
// otherwise walmanager passes each of the host's calls on, and is in each stack.
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kShort = -1;  // instead of an error: half of the bytes

char file_name[64];  // the end of the path, or, after *, a part of it
char call_name[16];
std::atomic<bool> is_armed{false};
std::atomic<long> skip{0};   // calls that work before
std::atomic<long> count{0};  // calls that fail then
std::atomic<int> error{0};
std::atomic<long> seen{0}, failed_in_host{0}, failed_in_extension{0};

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

bool IsCallers(const char* object) {
  void* frames[64];
  const int depth = backtrace(frames, 64);
  for (int i = 0; i < depth; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) != 0 && info.dli_fname && std::strstr(info.dli_fname, object))
      return true;
  }
  return false;
}

bool IsMeant(const char* path) {
  if (file_name[0] == '*') return std::strstr(path, file_name + 1) != nullptr;
  const std::size_t length = std::strlen(path), end = std::strlen(file_name);
  return length >= end && std::strcmp(path + length - end, file_name) == 0;
}

// Whether this call is to fail; errno is set then.
bool FailsAt(const char* name, const char* path) {
  if (!IsMeant(path) || std::strcmp(name, call_name) != 0) return false;
  ++seen;
  if (skip.fetch_sub(1) > 0 || count.fetch_sub(1) <= 0) return false;
  // A thread that is not the program's first is the extension's.
  const bool is_host = syscall(SYS_gettid) == getpid() && !IsCallers("walmanager.so");
  ++(is_host ? failed_in_host : failed_in_extension);
  errno = error;
  return true;
}

bool FailsAt(const char* name, int fd) {
  if (!is_armed || fd < 0) return false;
  char link[40], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const int kept = errno;
  const ssize_t length = readlink(link, path, sizeof path - 1);
  errno = kept;
  if (length <= 0) return false;
  path[length] = 0;
  return FailsAt(name, path);
}

bool FailsAtPath(const char* name, const char* path) { return is_armed && FailsAt(name, path); }

}  // namespace

extern "C" {
// The first backtrace loads a library.
[[gnu::constructor]] void io_faults_begin() { (void)IsCallers(""); }
void io_faults_arm(const char* name, const char* call, long after, long times, int with) {
  is_armed = false;
  std::snprintf(file_name, sizeof file_name, "%s", name);
  std::snprintf(call_name, sizeof call_name, "%s", call);
  skip = after;
  count = times;
  error = with;
  seen = failed_in_host = failed_in_extension = 0;
  is_armed = true;
}
void io_faults_disarm() { is_armed = false; }
long io_faults_seen() { return seen; }
long io_faults_in_host() { return failed_in_host; }
long io_faults_in_extension() { return failed_in_extension; }

int open64(const char* path, int flags, ...) {
  static const auto real = Real<int (*)(const char*, int, ...)>("open64");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  return FailsAtPath("open", path) ? -1 : real(path, flags, mode);
}
ssize_t pread64(int fd, void* bytes, size_t size, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  if (!FailsAt("read", fd)) return real(fd, bytes, size, at);
  return error == kShort ? real(fd, bytes, size / 2, at) : -1;
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  if (!FailsAt("write", fd)) return real(fd, bytes, size, at);
  return error == kShort ? real(fd, bytes, size / 2, at) : -1;
}
int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  return FailsAt("sync", fd) ? -1 : real(fd);
}
int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  return FailsAt("sync", fd) ? -1 : real(fd);
}
int ftruncate64(int fd, off64_t size) noexcept {
  static const auto real = Real<int (*)(int, off64_t)>("ftruncate64");
  return FailsAt("truncate", fd) ? -1 : real(fd, size);
}
int fallocate64(int fd, int mode, off64_t at, off64_t size) {
  static const auto real = Real<int (*)(int, int, off64_t, off64_t)>("fallocate64");
  return FailsAt("allocate", fd) ? -1 : real(fd, mode, at, size);
}
int fstat64(int fd, struct stat64* status) noexcept {
  static const auto real = Real<int (*)(int, struct stat64*)>("fstat64");
  return FailsAt("stat", fd) ? -1 : real(fd, status);
}
void* mmap64(void* place, size_t bytes, int access, int flags, int fd, off64_t at) noexcept {
  static const auto real = Real<void* (*)(void*, size_t, int, int, int, off64_t)>("mmap64");
  return FailsAt("mmap", fd) ? MAP_FAILED : real(place, bytes, access, flags, fd, at);
}
int unlink(const char* path) noexcept {
  static const auto real = Real<int (*)(const char*)>("unlink");
  return FailsAtPath("unlink", path) ? -1 : real(path);
}
int rename(const char* from, const char* to) noexcept {
  static const auto real = Real<int (*)(const char*, const char*)>("rename");
  return FailsAtPath("rename", to) ? -1 : real(from, to);
}
int renameat2(int at, const char* from, int to_at, const char* to, unsigned flags) noexcept {
  static const auto real = Real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  return FailsAtPath("rename", to) ? -1 : real(at, from, to_at, to, flags);
}
}
