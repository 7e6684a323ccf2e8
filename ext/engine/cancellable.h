// A connection of the host whose statement another thread of this process may interrupt, because
// wal_cancel() asked for it.
//
// The rule that is easy to break: an interrupt is for the connection, not for a statement. SQLite
// forgets it when no statement of the connection is open any more, and until then ends each
// statement that begins. So it must not come after the statement that is meant has ended.
//
// The protocol: the thread of the connection shows the statement that runs (ConnectionInfo), and
// then asks IsWanted(), at the beginning and at the end of each statement. The other thread says
// that it wants the connection, has all threads of the process pass a memory barrier (membarrier,
// https://man7.org/linux/man-pages/man2/membarrier.2.html), and only then looks which statement is
// shown. So either the thread of the connection finds that it is wanted, and waits; or the other
// thread sees what it has shown. This costs a statement two loads and no barrier of its own.
//
// Thread rules: Interrupt() and outcome() in any thread, the rest in the thread that uses the
// connection. The mutex is held during sqlite3_interrupt(), which takes none, and the close takes
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "ext/core/base/mutex.h"

struct sqlite3;

namespace walmanager {

class Cancellable {
 public:
  // What the thread of the connection asks at each statement: a word of its own, so that it lies
  // where that thread has it at hand. Valid until Close().
  using Word = std::atomic<std::uint32_t>;
  static bool IsWanted(const Word& word) {
    // The compiler must not load it before what is shown was stored. The processor may: the barrier
    // of the other thread is for that. Relaxed: a thread that is wanted loads it again in Wait().
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return word.load(std::memory_order_relaxed) != kNot;
  }

  Cancellable(sqlite3* db, std::uint64_t id, Word& word) : id_(id), wanted_(word), db_(db) {}
  Cancellable(const Cancellable&) = delete;
  Cancellable& operator=(const Cancellable&) = delete;

  std::uint64_t id() const { return id_; }

  // --- the thread that uses the connection
  // Waits while another thread decides, which takes some milliseconds.
  [[gnu::cold]] void Wait();
  // A statement has ended, and Wait() was called. `others`: how many others of the connection run.
  // True where an interrupt has come, and no statement is left that would make SQLite forget it.
  [[gnu::cold]] bool Ended(bool in_autocommit, std::size_t others);
  // Before the handle is gone: nothing is interrupted from now on.
  void Close();

  // --- any thread
  // Interrupts the connection where `is_meant()` says that the statement that is shown is the one.
  // That is asked while no statement of the connection begins or ends, and `tell` is called before
  // the thread of the connection can go on after the interrupted one. False where it is not, or
  // none is open.
  bool Interrupt(
      const std::function<bool()>& is_meant, const std::function<void()>& tell = [] {})
      EXCLUDES(mutex_);
  // What has become of the last interrupt.
  struct Outcome {
    bool ended = false;          // a statement has ended since
    bool in_autocommit = false;  // no transaction was open then
    bool others_run = false;     // other statements were open then
  };
  Outcome outcome() const;

 private:
  // In wanted_: not wanted; another thread decides; an interrupt has come that SQLite has not
  // forgotten.
  static constexpr std::uint32_t kNot = 0, kDecides = 1, kInterrupted = 2;
  // Of outcome_.
  static constexpr std::uint32_t kEnded = 1, kInAutocommit = 2, kOthersRun = 4;

  const std::uint64_t id_;
  Word& wanted_;
  std::atomic<std::uint32_t> outcome_{0};
  Mutex mutex_;
  sqlite3* db_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
