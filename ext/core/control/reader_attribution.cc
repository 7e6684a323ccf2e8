#include "ext/core/control/reader_attribution.h"

#include <algorithm>

namespace walmanager {
namespace {

bool Reads(const ConnectionEntry& connection) {
  if (connection.trace != TraceState::kActive) return false;
  return connection.transaction != TransactionState::kNone || connection.started_ns != 0;
}

// Its statements are not seen, so it may.
bool MayRead(const ConnectionEntry& connection) {
  return connection.role == ConnectionRole::kApplication && connection.trace != TraceState::kActive;
}

Reader OfConnection(int mark, const ConnectionEntry& connection, const ReadersSeen& seen) {
  Reader reader;
  reader.mark = mark;
  reader.pid = connection.pid;
  reader.connection = connection;
  if (MayRead(connection)) return reader;
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

std::optional<int> NewestHeldMark(const std::array<bool, kReadMarks>& held, const WalIndex& index) {
  std::optional<int> newest;
  const auto value = [&](int mark) { return index.read_marks[static_cast<std::size_t>(mark)]; };
  for (int mark = 0; mark < kReadMarks; ++mark) {
    if (!held[static_cast<std::size_t>(mark)]) continue;
    if (!newest || value(mark) > value(*newest)) newest = mark;
  }
  return newest;
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
    // nullopt: a process of a PID namespace that this one does not show, or of which nobody knows.
    std::vector<std::optional<std::int64_t>> pids;
    const auto note = [&](std::optional<std::int64_t> pid) {
      if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
    };
    for (const std::int64_t pid : seen.pids[at]) note(pid ? std::optional(pid) : std::nullopt);
    if (seen.knows_pids && pids.empty()) note(std::nullopt);
    if (!seen.knows_pids) {
      // Any managed process whose connections read.
      for (const ConnectionEntry& connection : connections) {
        if (Reads(connection)) note(connection.pid);
      }
    }
    const std::size_t before = readers.size();
    bool own = false;  // held by the asker or by a guard of ours
    for (const std::optional<std::int64_t> pid : pids) {
      std::vector<Reader> candidates;
      bool managed = pid == seen.own_pid;
      for (const auto& counts : {Reads, MayRead}) {
        if (!candidates.empty()) break;  // who is known to read comes first
        for (const ConnectionEntry& connection : connections) {
          if (connection.pid != pid) continue;
          managed = true;
          if (connection.id == seen.asking || !counts(connection)) continue;
          Reader candidate = OfConnection(mark, connection, seen);
          // Who began before the last commit is not on the mark that came after it.
          if (pid == seen.own_pid && seen.asking_mark == mark && candidate.since_ns &&
              *candidate.since_ns < seen.asking_mark_since_ns) {
            continue;
          }
          candidates.push_back(std::move(candidate));
        }
      }
      if (candidates.empty()) {
        const bool is_asker = seen.asking_reads && (!seen.asking_mark || seen.asking_mark == mark);
        const bool is_own = pid == seen.own_pid && (is_asker || seen.guard_mark == mark);
        const bool is_guard = managed && seen.checkpoint_runs;
        if (is_own || is_guard) {
          own = true;
          continue;
        }
        Reader reader;
        reader.mark = mark;
        reader.pid = pid;
        // On a connection without us of a managed process, or in a process without us.
        if (pid && managed) reader.verdict = ReaderVerdict::kOpenTransaction;
        if (pid && !managed && !seen.some_are_hidden) {
          reader.verdict = ReaderVerdict::kUnmanagedProcess;
        }
        reader.certain = seen.knows_pids && pid && !managed && !seen.some_are_hidden;
        candidates.push_back(std::move(reader));
      } else {
        // The asker may be the one that holds it, too.
        const bool other = std::any_of(
            connections.begin(), connections.end(), [&](const ConnectionEntry& connection) {
              return connection.pid == pid && connection.id != seen.asking && MayRead(connection);
            });
        const bool alone = candidates.size() == 1 && seen.knows_pids && pid && !other &&
                           !(pid == seen.own_pid && seen.asking_reads &&
                             (!seen.asking_mark || seen.asking_mark == mark));
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
  // One connection is on one mark: where it is the only candidate for two, somebody is not seen.
  for (Reader& reader : readers) {
    if (!reader.connection) continue;
    const auto same = [&](const Reader& other) {
      return other.connection && other.connection->id == reader.connection->id &&
             other.connection->owner == reader.connection->owner;
    };
    if (std::count_if(readers.begin(), readers.end(), same) > 1) reader.certain = false;
  }
  return readers;
}

}  // namespace walmanager
