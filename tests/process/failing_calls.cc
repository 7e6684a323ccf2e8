// For test_control_file.py and test_room.py, preloaded: makes system calls on control files fail.
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

std::atomic<long> armed{-1};          // fstat fails after so many others; negative: none does
std::atomic<bool> quota_ends{false};  // a disk quota is used up

bool IsControlFile(int fd) {
  char link[40], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = 0;
  return std::strstr(path, "-walmanager") != nullptr;
}

bool Fails(int fd) {
  if (armed.load() < 0 || !IsControlFile(fd)) return false;
  if (armed.fetch_sub(1) != 0) return false;
  errno = EIO;
  return true;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
void fail_after(long calls) { armed = calls; }
void end_quota(bool ends) { quota_ends = ends; }
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) noexcept {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  if (!quota_ends || !IsControlFile(fd)) return real(fd, bytes, count, at);
  errno = EDQUOT;
  return -1;
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) noexcept {
  return pwrite64(fd, bytes, count, at);
}
int fstat(int fd, struct stat* status) noexcept {
  static const auto real = Real<int (*)(int, struct stat*)>("fstat");
  return Fails(fd) ? -1 : real(fd, status);
}
}
