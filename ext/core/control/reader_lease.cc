#include "ext/core/control/reader_lease.h"

namespace walmanager {

std::optional<std::uint64_t> SnapshotSince(const ConnectionEntry& entry) {
  if (entry.transaction == TransactionState::kWrite) return std::nullopt;
  if (entry.transaction == TransactionState::kRead) return entry.transaction_ns;
  // Its snapshot begins with the statement: outside of a transaction, and as the first one in it.
  if (entry.started_ns != 0) return entry.started_ns;
  return std::nullopt;
}

ReaderVerdictOfLease JudgeLease(const ConnectionEntry& entry,
                                const std::optional<SeenStatement>& before, std::uint64_t lease_ns,
                                std::uint64_t now_ns) {
  const auto since = SnapshotSince(entry);
  if (!since || *since > now_ns || now_ns - *since <= lease_ns)
    return ReaderVerdictOfLease::kWithin;
  if (entry.started_ns == 0) return ReaderVerdictOfLease::kIdle;
  // Before its first row a statement is inside of SQLite. Later the program may have left it.
  const bool returns_rows =
      before && before->started_ns == entry.started_ns && before->rows != entry.statement_rows;
  if (entry.statement_rows == 0 || returns_rows) return ReaderVerdictOfLease::kQuery;
  const bool is_new = !before || before->started_ns != entry.started_ns;
  return is_new ? ReaderVerdictOfLease::kWithin : ReaderVerdictOfLease::kUnfetched;
}

}  // namespace walmanager
