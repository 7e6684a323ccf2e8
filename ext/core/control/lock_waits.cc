#include "ext/core/control/lock_waits.h"

#include <algorithm>
#include <utility>

#include "ext/core/base/sort_by_key.h"
#include "ext/core/base/value.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/record_ring.h"
#include "ext/core/control/shared_words.h"

namespace walmanager {

const char* LockOutcomeName(LockOutcome outcome) {
  constexpr const char* kNames[] = {"acquired", "busy", "snapshot", "given up"};
  return kNames[static_cast<std::size_t>(outcome)];
}

const char* HolderStateName(HolderState state) {
  constexpr const char* kNames[] = {nullptr,      "running statement", "idle in transaction",
                                    "checkpoint", "recovery",          "unmanaged process"};
  return kNames[static_cast<std::size_t>(state)];
}

LockHolder ReadLockHolder(const layout::ConnectionInfo& info, const HeldLocks& held,
                          LockKind lock) {
  LockHolder holder;
  holder.connection_id = Get(info.id);
  holder.query_id = Get(info.query_id);
  const std::uint64_t started_ns = Get(info.started_ns), transaction_ns = Get(info.transaction_ns);
  holder.transaction_ns = transaction_ns != 0 ? transaction_ns : started_ns;
  const bool of_log = lock == LockKind::kWrite || lock == LockKind::kCheckpoint;
  const bool is_checkpointer =
      Get(info.role) == static_cast<std::uint64_t>(ConnectionRole::kCheckpointer);
  holder.state = held.recovers()                                     ? HolderState::kRecovery
                 : is_checkpointer || (of_log && held.checkpoints()) ? HolderState::kCheckpoint
                 : started_ns != 0 ? HolderState::kRunningStatement
                                   : HolderState::kIdleInTransaction;
  holder.application = WithoutControlCharacters(GetText(info.application));
  holder.process = WithoutControlCharacters(GetText(info.process));
  return holder;
}

LockCounts CountsOf(const LockWait& wait) {
  // SQLite does not wait at a conflict: there is nothing to wait for.
  if (wait.outcome == LockOutcome::kSnapshot) return {.snapshot_conflicts = 1};
  return {.waits = 1,
          .wait_ns = wait.waited_ns,
          .busy_errors = wait.outcome == LockOutcome::kBusy ? 1U : 0U};
}

LockCounts LockWaits::ReadCounts(const layout::LockCounters& counters) {
  return {Get(counters.waits), Get(counters.wait_ns), Get(counters.busy_errors),
          Get(counters.snapshot_conflicts)};
}

LockCounts LockWaits::TakeCounts(layout::LockCounters& counters) {
  using walmanager::Take;
  return {Take(counters.waits), Take(counters.wait_ns), Take(counters.busy_errors),
          Take(counters.snapshot_conflicts)};
}

void LockWaits::AddCounts(layout::LockCounters& counters, const LockCounts& counts) {
  using walmanager::Add;
  if (counts.waits) Add(counters.waits, counts.waits);
  if (counts.wait_ns) Add(counters.wait_ns, counts.wait_ns);
  if (counts.busy_errors) Add(counters.busy_errors, counts.busy_errors);
  if (counts.snapshot_conflicts) Add(counters.snapshot_conflicts, counts.snapshot_conflicts);
}

void LockWaits::Add(const LockWait& wait, bool listed) {
  AddCounts(waits_.totals, CountsOf(wait));
  if (wait.outcome != LockOutcome::kSnapshot) {
    Raise(waits_.max_ns, wait.waited_ns);
    walmanager::Add(waits_.histogram[DurationScale::Bucket(wait.waited_ns)], 1);
  }
  if (listed) Append(wait);
}

void LockWaits::Append(const LockWait& wait) {
  // Relaxed: the number alone counts. The slot's id says that the record is there.
  const std::uint64_t id = waits_.next_id.fetch_add(1, std::memory_order_relaxed) + 1;
  layout::LockWaitSlot& slot = waits_.slots[id % layout::kLockWaitRecords];
  layout::LockWaitRecord record{};
  record.at_ms = wait.at_ms;
  record.pid = wait.pid;
  record.pid_namespace = wait.pid_namespace;
  record.connection_id = wait.connection_id;
  record.query_id = wait.query_id;
  record.lock = static_cast<std::uint64_t>(wait.lock);
  record.outcome = static_cast<std::uint64_t>(wait.outcome);
  record.waited_ns = wait.waited_ns;
  record.holder_pid = wait.holder.pid;
  record.holder_connection_id = wait.holder.connection_id;
  record.holder_query_id = wait.holder.query_id;
  record.holder_transaction_ns = wait.holder.transaction_ns;
  record.holder_state = static_cast<std::uint64_t>(wait.holder.state);
  record.had_read = wait.had_read ? 1 : 0;
  SetText(record.application, wait.application);
  SetText(record.process, wait.process);
  SetText(record.holder_application, wait.holder.application);
  SetText(record.holder_process, wait.holder.process);
  WriteRecord(slot, id, record);
}

void LockWaits::AddToQuery(std::size_t place, std::uint64_t query_id, const LockCounts& counts) {
  layout::QueryLocks& query = waits_.queries[place];
  std::uint64_t before = Get(query.id);
  if (before != query_id) {
    if (before != 0) AddToEvicted(TakeCounts(query.counters));
    Put(query.id, query_id);
  }
  AddCounts(query.counters, counts);
}

void LockWaits::AddToEvicted(const LockCounts& counts) { AddCounts(waits_.evicted, counts); }

LockTotals LockWaits::ReadTotals() const {
  LockTotals totals;
  totals.counts = ReadCounts(waits_.totals);
  totals.max_ns = Get(waits_.max_ns);
  for (const layout::Counter& counter : waits_.histogram) totals.histogram.push_back(Get(counter));
  return totals;
}

LockCounts LockWaits::OfQuery(std::size_t place, std::uint64_t query_id) const {
  const layout::QueryLocks& query = waits_.queries[place];
  return Get(query.id) == query_id ? ReadCounts(query.counters) : LockCounts();
}

LockCounts LockWaits::TakeQuery(std::size_t place, std::uint64_t query_id) {
  layout::QueryLocks& query = waits_.queries[place];
  return Get(query.id) == query_id ? TakeCounts(query.counters) : LockCounts();
}

std::vector<LockWait> LockWaits::ReadWaits() const {
  std::vector<LockWait> waits;
  const RingIds ids(waits_.next_id, waits_.forgotten_id, layout::kLockWaitRecords);
  for (std::size_t i = 0; i < waits_.slots.size(); ++i) {
    const layout::LockWaitSlot& slot = waits_.slots[i];
    const std::uint64_t id = ids.IdIn(slot, i);
    layout::LockWaitRecord record;
    if (id == 0 || !CopyRecord(slot, id, record)) continue;
    if (record.lock >= kLockKinds ||
        record.outcome > static_cast<std::uint64_t>(LockOutcome::kGivenUp) ||
        record.holder_state > static_cast<std::uint64_t>(HolderState::kUnmanaged)) {
      continue;
    }
    LockWait wait;
    wait.id = id;
    wait.at_ms = record.at_ms;
    wait.pid = record.pid;
    wait.pid_namespace = record.pid_namespace;
    wait.connection_id = record.connection_id;
    wait.query_id = record.query_id;
    wait.lock = static_cast<LockKind>(record.lock);
    wait.outcome = static_cast<LockOutcome>(record.outcome);
    wait.waited_ns = record.waited_ns;
    wait.had_read = record.had_read == 1;
    wait.application = WithoutControlCharacters(Text(record.application));
    wait.process = WithoutControlCharacters(Text(record.process));
    wait.holder.pid = record.holder_pid;
    wait.holder.connection_id = record.holder_connection_id;
    wait.holder.query_id = record.holder_query_id;
    wait.holder.transaction_ns = record.holder_transaction_ns;
    wait.holder.state = static_cast<HolderState>(record.holder_state);
    wait.holder.application = WithoutControlCharacters(Text(record.holder_application));
    wait.holder.process = WithoutControlCharacters(Text(record.holder_process));
    waits.push_back(std::move(wait));
  }
  SortLargestFirst(waits, [](const LockWait& wait) { return wait.id; });
  return waits;
}

void LockWaits::MoveTo(LockWaits& other) {
  if (!is_made() || !other.Make()) return;
  AddCounts(other.waits_.totals, TakeCounts(waits_.totals));
  Raise(other.waits_.max_ns, Take(waits_.max_ns));
  for (std::size_t i = 0; i < waits_.histogram.size(); ++i) {
    if (const std::uint64_t count = Take(waits_.histogram[i])) {
      walmanager::Add(other.waits_.histogram[i], count);
    }
  }
  std::vector<LockWait> waits = ReadWaits();
  Put(waits_.forgotten_id, Get(waits_.next_id));
  std::for_each(waits.rbegin(), waits.rend(), [&](const LockWait& wait) { other.Append(wait); });
}

void LockWaits::Reset() {
  space_->Follow();
  if (!is_made()) return;
  Put(waits_.forgotten_id, Get(waits_.next_id));
  TakeCounts(waits_.totals);
  Put(waits_.max_ns, 0);
  for (layout::Counter& counter : waits_.histogram) Put(counter, 0);
}

void LockWaits::ResetQueries() {
  if (!is_made()) return;
  TakeCounts(waits_.evicted);
  for (layout::QueryLocks& query : waits_.queries) {
    if (Get(query.id) == 0) continue;
    TakeCounts(query.counters);
    Put(query.id, 0);
  }
}

}  // namespace walmanager
