#include "ext/system/control_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <set>
#include <utility>

#include "ext/core/control/query_statistics.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/open_files.h"
#include "ext/system/read_marks.h"
#include "ext/system/registry.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

constexpr std::size_t kSharedSlab = layout::kConnections;
constexpr auto kFileBytes = static_cast<std::int64_t>(layout::kFileBytes);
constexpr std::uint64_t kMakeWaitNs = 10'000'000;  // another process is making the file
constexpr std::uint64_t kSettingsWaitNs = 1'000'000'000;
constexpr std::uint64_t kCloseWaitNs = 400'000'000;  // the same, before this process may end
constexpr useconds_t kPollMicroseconds = 200;
constexpr char kOtherDatabase[] = "it belongs to another database and is in use";

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

// The other process that holds the byte, as the PID namespace of this one numbers it; 0: it is of a
// namespace that this one does not show. nullopt: no other process holds it.
std::optional<std::int64_t> OtherHolder(int fd, std::int64_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return std::max<std::int64_t>(lock.l_pid, 0);
}

std::string Words(const std::string& what, int error) { return what + ": " + strerror(error); }

// Writes zeros to a part of the file, so that no later store there can find the disk full (that
// would be a SIGBUS).
bool WriteZeros(int fd, std::int64_t from, std::int64_t to) {
  static const char zeros[64 * 1024] = {};
  while (from < to) {
    const std::int64_t chunk = std::min<std::int64_t>(sizeof zeros, to - from);
    const ssize_t wrote = pwrite(fd, zeros, static_cast<std::size_t>(chunk), from);
    if (wrote <= 0) {
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote == 0) errno = ENOSPC;
      return false;
    }
    from += wrote;
  }
  return true;
}

// Whether all of the file is zeros, as one is whose maker was killed; never true of a longer one.
bool IsUnfinished(int fd, std::int64_t bytes) {
  if (bytes > kFileBytes) return false;
  char content[4096];
  for (std::int64_t at = 0; at < bytes;) {
    const ssize_t got = pread(fd, content, sizeof content, at);
    if (got <= 0 || std::count(content, content + got, 0) != got) return false;
    at += got;
  }
  return true;
}

// The parts of the file that have no place on the disk, as a copy of it may leave them.
template <typename Each>
bool EachHole(int fd, Each each) {
  for (off_t at = 0; at < kFileBytes;) {
    const off_t hole = lseek(fd, at, SEEK_HOLE);
    if (hole < 0 || hole >= kFileBytes) return true;
    const off_t data = lseek(fd, hole, SEEK_DATA);
    at = data < 0 ? kFileBytes : std::min<off_t>(data, kFileBytes);
    // Another process may have filled it between the two looks.
    if (at > hole && !each(hole, at)) return false;
  }
  return true;
}

// A file system that keeps zeros as holes, whatever is written.
bool KeepsZerosAsHoles(int fd) {
  constexpr std::uint64_t kZfs = 0x2fc12fc1;
  struct statfs facts;
  return fstatfs(fd, &facts) == 0 && static_cast<std::uint64_t>(facts.f_type) == kZfs;
}

// No part of a file that is mapped may be without its place on the disk. Empty, or why that cannot
// be had. `alone`: no other process has the file mapped; else what is there must not be written.
std::string FillHoles(int fd, const std::string& path, const struct stat& status, bool alone) {
  constexpr std::int64_t kBlock = 512;
  const std::int64_t missing = kFileBytes - status.st_blocks * kBlock;
  if (missing <= 0 || KeepsZerosAsHoles(fd)) return "";
  bool has_holes = false;
  EachHole(fd, [&](off_t, off_t) { return !(has_holes = true); });
  if (!has_holes) return "";
  if (std::string why = NoRoomBecause(path, missing, kFileBytes); !why.empty()) return why;
  const bool filled = EachHole(fd, [&](off_t from, off_t to) {
    return alone ? WriteZeros(fd, from, to) : fallocate(fd, 0, from, to - from) == 0;
  });
  return filled ? "" : Words("filling its holes", errno);
}

layout::ControlFile* Map(int fd) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* memory = mmap(nullptr, layout::kFileBytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<layout::ControlFile*>(memory);
}

void Unmap(layout::ControlFile* memory) {
  if (memory) munmap(static_cast<void*>(memory), layout::kFileBytes);
}

// Whether another part of this process has a descriptor of the file: a close would drop its locks.
bool IsOpenElsewhere(const struct stat& file, int except = -1) {
  const OpenAs open = OpenInThisProcess(file, except);
  return open == OpenAs::kDatabase || open == OpenAs::kOther;
}

// Whether a lock of this process is on the file, or one of a process with its pid in another
// container. Cheaper to know than which files this process has open.
bool MayBeLockedHere(const std::string& path) {
  const std::vector<std::int64_t> holders = LockHolders(path);
  return std::find(holders.begin(), holders.end(), ThisProcess().pid) != holders.end();
}

// The same of the file behind a descriptor, whatever is at its path now.
bool HasLocksHere(int fd) { return MayBeLockedHere("/proc/self/fd/" + std::to_string(fd)); }

mode_t ModeFor(const struct stat& database) { return database.st_mode & 0666; }

// Gives the file the owner and permissions that the database has now. Empty, or why the file cannot
// be used.
std::string FollowDatabase(int fd, const struct stat& status, const struct stat& database,
                           bool is_new) {
  const bool other_owner = status.st_uid != database.st_uid || status.st_gid != database.st_gid;
  if (other_owner && geteuid() == 0 && fchown(fd, database.st_uid, database.st_gid) != 0 &&
      is_new) {
    return Words("chown", errno);
  }
  const mode_t wanted = ModeFor(database), has = status.st_mode & 07777;
  if ((has == wanted && !is_new) || fchmod(fd, wanted) == 0) return "";
  if (is_new) return Words("chmod", errno);
  return (has & 0666 & ~wanted) != 0
             ? Words("more users may use it than the database: chmod", errno)
             : "";
}

}  // namespace

// A descriptor on a control file and its entry in the registry, which stays until that is closed.
class ControlFile::Descriptor {
 public:
  // Throws bad_alloc. After that nothing here needs memory.
  explicit Descriptor(Registry& registry) : registry_(registry) {
    Entries one;
    one.emplace();
    entry_ = one.extract(one.begin());
  }
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }
  const Registry::FileKey& key() const { return key_; }
  // With control_mutex held. `made`: there was no such file before.
  void Enter(int fd, const struct stat& status, bool made) {
    registry_.control_mutex.AssertHeld();
    fd_ = fd;
    made_ = made;
    key_ = {status.st_dev, status.st_ino};
    entry_.key() = key_;
    registry_.control_files.insert(std::move(entry_));
  }
  void Close() {
    if (fd_ < 0) return;
    const MutexLock lock(registry_.control_mutex);
    // Nothing of this attempt stays locked, even where the descriptor has to.
    Lock(fd_, F_UNLCK, layout::kLockMake);
    Lock(fd_, F_UNLCK, layout::kLockAttached);
    // A close drops the locks of another part of this process that has the file open. A descriptor
    // that a fork has left has none.
    struct stat status {};
    const bool may_be_locked = !made_ && HasLocksHere(fd_);
    if (!may_be_locked || (fstat(fd_, &status) == 0 && !IsOpenElsewhere(status, fd_))) close(fd_);
    fd_ = -1;
    entry_ = registry_.control_files.extract(key_);
    entry_.mapped().reset();
  }
  // All who ask from now on get `file`, which has the descriptor.
  int HandTo(const std::shared_ptr<ControlFile>& file) {
    const MutexLock lock(registry_.control_mutex);
    registry_.control_files.find(key_)->second = file;
    return std::exchange(fd_, -1);
  }

 private:
  using Entries = decltype(Registry::control_files);
  Registry& registry_;
  Entries::node_type entry_;
  Registry::FileKey key_;
  int fd_ = -1;
  bool made_ = false;
};

// The caller holds kLockMake. Maps the file and leaves kLockAttached held shared; or says why not.
std::string ControlFile::TakeOver(int fd, const std::string& path, const struct stat& database,
                                  bool make) {
  // Only a process that holds this byte exclusively, and so is alone with the file, may change what
  // it is or make it shorter: all who map it hold it shared.
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
  if (empty && !make) return "it is empty";
  const bool fits = ours && header.layout_number == layout::kLayoutNumber &&
                    (status.st_size == kFileBytes || (status.st_size > kFileBytes && alone));
  if (!fits && !alone) return "it is of another layout or truncated, and in use";
  if (std::string why = FollowDatabase(fd, status, database, empty); !why.empty()) return why;
  const NoSizeSignal no_signal;
  if (fits) {
    if (std::string why = FillHoles(fd, path, status, alone); !why.empty()) {
      lacks_room_ = !LeavesReserve(path, kFileBytes - status.st_blocks * 512);
      return why;
    }
    if (status.st_size > kFileBytes && ftruncate(fd, kFileBytes) != 0)
      return Words("truncate", errno);
  } else {
    std::string why = NoRoomBecause(path, kFileBytes - status.st_blocks * 512, kFileBytes);
    if (!why.empty()) {
      lacks_room_ = !LeavesReserve(path, kFileBytes - status.st_blocks * 512);
      return why;
    }
    if (ftruncate(fd, 0) != 0 || !WriteZeros(fd, 0, kFileBytes)) {
      lacks_room_ = errno == ENOSPC || errno == EDQUOT;
      why = Words("writing it", errno);
      if (ftruncate(fd, 0) != 0) return why + ", and it could not be truncated";
      return why;
    }
  }
  std::unique_ptr<layout::ControlFile, void (*)(layout::ControlFile*)> mapped(Map(fd), Unmap);
  if (!mapped) return Words("mmap", errno);
  const ControlRegion::Identity identity{database_, ThisProcess().boot_id};
  ControlRegion region(mapped.get());
  using Fit = ControlRegion::Fit;
  const Fit fit = region.Check(identity);
  if (fit == Fit::kNotOurs || fit == Fit::kOtherLayout) return "it is changed by another process";
  if (fit != Fit::kFits && !alone) {
    return fit == Fit::kOtherDatabase ? kOtherDatabase
                                      : "it is unfinished or of another boot, and in use";
  }
  if (fit == Fit::kUnfinished) {
    if (fits) memset(static_cast<void*>(mapped.get()), 0, layout::kFileBytes);  // else just written
    region.Initialize(identity, UnixMs(), MonotonicNs());
    made_here_ = true;
  } else if (fit != Fit::kFits) {
    region.Adopt(identity, UnixMs(), MonotonicNs());
  }
  if (alone) region.Repair(MonotonicNs());
  Lock(fd, F_RDLCK, layout::kLockAttached);
  memory_ = mapped.release();
  return "";
}

// With control_mutex held: opens the file, or says why not. `known`: this process has it.
std::string ControlFile::OpenFile(const std::string& database_path, const struct stat& database,
                                  bool make, Descriptor* descriptor,
                                  std::shared_ptr<ControlFile>* known) {
  // What it is must be known before it is opened: if it were another name of a file of SQLite's,
  // closing it would drop the locks that this process holds there.
  struct stat before {};
  const bool exists = lstat(path_.c_str(), &before) == 0;
  if (!exists && errno != ENOENT) return Words("stat", errno);
  if (!exists && !make) return "it is made at the first commit to the log or setting";
  if (exists && S_ISLNK(before.st_mode)) return "it is a symbolic link";
  if (exists && S_ISDIR(before.st_mode)) return "it is a directory";
  if (exists && (!S_ISREG(before.st_mode) || before.st_nlink != 1)) {
    return "it is not a regular file with one name";
  }
  if (exists) {
    const Registry& registry = Registry::Get();
    registry.control_mutex.AssertHeld();
    const auto found = registry.control_files.find({before.st_dev, before.st_ino});
    if (found != registry.control_files.end()) {
      *known = found->second.lock();
      being_made_ = !*known;
      // Of the database before: connections of this process have not let go of it yet.
      if (*known && !(*known)->region().IsOf(database_)) return kOtherDatabase;
      return "this process is opening or closing it";
    }
    // Its close here would drop the locks of another part of this process that has it open: as a
    // database under that name, or as a copy of this library with a registry of its own, whose
    // mapping no lock would tell from nobody's.
    if ((before.st_size != kFileBytes || MayBeLockedHere(path_)) && IsOpenElsewhere(before)) {
      return "another part of this process has it open";
    }
  } else if (std::string why = NoRoomBecause(database_path, kFileBytes, kFileBytes); !why.empty()) {
    lacks_room_ = !LeavesReserve(database_path, kFileBytes);
    return why;
  }
  const int create = exists ? 0 : O_CREAT | O_EXCL;
  const int fd =
      open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | create, ModeFor(database));
  if (fd < 0) {
    being_made_ = errno == EEXIST;
    return being_made_ ? "another process is making it" : Words("open", errno);
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    // One that is there may be anything by now, so it is not even closed.
    const int error = errno;
    if (!exists) close(fd);
    return Words("stat", error);
  }
  if (exists && (status.st_dev != before.st_dev || status.st_ino != before.st_ino)) {
    return "it was replaced while it was opened";  // likewise
  }
  descriptor->Enter(fd, status, /*made=*/!exists);
  return "";
}

// Attaches this object to the file; returns the one that this process has already.
std::shared_ptr<ControlFile> ControlFile::Attach(const std::shared_ptr<ControlFile>& file,
                                                 const std::string& database_path, bool make) {
  being_made_ = lacks_room_ = false;
  const char* off = getenv("WALMANAGER_FILE");
  if (off && strcmp(off, "off") == 0) {
    reason_ = "WALMANAGER_FILE=off";
    return nullptr;
  }
  struct stat database {};
  if (stat(database_path.c_str(), &database) != 0) {
    reason_ = Words("stat " + database_path, errno);
    return nullptr;
  }
  if (database.st_dev != database_.device || database.st_ino != database_.inode) {
    reason_ = "the database was deleted, and another file is at its path";
    return nullptr;
  }
  if (database.st_nlink > 1) {
    reason_ = "the database file has several hard links";
    return nullptr;
  }
  Registry& registry = Registry::Get();
  Descriptor descriptor(registry);
  {
    std::shared_ptr<ControlFile> known;
    const MutexLock lock(registry.control_mutex);
    reason_ = OpenFile(database_path, database, make, &descriptor, &known);
    if (known && known->region().IsOf(database_)) return known;
    if (known) begins_with_ = known->region().ReadSettings();
  }
  if (!reason_.empty()) return nullptr;
  if (!Lock(descriptor.fd(), F_WRLCK, layout::kLockMake)) {
    being_made_ = true;
    reason_ = "another process is making it";
    return nullptr;
  }
  struct stat status {};
  if (fstat(descriptor.fd(), &status) != 0) {
    reason_ = Words("stat", errno);
    return nullptr;
  }
  if (status.st_nlink == 0) {
    being_made_ = true;
    reason_ = "another process could not make it";
    return nullptr;
  }
  // Nothing is left behind where it could not be made.
  const auto remove = [&](const std::string* path) {
    if (!memory_) unlink(path->c_str());
  };
  const bool is_new = make && status.st_size == 0;
  const std::unique_ptr<const std::string, decltype(remove)> unfinished(is_new ? &path_ : nullptr,
                                                                        remove);
  reason_ = TakeOver(descriptor.fd(), database_path, database, make);
  if (!memory_) return nullptr;
  Lock(descriptor.fd(), F_UNLCK, layout::kLockMake);
  key_ = descriptor.key();
  fd_ = descriptor.HandTo(file);
  region_ = ControlRegion(memory_);
  return file;
}

std::shared_ptr<ControlFile> ControlFile::Open(const std::string& database_path,
                                               const FileId& database, Wish wish) {
  const bool make = wish != Wish::kAttach;
  const std::uint64_t deadline = MonotonicNs() + (wish == Wish::kMakeAndWait       ? kSettingsWaitNs
                                                  : wish == Wish::kMakeBeforeClose ? kCloseWaitNs
                                                                                   : kMakeWaitNs);
  // Goes without a lock held, since Close takes one.
  std::shared_ptr<ControlFile> file(new ControlFile(PathFor(database_path), database), Close);
  for (;;) {
    if (auto attached = file->Attach(file, database_path, make)) return attached;
    if (!file->being_made_ || MonotonicNs() >= deadline) break;
    usleep(kPollMicroseconds);
  }
  file->memory_ = Map(-1);
  if (!file->memory_) return nullptr;
  file->region_ = ControlRegion(file->memory_);
  file->region_.Initialize({}, UnixMs(), MonotonicNs());
  if (file->begins_with_) (void)file->region_.WriteSettings(*file->begins_with_);
  return file;
}

void ControlFile::Close(ControlFile* file) {
  Registry& registry = Registry::Get();
  if (file->fd_ < 0) {
    delete file;
    return;
  }
  // The entry goes with the descriptor, and by what was known when it was opened: nothing here can
  // fail half-way.
  const MutexLock lock(registry.control_mutex);
  registry.control_files.erase(file->key_);
  delete file;
}

ControlFile::ControlFile(std::string path, const FileId& database)
    : path_(std::move(path)), database_(database), region_(nullptr), owned_(layout::kConnections) {}

ControlFile::~ControlFile() {
  // Only where memory ends is what was counted lost.
  try {
    if (heir_) MoveCounts(*heir_);
  } catch (const std::bad_alloc&) {
  }
  Unmap(memory_);
  if (fd_ >= 0) close(fd_);
}

std::string ControlFile::reason() const {
  const std::lock_guard lock(reason_mutex_);
  return reason_;
}

void ControlFile::TakeReason(const ControlFile& later) {
  const std::string reason = later.reason();
  const std::lock_guard lock(reason_mutex_);
  reason_ = reason;
  being_made_ = later.being_made();
  lacks_room_ = later.lacks_room();
}

void ControlFile::MoveCountsTo(const std::shared_ptr<ControlFile>& heir) {
  bool reset = false;
  const std::uint64_t position = region_.header().log_position.load(std::memory_order_relaxed);
  const auto max_frame = static_cast<std::uint32_t>(position);
  const std::uint64_t frames =
      position == 0
          ? 0
          : heir->region_.AdvanceLog(static_cast<std::uint32_t>(position >> 32), max_frame, &reset);
  // Exactly one process finds the position there empty.
  const bool first = frames != 0 && frames == max_frame && !reset;
  if (!first) heir->region_.AddFrames(kSharedSlab, frames);
  {
    const std::lock_guard lock(slab_mutex_);
    frames_go_along_.store(first, std::memory_order_release);
    heir_ = heir;
  }
  MoveCounts(*heir);
}

void ControlFile::MoveCounts(ControlFile& heir) {
  const auto stored = heir.region_.ReadSettings();
  const SettingValues values = stored.value_or(StoredSettings{}).Values();
  const bool with_frames = frames_go_along();
  QueryStatistics before(memory_), now(heir.memory_);
  {
    const std::lock_guard lock(slab_mutex_);
    heir.region_.TakeOverLeft(region_, kSharedSlab, with_frames);
  }
  heir.region_.TakeOverCheckpoints(region_, with_frames);
  before.MoveTo(now, static_cast<std::size_t>(values[Setting::kMaxQueries]));
}

bool ControlFile::StillThere() const {
  if (fd_ < 0) return true;
  struct stat at_path {};
  // Somebody who may no longer look keeps what is mapped.
  if (stat(path_.c_str(), &at_path) != 0) return errno != ENOENT && errno != ENOTDIR;
  return key_ == std::pair<std::uint64_t, std::uint64_t>(at_path.st_dev, at_path.st_ino);
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
    slab.pid_namespace.store(ThisProcess().pid_namespace, std::memory_order_relaxed);
    ClearConnection(slab.info);
    // Of one that was killed, which in private memory nobody was.
    if (fd_ >= 0) QueryStatistics(memory_).ReleaseHot(i);
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
  if (fd_ >= 0) {
    Lock(fd_, F_UNLCK, layout::kLockSlab + static_cast<std::int64_t>(slab));
  } else {
    // In private memory the next owner shall not keep what this one leaves to all.
    const bool with_frames = !heir_ || frames_go_along();
    (heir_ ? heir_->region_ : region_).TakeOverLeft(region_, slab, with_frames);
  }
  owned_[slab] = false;
}

std::int64_t ControlFile::CountProcesses() const {
  if (fd_ < 0) return 1;
  std::set<std::uint64_t> tokens = {ThisProcess().token};
  EachOwnedSlab([&](const layout::ConnectionSlab& slab, const auto&) {
    tokens.insert(slab.owner.load(std::memory_order_relaxed));
  });
  return static_cast<std::int64_t>(tokens.size());
}

std::vector<ConnectionEntry> ControlFile::Connections() const {
  std::vector<ConnectionEntry> connections;
  EachOwnedSlab([&](const layout::ConnectionSlab& slab, std::optional<std::int64_t> pid) {
    ConnectionEntry entry = ReadConnection(slab);
    entry.pid = pid;
    if (entry.id != 0) connections.push_back(std::move(entry));
  });
  return connections;
}

std::optional<std::int64_t> ControlFile::PidHere(std::int64_t pid,
                                                 std::uint64_t pid_namespace) const {
  if (pid_namespace == 0 || pid_namespace == ThisProcess().pid_namespace) return pid;
  std::optional<std::int64_t> here;
  EachOwnedSlab([&](const layout::ConnectionSlab& slab, std::optional<std::int64_t> owner) {
    if (static_cast<std::int64_t>(slab.pid.load(std::memory_order_relaxed)) == pid &&
        slab.pid_namespace.load(std::memory_order_relaxed) == pid_namespace) {
      here = owner;
    }
  });
  return here;
}

void ControlFile::WatchStatements(std::uint64_t now_ns) {
  EachOwnedSlab([&](layout::ConnectionSlab& slab, const auto&) {
    if (slab.info.id.load(std::memory_order_relaxed) != 0) WatchStatement(slab.info, now_ns);
  });
}

std::int64_t ControlFile::ForgetConnections() {
  std::int64_t forgotten = 0;
  EachOwnedSlab([&](layout::ConnectionSlab& slab, const auto&) {
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
    if (owned_[i]) {
      each(slab, std::optional(ThisProcess().pid));
    } else if (fd_ >= 0) {
      const auto holder = OtherHolder(fd_, layout::kLockSlab + static_cast<std::int64_t>(i));
      if (holder) each(slab, *holder > 0 ? holder : std::nullopt);
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
