#include "ext/engine/engine_threads.h"

#include <atomic>

#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"

namespace walmanager {
namespace {

enum class Threads { kUnknown, kNo, kYes };

Threads Ask() {
  // How it was built. Without mutexes its connections seem to have one: a pointer to nothing.
  if (sqlite3_threadsafe() == 0) return Threads::kNo;
  // How it was started: a connection that asks for a mutex gets none.
  const auto probe = OpenOwnConnection(
      ":memory:",
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE,
      nullptr);
  // Out of memory, so the answer is not known: the next call asks again.
  if (!probe.ok()) return Threads::kUnknown;
  return sqlite3_db_mutex(probe.value().get()) ? Threads::kYes : Threads::kNo;
}

}  // namespace

bool EngineHasThreads() {
  // Relaxed: the value alone counts, and two threads that both ask find the same.
  static std::atomic<Threads> known{Threads::kUnknown};
  Threads threads = known.load(std::memory_order_relaxed);
  if (threads == Threads::kUnknown) {
    threads = Ask();
    known.store(threads, std::memory_order_relaxed);
  }
  return threads == Threads::kYes;
}

}  // namespace walmanager
