#include "ext/system/mapped_control.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/control/layout_locks.h"
#include "ext/system/byte_lock.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/errno_text.h"
#include "ext/system/size_signal.h"
#include "ext/system/write_zeros.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kLockWaitNs = 50 * kMs;
constexpr std::uint64_t kLockRetryNs = 20 * kMs;
constexpr std::uint64_t kRetryNs = 1'000 * kMs;
constexpr useconds_t kPollUs = 200;
constexpr char kNoAnswer[] = "a write to the control file does not end";
constexpr char kDescriptorGone[] = "the descriptor of the control file was closed";

// Gives the lock back when it goes, also where memory ends.
class GrowLock {
 public:
  explicit GrowLock(int fd) : fd_(fd) {}
  ~GrowLock() {
    if (held_) SetByteLock(fd_, ByteLock::kNone, layout::kLockGrow);
  }
  GrowLock(const GrowLock&) = delete;
  GrowLock& operator=(const GrowLock&) = delete;
  bool Try() { return held_ = SetByteLock(fd_, ByteLock::kExclusive, layout::kLockGrow); }

 private:
  const int fd_;
  bool held_ = false;
};

// Mappings of all control files of this process. The system allows 65,530 of all kinds by default
// (vm.max_map_count), and the host needs its own.
std::atomic<int> mappings{0};  // relaxed: a count, and one more or less is no harm
constexpr int kMostMappings = 16'000;

// Maps a part of the file in the place of zeros. Where that fails, these stay: a mapping at a place
// of the system's choice shows first whether the file can be mapped.
bool MapAt(void* place, std::size_t bytes, int fd, std::uint64_t at) {
  constexpr int kAccess = PROT_READ | PROT_WRITE;
  const auto offset = static_cast<off_t>(at);
  if (mappings.load(std::memory_order_relaxed) >= kMostMappings) {
    errno = ENOMEM;
    return false;
  }
  void* const trial = mmap(nullptr, bytes, kAccess, MAP_SHARED, fd, offset);
  if (trial == MAP_FAILED) return false;
  munmap(trial, bytes);
  if (mmap(place, bytes, kAccess, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
    const int error = errno;
    // The zeros may be gone: they come back before another mapping can take their place.
    (void)mmap(place, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    errno = error;
    return false;
  }
  return true;
}

}  // namespace

// Private memory with the values of a part of the file, that is to take the part's place; zeros
// where the values are not kept.
class MappedControl::PrivateCopy {
 public:
  PrivateCopy(void* place, std::size_t bytes, int fd, std::uint64_t at, bool keeps)
      : place_(place),
        bytes_(bytes),
        at_(static_cast<off_t>(at)),
        copied_(keeps ? bytes / sizeof(Word) : 0) {
    // Each page of it is read, so all of them are mapped in one call.
    if (keeps) of_file_ = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, at_);
    copy_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  ~PrivateCopy() {
    if (of_file_ != MAP_FAILED) munmap(of_file_, bytes_);
    if (copy_ != MAP_FAILED) munmap(copy_, bytes_);
  }
  PrivateCopy(PrivateCopy&& other) noexcept
      : place_(other.place_),
        bytes_(other.bytes_),
        at_(other.at_),
        of_file_(std::exchange(other.of_file_, MAP_FAILED)),
        copy_(std::exchange(other.copy_, MAP_FAILED)),
        copied_(std::move(other.copied_)) {}
  PrivateCopy& operator=(PrivateCopy&&) = delete;

  bool is_ready() const {
    return copy_ != MAP_FAILED && (of_file_ != MAP_FAILED || copied_.empty());
  }
  // Puts the file back, also where TakePlace() has failed, and zeros where that fails, too.
  void GivePlaceBack(int fd) {
    constexpr int kAccess = PROT_READ | PROT_WRITE;
    if (mmap(place_, bytes_, kAccess, MAP_SHARED | MAP_FIXED, fd, at_) != MAP_FAILED) return;
    (void)mmap(place_, bytes_, kAccess, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  // Threads may read and write the part meanwhile. After false call GivePlaceBack().
  bool TakePlace() {
    const Word* const shared = static_cast<const Word*>(of_file_);
    for (std::size_t i = 0; i < copied_.size(); ++i) {
      // Relaxed: word by word, as threads write them. What one writes meanwhile is found below.
      copied_[i] = shared[i].load(std::memory_order_relaxed);
      // Memory that stays zero takes no room.
      if (copied_[i] != 0) static_cast<Word*>(copy_)[i].store(copied_[i]);
    }
    constexpr int kTo = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (mremap(copy_, bytes_, bytes_, kTo, place_) == MAP_FAILED) return false;
    copy_ = MAP_FAILED;
    // What a thread has written to the file after it was copied, unless the copy was written since.
    for (std::size_t i = 0; i < copied_.size(); ++i) {
      const std::uint64_t now = shared[i].load(std::memory_order_relaxed);
      std::uint64_t before = copied_[i];
      if (now != before) static_cast<Word*>(place_)[i].compare_exchange_strong(before, now);
    }
    return true;
  }

 private:
  using Word = std::atomic<std::uint64_t>;

  void* const place_;
  const std::size_t bytes_;
  const off_t at_;  // in the file
  void* of_file_ = MAP_FAILED;
  void* copy_ = MAP_FAILED;
  std::vector<std::uint64_t> copied_;
};

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

std::unique_ptr<MappedControl> MappedControl::Shared(int fd, std::string database_path,
                                                     const struct stat& opened) {
  const Range range = Reserve(sizeof(layout::ControlFile), alignof(layout::ControlFile));
  if (!range.start) return nullptr;
  std::unique_ptr<MappedControl> made(new (std::nothrow)
                                          MappedControl(range, fd, std::move(database_path)));
  if (!made) {
    munmap(range.start, range.bytes);
    errno = ENOMEM;
    return nullptr;
  }
  made->opened_ = opened;
  if (!MapAt(range.start, layout::kFirstBytes, fd, 0)) return nullptr;
  return made;
}

MappedControl::MappedControl(const Range& range, int fd, std::string database_path)
    : ControlSpace(static_cast<layout::ControlFile*>(range.start)),
      range_(range),
      fd_(fd),
      database_path_(std::move(database_path)) {}

MappedControl::~MappedControl() {
  const int error = errno;
  mappings.fetch_sub(mapped_, std::memory_order_relaxed);
  munmap(range_.start, range_.bytes);
  if (many_range_.start) munmap(many_range_.start, many_range_.bytes);
  errno = error;
}

std::string MappedControl::growth_failed() {
  if (IsStuck()) {
    if (TryLock()) {
      mutex_.unlock();
    } else if (IsStuck()) {
      return kNoAnswer;
    }
  }
  const MutexLock lock(failed_mutex_);
  return failed_;
}

void MappedControl::SetFailed(std::string why) {
  const MutexLock lock(failed_mutex_);
  failed_ = std::move(why);
}

bool MappedControl::TryLock() {
  if (!mutex_.try_lock()) return false;
  taken_.fetch_add(1);
  return true;
}

bool MappedControl::LockSoon() {
  if (IsStuck()) return TryLock();
  const std::uint64_t before = taken_.load();
  const std::uint64_t end = MonotonicNs() + kLockWaitNs;
  while (!TryLock()) {
    // Where other threads took it meanwhile, none of them is stuck.
    if (MonotonicNs() >= end) {
      stuck_.store(before);
      return false;
    }
    usleep(kPollUs);
  }
  return true;
}

void MappedControl::Follow() {
  if (fd_ < 0) return;
  const std::size_t next = followed_.load(std::memory_order_relaxed);
  const layout::SectionTable& table = file()->sections;
  if (next >= table.words.size() || table.words[next].load(std::memory_order_relaxed) == 0) return;
  if (!LockSoon()) return;
  const MutexLock lock(mutex_, std::adopt_lock);
  FollowLocked();
}

std::optional<std::uint64_t> MappedControl::FileBytes() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) return std::nullopt;
  if (status.st_dev != opened_.st_dev || status.st_ino != opened_.st_ino) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

void MappedControl::ExpectWrites(const void* record, std::size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, of Linux 5.14
  if (fd_ < 0) return;
  const int error = errno;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(record);
  const std::uintptr_t from = begin / page * page, to = (begin + bytes + page - 1) / page * page;
  (void)madvise(reinterpret_cast<void*>(from), to - from, kPopulateWrite);
  errno = error;
}

void MappedControl::GivePagesBack() {
  if (fd_ < 0 || !TryLock()) return;
  const MutexLock lock(mutex_, std::adopt_lock);
  if (fd_ < 0) return;
  const int error = errno;
  (void)madvise(range_.start, range_.bytes, MADV_DONTNEED);
  if (many_range_.start) (void)madvise(many_range_.start, many_range_.bytes, MADV_DONTNEED);
  errno = error;
}

std::vector<MappedControl::PrivateCopy> MappedControl::CopiesOfParts() {
  std::vector<PrivateCopy> copies;
  copies.emplace_back(range_.start, layout::kFirstBytes, fd_, 0, /*keeps=*/true);
  const auto bytes = FileBytes();
  const std::size_t followed = followed_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; bytes && i < followed; ++i) {
    const auto section = ReadSection(file()->sections, i, *bytes);
    if (!section || !HasSection(section->kind, section->index)) continue;
    const Range& range = section->shape->is_many ? many_range_ : range_;
    char* const place = static_cast<char*>(range.start) + section->offset();
    const bool keeps = section->kind != Kind::kMoreQueries;
    copies.emplace_back(place, section->bytes(), fd_, section->at, keeps);
  }
  return copies;
}

bool MappedControl::LeaveFile() {
  // A thread that has it may be in a write that does not end.
  if (!TryLock()) return false;
  const MutexLock lock(mutex_, std::adopt_lock);
  // Of a descriptor that is another file's by now nothing is read.
  if (fd_ < 0 || !FileBytes()) return false;
  std::vector<PrivateCopy> copies = CopiesOfParts();
  for (const PrivateCopy& copy : copies) {
    if (!copy.is_ready()) return false;
  }
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].TakePlace()) continue;
    for (std::size_t back = 0; back <= i; ++back) copies[back].GivePlaceBack(fd_);
    return false;
  }
  fd_ = -1;
  mappings.fetch_sub(std::exchange(mapped_, 0), std::memory_order_relaxed);
  SetFailed("");
  return true;
}

void MappedControl::FollowLocked() {
  const layout::SectionTable& table = file()->sections;
  std::size_t next = followed_.load(std::memory_order_relaxed);
  const std::size_t count = CountSections(table);
  if (next >= count) return;
  const auto bytes = FileBytes();
  if (!bytes) return;
  for (; next < count; ++next) {
    // An entry that cannot be a section is skipped, so its records read as zeros.
    const auto section = ReadSection(table, next, *bytes);
    if (section && !HasSection(section->kind, section->index) && !Map(*section)) break;
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
  const bool mapped = fd_ < 0 ? mprotect(place, section.bytes(), PROT_READ | PROT_WRITE) == 0
                              : MapAt(place, section.bytes(), fd_, section.at);
  if (!mapped) return false;
  if (fd_ >= 0) {
    mappings.fetch_add(1, std::memory_order_relaxed);
    ++mapped_;
  }
  Mark(section.kind, section.index);
  return true;
}

bool MappedControl::Grow(Kind kind, std::size_t record) {
  const auto range = SectionsOf(kind, record);
  if (!range) return true;
  // Where memory ends, the file does not grow.
  try {
    if (!LockSoon()) return false;
    const MutexLock lock(mutex_, std::adopt_lock);
    if (fd_ >= 0) FollowLocked();
    for (std::size_t index = range->first; index <= range->last; ++index) {
      if (!HasSection(kind, index) && !Append(kind, index)) return false;
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool MappedControl::IsFull() const {
  const MutexLock lock(failed_mutex_);
  return !failed_.empty();
}

bool MappedControl::Append(Kind kind, std::size_t index) {
  const Section section{kind, index, 0, ShapeOf(kind)};
  if (fd_ < 0) return Map(section);
  const std::uint64_t now = MonotonicNs();
  if (now < next_try_ns_) return false;
  next_try_ns_ = now + kRetryNs;  // unless all goes well
  if (!FileBytes()) {
    SetFailed(kDescriptorGone);
    return false;
  }
  // The process that has the lock may be appending this very section.
  GrowLock lock(fd_);
  while (!lock.Try()) {
    FollowLocked();
    if (HasSection(kind, index)) break;
    if (!waits_to_grow_ || MonotonicNs() >= now + kLockWaitNs) {
      // That process may be stopped: the next try comes soon, and not at once. It does not wait.
      waits_to_grow_ = false;
      next_try_ns_ = MonotonicNs() + kLockRetryNs;
      return false;
    }
    usleep(kPollUs);
  }
  waits_to_grow_ = true;
  FollowLocked();
  if (!HasSection(kind, index)) SetFailed(AppendWithLock(section));
  if (!HasSection(kind, index)) return false;
  SetFailed("");
  next_try_ns_ = 0;
  return true;
}

std::string MappedControl::AppendWithLock(Section section) {
  const auto file_bytes = FileBytes();
  if (!file_bytes) return kDescriptorGone;
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
