// The control file `<db>-walmanager` of one database as this process has it: found, made, mapped,
// or, where it cannot be had, private memory of the same layout and the reason.
//
// The rule that is easy to break: a process has at most one descriptor on a control file, and it
// keeps it until it lets go of the database, since POSIX drops all of a process's locks on a file
// when any of its descriptors is closed. Every lock here is a try; the only waiting is for the
// settings lock, in a call of the user's, and briefly for another process that is making the file,
// or for a thread of this one that is opening or closing it. No wait is without an end.
// How it is opened is in control_descriptor.h, how it is made and repaired in control_memory.h.
// Thread rules: all members may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/control_region.h"
#include "ext/system/byte_lock.h"
#include "ext/system/control_memory.h"
#include "ext/system/owned_slabs.h"
#include "ext/system/registry.h"

namespace walmanager {

class ProcessLives;

class ControlFile {
 public:
  // What to do to have the file: only look; make it where it is not there; the same, and wait up to
  // a second for another process that is making it.
  enum class Wish { kAttach, kMakeBeforeClose, kMake, kMakeAndWait };

  // Never fails: private memory where the file cannot be had; nullptr only without memory. While
  // the file is open every caller gets the same object.
  // `database_path` is absolute, as sqlite3_db_filename gives it; `database`: the file that the
  // caller means. Where another one is at that path the memory is private.
  static std::shared_ptr<ControlFile> Open(const std::string& database_path, const FileId& database,
                                           Wish wish);
  static std::string PathFor(const std::string& database_path) {
    return database_path + "-walmanager";
  }
  ~ControlFile();
  ControlFile(const ControlFile&) = delete;
  ControlFile& operator=(const ControlFile&) = delete;

  ControlRegion& region() { return region_; }
  // For those parts of it that have a class of their own.
  ControlSpace* space() { return memory_.get(); }
  layout::Evidence& evidence() { return memory_->file()->evidence; }
  // Why a part of the file could not be appended when it was wanted last; empty where it could.
  std::string growth_failed() const { return memory_->growth_failed(); }
  // True until LeaveFile() was called, for one that was had.
  bool shared() const { return descriptor() >= 0; }
  // Relaxed, as the two flags below: what is done with the descriptor has descriptor_mutex_.
  int descriptor() const { return fd_.load(std::memory_order_relaxed); }
  // As MappedControl has it.
  void GivePagesBack() { memory_->GivePagesBack(); }
  const std::string& path() const { return path_; }
  // Why the memory is private; empty where it is not.
  std::string reason() const;
  // A later attempt to have the file failed, for the reason that `later` has.
  void TakeReason(const ControlFile& later);
  // Another process was making it, and had not finished.
  bool being_made() const { return being_made_.load(std::memory_order_relaxed); }
  // There is no room for it on the disk, or none that this process may have.
  bool lacks_room() const { return lacks_room_.load(std::memory_order_relaxed); }
  // True where no process had settings or statistics in it before this one.
  bool made_here() const { return made_here_; }

  // For the private memory of a process that has the file now: adds its counts to `heir`, at once
  // where no open connection counts here any more, and the rest when the last connection has left
  // this memory.
  void MoveCountsTo(const std::shared_ptr<ControlFile>& heir);
  // Whether the frames counted here are added there, too: no process had counted the log's frames
  // there before. Otherwise the log's position there says that they were counted.
  bool frames_go_along() const { return frames_go_along_.load(std::memory_order_acquire); }

  // While no connection of this process uses it (kept_controls.h, whose mutex is held).
  // From here on other processes may do with the file what they may do with one that is not open
  // here, and nothing of it is read or written.
  void Pause();
  // Takes it up again, for this database as it is now. False where the file is not as it was, or
  // another process changes it just now: then it can only be closed.
  bool Resume(const FileId& id, const struct stat& database);
  // Where the program needs descriptors (descriptor_room.h): all control files of this process
  // become private memory, and their descriptors are closed. What the process measures begins anew,
  // settings stay, and ControlOwner has the files again later. A file whose settings a thread just
  // changes stays. Waits for nothing.
  static void LeaveAllToProgram();
  // Closes it before its last reference goes, where the caller has the registry's control_mutex.
  void CloseLocked(Registry& registry) REQUIRES(registry.control_mutex);
  // Whether the mapped file is still the one at its path. A stat; true for private memory.
  bool StillThere() const;

  // For a connection, and after its end, as OwnedSlabs has them. Private memory keeps the counts of
  // a connection that has ended, or its heir does.
  std::size_t ClaimSlab() { return slabs_.Claim(); }
  void ReleaseSlab(std::size_t slab);
  const OwnedSlabs& slabs() const { return slabs_; }
  // Processes with at least one connection in this file; 1 for private memory.
  std::int64_t CountProcesses() const;
  // The connections that are open, of all processes.
  std::vector<ConnectionEntry> Connections() const;
  // A pid that a process of another PID namespace wrote, as this one numbers it; nullopt where the
  // process is gone, or this namespace does not show it. One of this namespace stays as it is.
  std::optional<std::int64_t> PidHere(std::int64_t pid, std::uint64_t pid_namespace) const;
  // The same of a process that was there at a time (Unix, in ms), if it still is.
  std::optional<std::int64_t> LivingPidHere(std::int64_t pid, std::uint64_t pid_namespace,
                                            std::int64_t at_ms, ProcessLives& lives) const;
  // Looks at their statements, once per sample: does one stand still?
  void WatchStatements(std::uint64_t now_ns);
  // Sets their counters to 0 and returns how many connections they are.
  std::int64_t ForgetConnections();

  // The right to copy in the background, which one process has at a time; it ends with the process.
  // Never waits. True in private memory.
  bool TryLease();
  void EndLease();
  // Likewise the right to take samples and to evaluate alerts. Of the threads of this process, too,
  // one has it at a time: where a database is closed and opened again at once, two Database objects
  // share this one.
  bool TrySampler();
  void EndSampler();

  // Holds the settings lock while it lives. `held` is false where another process kept it for
  // longer than a second, or, where this one `waits` not, had it.
  class SettingsLock {
   public:
    SettingsLock(ControlFile* file, bool waits);
    ~SettingsLock();
    SettingsLock(const SettingsLock&) = delete;
    SettingsLock& operator=(const SettingsLock&) = delete;
    bool held() const { return held_; }

   private:
    ControlFile* file_;
    // Without annotations: the constructor decides whether it takes the mutex.
    std::unique_lock<Mutex> in_process_;
    bool held_ = false;
  };

 private:
  ControlFile(std::string path, const FileId& database);
  static void Close(ControlFile* file);
  // False where the host has closed the descriptor, as a program does that becomes a daemon: its
  // number may be another file's.
  bool HasItsDescriptor() const;
  bool LeaveFile(Registry& registry) REQUIRES(registry.control_mutex);
  // True in private memory.
  bool SetLock(ByteLock lock, std::int64_t byte) EXCLUDES(descriptor_mutex_);
  // Whether it fits this database and its owner, and is what was mapped.
  bool Suits(const FileId& id, const struct stat& database) const;
  std::size_t HashSections() const;
  // The next two functions run before any other thread knows the object, so they take none of its
  // locks and are not checked for them. Attach() returns the object that this process has of the
  // file.
  std::shared_ptr<ControlFile> Attach(const std::shared_ptr<ControlFile>& file,
                                      const std::string& database_path,
                                      bool make) NO_THREAD_SAFETY_ANALYSIS;
  // Leaves memory_ empty where it fails, and says why in reason_.
  void TakeOver(int fd, const std::string& database_path, const struct stat& database,
                bool make) NO_THREAD_SAFETY_ANALYSIS;
  void MoveCounts(ControlFile& heir) EXCLUDES(heir_mutex_);

  const std::string path_;
  const FileId database_;
  // Of a file that cannot be had yet: with these private memory begins.
  std::optional<StoredSettings> begins_with_;
  // Constant once the object is known to others.
  std::unique_ptr<MappedControl> memory_;
  std::atomic<int> fd_{-1};
  Mutex descriptor_mutex_;  // held while a lock of the file is taken or released
  Registry::FileKey key_;   // of the file
  bool made_here_ = false;
  ControlRegion region_;
  OwnedSlabs slabs_;

  std::atomic<bool> being_made_{false};
  std::atomic<bool> lacks_room_{false};
  std::atomic_flag sampling_;
  Mutex settings_mutex_;  // held while this process holds or tries the settings lock of the file
  mutable Mutex reason_mutex_;
  std::string reason_ GUARDED_BY(reason_mutex_);
  Mutex heir_mutex_;  // held while counts move to the heir or the shared slab
  std::shared_ptr<ControlFile> heir_ GUARDED_BY(heir_mutex_);  // of private memory
  std::atomic<bool> frames_go_along_{false};
  // With the mutex of KeptControls.
  std::atomic<bool> paused_{false};
  bool lost_ = false;  // Resume() has failed
  std::size_t sections_at_pause_ = 0;
};

}  // namespace walmanager
