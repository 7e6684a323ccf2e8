#include "ext/system/control_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "ext/core/control/layout_locks.h"
#include "ext/core/control/section_table.h"
#include "ext/system/byte_lock.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/errno_text.h"
#include "ext/system/old_settings.h"
#include "ext/system/size_signal.h"
#include "ext/system/write_zeros.h"

namespace walmanager {
namespace {

constexpr auto kFirstBytes = static_cast<std::int64_t>(layout::kFirstBytes);
constexpr std::int64_t kBlock = 512;  // of st_blocks

// Whether all of the file is zeros, as one is whose maker was killed; also a maker of an older
// version, whose files were longer. Never true of a longer one.
bool IsUnfinished(int fd, std::int64_t bytes) {
  constexpr std::int64_t kLongest = 16 << 20;
  if (bytes > kLongest) return false;
  char content[4096];
  for (std::int64_t at = 0; at < bytes;) {
    const ssize_t got = pread(fd, content, sizeof content, at);
    if (got <= 0 || std::count(content, content + got, 0) != got) return false;
    at += got;
  }
  return true;
}

// The parts of the first `bytes` of the file that have no place on the disk, as a copy of it may
// leave them.
template <typename Each>
bool EachHole(int fd, std::int64_t bytes, Each each) {
  for (off_t at = 0; at < bytes;) {
    const off_t hole = lseek(fd, at, SEEK_HOLE);
    if (hole < 0 || hole >= bytes) return true;
    const off_t data = lseek(fd, hole, SEEK_DATA);
    at = data < 0 ? bytes : std::min<off_t>(data, bytes);
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
std::string FillHoles(int fd, const std::string& path, const struct stat& status,
                      std::int64_t bytes, bool alone) {
  const std::int64_t missing = bytes - status.st_blocks * kBlock;
  if (missing <= 0 || KeepsZerosAsHoles(fd)) return "";
  bool has_holes = false;
  EachHole(fd, bytes, [&](off_t, off_t) { return !(has_holes = true); });
  if (!has_holes) return "";
  if (std::string why = NoRoomBecause(path, missing, bytes); !why.empty()) return why;
  const bool filled = EachHole(fd, bytes, [&](off_t from, off_t to) {
    return alone ? WriteZeros(fd, from, to) : fallocate(fd, 0, from, to - from) == 0;
  });
  return filled ? "" : ErrnoText("the holes of the control file cannot be filled", errno);
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
  bool is_control_file = false;  // it begins as a control file of any layout, however far it goes
  bool current = false;          // and has the layout of this version
  bool is_damaged = false;       // but its table of sections cannot be true, or it was cut short
  std::uint64_t layout_number = 0;
  std::int64_t bytes = kFirstBytes;  // of the first part and the sections that this version knows
  bool has_unknown_sections = false;
};

bool BeginsWith(const layout::Header& header, ssize_t got, const char (&magic)[16]) {
  constexpr ssize_t kName = 10;
  return got >= kName &&
         memcmp(header.magic, magic,
                std::min<std::size_t>(static_cast<std::size_t>(got), sizeof header.magic)) == 0;
}

Content ReadContent(int fd, const struct stat& status) {
  struct Beginning {
    layout::Header header;
    layout::SectionTable sections;
  };
  static_assert(offsetof(Beginning, sections) == offsetof(layout::ControlFile, sections));
  Beginning beginning{};
  const ssize_t got = pread(fd, &beginning, sizeof beginning, 0);
  // Again: another process may have appended a section, which the table names by now.
  struct stat after = status;
  (void)fstat(fd, &after);
  const layout::Header& header = beginning.header;
  Content content;
  content.empty = status.st_size == 0;
  const bool has_new_name = BeginsWith(header, got, layout::kMagic);
  // Cut short it still is one, as far as it goes.
  content.is_control_file = has_new_name ||
                            BeginsWith(header, got, layout::kFirstMagicWithSections) ||
                            BeginsWith(header, got, layout::kOldMagic);
  content.layout_number = header.layout_number;
  if (!has_new_name || header.layout_number != layout::kLayoutNumber) return content;
  content.current = true;
  content.is_damaged = IsDamaged(beginning.sections, static_cast<std::uint64_t>(after.st_size));
  if (const auto end = EndOfSections(beginning.sections)) {
    content.bytes = static_cast<std::int64_t>(*end);
  } else {
    content.is_damaged = true;
  }
  content.has_unknown_sections = HasUnknownSections(beginning.sections);
  return content;
}

// Reads the settings and rules beyond the first part into `copy`, if the file still has their
// section.
void ReadMoreSettings(int fd, const struct stat& status, MappedControl& copy) {
  constexpr auto kKind = ControlSpace::Kind::kMoreSettings;
  if (!copy.Make(kKind, 0)) return;
  layout::ControlFile& file = *copy.file();
  for (std::size_t i = 0; i < CountSections(file.sections); ++i) {
    const auto section = ReadSection(file.sections, i, static_cast<std::uint64_t>(status.st_size));
    if (!section || section->kind != kKind) continue;
    (void)pread(fd, &file.more_settings, sizeof file.more_settings,
                static_cast<off_t>(section->at));
  }
}

// The settings in a file that is to be made anew: of an older layout, or cut short behind them.
std::optional<StoredSettings> SettingsToKeep(int fd, const struct stat& status,
                                             const Content& content) {
  if (!content.is_control_file) return std::nullopt;
  const auto copy = MappedControl::Private();
  if (!copy) return std::nullopt;
  layout::ControlFile* const file = copy->file();
  if (content.layout_number >= layout::kFirstLayoutWithSections &&
      content.layout_number <= layout::kLayoutNumber) {
    if (pread(fd, file, layout::kFirstBytes, 0) < static_cast<ssize_t>(sizeof(layout::Header)))
      return std::nullopt;
    ReadMoreSettings(fd, status, *copy);
    return ControlRegion(copy.get()).ReadSettings();
  }
  return ReadOldSettings(fd, content.layout_number);
}

// Makes the file whole, with all of it on the disk. `fits`: its content is kept. `more`: bytes that
// a file made anew is to grow by at once.
std::string MakeWhole(int fd, const std::string& path, const struct stat& status,
                      const Content& content, bool fits, bool alone, std::int64_t more,
                      bool* lacks_room) {
  const std::int64_t bytes = fits ? content.bytes : kFirstBytes + more;
  const std::int64_t missing = bytes - status.st_blocks * kBlock;
  std::string why =
      fits ? FillHoles(fd, path, status, bytes, alone) : NoRoomBecause(path, missing, bytes);
  if (!why.empty()) {
    *lacks_room = !LeavesReserve(path, missing);
    return why;
  }
  if (fits) {
    // What a process left that was killed while it appended a section.
    const bool longer = alone && status.st_size > bytes && !content.has_unknown_sections;
    return longer && ftruncate(fd, bytes) != 0
               ? ErrnoText("the control file cannot be cut to its size", errno)
               : "";
  }
  if (ftruncate(fd, 0) == 0 && WriteZeros(fd, 0, kFirstBytes)) return "";
  *lacks_room = errno == ENOSPC || errno == EDQUOT;
  why = ErrnoText("the control file cannot be written", errno);
  return ftruncate(fd, 0) == 0 ? why : why + ", and it could not be truncated";
}

// Makes the mapped file fit for this database and boot. Empty, or why it cannot.
std::string Adopt(MappedControl& memory, bool kept, bool alone,
                  const ControlRegion::Identity& identity, bool* made_here) {
  ControlRegion region(&memory);
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
    if (kept)
      memset(static_cast<void*>(memory.file()), 0, layout::kFirstBytes);  // else just written
    region.Initialize(identity, UnixMs(), MonotonicNs());
    *made_here = true;
  } else if (fit != Fit::kFits) {
    region.Adopt(identity, UnixMs(), MonotonicNs());
  }
  if (alone) region.Repair(MonotonicNs());
  return "";
}

// What the settings need that the first part has no room for.
std::int64_t BytesBeyondFirstPart(const StoredSettings& settings) {
  const bool needs_more = settings.settings.size() > layout::kFirstSettings ||
                          settings.rules.size() > layout::kFirstRules;
  return needs_more ? static_cast<std::int64_t>(ShapeOf(ControlSpace::Kind::kMoreSettings)->bytes)
                    : 0;
}

// Why a file that other processes use cannot be used here.
std::string WhyOfNoUse(int fd, const Content& content) {
  if (content.current) return "the control file is truncated or damaged, and in use";
  const auto holder = OtherHolderOfByte(fd, layout::kLockAttached);
  const std::string process =
      holder && *holder > 0 ? "process " + std::to_string(*holder) : std::string("another process");
  return process + " uses the control file with another version of walmanager (layout " +
         std::to_string(content.layout_number) + ", here " + std::to_string(layout::kLayoutNumber) +
         ")";
}

}  // namespace

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
  const bool fits = content.current && !content.is_damaged && status.st_size >= kFirstBytes;
  if (!fits && !alone) return fail(WhyOfNoUse(fd, content));
  std::string why = FollowDatabase(fd, status, database, content.empty);
  if (!why.empty()) return fail(std::move(why));
  const NoSizeSignal no_signal;
  const auto settings = fits ? std::nullopt : SettingsToKeep(fd, status, content);
  const std::int64_t more = settings ? BytesBeyondFirstPart(*settings) : 0;
  why = MakeWhole(fd, database_path, status, content, fits, alone, more, &taken.lacks_room);
  if (!why.empty()) return fail(std::move(why));
  auto mapped = MappedControl::Shared(fd, database_path, status);
  if (!mapped) return fail(ErrnoText("the control file cannot be mapped", errno));
  why = Adopt(*mapped, fits, alone, identity, &taken.made_here);
  if (!why.empty()) return fail(std::move(why));
  if (settings && settings->generation > 0) {
    if (!ControlRegion(mapped.get()).WriteSettings(*settings).ok()) {
      // A mapping that could not grow waits before it tries again. A new one tries at once: what
      // was set is nowhere else by now.
      mapped = MappedControl::Shared(fd, database_path, status);
      if (!mapped) return fail(ErrnoText("the control file cannot be mapped", errno));
      (void)ControlRegion(mapped.get()).WriteSettings(*settings);
    }
    taken.made_here = false;
  }
  mapped->Follow();
  SetByteLock(fd, ByteLock::kShared, layout::kLockAttached);
  taken.memory = std::move(mapped);
  return taken;
}

}  // namespace walmanager
