#include "ext/system/mapped_control.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>

#include "ext/core/base/time_units.h"
#include "ext/system/byte_lock.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/errno_text.h"
#include "ext/system/size_signal.h"
#include "ext/system/write_zeros.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kLockWaitNs = 50 * kMs;
constexpr std::uint64_t kRetryNs = 1'000 * kMs;

// Held while it lives, also where memory ends.
class GrowLock {
 public:
  explicit GrowLock(int fd)
      : fd_(fd),
        held_(SetByteLockWithin(fd, ByteLock::kExclusive, layout::kLockGrow, kLockWaitNs)) {}
  ~GrowLock() {
    if (held_) SetByteLock(fd_, ByteLock::kNone, layout::kLockGrow);
  }
  GrowLock(const GrowLock&) = delete;
  GrowLock& operator=(const GrowLock&) = delete;
  bool held() const { return held_; }

 private:
  const int fd_;
  const bool held_;
};

}  // namespace

MappedControl::Range MappedControl::Reserve(std::size_t bytes, std::size_t alignment) {
  // Without permission to write it counts neither as data (RLIMIT_DATA) nor against the memory that
  // the system may promise.
  void* memory = mmap(nullptr, bytes + alignment, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return {};
  char* const begin = static_cast<char*>(memory);
  const std::size_t before =
      (alignment - reinterpret_cast<std::uintptr_t>(begin) % alignment) % alignment;
  if (before != 0) munmap(begin, before);
  munmap(begin + before + bytes, alignment - before);
  return {begin + before, bytes};
}

std::unique_ptr<MappedControl> MappedControl::Private() {
  const Range range = Reserve(sizeof(layout::ControlFile), alignof(layout::ControlFile));
  if (!range.start) return nullptr;
  std::unique_ptr<MappedControl> made(new (std::nothrow) MappedControl(range, -1, ""));
  if (!made) munmap(range.start, range.bytes);
  if (made && mprotect(range.start, layout::kFirstBytes, PROT_READ | PROT_WRITE) != 0)
    return nullptr;
  return made;
}

std::unique_ptr<MappedControl> MappedControl::Shared(int fd, std::string database_path) {
  const Range range = Reserve(sizeof(layout::ControlFile), alignof(layout::ControlFile));
  if (!range.start) return nullptr;
  std::unique_ptr<MappedControl> made(new (std::nothrow)
                                          MappedControl(range, fd, std::move(database_path)));
  if (!made) {
    munmap(range.start, range.bytes);
    errno = ENOMEM;
    return nullptr;
  }
  if (mmap(range.start, layout::kFirstBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
           0) == MAP_FAILED) {
    return nullptr;
  }
  return made;
}

MappedControl::MappedControl(const Range& range, int fd, std::string database_path)
    : ControlSpace(static_cast<layout::ControlFile*>(range.start)),
      range_(range),
      fd_(fd),
      database_path_(std::move(database_path)) {
  if (fd_ >= 0) (void)fstat(fd_, &opened_);
}

MappedControl::~MappedControl() {
  const int error = errno;
  munmap(range_.start, range_.bytes);
  if (many_range_.start) munmap(many_range_.start, many_range_.bytes);
  errno = error;
}

std::string MappedControl::growth_failed() const {
  const MutexLock lock(mutex_);
  return failed_;
}

void MappedControl::Follow() {
  if (fd_ < 0) return;
  const std::size_t next = followed_.load(std::memory_order_relaxed);
  const layout::SectionTable& table = file()->sections;
  if (next >= table.words.size() || table.words[next].load(std::memory_order_relaxed) == 0) return;
  const MutexLock lock(mutex_);
  FollowLocked();
}

std::optional<std::uint64_t> MappedControl::FileBytes() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) return std::nullopt;
  if (status.st_dev != opened_.st_dev || status.st_ino != opened_.st_ino) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

void MappedControl::FollowLocked() {
  const layout::SectionTable& table = file()->sections;
  std::size_t next = followed_.load(std::memory_order_relaxed);
  const std::size_t count = CountSections(table);
  if (next >= count) return;
  const auto bytes = FileBytes();
  if (!bytes) return;
  for (; next < count; ++next) {
    // What cannot be a section is left alone: what it would hold reads as zeros.
    if (const auto section = ReadSection(table, next, *bytes)) (void)Map(*section);
  }
  followed_.store(next, std::memory_order_relaxed);
}

bool MappedControl::HasMany() {
  if (many_range_.start) return true;
  many_range_ = Reserve(sizeof(layout::ManyConnections), alignof(layout::ManyConnections));
  if (!many_range_.start) return false;
  set_many(static_cast<layout::ManyConnections*>(many_range_.start));
  return true;
}

bool MappedControl::Map(const Section& section) {
  if (section.shape->is_many && !HasMany()) return false;
  const Range& range = section.shape->is_many ? many_range_ : range_;
  char* const place = static_cast<char*>(range.start) + section.offset();
  const bool mapped =
      fd_ < 0 ? mprotect(place, section.bytes(), PROT_READ | PROT_WRITE) == 0
              : mmap(place, section.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd_,
                     static_cast<off_t>(section.at)) != MAP_FAILED;
  if (mapped) Mark(section.kind, section.index);
  return mapped;
}

bool MappedControl::Grow(Kind kind, std::size_t record) {
  const auto range = SectionsOf(kind, record);
  if (!range) return true;
  const MutexLock lock(mutex_);
  if (fd_ >= 0) FollowLocked();
  for (std::size_t index = range->first; index <= range->last; ++index) {
    if (!HasSection(kind, index) && !Append(kind, index)) return false;
  }
  return true;
}

bool MappedControl::Append(Kind kind, std::size_t index) {
  const Section section{kind, index, 0, ShapeOf(kind)};
  if (fd_ < 0) return Map(section);
  const std::uint64_t now = MonotonicNs();
  if (now < next_try_ns_) return false;
  const GrowLock lock(fd_);
  if (!lock.held()) return false;
  FollowLocked();
  if (HasSection(kind, index)) return true;
  next_try_ns_ = now + kRetryNs;  // unless all goes well
  failed_ = AppendWithLock(section);
  if (!failed_.empty()) return false;
  next_try_ns_ = 0;
  return true;
}

std::string MappedControl::AppendWithLock(Section section) {
  const auto file_bytes = FileBytes();
  if (!file_bytes) return "the descriptor of the control file was closed";
  layout::SectionTable& table = file()->sections;
  const auto next = NextSectionAt(table, *file_bytes);
  if (!next) return "the table of sections in the control file is full or damaged";
  if (NamesSection(table, section.kind, section.index))
    return "a section of the control file is damaged";
  section.at = *next;
  const auto at = static_cast<std::int64_t>(section.at);
  const auto bytes = static_cast<std::int64_t>(section.bytes());
  if (std::string why = NoRoomBecause(database_path_, bytes, at + bytes); !why.empty()) return why;
  const NoSizeSignal no_signal;
  if (!WriteZeros(fd_, at, at + bytes))
    return ErrnoText("a section of the control file cannot be written", errno);
  if (!Map(section)) return ErrnoText("a section of the control file cannot be mapped", errno);
  AppendSection(table, section);
  followed_.store(CountSections(table), std::memory_order_relaxed);
  return "";
}

}  // namespace walmanager
