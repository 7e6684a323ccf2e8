// What this process has: its databases by file and its connections by handle. The one singleton.
//
// After a fork the child begins with an empty registry and leaves the parent's objects alone: their
// locks, connections and memory belong to the parent. An object remembers the registry that it was
// made under and does nothing under another.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "ext/core/base/mutex.h"
#include "ext/system/kept_controls.h"
#include "ext/system/scheduler.h"

struct sqlite3;

namespace walmanager {

class Connection;
class ControlFile;
class Database;
class HostTurn;
class Interruptible;
class Cancellable;
class RuleSets;
class SharedObserver;

// This process, as others see it in the control file.
struct ProcessIdentity {
  std::int64_t pid = 0;
  std::uint64_t pid_namespace = 0;  // the inode of /proc/self/ns/pid; 0: unknown
  std::string name;                 // as in /proc/self/comm
  std::string boot_id;              // empty where the system has none
  std::uint64_t token = 0;          // random, never 0
};

// A thread that is opening an own connection, on the stack of that thread.
struct OpeningThread {
  std::thread::id thread;
  OpeningThread* next = nullptr;
};

struct Registry {
  using FileKey = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

  Mutex mutex;  // held for look-ups only, nothing is done under it
  std::map<FileKey, std::weak_ptr<Database>> databases GUARDED_BY(mutex);
  // Once there are `most_databases` entries, those of databases that are gone are removed.
  static constexpr std::size_t kFewDatabases = 16;
  std::size_t most_databases GUARDED_BY(mutex) = kFewDatabases;
  std::map<sqlite3*, Connection*> connections GUARDED_BY(mutex);
  std::weak_ptr<SharedObserver> observer GUARDED_BY(mutex);
  std::weak_ptr<RuleSets> rule_sets GUARDED_BY(mutex);
  // Those whose queries another thread may interrupt: where reader_lease_ms is set.
  std::map<sqlite3*, std::shared_ptr<Interruptible>> interruptibles GUARDED_BY(mutex);
  // By id: those whose statements wal_cancel() may interrupt.
  std::map<std::uint64_t, std::shared_ptr<Cancellable>> cancellables GUARDED_BY(mutex);
  // The pid and a number of five digits that counts up: unique on this machine, and in the files of
  // all databases that a connection has. In a PID namespace other than the machine's first one, as
  // a container has it, a number of that namespace comes before: each container has a process 1.
  // Below 2^53, so that programs that keep all numbers as doubles keep it.
  std::uint64_t NewConnectionId() {
    constexpr std::uint64_t kNumbers = 100'000, kNamespaces = (1 << 14) - 1;
    constexpr std::uint64_t kFirstNamespace = 0xEFFFFFFC;  // of Linux: PROC_PID_INIT_INO
    constexpr int kPidBits = 39;  // of the largest pid of Linux, 2^22, with five digits
    const std::uint64_t space = process.pid_namespace;
    const std::uint64_t prefix =
        space == 0 || space == kFirstNamespace ? 0 : 1 + space % kNamespaces;
    return (prefix << kPidBits) + static_cast<std::uint64_t>(process.pid) * kNumbers +
           ++last_connection % kNumbers;
  }

  // Whether the process is in its first second. A process that ends within it should not have
  // started a thread for work that is due later.
  bool IsYoungAt(std::uint64_t now_ns) const { return now_ns < made_ns_ + kYoungNs; }

  std::atomic<std::uint64_t> last_connection{0};
  const ProcessIdentity process;  // constant while this registry is the current one

  // The control files that this process has open: an entry stays until the descriptor is closed.
  // The mutex is held while one is opened or closed, not while it is made. An entry without an
  // object is of a file that is being made, or about to be closed.
  struct OpenControl {
    std::weak_ptr<ControlFile> file;
    int left_fd = -1;  // a descriptor that could not be closed yet (control_descriptor.h)
  };
  Mutex control_mutex;
  std::map<FileKey, OpenControl> control_files GUARDED_BY(control_mutex);

  // Those of which SQLite keeps descriptors because of walmanager (descriptor_room.h).
  std::atomic<int> copied_databases{0};

  // The threads that are opening an own connection. The mutex is never held while one is opened:
  // the disk of another database may not answer.
  Mutex opening_mutex;
  OpeningThread* opening GUARDED_BY(opening_mutex) = nullptr;

  // The unfinished copies of wal_backup() that this process writes.
  Mutex backups_mutex;
  std::set<FileKey> backups GUARDED_BY(backups_mutex);

  // Held shared by a thread of the extension while it is inside the engine, and alone while the
  // process forks: otherwise the child could begin with a lock of the engine that no thread of the
  // child can release.
  SharedTimedMutex engine_mutex;
  // Likewise by threads of the host in long calls of the extension (host_turn.h). A fork takes it
  // first.
  SharedTimedMutex host_mutex;
  // Forks that wait for the two: a thread that holds one of them lets forks go first.
  std::atomic<int> forks_waiting{0};
  Mutex turns_mutex;  // held for a look at the list
  HostTurn* turns GUARDED_BY(turns_mutex) = nullptr;
  // The threads that hold the two alone while they fork.
  std::atomic<std::thread::id> forks_with_engine, forks_with_hosts;

  // Never waits: a child forked at any moment finds no lock of its parent's here.
  static Registry& Get() {
    // Acquire: pairs with the exchange that put it there, so the object is seen whole.
    Registry* registry = current.load(std::memory_order_acquire);
    return registry ? *registry : Make();
  }

  // When the first second of the process ends, in MonotonicNs.
  std::uint64_t grown_up_ns() const { return made_ns_ + kYoungNs; }

  static std::atomic<Registry*> current;  // nullptr: none yet, or none since a fork

  // The threads that serve the databases.
  Scheduler scheduler;
  // The control files of databases that come again soon.
  KeptControls kept_controls{scheduler};

 private:
  static constexpr std::uint64_t kYoungNs = 1'000'000'000;

  Registry();
  static Registry& Make();

  const std::uint64_t made_ns_;  // MonotonicNs
};

inline const ProcessIdentity& ThisProcess() { return Registry::Get().process; }

}  // namespace walmanager
