#include "ext/system/control_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "ext/system/byte_lock.h"
#include "ext/system/clock.h"
#include "ext/system/control_descriptor.h"
#include "ext/system/disk_room.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

constexpr auto kFileBytes = static_cast<std::int64_t>(layout::kFileBytes);
constexpr std::int64_t kBlock = 512;  // of st_blocks

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

// Whether the file has nothing but zeros, because its maker was killed; false for a longer file.
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
    // Another process may have filled the hole between the two looks.
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

// Empty, or why the holes cannot be filled. `alone`: no other process has the file mapped; else
// what is there must not be written.
std::string FillHoles(int fd, const std::string& path, const struct stat& status, bool alone) {
  const std::int64_t missing = kFileBytes - status.st_blocks * kBlock;
  if (missing <= 0 || KeepsZerosAsHoles(fd)) return "";
  bool has_holes = false;
  EachHole(fd, [&](off_t, off_t) { return !(has_holes = true); });
  if (!has_holes) return "";
  if (std::string why = NoRoomBecause(path, missing, kFileBytes); !why.empty()) return why;
  const bool filled = EachHole(fd, [&](off_t from, off_t to) {
    return alone ? WriteZeros(fd, from, to) : fallocate(fd, 0, from, to - from) == 0;
  });
  return filled ? "" : ErrnoText("the holes of the control file cannot be filled", errno);
}

ControlMemory Map(int fd) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* memory = mmap(nullptr, layout::kFileBytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  return ControlMemory(memory == MAP_FAILED ? nullptr : static_cast<layout::ControlFile*>(memory));
}

// Gives the file the owner and permissions that the database has now. Empty, or why the file cannot
// be used.
std::string FollowDatabase(int fd, const struct stat& status, const struct stat& database,
                           bool is_new) {
  const bool other_owner = status.st_uid != database.st_uid || status.st_gid != database.st_gid;
  if (other_owner && geteuid() == 0 && fchown(fd, database.st_uid, database.st_gid) != 0 &&
      is_new) {
    return ErrnoText("the control file cannot be given the owner of the database", errno);
  }
  const mode_t wanted = database.st_mode & 0666, has = status.st_mode & 07777;
  if ((has == wanted && !is_new) || fchmod(fd, wanted) == 0) return "";
  if (is_new) {
    return ErrnoText("the control file cannot be given the permissions of the database", errno);
  }
  return (has & 0666 & ~wanted) != 0
             ? ErrnoText(
                   "more users may use the control file than the database, and its "
                   "permissions cannot be changed",
                   errno)
             : "";
}

// What the file holds, as far as its first bytes tell.
struct Content {
  bool empty = false;
  bool is_control_file = false;  // it begins as a control file, however far it goes
  bool current = false;          // and has the layout of this version
};

Content ReadContent(int fd, const struct stat& status) {
  layout::Header header{};
  const ssize_t got = pread(fd, &header, sizeof header, 0);
  Content content;
  content.empty = status.st_size == 0;
  // Cut short it still is one, as far as it goes.
  constexpr ssize_t kName = 10;
  content.is_control_file =
      got >= kName &&
      memcmp(header.magic, layout::kMagic,
             std::min<std::size_t>(static_cast<std::size_t>(got), sizeof header.magic)) == 0;
  content.current = content.is_control_file && header.layout_number == layout::kLayoutNumber;
  return content;
}

// Makes the file whole, with all of it on the disk. `fits`: its content is kept.
std::string MakeWhole(int fd, const std::string& path, const struct stat& status, bool fits,
                      bool alone, bool* lacks_room) {
  const std::int64_t missing = kFileBytes - status.st_blocks * kBlock;
  std::string why =
      fits ? FillHoles(fd, path, status, alone) : NoRoomBecause(path, missing, kFileBytes);
  if (!why.empty()) {
    *lacks_room = !LeavesReserve(path, missing);
    return why;
  }
  if (fits) {
    const bool longer = status.st_size > kFileBytes;
    return longer && ftruncate(fd, kFileBytes) != 0
               ? ErrnoText("the control file cannot be cut to its size", errno)
               : "";
  }
  if (ftruncate(fd, 0) == 0 && WriteZeros(fd, 0, kFileBytes)) return "";
  *lacks_room = errno == ENOSPC || errno == EDQUOT;
  why = ErrnoText("the control file cannot be written", errno);
  return ftruncate(fd, 0) == 0 ? why : why + ", and it could not be truncated";
}

// Makes the mapped file fit for this database and boot. Empty, or why it cannot.
std::string Adopt(ControlRegion region, layout::ControlFile* memory, bool kept, bool alone,
                  const ControlRegion::Identity& identity, bool* made_here) {
  using Fit = ControlRegion::Fit;
  const Fit fit = region.Check(identity);
  if (fit == Fit::kForeign || fit == Fit::kOtherLayout)
    return "another process is changing the control file";
  if (fit != Fit::kFits && !alone) {
    return fit == Fit::kOtherDatabase
               ? kOtherDatabaseInUse
               : "the control file is unfinished or of another boot, and in use";
  }
  if (fit == Fit::kUnfinished) {
    if (kept) memset(static_cast<void*>(memory), 0, layout::kFileBytes);  // else just written
    region.Initialize(identity, UnixMs(), MonotonicNs());
    *made_here = true;
  } else if (fit != Fit::kFits) {
    region.Adopt(identity, UnixMs(), MonotonicNs());
  }
  if (alone) region.Repair(MonotonicNs());
  return "";
}

}  // namespace

void UnmapControlMemory::operator()(layout::ControlFile* memory) const {
  munmap(static_cast<void*>(memory), layout::kFileBytes);
}

ControlMemory PrivateControlMemory() { return Map(-1); }

TakenOver TakeOverControlFile(int fd, const std::string& database_path, const struct stat& database,
                              bool make, const ControlRegion::Identity& identity) {
  TakenOver taken;
  const auto fail = [&](std::string why) {
    taken.reason = std::move(why);
    return std::move(taken);
  };
  // Only a process that holds this byte exclusively, and so is alone with the file, may change what
  // it is or make it shorter: all processes that map it hold it shared.
  const bool alone = SetByteLock(fd, ByteLock::kExclusive, layout::kLockAttached);
  if (!alone && !SetByteLock(fd, ByteLock::kShared, layout::kLockAttached)) {
    return fail(ErrnoText("the control file cannot be locked", errno));
  }
  struct stat status {};
  if (fstat(fd, &status) != 0)
    return fail(ErrnoText("the control file cannot be looked at", errno));
  const Content content = ReadContent(fd, status);
  if (!content.empty && !content.is_control_file && !IsUnfinished(fd, status.st_size)) {
    return fail("the file at the place of the control file is not a control file of walmanager");
  }
  if (content.empty && !make) return fail("the control file is empty");
  const bool fits =
      content.current && (status.st_size == kFileBytes || (status.st_size > kFileBytes && alone));
  if (!fits && !alone)
    return fail("the control file is of another layout or truncated, and in use");
  std::string why = FollowDatabase(fd, status, database, content.empty);
  if (!why.empty()) return fail(std::move(why));
  const NoSizeSignal no_signal;
  why = MakeWhole(fd, database_path, status, fits, alone, &taken.lacks_room);
  if (!why.empty()) return fail(std::move(why));
  ControlMemory mapped = Map(fd);
  if (!mapped) return fail(ErrnoText("the control file cannot be mapped", errno));
  why = Adopt(ControlRegion(mapped.get()), mapped.get(), fits, alone, identity, &taken.made_here);
  if (!why.empty()) return fail(std::move(why));
  SetByteLock(fd, ByteLock::kShared, layout::kLockAttached);
  taken.memory = std::move(mapped);
  return taken;
}

}  // namespace walmanager
