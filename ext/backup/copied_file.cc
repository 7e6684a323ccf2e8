#include "ext/backup/copied_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "ext/core/base/value.h"
#include "ext/system/clock.h"
#include "ext/system/file_system.h"
#include "ext/system/open_files.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr const char* kBesideDatabase[] = {"-wal", "-shm", "-journal", "-walmanager"};
constexpr const char* kBesideCopy[] = {"", "-journal", "-wal", "-shm"};
constexpr char kMark[] = "-walmanager-";

std::optional<struct stat> StatOf(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? std::optional(status) : std::nullopt;
}

bool SameFile(const std::string& a, const std::string& b) {
  const auto left = StatOf(a), right = StatOf(b);
  return left && right && left->st_dev == right->st_dev && left->st_ino == right->st_ino;
}

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}
std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string SystemError() { return std::strerror(errno); }

Error Refused(const std::string& path, const std::string& why) {
  return Error{"path " + ShownPath(path) + " " + why};
}

// Whether this process has the file at `path` open as a database, under this name or another.
bool IsOpenHere(const std::string& path) {
  const auto status = StatOf(path);
  if (!status) return false;
  if (OpenInThisProcess(*status) == OpenAs::kDatabase) return true;
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.mutex);
  const auto found = registry.databases.find({status->st_dev, status->st_ino});
  return found != registry.databases.end() && !found->second.expired();
}

// SQLite would take a copy with the name of another database's -wal or -journal for that file, and
// delete it. It would also read a -wal or -journal beside the copy as the copy's own.
Status RefuseNeighbours(const std::string& target) {
  for (const char* suffix : kBesideDatabase) {
    if (!target.ends_with(suffix)) continue;
    const std::string other = target.substr(0, target.size() - std::strlen(suffix));
    const auto status = StatOf(other);
    if (!status || !S_ISREG(status->st_mode)) continue;
    return Refused(target, std::string("would be taken for the ") + suffix + " of " +
                               ShownPath(other) + ", which exists: choose another name");
  }
  for (const char* suffix : {"-wal", "-journal"}) {
    const auto status = StatOf(target + suffix);
    if (!status || (status->st_size == 0 && std::strcmp(suffix, "-journal") == 0)) continue;
    return Refused(target, std::string("has a ") + suffix +
                               " beside it, which belongs to another database: is that open?");
  }
  return Ok{};
}

Status CheckTarget(const std::string& target, const std::string& database, bool overwrite) {
  if (!database.empty() && IsOfDatabase(target, database)) {
    return Refused(target, "is the database itself, or one of the files beside it");
  }
  struct stat status {};
  if (lstat(target.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return Refused(target, "is a directory: name a file in it");
    if (S_ISLNK(status.st_mode)) {
      return Refused(target, "is a symbolic link: name the file itself");
    }
    if (!S_ISREG(status.st_mode)) return Refused(target, "is not a file");
    if (!overwrite) return Refused(target, "exists: {\"overwrite\":true} replaces it");
  } else if (errno != ENOENT) {
    return Refused(target, "cannot be looked at: " + SystemError());
  }
  if (Status neighbours = RefuseNeighbours(target); !neighbours.ok()) return neighbours;
  if (IsOpenHere(target)) return Refused(target, "is a database that this process has open");
  return Ok{};
}

// The pid in the name of a temporary file of `target`; nullopt for all other names.
std::optional<pid_t> WriterOf(const std::string& name, const std::string& target_name) {
  const std::string prefix = target_name + kMark;
  if (!name.starts_with(prefix)) return std::nullopt;
  const char* end = name.data() + name.size();
  pid_t pid = 0;
  unsigned number = 0;
  const auto of_pid = std::from_chars(name.data() + prefix.size(), end, pid);
  if (of_pid.ec != std::errc() || of_pid.ptr == end || *of_pid.ptr != '-') return std::nullopt;
  const auto of_number = std::from_chars(of_pid.ptr + 1, end, number);
  if (of_number.ec != std::errc() || of_number.ptr != end || pid <= 0) return std::nullopt;
  return pid;
}

// A file that a killed process left is first looked at through a descriptor that opens nothing
// (O_PATH), and then opened through that descriptor, not by its name, so that the file looked at is
// the file opened. Only a file with one name that this process does not have open may be opened:
// any other may be a database, a log or its shared memory.
class LeftOver {
 public:
  explicit LeftOver(const std::string& path)
      : path_(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)) {}
  ~LeftOver() {
    if (path_ >= 0) close(path_);
  }
  LeftOver(const LeftOver&) = delete;
  LeftOver& operator=(const LeftOver&) = delete;

  bool IsAbandoned(pid_t writer) const {
    struct stat status {};
    if (path_ < 0 || fstat(path_, &status) != 0) return false;
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1) return false;
    Registry& registry = Registry::Get();
    const MutexLock lock(registry.backups_mutex);
    if (registry.backups.count({status.st_dev, status.st_ino}) != 0) return false;
    const bool alive = writer != getpid() && (kill(writer, 0) == 0 || errno != ESRCH);
    return !alive && OpenInThisProcess(status, path_) == OpenAs::kNothing && !IsLocked();
  }

 private:
  // Whether another process holds one of SQLite's locks there. Its pid says nothing: the process
  // may be in another container. https://www.sqlite.org/src/file/src/os.h, PENDING_BYTE.
  bool IsLocked() const {
    const int fd =
        open(("/proc/self/fd/" + std::to_string(path_)).c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return true;
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0x40000000;
    lock.l_len = 512;
    const bool known = fcntl(fd, F_GETLK, &lock) == 0;
    close(fd);
    return !known || lock.l_type != F_UNLCK;
  }

  const int path_;
};

// Allocates nothing, so that the file is removed also where memory has ended.
void RemoveCopy(const std::string& path) noexcept {
  for (const char* suffix : kBesideCopy) {
    char name[PATH_MAX];
    const int size = std::snprintf(name, sizeof name, "%s%s", path.c_str(), suffix);
    if (size > 0 && static_cast<std::size_t>(size) < sizeof name) unlink(name);
  }
}

// Whether there is a file called `name`, or one with a name that SQLite looks for beside a database
// of that name: SQLite would open it, whatever it is.
bool IsTaken(const std::string& name) {
  struct stat status {};
  return std::any_of(std::begin(kBesideCopy), std::end(kBesideCopy), [&](const char* suffix) {
    return lstat((name + suffix).c_str(), &status) == 0;
  });
}

// Removes what killed processes have left of backups to the same target.
void RemoveAbandoned(const std::string& target) {
  const std::string directory = DirectoryOf(target);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
  while (entries) {
    const dirent* entry = readdir(entries.get());
    if (!entry) return;
    const auto writer = WriterOf(entry->d_name, NameOf(target));
    const std::string path = directory + "/" + entry->d_name;
    if (writer && LeftOver(path).IsAbandoned(*writer)) RemoveCopy(path);
  }
}

// Errors: EEXIST where a file has that name by now.
int MoveWithoutReplacing(const std::string& from, const std::string& to) {
#ifdef RENAME_NOREPLACE
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
#endif
  return link(from.c_str(), to.c_str()) == 0 ? unlink(from.c_str()) : -1;
}

}  // namespace

std::string ShownPath(const std::string& path) {
  constexpr std::size_t kLongest = 1024;
  return path.size() <= kLongest && path.find('\0') == std::string::npos ? "'" + path + "'"
                                                                         : ShownText(path);
}

Result<std::string> AbsolutePath(const char* what, const std::string& path) {
  Error wrong{std::string(what) + " " + ShownPath(path) + " is not the path of a file"};
  if (path.empty() || path.find('\0') != std::string::npos || path.back() == '/') return wrong;
  if (path.front() == '/') return path;
  const std::unique_ptr<char, void (*)(void*)> here(realpath(".", nullptr), free);
  if (!here)
    return Error{std::string(what) + " " + ShownPath(path) +
                 " is relative, and the working directory cannot be found: " + SystemError()};
  const std::string directory = here.get();
  return (directory == "/" ? "" : directory) + "/" + path;
}

bool IsOfDatabase(const std::string& path, const std::string& database) {
  if (SameFile(path, database)) return true;
  const std::unique_ptr<char, void (*)(void*)> whole(realpath(database.c_str(), nullptr), free);
  const std::string real = whole ? whole.get() : database;
  const bool same_directory = SameFile(DirectoryOf(path), DirectoryOf(real));
  for (const char* suffix : kBesideDatabase) {
    const std::string beside = real + suffix;
    if (SameFile(path, beside) || (same_directory && NameOf(path) == NameOf(beside))) return true;
  }
  return false;
}

Result<std::unique_ptr<CopiedFile>> CopiedFile::Make(const std::string& target,
                                                     const std::string& database, bool overwrite) {
  if (Status status = CheckTarget(target, database, overwrite); !status.ok()) return status.error();
  RemoveAbandoned(target);
  std::unique_ptr<CopiedFile> file(new CopiedFile(target, overwrite));
  const auto like = database.empty() ? std::nullopt : StatOf(database);
  if (Status status = file->Create(like ? like->st_mode & 0777 : 0666); !status.ok()) {
    return status.error();
  }
  return file;
}

Status CopiedFile::Create(mode_t mode) {
  static std::atomic<unsigned> number{0};
  for (;;) {
    const std::string name =
        target_ + kMark + std::to_string(getpid()) + "-" + std::to_string(++number);
    if (IsTaken(name)) continue;
    Registry& registry = Registry::Get();
    const MutexLock lock(registry.backups_mutex);
    const int fd =
        open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode | S_IWUSR);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return Refused(target_, "cannot be written: " + SystemError());
    struct stat status {};
    fstat(fd, &status);
    fd_ = fd;
    temporary_ = name;
    key_ = {status.st_dev, status.st_ino};
    registry.backups.insert(key_);
    return Ok{};
  }
}

void CopiedFile::Reserve(std::int64_t bytes) {
#ifdef FALLOC_FL_KEEP_SIZE
  const auto free_bytes = FileSystemOf(temporary_).free_bytes;
  if (!free_bytes || *free_bytes / 2 < bytes) return;
  struct stat status {};
  if (fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, bytes) == 0 || fstat(fd_, &status) != 0) return;
  // Another writer took the space first: give back what was allocated.
  [[maybe_unused]] const int given_back = ftruncate(fd_, status.st_size);
#endif
}

void CopiedFile::StartWriting() {
#ifdef SYNC_FILE_RANGE_WRITE
  constexpr std::uint64_t kEveryNs = 10'000'000;
  const std::uint64_t now = MonotonicNs();
  if (now < next_writing_ns_) return;
  next_writing_ns_ = now + kEveryNs;
  (void)sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
}

CopiedFile::~CopiedFile() {
  if (fd_ >= 0) close(fd_);
  if (temporary_.empty()) return;
  RemoveCopy(temporary_);
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.backups_mutex);
  registry.backups.erase(key_);
}

Status CopiedFile::Place() {
  if (Status status = RefuseNeighbours(target_); !status.ok()) return status;
  // Another part of this process may open it under its new name, and this close would drop its
  // locks.
  close(std::exchange(fd_, -1));
  const int moved = overwrite_ ? rename(temporary_.c_str(), target_.c_str())
                               : MoveWithoutReplacing(temporary_, target_);
  if (moved != 0 && errno == EEXIST) {
    return Refused(target_, "exists by now: {\"overwrite\":true} replaces it");
  }
  if (moved != 0) return Refused(target_, "cannot take the copy: " + SystemError());
  const int directory = open(DirectoryOf(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return Ok{};  // as SQLite does: a directory may be writable and not readable
  const bool failed = fsync(directory) != 0 && errno == EIO;
  close(directory);
  if (failed) return Refused(target_, "has the copy, but its directory could not be synced");
  return Ok{};
}

}  // namespace walmanager
