#include "ext/system/control_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>
#include <set>
#include <utility>

#include "ext/core/control/io_statistics.h"
#include "ext/core/control/layout_locks.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/section_table.h"
#include "ext/system/byte_lock.h"
#include "ext/system/clock.h"
#include "ext/system/control_descriptor.h"
#include "ext/system/descriptor_room.h"
#include "ext/system/errno_text.h"
#include "ext/system/file_system.h"
#include "ext/system/process_life.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMakeWaitNs = 10'000'000;  // another process is making the file
constexpr std::uint64_t kSettingsWaitNs = 1'000'000'000;
constexpr std::uint64_t kCloseWaitNs = 400'000'000;  // the same, before this process may end
constexpr useconds_t kPollMicroseconds = 200;

// Why there is to be no file for this database; empty where there may be one.
std::string WhyNoFile(const std::string& database_path, const FileId& expected,
                      struct stat* database) {
  const char* off = getenv("WALMANAGER_FILE");
  if (off && strcmp(off, "off") == 0) return "WALMANAGER_FILE=off";
  if (stat(database_path.c_str(), database) != 0) {
    return ErrnoText("the database " + database_path + " cannot be looked at", errno);
  }
  if (database->st_dev != expected.device || database->st_ino != expected.inode) {
    return "the database was deleted, and another file is at its path";
  }
  return database->st_nlink > 1 ? "the database file has several hard links" : "";
}

}  // namespace

void ControlFile::TakeOver(int fd, const std::string& database_path, const struct stat& database,
                           bool make) {
  if (!SetByteLock(fd, ByteLock::kExclusive, layout::kLockMake)) {
    being_made_ = true;
    reason_ = "another process is making the control file, or has locked it";
    return;
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    reason_ = ErrnoText("the control file " + path_ + " cannot be looked at", errno);
    return;
  }
  if (status.st_nlink == 0) {
    being_made_ = true;
    reason_ = "another process could not make the control file";
    return;
  }
  // Nothing is left behind where it could not be made.
  const auto remove = [&](const std::string* path) {
    if (!memory_) unlink(path->c_str());
  };
  const bool is_new = make && status.st_size == 0;
  const std::unique_ptr<const std::string, decltype(remove)> unfinished(is_new ? &path_ : nullptr,
                                                                        remove);
  TakenOver taken =
      TakeOverControlFile(fd, database_path, database, make, {database_, ThisProcess().boot_id});
  reason_ = std::move(taken.reason);
  lacks_room_ = taken.lacks_room;
  made_here_ = taken.made_here;
  memory_ = std::move(taken.memory);
}

std::shared_ptr<ControlFile> ControlFile::Attach(const std::shared_ptr<ControlFile>& file,
                                                 const std::string& database_path, bool make) {
  being_made_ = lacks_room_ = false;
  struct stat database {};
  reason_ = WhyNoFile(database_path, database_, &database);
  if (!reason_.empty()) return nullptr;
  Registry& registry = Registry::Get();
  ControlDescriptor descriptor(registry);
  auto opened = descriptor.Open(path_, database_path, database, make);
  if (!registry.kept_controls.TakeBack(opened.known, database_, database)) {
    opened = descriptor.Open(path_, database_path, database, make);
    if (!registry.kept_controls.TakeBack(opened.known, database_, database)) {
      opened.being_made = true;
      opened.reason = "another thread of this process is closing the control file";
    }
  }
  if (opened.known && opened.known->region().IsOf(database_)) return opened.known;
  if (opened.known) {
    // It is of the previous database: connections of this process still use it.
    opened.reason = kOtherDatabaseInUse;
    begins_with_ = opened.known->region().ReadSettings();
  }
  being_made_ = opened.being_made;
  lacks_room_ = opened.lacks_room;
  reason_ = std::move(opened.reason);
  if (!reason_.empty()) return nullptr;
  TakeOver(descriptor.fd(), database_path, database, make);
  if (!memory_) return nullptr;
  SetByteLock(descriptor.fd(), ByteLock::kNone, layout::kLockMake);
  // All of it before other threads can find the object.
  key_ = descriptor.key();
  fd_ = descriptor.fd();
  region_ = ControlRegion(memory_.get());
  slabs_.Begin(memory_.get(), fd_);
  descriptor.HandTo(file);
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
  file->memory_ = MappedControl::Private();
  if (!file->memory_) return nullptr;
  file->region_ = ControlRegion(file->memory_.get());
  file->slabs_.Begin(file->memory_.get(), -1);
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
  // The entry goes together with the descriptor, by the key noted when it was opened.
  const MutexLock lock(registry.control_mutex);
  const int fd = file->fd_.exchange(-1);
  const Registry::FileKey key = file->key_;
  delete file;
  CloseControl(registry, key, fd);
}

// Not checked for locks: no other thread has it, so heir_mutex_ is not needed.
void ControlFile::CloseLocked(Registry& registry) NO_THREAD_SAFETY_ANALYSIS {
  if (heir_) return;  // its counts are to be moved first
  memory_.reset();
  CloseControl(registry, key_, fd_.exchange(-1));
}

ControlFile::ControlFile(std::string path, const FileId& database)
    : path_(std::move(path)), database_(database), region_(nullptr) {}

ControlFile::~ControlFile() {
  // The counts are lost only where memory ends.
  try {
    if (heir_) MoveCounts(*heir_);
  } catch (...) {
  }
  memory_.reset();
}

bool ControlFile::LeaveFile(Registry& registry) {
  // Another process may make a file shorter that is not locked here. A server may not answer.
  if (!shared() || paused_ || !ClosesAtOnce(descriptor())) return false;
  // Connections that begin a statement and a process that cuts the log look at each other there.
  if (region_.header().cut_until_ns.load() != 0) return false;
  // A thread that has it has the settings lock of the file.
  if (!settings_mutex_.try_lock()) return false;
  const MutexLock settings(settings_mutex_, std::adopt_lock);
  try {
    std::string reason = FewDescriptorsBecause();
    {
      const MutexLock locks(descriptor_mutex_);
      if (paused_ || !slabs_.LeaveFile()) return false;
      CloseControl(registry, key_, fd_.exchange(-1));
      const MutexLock lock(reason_mutex_);
      reason_ = std::move(reason);
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  // What other processes were at.
  region_.SetPrepared({});
  region_.engine().at_work_until_ns.store(0);
  region_.engine().brake_frame.store(0);
  region_.header().gate_until_ns.store(0);
  // All of it is in the file, to which it would be added again.
  region_.ForgetCounts(UnixMs(), MonotonicNs());
  QueryStatistics(memory_.get()).Reset();
  return true;
}

void ControlFile::LeaveAllToProgram() {
  if (!ProgramNeedsDescriptors()) return;
  Registry& registry = Registry::Get();
  registry.kept_controls.LetGoOfAll(registry);
  std::vector<std::shared_ptr<ControlFile>> files;  // let go of without the mutex
  // A thread that has the mutex may wait for a file system.
  if (!registry.control_mutex.try_lock()) return;
  const MutexLock opening(registry.control_mutex, std::adopt_lock);
  try {
    files.reserve(registry.control_files.size());
  } catch (const std::bad_alloc&) {
    return;
  }
  for (const auto& entry : registry.control_files) {
    if (auto file = entry.second.file.lock()) files.push_back(std::move(file));
  }
  // An open of the program waits for it. It opens three files, so more than these have to be left
  // before the next open, and the next ones follow then. A file takes 0.2 to 3 ms.
  constexpr int kAtLeast = 4, kAtMost = 16;
  constexpr std::uint64_t kLongEnoughNs = 1'500'000;
  const std::uint64_t start = MonotonicNs();
  int left = 0;
  for (const auto& file : files) {
    if (left >= kAtMost || (left >= kAtLeast && MonotonicNs() - start >= kLongEnoughNs)) break;
    if (file->LeaveFile(registry)) ++left;
  }
}

bool ControlFile::SetLock(ByteLock lock, std::int64_t byte) {
  const MutexLock locks(descriptor_mutex_);
  const int fd = fd_.load(std::memory_order_relaxed);
  return fd < 0 || SetByteLock(fd, lock, byte);
}

bool ControlFile::HasItsDescriptor() const {
  struct stat status {};
  return fd_ >= 0 && fstat(fd_, &status) == 0 &&
         key_ == Registry::FileKey(status.st_dev, status.st_ino);
}

std::string ControlFile::reason() const {
  const MutexLock lock(reason_mutex_);
  return reason_;
}

void ControlFile::TakeReason(const ControlFile& later) {
  const std::string reason = later.reason();
  const MutexLock lock(reason_mutex_);
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
  if (!first) heir->region_.AddFrames(OwnedSlabs::kShared, frames);
  {
    const MutexLock lock(heir_mutex_);
    // Release: pairs with frames_go_along(), which is also asked without the mutex.
    frames_go_along_.store(first, std::memory_order_release);
    heir_ = heir;
  }
  MoveCounts(*heir);
}

void ControlFile::MoveCounts(ControlFile& heir) {
  const auto stored = heir.region_.ReadSettings();
  const SettingValues values = stored.value_or(StoredSettings{}).Values();
  const bool with_frames = frames_go_along();
  QueryStatistics before(memory_.get()), now(heir.memory_.get());
  {
    const MutexLock lock(heir_mutex_);
    heir.region_.TakeOverLeft(region_, OwnedSlabs::kShared, with_frames);
  }
  heir.region_.TakeOverCheckpoints(region_, with_frames);
  LockWaits waits(memory_.get()), waits_now(heir.memory_.get());
  waits.MoveTo(waits_now);
  IoStatistics io(memory_.get()), io_now(heir.memory_.get());
  io.MoveTo(io_now);
  before.MoveTo(now, static_cast<std::size_t>(values[Setting::kMaxQueries]));
}

bool ControlFile::Suits(const FileId& id, const struct stat& database) const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) return false;
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  return bytes >= layout::kFirstBytes && !IsDamaged(memory_->file()->sections, bytes) &&
         HashSections() == sections_at_pause_ &&
         region_.Check({id, ThisProcess().boot_id}) == ControlRegion::Fit::kFits &&
         status.st_uid == database.st_uid && status.st_gid == database.st_gid &&
         (status.st_mode & 0666) == (database.st_mode & 0666);
}

std::size_t ControlFile::HashSections() const {
  std::size_t hash = 0;
  for (const auto& word : memory_->file()->sections.words) {
    hash = hash * 31 + std::hash<std::uint64_t>()(word.load(std::memory_order_relaxed));
  }
  return hash;
}

void ControlFile::Pause() {
  const MutexLock locks(descriptor_mutex_);
  sections_at_pause_ = HashSections();
  paused_ = true;
  SetByteLock(fd_, ByteLock::kNone, layout::kLockAttached);
}

bool ControlFile::Resume(const FileId& id, const struct stat& database) {
  const MutexLock locks(descriptor_mutex_);
  if (!paused_) return !lost_;
  paused_ = false;
  lost_ = !HasItsDescriptor() || !SetByteLock(fd_, ByteLock::kShared, layout::kLockAttached) ||
          !Suits(id, database);
  return !lost_;
}

bool ControlFile::StillThere() const {
  if (fd_ < 0) return true;
  struct stat at_path {};
  // A process that may no longer look at the path keeps its mapping.
  if (stat(path_.c_str(), &at_path) != 0) return errno != ENOENT && errno != ENOTDIR;
  return key_ == Registry::FileKey(at_path.st_dev, at_path.st_ino);
}

void ControlFile::ReleaseSlab(std::size_t slab) {
  if (!shared() && slab < OwnedSlabs::kShared) {
    // In private memory move the counts to the shared slab, so that the next owner begins with
    // none.
    const MutexLock lock(heir_mutex_);
    const bool with_frames = !heir_ || frames_go_along();
    (heir_ ? heir_->region_ : region_).TakeOverLeft(region_, slab, with_frames);
  }
  slabs_.Release(slab);
}

std::int64_t ControlFile::CountProcesses() const {
  if (fd_ < 0) return 1;
  std::set<std::uint64_t> tokens = {ThisProcess().token};
  slabs_.ForEach([&](const layout::ConnectionSlab& slab, const auto&) {
    tokens.insert(slab.owner.load(std::memory_order_relaxed));
  });
  return static_cast<std::int64_t>(tokens.size());
}

std::vector<ConnectionEntry> ControlFile::Connections() const {
  std::vector<ConnectionEntry> connections;
  slabs_.ForEach([&](const layout::ConnectionSlab& slab, std::optional<std::int64_t> pid) {
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
  slabs_.ForEach([&](const layout::ConnectionSlab& slab, std::optional<std::int64_t> owner) {
    if (static_cast<std::int64_t>(slab.pid.load(std::memory_order_relaxed)) == pid &&
        slab.pid_namespace.load(std::memory_order_relaxed) == pid_namespace) {
      here = owner;
    }
  });
  return here;
}

std::optional<std::int64_t> ControlFile::LivingPidHere(std::int64_t pid,
                                                       std::uint64_t pid_namespace,
                                                       std::int64_t at_ms,
                                                       ProcessLives& lives) const {
  const auto here = PidHere(pid, pid_namespace);
  return here && lives.IsStillThere(*here, at_ms) ? here : std::nullopt;
}

void ControlFile::WatchStatements(std::uint64_t now_ns) {
  slabs_.ForEach([&](layout::ConnectionSlab& slab, const auto&) {
    if (slab.info.id.load(std::memory_order_relaxed) != 0) WatchStatement(slab.info, now_ns);
  });
}

std::int64_t ControlFile::ForgetConnections() {
  std::int64_t forgotten = 0;
  slabs_.ForEach([&](layout::ConnectionSlab& slab, const auto&) {
    // An owner that counts at this moment may write its old counts back: then they are kept.
    if (slab.info.id.load(std::memory_order_relaxed) == 0) return;
    ForgetCounts(slab.info);
    ++forgotten;
  });
  return forgotten;
}

bool ControlFile::TryLease() { return SetLock(ByteLock::kExclusive, layout::kLockLease); }

void ControlFile::EndLease() { SetLock(ByteLock::kNone, layout::kLockLease); }

bool ControlFile::TrySampler() {
  // A lock among the threads of this process: acquire here, release where it is given back.
  if (sampling_.test_and_set(std::memory_order_acquire)) return false;
  if (SetLock(ByteLock::kExclusive, layout::kLockSampler)) return true;
  sampling_.clear(std::memory_order_release);
  return false;
}

void ControlFile::EndSampler() {
  SetLock(ByteLock::kNone, layout::kLockSampler);
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
  held_ = file->fd_ < 0 ||
          SetByteLockWithin(file->fd_, ByteLock::kExclusive, layout::kLockSettings, wait_ns);
}

ControlFile::SettingsLock::~SettingsLock() {
  if (held_ && file_->fd_ >= 0) SetByteLock(file_->fd_, ByteLock::kNone, layout::kLockSettings);
}

}  // namespace walmanager
