#include "ext/engine/cancellable.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ext/engine/sqlite.h"

namespace walmanager {
namespace {

// Returns once each thread of this process has passed a full memory barrier since the call.
void BarrierInAllThreads() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  // An older system, or one that isolates processors: a store is seen by all of them long before.
  constexpr useconds_t kLongUs = 10'000;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  usleep(kLongUs);
}

bool HasOpenStatement(sqlite3* db) {
  for (sqlite3_stmt* each = nullptr; (each = sqlite3_next_stmt(db, each));) {
    if (sqlite3_stmt_busy(each) != 0) return true;
  }
  return false;
}

}  // namespace

void Cancellable::Wait() {
  // Acquire: pairs with the release that ends the decision, so the interrupt has come by then.
  for (std::uint32_t word = wanted_.load(std::memory_order_acquire); word == kDecides;
       word = wanted_.load(std::memory_order_acquire)) {
    wanted_.wait(word, std::memory_order_acquire);
  }
}

bool Cancellable::Ended(bool in_autocommit, std::size_t others) {
  // Acquire: as in Wait(). So the outcome below comes after the 0 of the thread that interrupts.
  if (wanted_.load(std::memory_order_acquire) != kInterrupted) return false;
  // Release: pairs with outcome(). The thread that sees it sees how the statement has ended.
  outcome_.store(kEnded | (in_autocommit ? kInAutocommit : 0) | (others != 0 ? kOthersRun : 0),
                 std::memory_order_release);
  if (others != 0) return false;
  // Another thread may want the connection just now. It then decides first.
  std::uint32_t interrupted = kInterrupted;
  wanted_.compare_exchange_strong(interrupted, kNot, std::memory_order_acq_rel);
  return true;
}

void Cancellable::Close() {
  const MutexLock lock(mutex_);
  db_ = nullptr;
}

bool Cancellable::Interrupt(const std::function<bool()>& is_meant,
                            const std::function<void()>& tell) {
  const MutexLock lock(mutex_);
  if (!db_) return false;
  // Lets the thread of the connection go on, also where memory runs out here.
  struct Decision {
    Word& word;
    std::uint32_t next;
    ~Decision() {
      // Release: pairs with Wait() and Ended().
      word.store(next, std::memory_order_release);
      word.notify_all();
    }
  } decision{wanted_, wanted_.exchange(kDecides, std::memory_order_seq_cst)};
  BarrierInAllThreads();
  if (!is_meant()) return false;
  // The thread that is inside of sqlite3_step() has the mutex of the connection. Where it is free,
  // no statement goes on now, and one that is open is looked for.
  sqlite3_mutex* const mutex = sqlite3_db_mutex(db_);
  const bool is_free = mutex && sqlite3_mutex_try(mutex) == SQLITE_OK;
  const bool interrupts = !is_free || HasOpenStatement(db_);
  if (interrupts) {
    outcome_.store(0, std::memory_order_relaxed);
    sqlite3_interrupt(db_);
    decision.next = kInterrupted;
  }
  if (is_free) sqlite3_mutex_leave(mutex);
  if (interrupts) tell();
  return interrupts;
}

Cancellable::Outcome Cancellable::outcome() const {
  const std::uint32_t word = outcome_.load(std::memory_order_acquire);
  return {(word & kEnded) != 0, (word & kInAutocommit) != 0, (word & kOthersRun) != 0};
}

}  // namespace walmanager
