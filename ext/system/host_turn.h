// Held by a thread of the host in a long call of the extension (wal_backup(), wal_restore(),
// reading a table, the load), so that a fork in another thread waits until this thread is outside
// the engine.
//
// SQLite holds a lock of its own while it asks the system for memory, and a fork makes every such
// call wait. A thread that is inside the engine at that moment therefore holds the lock in the
// child, where nothing releases it: the child's first call of SQLite would hang. So the thread
// holds a turn and gives way between two steps, and a fork waits for that. The fork does not wait
// long, because this thread may wait, in a callback of the host, for a lock that the forking thread
// holds; then the fork goes on, as it would beside SQLite's own backup. This thread does not wait
// long for the fork either: a fork handler of the host may want a lock that this thread holds.
//
// Thread rules: one object is used by the thread that made it. A callback of the host's may fork in
// that thread; the child then must not use the parent's objects, and the turn does nothing there.
#pragma once

#include <thread>

#include "ext/core/base/mutex.h"
#include "ext/system/registry.h"

namespace walmanager {

class HostTurn {
 public:
  HostTurn();
  ~HostTurn();
  HostTurn(const HostTurn&) = delete;
  HostTurn& operator=(const HostTurn&) = delete;

  // Lets a fork that waits go first. Called where the engine holds none of its locks for all
  // connections: between two of its calls, or in a progress handler. One load where none waits.
  void GiveWay();

  // While it lives the thread is not inside the engine: it sleeps, or waits for the disk.
  class Outside {
   public:
    explicit Outside(HostTurn& turn) : turn_(turn.Whole()) { turn_.Leave(); }
    ~Outside() { turn_.Enter(); }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;

   private:
    HostTurn& turn_;
  };

  // Around a fork: the turn of the forking thread itself, in a callback of the host's.
  static void LeaveForFork(Registry& registry);
  static void ReturnAfterFork(Registry& registry);

 private:
  // A call of the extension may run within another one: then the outer call has the thread's turn.
  HostTurn& Whole() { return outer_ ? *outer_ : *this; }
  static HostTurn* Find(Registry& registry, std::thread::id thread) REQUIRES(registry.turns_mutex);
  bool BelongsHere() const;
  // Not checked for locks: `holds_` says whether the thread holds the registry's host_mutex.
  void Enter() NO_THREAD_SAFETY_ANALYSIS;
  void Leave() NO_THREAD_SAFETY_ANALYSIS;

  Registry& registry_;
  const std::thread::id thread_;
  HostTurn* outer_ = nullptr;
  // Under the registry's turns_mutex. Not annotated: to the checker each turn of the list has a
  // registry of its own.
  HostTurn* next_ = nullptr;
  bool holds_ = false;
  bool gave_up_ = false;  // a wait for a fork has come to its end: no more turns in this call
};

}  // namespace walmanager
