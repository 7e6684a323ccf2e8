#include "ext/system/control_descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "ext/core/control/layout_locks.h"
#include "ext/core/control/layout_sizes.h"
#include "ext/system/byte_lock.h"
#include "ext/system/control_memory.h"
#include "ext/system/descriptor_room.h"
#include "ext/system/disk_room.h"
#include "ext/system/errno_text.h"
#include "ext/system/open_files.h"
#include "ext/system/read_marks.h"

namespace walmanager {
namespace {

constexpr auto kFirstBytes = static_cast<std::int64_t>(layout::kFirstBytes);

// Whether a file is as long as a control file may be.
bool HasBytesOfOne(const struct stat& status) {
  return status.st_size >= kFirstBytes &&
         status.st_size % static_cast<std::int64_t>(layout::kBlockBytes) == 0;
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

// What `fd` is now.
enum class FileOfNumber { kControlFile, kAnother, kUnknown };
FileOfNumber FileOf(int fd, const Registry::FileKey& key, struct stat* status) {
  // A number that is not open is no file.
  if (fstat(fd, status) != 0)
    return errno == EBADF ? FileOfNumber::kAnother : FileOfNumber::kUnknown;
  return key == Registry::FileKey(status->st_dev, status->st_ino) ? FileOfNumber::kControlFile
                                                                  : FileOfNumber::kAnother;
}

// Closes what was left open earlier, as far as that can be told by now.
void CloseLeft(Registry& registry) REQUIRES(registry.control_mutex) {
  for (auto each = registry.control_files.begin(); each != registry.control_files.end();) {
    const auto [key, open] = *each++;
    struct stat status {};
    if (open.left_fd < 0) continue;
    if (FileOf(open.left_fd, key, &status) == FileOfNumber::kControlFile &&
        IsOpenElsewhere(status, open.left_fd)) {
      continue;
    }
    CloseControl(registry, key, open.left_fd);
  }
}

// Why a path with this status is not one that may be opened; empty where it may.
std::string WhyNoControlFile(const struct stat& status) {
  if (S_ISLNK(status.st_mode)) return "the control file is a symbolic link";
  if (S_ISDIR(status.st_mode)) return "the control file is a directory";
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
    return "the control file is not a regular file with one name";
  }
  return "";
}

}  // namespace

void CloseControl(Registry& registry, const Registry::FileKey& key, int fd) {
  const int error = errno;
  struct stat status {};
  const FileOfNumber file = FileOf(fd, key, &status);
  const auto entry = registry.control_files.find(key);
  const bool is_known = entry != registry.control_files.end();
  if (file == FileOfNumber::kControlFile) close(fd);
  if (is_known && file == FileOfNumber::kUnknown) {
    entry->second = {{}, fd};
  } else if (is_known) {
    registry.control_files.erase(entry);
  }
  errno = error;
}

ControlDescriptor::ControlDescriptor(Registry& registry) : registry_(registry) {
  Entries one;
  one.emplace();
  entry_ = one.extract(one.begin());
}

ControlDescriptor::Outcome ControlDescriptor::Open(const std::string& path,
                                                   const std::string& database_path,
                                                   const struct stat& database, bool make) {
  const MutexLock lock(registry_.control_mutex);
  return OpenLocked(path, database_path, database, make);
}

ControlDescriptor::Outcome ControlDescriptor::OpenLocked(const std::string& path,
                                                         const std::string& database_path,
                                                         const struct stat& database, bool make) {
  CloseLeft(registry_);
  // What it is must be known before it is opened: if it were another name of a file of SQLite's,
  // closing it would drop the locks that this process holds there.
  const std::string shown = "the control file " + path;
  struct stat before {};
  const bool exists = lstat(path.c_str(), &before) == 0;
  if (!exists && errno != ENOENT) return {ErrnoText(shown + " cannot be looked at", errno)};
  if (!exists && !make) return {kNotMadeYet};
  if (exists) {
    if (std::string why = WhyNoControlFile(before); !why.empty()) return {why};
    const auto found = registry_.control_files.find({before.st_dev, before.st_ino});
    if (found != registry_.control_files.end()) {
      // The reason first: what fails after lock() would let go of the file within the mutex that
      // its close takes.
      if (found->second.left_fd >= 0)
        return {"the descriptor that this process had of " + shown + " cannot be closed yet"};
      Outcome outcome{"this process is opening or closing the control file"};
      outcome.known = found->second.file.lock();
      outcome.being_made = !outcome.known;
      return outcome;
    }
    // Before /proc is asked, which needs a descriptor, too.
    if (!HasDescriptorsToSpare()) return {FewDescriptorsBecause()};
    // Its close here would drop the locks of another part of this process that has it open: as a
    // database under that name, or as a copy of this library with a registry of its own, whose
    // mapping no lock would show.
    if ((!HasBytesOfOne(before) || MayBeLockedHere(path)) && IsOpenElsewhere(before)) {
      return {"another part of this process has the control file open"};
    }
  } else if (!HasDescriptorsToSpare()) {
    return {FewDescriptorsBecause()};
  } else if (std::string why = NoRoomBecause(database_path, kFirstBytes, kFirstBytes);
             !why.empty()) {
    return {why, false, /*lacks_room=*/!LeavesReserve(database_path, kFirstBytes)};
  }
  const int create = exists ? 0 : O_CREAT | O_EXCL;
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | create,
                      database.st_mode & 0666);
  if (fd < 0) {
    if (errno == EEXIST) return {"another process is making the control file", /*being_made=*/true};
    return {ErrnoText(shown + (exists ? " cannot be opened" : " cannot be made"), errno)};
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    // One that was there may be anything by now, so it is not closed before that is known.
    const int error = errno;
    if (exists) {
      Leave(fd, {before.st_dev, before.st_ino});
    } else {
      close(fd);
    }
    return {ErrnoText(shown + " cannot be looked at", error)};
  }
  if (exists && (status.st_dev != before.st_dev || status.st_ino != before.st_ino)) {
    return {"the control file was replaced while it was opened"};  // likewise
  }
  Enter(fd, status, /*made=*/!exists);
  return {};
}

void ControlDescriptor::Enter(int fd, const struct stat& status, bool made) {
  fd_ = fd;
  made_ = made;
  key_ = {status.st_dev, status.st_ino};
  entry_.key() = key_;
  registry_.control_files.insert(std::move(entry_));
}

void ControlDescriptor::Leave(int fd, const Registry::FileKey& key) {
  entry_.key() = key;
  entry_.mapped().left_fd = fd;
  registry_.control_files.insert(std::move(entry_));
}

void ControlDescriptor::Close() {
  if (fd_ < 0) return;
  const MutexLock lock(registry_.control_mutex);
  // Release all locks of this attempt, even where the descriptor has to stay open.
  SetByteLock(fd_, ByteLock::kNone, layout::kLockMake);
  SetByteLock(fd_, ByteLock::kNone, layout::kLockAttached);
  // A close drops the locks of another part of this process that has the file open. A descriptor
  // that a fork has left has none.
  const int fd = std::exchange(fd_, -1);
  const bool may_be_locked = !made_ && HasLocksHere(fd);
  struct stat status {};
  if (may_be_locked && FileOf(fd, key_, &status) == FileOfNumber::kControlFile &&
      IsOpenElsewhere(status, fd)) {
    registry_.control_files.erase(key_);
  } else {
    CloseControl(registry_, key_, fd);
  }
}

void ControlDescriptor::HandTo(const std::shared_ptr<ControlFile>& file) {
  const MutexLock lock(registry_.control_mutex);
  registry_.control_files.find(key_)->second.file = file;
  fd_ = -1;
}

}  // namespace walmanager
