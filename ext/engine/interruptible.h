// A connection of the host whose statement another thread of this process may interrupt.
//
// The rule that is easy to break: an interrupt is for the connection, not for a statement. While a
// cursor is open, it also ends each statement that begins before that cursor is reset; and it rolls
// a transaction back in which a write is interrupted. So only a statement that runs alone and reads
// is interrupted.
// Thread rules: Interrupt() in any thread, the rest in the thread that uses the connection. The
// mutex is held during sqlite3_interrupt(), which takes none, and never for longer.
#pragma once

#include <cstddef>
#include <functional>

#include "ext/core/base/mutex.h"
#include "ext/core/base/running_count.h"

struct sqlite3;

namespace walmanager {

class Interruptible {
 public:
  // Both stay valid until Close(). `running`: the statements of the connection.
  Interruptible(sqlite3* db, const RunningCount& running) : db_(db), running_(&running) {}
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  // Nothing is interrupted from now on. Before the handle is gone.
  void Close();
  // How many databases it may read that the extension manages. Which one a statement reads, another
  // thread cannot know.
  void set_databases(std::size_t count);
  // While one of these lives, nothing is interrupted.
  class Protection {
   public:
    explicit Protection(Interruptible* connection) : connection_(connection) { Add(1); }
    ~Protection() { Add(-1); }
    Protection(const Protection&) = delete;
    Protection& operator=(const Protection&) = delete;

   private:
    void Add(int change);
    Interruptible* const connection_;  // or nullptr
  };

  enum class Outcome {
    kInterrupted,
    kOver,      // the statement that was meant has ended, or the connection
    kNotAlone,  // another statement of the connection is open, or it writes
    kSeveralDatabases,
    kIsProtected,  // a function of the extension runs that must end by itself
  };
  // `is_meant` is asked last: whether the statement that was meant still runs.
  Outcome Interrupt(const std::function<bool()>& is_meant);

 private:
  Mutex mutex_;
  sqlite3* db_ GUARDED_BY(mutex_);
  const RunningCount* running_ GUARDED_BY(mutex_);
  int protections_ GUARDED_BY(mutex_) = 0;
  std::size_t databases_ GUARDED_BY(mutex_) = 0;
};

}  // namespace walmanager
