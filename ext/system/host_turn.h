// A thread of the host's while it works inside the engine for us, longer than a statement of the
// host's own would (wal_backup(), wal_restore(), reading a table, the load), so that a fork in
// another thread finds it outside.
//
// SQLite holds a lock of its own while it asks the system for memory, and a fork makes every such
// call wait. A thread that is inside the engine at that moment therefore holds the lock in the
// child, where nothing releases it: the child's first call of SQLite would hang. So the thread
// holds a turn, gives way between two steps, and a fork waits for that, but not for long: the
// host's thread may wait, in a callback of the host's, for a lock that the forking thread holds.
// Then the fork goes on, as it would beside SQLite's own backup. The other way round the wait has
// an end, too: a handler of the host's at the fork may want a lock that this thread holds.
//
// Thread rules: one object is used by the thread that made it. A callback of the host's may fork in
// that thread; the child then must not use what it has of the parent's, and the turn does nothing
// there.
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
  // A call of ours may run within another: then the outer one's turn is the thread's.
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
