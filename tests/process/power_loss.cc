// For test_power_loss.py, preloaded: records what is written to a database and its log, in its
// order and in all processes, so that the test can make the files that a loss of power at any
// moment may leave. Syncs are recorded, and take a moment, but ask nothing of the disk.
//
// The rule that makes the record true: a call is recorded before it returns. So what happened after
// it, in whatever process, is recorded after it. A sync covers what was recorded before it began.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstring>

namespace {

enum File : std::uint8_t { kNone, kDatabase, kLog };

// As power_loss.py reads it; `bytes` of data follow.
struct Record {
  // W write, T truncate, B sync begins, E sync ends, U unlink, A commit acknowledged
  char what;
  std::uint8_t file;
  std::uint16_t unused;
  std::uint32_t bytes;
  std::int64_t at;  // of T: the size; of B and E: which sync; of A: the transaction
};

std::atomic<std::uint8_t> files[65536];  // by descriptor
std::atomic<std::int64_t> syncs{0};

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int OpenFile(const char* path, int flags, int mode) {
  static const auto real = Real<int (*)(const char*, int, ...)>("open64");
  return real(path, flags, mode);
}

File FileOf(const char* path) {
  static const char* const database = getenv("POWER_LOSS_DATABASE");
  const std::size_t length = database ? std::strlen(database) : 0;
  if (length == 0 || std::strncmp(path, database, length) != 0) return kNone;
  if (path[length] == 0) return kDatabase;
  return std::strcmp(path + length, "-wal") == 0 ? kLog : kNone;
}

File FileOf(int fd) { return fd >= 0 && fd < 65536 ? static_cast<File>(files[fd].load()) : kNone; }

void Add(char what, File file, std::int64_t at, const void* data = nullptr, std::size_t bytes = 0) {
  static const int trace =
      OpenFile(getenv("POWER_LOSS_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const Record record{what, file, 0, static_cast<std::uint32_t>(bytes), at};
  const iovec parts[] = {{const_cast<Record*>(&record), sizeof record},
                         {const_cast<void*>(data), bytes}};
  // At once, so that processes do not mix.
  if (writev(trace, parts, 2) != static_cast<ssize_t>(sizeof record + bytes)) abort();
}

int Sync(int fd, const char* name) {
  const File file = FileOf(fd);
  if (file == kNone) return Real<int (*)(int)>(name)(fd);
  const std::int64_t id = static_cast<std::int64_t>(getpid()) << 32 | syncs++;
  Add('B', file, id);
  usleep(static_cast<useconds_t>(static_cast<std::uint64_t>(id) * 2654435761 >> 7 & 1023));
  Add('E', file, id);
  return 0;
}

}  // namespace

extern "C" {
void power_loss_acknowledge(long transaction) { Add('A', kNone, transaction); }
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  const int fd = OpenFile(path, flags, mode);
  if (fd >= 0 && fd < 65536) files[fd] = FileOf(path);
  return fd;
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  return open64(path, flags, mode);
}
int close(int fd) {
  static const auto real = Real<int (*)(int)>("close");
  if (fd >= 0 && fd < 65536) files[fd] = kNone;
  return real(fd);
}
ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  const ssize_t wrote = real(fd, data, bytes, at);
  if (const File file = FileOf(fd); file != kNone && wrote > 0)
    Add('W', file, at, data, static_cast<std::size_t>(wrote));
  return wrote;
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) {
  return pwrite64(fd, data, bytes, at);
}
int ftruncate64(int fd, off64_t size) noexcept {
  static const auto real = Real<int (*)(int, off64_t)>("ftruncate64");
  const int result = real(fd, size);
  if (const File file = FileOf(fd); file != kNone && result == 0) Add('T', file, size);
  return result;
}
int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }
int unlink(const char* path) noexcept {
  static const auto real = Real<int (*)(const char*)>("unlink");
  const int result = real(path);
  if (const File file = FileOf(path); file != kNone && result == 0) Add('U', file, 0);
  return result;
}
int fsync(int fd) { return Sync(fd, "fsync"); }
int fdatasync(int fd) { return Sync(fd, "fdatasync"); }
}
