#include "ext/control_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "ext/clock.h"
#include "ext/core/query_statistics.h"
#include "ext/open_files.h"
#include "ext/registry.h"

namespace walmanager {
namespace {

constexpr std::size_t kSharedSlab = layout::kConnections;
constexpr std::uint64_t kMakeWaitNs = 10'000'000;  // another process is making the file
constexpr std::uint64_t kSettingsWaitNs = 1'000'000'000;
constexpr useconds_t kPollMicroseconds = 200;

// Tries to put `type` (F_RDLCK, F_WRLCK, F_UNLCK) on one byte; never waits.
bool Lock(int fd, short type, std::int64_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return fcntl(fd, F_SETLK, &lock) == 0;
}

bool LockWithin(int fd, short type, std::int64_t byte, std::uint64_t wait_ns) {
  const std::uint64_t deadline = MonotonicNs() + wait_ns;
  while (!Lock(fd, type, byte)) {
    if (MonotonicNs() >= deadline) return false;
    usleep(kPollMicroseconds);
  }
  return true;
}

// Whether another process holds the byte.
bool HeldByAnother(int fd, std::int64_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::string Words(const std::string& what, int error) { return what + ": " + strerror(error); }

// Writes every page, so that no later store can find the disk full (that would be a SIGBUS).
bool WriteZeros(int fd) {
  const std::vector<char> zeros(64 * 1024);
  std::size_t done = 0;
  while (done < layout::kFileBytes) {
    const std::size_t chunk = std::min(zeros.size(), layout::kFileBytes - done);
    const ssize_t wrote = pwrite(fd, zeros.data(), chunk, static_cast<off_t>(done));
    if (wrote <= 0) {
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote == 0) errno = ENOSPC;
      return false;
    }
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

// Whether all of the file is zeros, as one is whose maker was killed; never true of a longer one.
bool IsUnfinished(int fd, std::int64_t bytes) {
  if (static_cast<std::size_t>(bytes) > layout::kFileBytes) return false;
  std::vector<char> content(static_cast<std::size_t>(bytes), 1);
  const ssize_t got = pread(fd, content.data(), content.size(), 0);
  return got == bytes && std::count(content.begin(), content.end(), 0) == bytes;
}

layout::ControlFile* Map(int fd) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* memory = mmap(nullptr, layout::kFileBytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<layout::ControlFile*>(memory);
}

// Whether another part of this process has a descriptor of the file: a close would drop its locks.
bool IsOpenElsewhere(const struct stat& file, int except = -1) {
  const OpenAs open = OpenInThisProcess(file, except);
  return open == OpenAs::kDatabase || open == OpenAs::kOther;
}

}  // namespace

struct ControlFile::Opened {
  std::shared_ptr<ControlFile> known;  // this process has it already
  int fd = -1;
  layout::ControlFile* memory = nullptr;
  bool made = false;
  bool being_made = false;
  std::string reason;
};

// The caller holds kLockMake. Maps the file and leaves kLockAttached held shared; or says why not.
std::string ControlFile::TakeOver(int fd, const ControlRegion::Identity& identity, bool make,
                                  layout::ControlFile** memory, bool* made) {
  // Whoever can lock this byte exclusively is alone with the file and may change what it is.
  const bool alone = Lock(fd, F_WRLCK, layout::kLockAttached);
  if (!alone && !Lock(fd, F_RDLCK, layout::kLockAttached)) return Words("lock", errno);
  struct stat status {};
  if (fstat(fd, &status) != 0) return Words("stat", errno);
  layout::Header header{};
  const ssize_t got = pread(fd, &header, sizeof header, 0);
  const bool empty = status.st_size == 0;
  // Cut short it is still ours, as far as it goes.
  constexpr ssize_t kName = 10;
  const bool ours = got >= kName && memcmp(header.magic, layout::kMagic,
                                           std::min<std::size_t>(static_cast<std::size_t>(got),
                                                                 sizeof header.magic)) == 0;
  if (!empty && !ours && !IsUnfinished(fd, status.st_size)) {
    return "it is not a control file of walmanager";
  }
  const bool fits = ours && header.layout_number == layout::kLayoutNumber &&
                    static_cast<std::uint64_t>(status.st_size) == layout::kFileBytes;
  if (!fits) {
    if (empty && !make) return "it is empty";
    if (!alone) return "it is of another layout or truncated, and in use";
    if (ftruncate(fd, 0) != 0 || !WriteZeros(fd)) {
      const std::string why = Words("writing it", errno);
      if (ftruncate(fd, 0) != 0) return why + ", and it could not be truncated";
      return why;
    }
  }
  layout::ControlFile* mapped = Map(fd);
  if (!mapped) return Words("mmap", errno);
  ControlRegion region(mapped);
  using Fit = ControlRegion::Fit;
  const Fit fit = region.Check(identity);
  if (fit != Fit::kFits && !alone) {
    munmap(mapped, layout::kFileBytes);
    return fit == Fit::kOtherDatabase ? "it belongs to another database and is in use"
                                      : "it is unfinished or of another boot, and in use";
  }
  if (fit == Fit::kUnfinished) {
    if (fits) memset(static_cast<void*>(mapped), 0, layout::kFileBytes);  // else just written
    region.Initialize(identity, UnixMs(), MonotonicNs());
    *made = true;
  } else if (fit != Fit::kFits) {
    region.Adopt(identity, UnixMs(), MonotonicNs());
  }
  Lock(fd, F_RDLCK, layout::kLockAttached);
  *memory = mapped;
  return "";
}

ControlFile::Opened ControlFile::OpenFile(const std::string& database_path, const std::string& path,
                                          bool make) {
  Opened opened;
  const auto because = [&](const std::string& reason) {
    opened.reason = reason;
    return opened;
  };
  const char* wanted = getenv("WALMANAGER_FILE");
  if (wanted && strcmp(wanted, "off") == 0) return because("WALMANAGER_FILE=off");
  struct stat database {};
  if (stat(database_path.c_str(), &database) != 0) {
    return because(Words("stat " + database_path, errno));
  }
  if (database.st_nlink > 1) return because("the database file has several hard links");
  // What it is must be known before it is opened: if it were another name of a file of SQLite's,
  // closing it would drop the locks that this process holds there.
  struct stat before {};
  const bool exists = lstat(path.c_str(), &before) == 0;
  if (!exists && errno != ENOENT) return because(Words("stat", errno));
  if (!exists && !make) return because("it is made at the first commit to the log or setting");
  if (exists && S_ISLNK(before.st_mode)) return because("it is a symbolic link");
  if (exists && S_ISDIR(before.st_mode)) return because("it is a directory");
  if (exists && (!S_ISREG(before.st_mode) || before.st_nlink != 1)) {
    return because("it is not a regular file with one name");
  }
  if (exists) {
    const Registry& registry = Registry::Get();
    const auto found = registry.control_files.find({before.st_dev, before.st_ino});
    if (found != registry.control_files.end()) {
      opened.known = found->second.lock();
      return opened;
    }
    // It has one name, but this process may have a database open under that.
    if (static_cast<std::uint64_t>(before.st_size) != layout::kFileBytes &&
        IsOpenElsewhere(before)) {
      return because("another part of this process has it open");
    }
  }
  const int create = exists ? 0 : O_CREAT | O_EXCL;
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | create,
                      database.st_mode & 0666);
  if (fd < 0) {
    opened.being_made = errno == EEXIST;
    return because(opened.being_made ? "another process is making it" : Words("open", errno));
  }
  struct stat status {};
  if (fstat(fd, &status) != 0 ||
      (exists && (status.st_dev != before.st_dev || status.st_ino != before.st_ino))) {
    // Exchanged between two looks. It may be anything: so it is not even closed.
    return because("it was replaced while it was opened");
  }
  if (Lock(fd, F_WRLCK, layout::kLockMake)) {
    Make(fd, path, database, make, &opened);
    Lock(fd, F_UNLCK, layout::kLockMake);
  } else {
    opened.being_made = true;
    opened.reason = "another process is making it";
  }
  if (opened.memory) {
    opened.fd = fd;
  } else if (!exists || !IsOpenElsewhere(before, fd)) {
    close(fd);
  }
  return opened;
}

// The caller holds kLockMake.
void ControlFile::Make(int fd, const std::string& path, const struct stat& database, bool make,
                       Opened* opened) {
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    opened->reason = Words("stat", errno);
    return;
  }
  const bool empty = status.st_size == 0;
  // Made just now, or left by somebody who was killed: owner and permissions of the database,
  // whatever the umask is.
  if (empty && fchmod(fd, database.st_mode & 0666) != 0) opened->reason = Words("chmod", errno);
  if (empty && geteuid() == 0 && fchown(fd, database.st_uid, database.st_gid) != 0) {
    opened->reason = Words("chown", errno);
  }
  if (opened->reason.empty()) {
    const ControlRegion::Identity identity{database.st_dev, database.st_ino, ThisProcess().boot_id};
    opened->reason = TakeOver(fd, identity, make, &opened->memory, &opened->made);
  }
  // Nothing is left behind where it could not be made.
  if (make && empty && !opened->memory) unlink(path.c_str());
}

std::shared_ptr<ControlFile> ControlFile::Open(const std::string& database_path, Wish wish) {
  const std::string path = PathFor(database_path);
  const bool make = wish != Wish::kAttach;
  const std::uint64_t deadline =
      MonotonicNs() + (wish == Wish::kMakeAndWait ? kSettingsWaitNs : kMakeWaitNs);
  Registry& registry = Registry::Get();
  std::unique_lock lock(registry.control_mutex);
  Opened opened = OpenFile(database_path, path, make);
  for (;;) {
    if (!opened.memory && !opened.known && opened.reason.empty()) {
      // An entry whose object is gone: its descriptor is about to be closed, by somebody who waits
      // for this mutex. A second descriptor must not come before that.
      registry.control_closed.wait(lock);
    } else if (opened.being_made && MonotonicNs() < deadline) {
      lock.unlock();
      usleep(kPollMicroseconds);
      lock.lock();
    } else {
      break;
    }
    opened = OpenFile(database_path, path, make);
  }
  if (opened.known) return opened.known;
  if (!opened.memory) {
    opened.memory = Map(-1);
    if (!opened.memory) return nullptr;
    ControlRegion(opened.memory).Initialize({}, UnixMs(), MonotonicNs());
  }
  std::shared_ptr<ControlFile> file(new ControlFile(path, opened), Close);
  struct stat status {};
  if (opened.fd >= 0 && fstat(opened.fd, &status) == 0) {
    registry.control_files[{status.st_dev, status.st_ino}] = file;
  }
  return file;
}

void ControlFile::Close(ControlFile* file) {
  Registry& registry = Registry::Get();
  const std::lock_guard lock(registry.control_mutex);
  struct stat status {};
  if (file->fd_ >= 0 && fstat(file->fd_, &status) == 0) {
    registry.control_files.erase({status.st_dev, status.st_ino});
  }
  delete file;
  registry.control_closed.notify_all();
}

ControlFile::ControlFile(std::string path, const Opened& opened)
    : path_(std::move(path)),
      memory_(opened.memory),
      fd_(opened.fd),
      made_here_(opened.made),
      being_made_(opened.being_made),
      region_(opened.memory),
      reason_(opened.reason),
      owned_(layout::kConnections) {}

ControlFile::~ControlFile() {
  munmap(static_cast<void*>(memory_), layout::kFileBytes);
  if (fd_ >= 0) close(fd_);
}

std::string ControlFile::reason() const {
  const std::lock_guard lock(reason_mutex_);
  return reason_;
}

void ControlFile::set_reason(const std::string& reason) {
  const std::lock_guard lock(reason_mutex_);
  reason_ = reason;
}

bool ControlFile::StillThere() const {
  if (fd_ < 0) return true;
  struct stat mapped {
  }, at_path{};
  if (fstat(fd_, &mapped) != 0) return false;
  // Somebody who may no longer look keeps what is mapped.
  if (stat(path_.c_str(), &at_path) != 0) return errno != ENOENT && errno != ENOTDIR;
  return mapped.st_dev == at_path.st_dev && mapped.st_ino == at_path.st_ino;
}

std::size_t ControlFile::ClaimSlab() {
  const std::lock_guard lock(slab_mutex_);
  layout::Header& header = region_.header();
  for (std::size_t i = 0; i < layout::kConnections; ++i) {
    // The lock is the truth: it is free only where nobody alive owns the slab.
    if (owned_[i]) continue;
    if (fd_ >= 0 && !Lock(fd_, F_WRLCK, layout::kLockSlab + static_cast<std::int64_t>(i))) continue;
    owned_[i] = true;
    layout::ConnectionSlab& slab = region_.slab(i);
    slab.owner.store(ThisProcess().token, std::memory_order_relaxed);
    slab.pid.store(static_cast<std::uint64_t>(ThisProcess().pid), std::memory_order_relaxed);
    ClearConnection(slab.info);
    // Of one that was killed.
    QueryStatistics(memory_).ReleaseHot(i);
    std::uint64_t used = header.slabs_used.load(std::memory_order_relaxed);
    while (used < i + 1 && !header.slabs_used.compare_exchange_weak(used, i + 1)) {
    }
    return i;
  }
  return kSharedSlab;
}

void ControlFile::ReleaseSlab(std::size_t slab) {
  if (slab >= kSharedSlab) return;
  const std::lock_guard lock(slab_mutex_);
  QueryStatistics(memory_).ReleaseHot(slab);
  region_.slab(slab).info.id.store(0, std::memory_order_relaxed);
  region_.slab(slab).owner.store(0, std::memory_order_relaxed);
  if (fd_ >= 0) Lock(fd_, F_UNLCK, layout::kLockSlab + static_cast<std::int64_t>(slab));
  owned_[slab] = false;
}

std::int64_t ControlFile::CountProcesses() const {
  if (fd_ < 0) return 1;
  std::set<std::uint64_t> tokens = {ThisProcess().token};
  EachOwnedSlab([&](const layout::ConnectionSlab& slab) {
    tokens.insert(slab.owner.load(std::memory_order_relaxed));
  });
  return static_cast<std::int64_t>(tokens.size());
}

std::vector<ConnectionEntry> ControlFile::Connections() const {
  std::vector<ConnectionEntry> connections;
  EachOwnedSlab([&](const layout::ConnectionSlab& slab) {
    ConnectionEntry entry = ReadConnection(slab);
    if (entry.id != 0) connections.push_back(std::move(entry));
  });
  return connections;
}

void ControlFile::WatchStatements(std::uint64_t now_ns) {
  EachOwnedSlab([&](layout::ConnectionSlab& slab) {
    if (slab.info.id.load(std::memory_order_relaxed) != 0) WatchStatement(slab.info, now_ns);
  });
}

std::int64_t ControlFile::ForgetConnections() {
  std::int64_t forgotten = 0;
  EachOwnedSlab([&](layout::ConnectionSlab& slab) {
    // An owner that counts meanwhile may go on from what it had: a moment's work is lost or kept.
    if (slab.info.id.load(std::memory_order_relaxed) == 0) return;
    ForgetCounts(slab.info);
    ++forgotten;
  });
  return forgotten;
}

template <typename Each>
void ControlFile::EachOwnedSlab(Each each) const {
  const std::lock_guard lock(slab_mutex_);
  const std::uint64_t used = std::min<std::uint64_t>(
      memory_->header.slabs_used.load(std::memory_order_relaxed), layout::kConnections);
  for (std::size_t i = 0; i < used; ++i) {
    layout::ConnectionSlab& slab = memory_->slabs[i];
    if (slab.owner.load(std::memory_order_relaxed) == 0) continue;
    // Held by this process, or by another that is alive.
    if (owned_[i] ||
        (fd_ >= 0 && HeldByAnother(fd_, layout::kLockSlab + static_cast<std::int64_t>(i)))) {
      each(slab);
    }
  }
}

bool ControlFile::TryLease() { return fd_ < 0 || Lock(fd_, F_WRLCK, layout::kLockLease); }

void ControlFile::EndLease() {
  if (fd_ >= 0) Lock(fd_, F_UNLCK, layout::kLockLease);
}

bool ControlFile::TrySampler() {
  if (sampling_.test_and_set(std::memory_order_acquire)) return false;
  if (fd_ < 0 || Lock(fd_, F_WRLCK, layout::kLockSampler)) return true;
  sampling_.clear(std::memory_order_release);
  return false;
}

void ControlFile::EndSampler() {
  if (fd_ >= 0) Lock(fd_, F_UNLCK, layout::kLockSampler);
  sampling_.clear(std::memory_order_release);
}

ControlFile::SettingsLock::SettingsLock(ControlFile* file, bool waits)
    : file_(file), in_process_(file->settings_mutex_, std::defer_lock) {
  if (waits) {
    in_process_.lock();
  } else if (!in_process_.try_lock()) {
    return;
  }
  const std::uint64_t wait_ns = waits ? kSettingsWaitNs : 0;
  held_ = file->fd_ < 0 || LockWithin(file->fd_, F_WRLCK, layout::kLockSettings, wait_ns);
}

ControlFile::SettingsLock::~SettingsLock() {
  if (held_ && file_->fd_ >= 0) Lock(file_->fd_, F_UNLCK, layout::kLockSettings);
}

}  // namespace walmanager
