#include "ext/core/control/connection_entry.h"

#include <algorithm>

#include "ext/core/base/value.h"
#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

template <typename Enum>
Enum Bounded(std::uint64_t word, Enum most) {
  return static_cast<Enum>(std::min(word, static_cast<std::uint64_t>(most)));
}

ConnectionEntry ReadFields(const layout::ConnectionSlab& slab) {
  const layout::ConnectionInfo& info = slab.info;
  ConnectionEntry entry;
  entry.owner = Get(slab.owner);
  entry.own_pid = static_cast<std::int64_t>(Get(slab.pid));
  entry.pid_namespace = Get(slab.pid_namespace);
  entry.main = Get(info.main) != 0;
  entry.role = Bounded(Get(info.role), ConnectionRole::kBackup);
  entry.trace = Bounded(Get(info.trace), TraceState::kOff);
  entry.opened_ms = static_cast<std::int64_t>(Get(info.opened_ms));
  entry.last_active_ms = static_cast<std::int64_t>(Get(info.last_active_ms));
  entry.query_id = Get(info.query_id);
  entry.started_ns = Get(info.started_ns);
  entry.statement_rows = Get(info.statement_rows);
  const std::uint64_t transaction = Get(info.transaction);
  entry.transaction = Bounded(transaction & 3, TransactionState::kWrite);
  entry.is_explicit = (transaction & kExplicitTransaction) != 0;
  entry.transaction_ns = Get(info.transaction_ns);
  entry.statements = Get(info.statements);
  entry.rows = Get(info.rows);
  entry.commits = Get(info.commits);
  entry.rollbacks = Get(info.rollbacks);
  entry.upgraded = Get(info.upgraded);
  entry.upgrades_failed = Get(info.upgrades_failed);
  entry.trace_lost = Get(info.trace_lost);
  entry.cache_hits = Get(info.cache_hits);
  entry.cache_misses = Get(info.cache_misses);
  entry.cache_spills = Get(info.cache_spills);
  entry.cache_used = Get(info.cache_used);
  entry.schema_used = Get(info.schema_used);
  entry.statement_used = Get(info.statement_used);
  if (const std::uint64_t enforced = Get(info.foreign_keys); enforced == 1 || enforced == 2) {
    entry.foreign_keys = enforced == 2;
  }
  constexpr std::uint64_t kHighestVersion = 99'999'999;
  entry.sqlite_version =
      static_cast<std::int64_t>(std::min(Get(info.sqlite_version), kHighestVersion));
  if (entry.started_ns != 0 && entry.started_ns == Get(info.seen_started_ns) &&
      entry.statement_rows == Get(info.seen_rows)) {
    // Pairs with the fence in WatchStatement().
    std::atomic_thread_fence(std::memory_order_acquire);
    entry.still_since_ns = Get(info.still_since_ns);
  }
  entry.application = WithoutControlCharacters(GetText(info.application));
  entry.process = WithoutControlCharacters(GetText(info.process));
  entry.file = GetText(info.file);
  entry.pages_done = Get(info.pages_done);
  entry.pages_total = Get(info.pages_total);
  // Acquire: pairs with the release in LockWatch::Wait(), so the words below are of this wait.
  const std::uint64_t waiting = info.waiting.load(std::memory_order_acquire);
  const std::uint64_t lock = waiting & 0xff;
  if (lock >= 1 && lock <= kLockKinds && waiting >> HeldLocks::kIdShift == Get(info.id)) {
    entry.waiting_for = static_cast<LockKind>(lock - 1);
    entry.waiting_since_ns = Get(info.waiting_since_ns);
    entry.blocked_by = Get(info.blocked_by);
    entry.blocked_by_pid = static_cast<std::int64_t>(Get(info.blocked_by_pid));
  }
  return entry;
}

}  // namespace

const char* RoleName(ConnectionRole role) {
  constexpr const char* kNames[] = {"application", "checkpointer", "reader", "backup"};
  return kNames[static_cast<std::size_t>(role)];
}

const char* TraceStateName(TraceState state) {
  constexpr const char* kNames[] = {"active", "displaced", "off"};
  return kNames[static_cast<std::size_t>(state)];
}

const char* TransactionStateName(TransactionState state) {
  constexpr const char* kNames[] = {"none", "read", "write"};
  return kNames[static_cast<std::size_t>(state)];
}

void DescribeConnection(layout::ConnectionInfo& info, const ConnectionIdentity& identity) {
  PutText(info.process, identity.process);
  PutText(info.application, identity.application);
  PutText(info.file, identity.file);
  Put(info.main, identity.main ? 1 : 0);
  Put(info.role, static_cast<std::uint64_t>(identity.role));
  Put(info.opened_ms, static_cast<std::uint64_t>(identity.opened_ms));
  Put(info.sqlite_version, static_cast<std::uint64_t>(identity.sqlite_version));
  // Release: a thread that sees the id sees all that was written before.
  info.id.store(identity.id, std::memory_order_release);
}

void ForgetCounts(layout::ConnectionInfo& info) {
  for (layout::Counter* counter : {&info.statements, &info.rows, &info.commits, &info.rollbacks,
                                   &info.upgraded, &info.upgrades_failed, &info.trace_lost}) {
    Put(*counter, 0);
  }
}

void ClearConnection(layout::ConnectionInfo& info) {
  Put(info.id, 0);
  // Keeps the emptying below after the id is gone: pairs with the second look of ReadConnection.
  std::atomic_thread_fence(std::memory_order_release);
  ForgetCounts(info);
  for (layout::Counter* counter :
       {&info.main,           &info.role,         &info.opened_ms,       &info.last_active_ms,
        &info.query_id,       &info.started_ns,   &info.statement_rows,  &info.transaction,
        &info.transaction_ns, &info.trace,        &info.cache_hits,      &info.cache_misses,
        &info.cache_spills,   &info.cache_used,   &info.schema_used,     &info.statement_used,
        &info.sqlite_version, &info.foreign_keys, &info.seen_started_ns, &info.seen_rows,
        &info.still_since_ns, &info.pages_done,   &info.pages_total,     &info.locks,
        &info.waiting}) {
    Put(*counter, 0);
  }
  PutText(info.application, "");
  PutText(info.process, "");
  PutText(info.file, "");
}

void WatchStatement(layout::ConnectionInfo& info, std::uint64_t now_ns) {
  const std::uint64_t started = Get(info.started_ns), rows = Get(info.statement_rows);
  if (started == Get(info.seen_started_ns) && rows == Get(info.seen_rows)) {
    if (started != 0 && rows != 0 && Get(info.still_since_ns) == 0)
      Put(info.still_since_ns, now_ns);
    return;
  }
  Put(info.still_since_ns, 0);
  // A reader that sees the statement below does not see since when the one before stood still.
  std::atomic_thread_fence(std::memory_order_release);
  Put(info.seen_started_ns, started);
  Put(info.seen_rows, rows);
}

ConnectionEntry ReadConnection(const layout::ConnectionSlab& slab) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    // Acquire: pairs with the release in DescribeConnection.
    const std::uint64_t id = slab.info.id.load(std::memory_order_acquire);
    ConnectionEntry entry = ReadFields(slab);
    // Keeps the reading above before the second look: the slab may have another owner by now.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Get(slab.info.id) != id) continue;
    entry.id = id;
    return entry;
  }
  return {};
}

}  // namespace walmanager
