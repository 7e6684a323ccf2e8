// For test_wal_io.py, preloaded: reads, writes and syncs of files whose names have a certain end
// fail.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

char file_end[64];
// What each kind of call fails with; 0: it does not.
std::atomic<int> read_error{0}, write_error{0}, sync_error{0};

bool Fails(const std::atomic<int>& error, int fd) {
  if (error == 0) return false;
  char link[40], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  const std::size_t end = std::strlen(file_end);
  if (length < static_cast<ssize_t>(end) ||
      std::memcmp(path + static_cast<std::size_t>(length) - end, file_end, end) != 0) {
    return false;
  }
  errno = error;
  return true;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
void fail(const char* end, int reads, int writes, int syncs) {
  std::snprintf(file_end, sizeof file_end, "%s", end);
  read_error = reads;
  write_error = writes;
  sync_error = syncs;
}
ssize_t pread64(int fd, void* bytes, size_t count, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  return Fails(read_error, fd) ? -1 : real(fd, bytes, count, at);
}
ssize_t pread(int fd, void* bytes, size_t count, off_t at) { return pread64(fd, bytes, count, at); }
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return Fails(write_error, fd) ? -1 : real(fd, bytes, count, at);
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  return pwrite64(fd, bytes, count, at);
}
int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  return Fails(sync_error, fd) ? -1 : real(fd);
}
int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  return Fails(sync_error, fd) ? -1 : real(fd);
}
}
