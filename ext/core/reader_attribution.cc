#include "ext/core/reader_attribution.h"

#include <algorithm>

namespace walmanager {
namespace {

bool Reads(const ConnectionEntry& connection) {
  return connection.transaction != TransactionState::kNone || connection.started_ns != 0;
}

Reader OfConnection(int mark, const ConnectionEntry& connection, const ReadersSeen& seen) {
  Reader reader;
  reader.mark = mark;
  reader.pid = connection.pid;
  reader.connection = connection;
  // A statement in a transaction reads what the transaction reads, since that began.
  reader.since_ns = connection.transaction != TransactionState::kNone ? connection.transaction_ns
                                                                      : connection.started_ns;
  if (connection.started_ns == 0) {
    reader.verdict = ReaderVerdict::kOpenTransaction;
  } else if (connection.statement_rows > 0 && seen.standing_still.count(connection.id) != 0) {
    reader.verdict = ReaderVerdict::kUnfinishedStatement;
  } else {
    reader.verdict = ReaderVerdict::kRunningQuery;
  }
  return reader;
}

}  // namespace

const char* VerdictName(ReaderVerdict verdict) {
  constexpr const char* kNames[] = {"running query", "unfinished statement", "open transaction",
                                    "unmanaged process"};
  return kNames[static_cast<std::size_t>(verdict)];
}

const char* BlockedBy(int mark, const WalIndex& index) {
  // A reader on mark 0 reads the database file alone: nothing may be copied into that.
  if (mark == 0) return index.complete() ? nullptr : "checkpoint";
  return index.Snapshot(mark) < index.max_frame ? "checkpoint" : "reset";
}

std::vector<Reader> AttributeReaders(const ReadersSeen& seen,
                                     std::span<const ConnectionEntry> connections) {
  std::vector<Reader> readers;
  for (int mark = 0; mark < kReadMarks; ++mark) {
    const auto at = static_cast<std::size_t>(mark);
    if (!seen.held[at]) continue;
    std::vector<std::int64_t> pids = seen.pids[at];
    if (!seen.knows_pids) {
      // Any managed process whose connections read.
      for (const ConnectionEntry& connection : connections) {
        if (Reads(connection) && std::find(pids.begin(), pids.end(), connection.pid) == pids.end())
          pids.push_back(connection.pid);
      }
    }
    const std::size_t before = readers.size();
    bool own = false;  // held by the asker or by a guard of ours
    for (const std::int64_t pid : pids) {
      std::vector<Reader> candidates;
      bool managed = pid == seen.own_pid;
      for (const ConnectionEntry& connection : connections) {
        if (connection.pid != pid) continue;
        managed = true;
        if (connection.id != seen.asking && Reads(connection))
          candidates.push_back(OfConnection(mark, connection, seen));
      }
      if (candidates.empty()) {
        const bool is_own = pid == seen.own_pid && (seen.asking_reads || seen.guard_mark == mark);
        const bool is_guard = managed && seen.checkpoint_runs;
        if (is_own || is_guard) {
          own = true;
          continue;
        }
        Reader reader;
        reader.mark = mark;
        if (pid != 0) reader.pid = pid;
        reader.verdict = managed ? ReaderVerdict::kOpenTransaction  // on a connection without us
                                 : ReaderVerdict::kUnmanagedProcess;
        reader.certain = seen.knows_pids && pid != 0 && !managed;
        candidates.push_back(std::move(reader));
      } else {
        // The asker may be the one that holds it, too.
        const bool alone = candidates.size() == 1 && seen.knows_pids &&
                           !(pid == seen.own_pid && seen.asking_reads);
        for (Reader& reader : candidates) reader.certain = alone;
      }
      std::move(candidates.begin(), candidates.end(), std::back_inserter(readers));
    }
    if (readers.size() == before && !own && !seen.knows_pids) {
      Reader reader;
      reader.mark = mark;
      readers.push_back(std::move(reader));
    }
  }
  return readers;
}

}  // namespace walmanager
