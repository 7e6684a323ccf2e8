// Keeps the control files of databases that this process opens again and again, as a program does
// that has a connection for each request: open and mapped for two seconds after the last close, but
// without a lock, so to other processes it is closed. To open one anew takes as long as such a
// request.
//
// The rule that is easy to break: a program that closes a database may want to be rid of it, for
// example to unmount the disk. So a file is kept only where the database had been closed less than
// two seconds before it was opened, where a thread runs that lets go of the file in time, where the
// process has descriptors left, and where to close the file later waits for nothing. Nothing of
// SQLite's own files is kept. A fork closes all of them.
// Thread rules: all members from any thread. None of them needs memory. Keep() takes the registry's
// control_mutex: a thread that finds a file there later finds it here, too.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ext/core/base/mutex.h"
#include "ext/core/format/file_id.h"
#include "ext/system/scheduler.h"

namespace walmanager {

class ControlFile;
struct Registry;

class KeptControls {
 public:
  // `scheduler` outlives it.
  explicit KeptControls(Scheduler& scheduler);

  // The last connection of this process to a database closes, and its tasks will be stopped: call
  // this first, so that the threads stay. `opened_ns`: when the first of them was opened, in
  // MonotonicNs. Returns whether the control file is to be kept.
  bool LastCloseBegins(const FileId& database, std::uint64_t opened_ns);
  // After the close. Nothing is kept that another part of the process uses.
  void Keep(Registry& registry, std::shared_ptr<ControlFile> file);
  // `file`, where there is one, is to be used for this database, which has this status. False where
  // it was kept and cannot be used any more; then the caller has let go of it.
  bool TakeBack(std::shared_ptr<ControlFile>& file, const FileId& id, const struct stat& database);
  // Of all, and of the timer, before a fork. Waits for no file system and no other thread: where
  // one opens, closes or takes back a control file, what it is at stays.
  void LetGoOfAll(Registry& registry);

 private:
  static constexpr std::size_t kMost = 32, kMostClosed = 64;

  struct Kept {
    std::shared_ptr<ControlFile> file;
    std::uint64_t until_ns = 0;
  };
  struct Closed {
    std::uint64_t device = 0, inode = 0;  // of the database
    std::uint64_t at_ns = 0;              // 0: an empty place
  };

  // Lets go of those whose time is over. Returns the next time, as a task does; once none is left,
  // the threads may end.
  std::uint64_t Work();

  // Held for a look at the lists, and while the task is woken. Files are closed without it.
  Mutex mutex_;
  std::array<Kept, kMost> kept_ GUARDED_BY(mutex_);
  std::array<Closed, kMostClosed> closed_ GUARDED_BY(mutex_);
  bool is_timed_ GUARDED_BY(mutex_) = false;  // the task will run
  Scheduler& scheduler_;
  Scheduler::Task task_;  // declared last, so that it is destroyed first
};

}  // namespace walmanager
