// Has this process look at one database once per sample interval while it is in use: takes samples
// for wal_history, evaluates the alerts, and tells the background copier. A database is in use
// while a statement of a managed connection runs, a transaction is open, or one of them has ended
// since the look before. Else nothing looks, until a statement or a commit wakes it.
//
// A process that has not committed does not know the log, and would find that all is well with it:
// it takes samples, and evaluates no alerts.
// A process in its first second has no thread for that: many a program asks once and ends.
// Twice a second it asks whether another process wants a statement of this one interrupted.
// Thread rules: any thread. The owner calls Stop() before it destroys the objects that this one was
// made with.
#pragma once

#include <atomic>
#include <cstdint>

#include "ext/checkpoint/background_copier.h"
#include "ext/checkpoint/checkpoint_state.h"
#include "ext/core/policy/wakefulness.h"
#include "ext/database/alert_news.h"
#include "ext/database/cancel_watch.h"
#include "ext/database/health_watch.h"
#include "ext/database/reader_lease_watch.h"
#include "ext/system/control_file.h"
#include "ext/system/registry.h"
#include "ext/system/scheduler.h"

namespace walmanager {

class RegularLooks {
 public:
  // All of them outlive it.
  RegularLooks(CheckpointState& state, HealthWatch& watch, ReaderLeaseWatch& lease,
               CancelWatch& cancels, AlertNews& news, BackgroundCopier& copier);

  // A statement of a managed connection shows itself in `control`. One load where the looks go on.
  void StatementBegins(const ControlFile& control, std::uint64_t now_ns) {
    if (wakefulness_.is_drowsy()) [[unlikely]]
      WakeUpInStatement(control, now_ns);
  }
  // A query of a managed connection begins that may be interrupted once it has lasted for
  // `lease_ns`: something looks by then, also in a process in its first second.
  void QueryIsOffered(std::uint64_t now_ns, std::uint64_t lease_ns) {
    if (now_ns + lease_ns < next_look_ns_.load(std::memory_order_relaxed)) [[unlikely]]
      LookBy(now_ns, now_ns + lease_ns);
  }
  // A statement begins that may last for long, and that another process may want to interrupt. In
  // the first second of the process something looks once that is over.
  void StatementMayLast(std::uint64_t now_ns) {
    if (next_look_ns_.load(std::memory_order_relaxed) == Scheduler::kNever &&
        registry_.IsYoungAt(now_ns)) {
      LookBy(now_ns, registry_.grown_up_ns());
    }
  }
  // A call of the user wants something looked at.
  void LookNow(std::uint64_t now_ns) { LookBy(now_ns, now_ns); }
  // A commit looks at the log, which happens at least once per sample interval with commits.
  void CommitLooks(std::uint64_t now_ns);
  // Returns once no look runs. None runs after that.
  void Stop() { task_.Stop(); }

 private:
  [[gnu::cold]] void WakeUpInStatement(const ControlFile& control, std::uint64_t now_ns);
  [[gnu::cold]] void WakeUp(std::uint64_t now_ns);
  [[gnu::cold]] void LookBy(std::uint64_t now_ns, std::uint64_t then_ns);
  std::uint64_t Work();
  // The thread calls this once per sample interval. Returns when the thread should call it next.
  std::uint64_t LookRegularly(std::uint64_t now_ns);
  std::uint64_t LookAtStatements(std::uint64_t now_ns);
  void CapturePlans();
  void Watch();
  // Whether a statement runs or a transaction is open, or something has happened since the last
  // call.
  bool IsInUse();

  CheckpointState& state_;
  HealthWatch& watch_;
  ReaderLeaseWatch& lease_;
  CancelWatch& cancels_;
  AlertNews& news_;
  BackgroundCopier& copier_;
  Registry& registry_;
  Wakefulness wakefulness_;
  // The next four stand for themselves. Where they are read relaxed, a late answer costs one look
  // or one wake-up more, which the mutex of the scheduler puts in order.
  std::atomic<bool> has_log_{false};                 // a commit looked at it, or a look was due
  std::atomic<bool> has_committed_{false};           // since IsInUse() has asked
  std::atomic<std::uint64_t> no_wake_before_ns_{0};  // after the system gave no thread
  std::atomic<std::uint64_t> next_look_ns_{Scheduler::kNever};
  // Only the task reads and writes the next members.
  std::uint64_t next_regular_ns_ = 0;
  bool has_looked_ = false;
  bool knows_log_ = false;
  int put_off_ = 0;                 // looks in a row that found no room to evaluate alerts
  std::uint64_t last_used_ns_ = 0;  // at the last look that found it in use
  std::uint64_t statements_ = 0;    // at the last call of IsInUse()
  bool is_busy_ = false;            // many statements had ended since the call before that
  Scheduler::Task task_;            // last, so that it goes first: it uses all of the above
};

}  // namespace walmanager
