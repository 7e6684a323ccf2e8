// A control file's memory in the address space of this process: the first part and the sections of
// the file where they exist, zeros that cannot be written elsewhere; or the same without a file,
// private to this process.
//
// Its address range is reserved once. A section takes its place within that range, so that nothing
// in use is ever moved. A section is appended in this order: lock, zeros on the disk, mapping,
// entry in the table. A process that is killed in between leaves bytes after the last section,
// which the next process overwrites.
//
// The thread that appends a section holds a mutex while it writes. A file system may not answer, so
// no thread waits for that mutex for longer than kLockWaitNs: what needs the section does without.
// Thread rules: all members from any thread.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/control/control_space.h"

namespace walmanager {

class MappedControl final : public ControlSpace {
 public:
  // Zeros without a file; nullptr without memory.
  static std::unique_ptr<MappedControl> Private();
  // The file behind `fd`, whose first part is whole and on the disk, beside the database at
  // `database_path`. `fd` stays the caller's and open for as long as this lives; `opened` is what
  // fstat said of it. nullptr: errno says why it cannot be mapped.
  static std::unique_ptr<MappedControl> Shared(int fd, std::string database_path,
                                               const struct stat& opened);
  ~MappedControl() override;

  void Follow() override;
  void ExpectWrites(const void* record, std::size_t bytes) override;
  // Makes all that is mapped private memory of this process, at the same addresses and with the
  // same values, and uses the descriptor no more. The sections of statements alone, which are most
  // of a large file, become zeros: reset the statistics of statements after it. False where that
  // cannot be now. Throws bad_alloc.
  bool LeaveFile();
  // Gives the pages back that this process has mapped of the file. They stay in the system's cache,
  // and the next access maps them again, at 4 to 10 µs for 64 KB. Nothing for private memory.
  void GivePagesBack();
  bool IsFull() const override;
  // Why the last section that was wanted could not be had; empty where it could. Of disk space and
  // file alone, not where another process was at it.
  std::string growth_failed();

 private:
  static constexpr std::uint64_t kNotStuck = ~std::uint64_t{0};

  // A range of addresses that reads as zeros.
  struct Range {
    void* start = nullptr;
    std::size_t bytes = 0;
  };
  static Range Reserve(std::size_t bytes, std::size_t alignment);
  MappedControl(const Range& range, int fd, std::string database_path);

  bool Grow(Kind kind, std::size_t record) override;
  // The mutex is taken by these two alone, which count how often. LockSoon: false where one thread
  // has held it for too long; then no thread waits for it until that one has released it.
  bool TryLock() TRY_ACQUIRE(true, mutex_);
  bool LockSoon() TRY_ACQUIRE(true, mutex_);
  bool IsStuck() const { return taken_.load() == stuck_.load(); }
  void FollowLocked() REQUIRES(mutex_);
  // Whether the range for connections after the first kNearConnections is there.
  bool HasMany() REQUIRES(mutex_);
  // Makes the section one that can be written.
  bool Map(const Section& section) REQUIRES(mutex_);
  bool Append(Kind kind, std::size_t index) REQUIRES(mutex_);
  // The parts of the file that are mapped, each mapped once more, for LeaveFile().
  class PrivateCopy;
  std::vector<PrivateCopy> CopiesOfParts() REQUIRES(mutex_);
  void SetFailed(std::string why) EXCLUDES(failed_mutex_);
  // Empty, or why not.
  std::string AppendWithLock(Section section) REQUIRES(mutex_);
  // How long the file is. nullopt where the descriptor is no longer that of the file: a host that
  // closes all descriptors, to become a daemon, may have given the number to another file.
  std::optional<std::uint64_t> FileBytes() const;

  const Range range_;
  std::atomic<int> fd_;  // -1: private; changes under mutex_
  const std::string database_path_;
  struct stat opened_ {};                        // the file, as it was when this was made
  Mutex mutex_;                                  // held while a section is mapped or appended
  std::atomic<std::uint64_t> taken_{0};          // how often
  std::atomic<std::uint64_t> stuck_{kNotStuck};  // taken_ when a thread has waited in vain
  Range many_range_ GUARDED_BY(mutex_);
  // Entries of the table. Changes under mutex_. Follow() reads it relaxed first: an old value costs
  // one try of the mutex. That a section is mapped is said by HasSection(), with acquire.
  std::atomic<std::size_t> followed_{0};
  // False after a wait for another process's lock has timed out, until the lock was free once.
  bool waits_to_grow_ GUARDED_BY(mutex_) = true;
  std::uint64_t next_try_ns_ GUARDED_BY(mutex_) = 0;  // after a failure
  int mapped_ GUARDED_BY(mutex_) = 0;                 // sections of the file
  mutable Mutex failed_mutex_;                        // no call of the system is made under it
  std::string failed_ GUARDED_BY(failed_mutex_);
};

}  // namespace walmanager
