#include "ext/database/regular_looks.h"

#include <algorithm>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"
#include "ext/system/reused_tables.h"

namespace walmanager {

RegularLooks::RegularLooks(CheckpointState& state, HealthWatch& watch, ReaderLeaseWatch& lease,
                           CancelWatch& cancels, AlertNews& news, BackgroundCopier& copier)
    : state_(state),
      watch_(watch),
      lease_(lease),
      cancels_(cancels),
      news_(news),
      copier_(copier),
      registry_(Registry::Get()),
      task_(registry_.scheduler, Scheduler::Kind::kLooks, [this] { return Work(); }) {}

void RegularLooks::CommitLooks(std::uint64_t now_ns) {
  if (!has_committed_.load(std::memory_order_relaxed)) has_committed_ = true;
  if (!has_log_.load(std::memory_order_relaxed)) has_log_ = true;
  if (wakefulness_.is_drowsy()) WakeUp(now_ns);
}

void RegularLooks::WakeUpInStatement(const ControlFile& control, std::uint64_t now_ns) {
  // Before the first commit to a log there is nothing to look at, and never in rollback mode.
  if (control.shared() || has_log_) WakeUp(now_ns);
}

void RegularLooks::WakeUp(std::uint64_t now_ns) {
  constexpr std::uint64_t kRetryNs = 1'000 * kMs, kLongestRestNs = 1'000 * kMs;
  if (registry_.IsYoungAt(now_ns) || now_ns < no_wake_before_ns_ || state_.stopping ||
      !EngineHasThreads() || !wakefulness_.Wake()) {
    return;
  }
  // Where a connection lives for a request, each of them wakes the looks anew: most find that a
  // sample was taken a moment ago, and are over before the next one.
  std::uint64_t rest_ns = 0;
  AtCEdge([&] {
    rest_ns = std::min(watch_.SampleDueInNs(), kLongestRestNs);
    return SQLITE_OK;
  });
  if (task_.WakeAt(now_ns + rest_ns)) {
    next_look_ns_.store(now_ns + rest_ns, std::memory_order_relaxed);
    has_log_ = true;
    return;
  }
  // Without a thread calls of the user's do what it would do.
  wakefulness_.StayAsleep();
  no_wake_before_ns_ = now_ns + kRetryNs;
}

void RegularLooks::LookBy(std::uint64_t now_ns, std::uint64_t then_ns) {
  constexpr std::uint64_t kRetryNs = 1'000 * kMs;
  if (now_ns < no_wake_before_ns_ || state_.stopping || !EngineHasThreads()) return;
  const bool was_asleep = wakefulness_.Wake();
  // Before the task can run, which sets it anew.
  next_look_ns_.store(then_ns, std::memory_order_relaxed);
  if (task_.WakeAt(then_ns)) {
    has_log_ = true;
    return;
  }
  if (was_asleep) wakefulness_.StayAsleep();
  no_wake_before_ns_ = now_ns + kRetryNs;
  next_look_ns_.store(Scheduler::kNever, std::memory_order_relaxed);
}

bool RegularLooks::IsInUse() {
  const OwnedSlabs::OwnWork work = state_.control.Get()->slabs().ReadOwnWork();
  constexpr std::uint64_t kMany = 100;
  const std::uint64_t before = std::exchange(statements_, work.statements);
  const bool some_ended = before != work.statements;
  is_busy_ = work.statements >= before + kMany;  // a connection that has closed counts no more
  const bool has_committed = has_committed_.exchange(false);
  knows_log_ = knows_log_ || has_committed;
  return work.goes_on || some_ended || has_committed;
}

std::uint64_t RegularLooks::Work() {
  const std::uint64_t now = MonotonicNs();
  // While it works, queries that begin find that a look comes by their time or not at all.
  const std::uint64_t statements_ns = LookAtStatements(now);
  if (now >= next_regular_ns_) next_regular_ns_ = LookRegularly(now);
  std::uint64_t next_ns = next_regular_ns_;
  if (next_ns == Scheduler::kNever) {
    next_regular_ns_ = 0;  // at once when it is woken
  } else {
    next_ns = std::min(next_ns, statements_ns);
  }
  next_look_ns_.store(next_ns, std::memory_order_relaxed);
  return next_ns;
}

std::uint64_t RegularLooks::LookAtStatements(std::uint64_t now_ns) {
  constexpr std::uint64_t kCancelsNs = 500 * kMs;  // the caller waits for two seconds
  std::uint64_t next_ns = now_ns + kCancelsNs;
  AtCEdge([&] {
    const SharedLock engine(registry_.engine_mutex);
    if (!state_.stopping) {
      next_ns = std::min({next_ns, lease_.Look(now_ns), cancels_.Look(now_ns)});
    }
    return SQLITE_OK;
  });
  return next_ns;
}

std::uint64_t RegularLooks::LookRegularly(std::uint64_t now) {
  const bool in_use = IsInUse();
  copier_.FollowActivity(in_use);
  ControlFile::LeaveAllToProgram();
  if (!wakefulness_.LooksAgain(in_use)) {
    state_.control.Get()->GivePagesBack();
    return Scheduler::kNever;
  }
  CapturePlans();
  if (in_use) {
    last_used_ns_ = now;
    Watch();
  } else if (!watch_.HasSampledSince(last_used_ns_)) {
    // Another process took the sample before this one's last look.
    Watch();
  }
  // A look reads far more of the control file than a statement does.
  if (!is_busy_) state_.control.Get()->GivePagesBack();
  return MonotonicNs() + watch_.sample_interval_ns();
}

void RegularLooks::CapturePlans() {
  AtCEdge([&] {
    const SharedLock engine(registry_.engine_mutex);
    if (!state_.stopping) copier_.CapturePlans();
    return SQLITE_OK;
  });
}

void RegularLooks::Watch() {
  // The first look evaluates the alerts only where some process has sampled lately. Else a process
  // that ends soon would wait for the evaluation at its close. Where many such processes come one
  // after the other, none stays for a second look, so one of them must evaluate.
  // Where a process has hundreds of databases in use, most put their evaluations off. The looks are
  // regular, so the same ones could find no room each time.
  constexpr int kMostPutOff = 60;
  bool evaluates = (std::exchange(has_looked_, true) || watch_.SampledLately()) && knows_log_;
  if (evaluates && put_off_ < kMostPutOff && !watch_.HasRoomForAlerts(MonotonicNs())) {
    ++put_off_;
    evaluates = false;
  } else if (evaluates) {
    put_off_ = 0;
  }
  AtCEdge([&] {
    // A thread that forks waits; commits and calls find the database free.
    const SharedLock engine(registry_.engine_mutex);
    const ReuseOfTables reuse;
    if (!state_.stopping) news_.Add(watch_.Tick(evaluates));
    return SQLITE_OK;
  });
}

}  // namespace walmanager
