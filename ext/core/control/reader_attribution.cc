#include "ext/core/control/reader_attribution.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace walmanager {
namespace {

bool Reads(const ConnectionEntry& connection) {
  if (connection.trace != TraceState::kActive) return false;
  return connection.transaction != TransactionState::kNone || connection.started_ns != 0;
}

// Its statements are not seen: it may read.
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

using Pid = std::optional<std::int64_t>;

// One mark that is held: which readers it may be of.
class HeldMark {
 public:
  HeldMark(const ReadersSeen& seen, std::span<const ConnectionEntry> connections, int mark)
      : seen_(seen), connections_(connections), mark_(mark) {}

  std::vector<Reader> Readers() const {
    std::vector<Reader> readers;
    bool own = false;  // held by the asking connection, or by a guard of this project
    for (const Pid pid : Holders()) {
      std::vector<Reader> candidates = CandidatesOf(pid);
      if (candidates.empty() && IsOwn(pid)) {
        own = true;
        continue;
      }
      if (candidates.empty()) {
        candidates.push_back(WithoutConnection(pid));
      } else {
        const bool certain = candidates.size() == 1 && IsCertain(pid);
        for (Reader& reader : candidates) reader.certain = certain;
      }
      std::move(candidates.begin(), candidates.end(), std::back_inserter(readers));
    }
    if (readers.empty() && !own && !seen_.knows_pids) readers.push_back(Bare(std::nullopt));
    return readers;
  }

 private:
  // Each process once. nullopt: a process of a PID namespace that this one does not show, or an
  // unknown one.
  std::vector<Pid> Holders() const {
    std::vector<Pid> pids;
    const auto note = [&](Pid pid) {
      if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
    };
    const auto& known = seen_.pids[static_cast<std::size_t>(mark_)];
    for (const std::int64_t pid : known) note(pid ? Pid(pid) : std::nullopt);
    if (seen_.knows_pids) {
      if (pids.empty()) note(std::nullopt);
      return pids;
    }
    // Any managed process whose connections read.
    for (const ConnectionEntry& connection : connections_) {
      if (Reads(connection)) note(connection.pid);
    }
    return pids;
  }

  // The connections of the process that read; where none does, the ones that may.
  std::vector<Reader> CandidatesOf(Pid pid) const {
    std::vector<Reader> candidates;
    for (const auto& counts : {Reads, MayRead}) {
      if (!candidates.empty()) break;
      for (const ConnectionEntry& connection : connections_) {
        if (connection.pid != pid || connection.id == seen_.asking || !counts(connection)) continue;
        Reader candidate = OfConnection(mark_, connection, seen_);
        // A reader that began before the last commit is not on the mark that came after it.
        if (pid == seen_.own_pid && seen_.asking_mark == mark_ && candidate.since_ns &&
            *candidate.since_ns < seen_.asking_mark_since_ns) {
          continue;
        }
        candidates.push_back(std::move(candidate));
      }
    }
    return candidates;
  }

  bool IsManaged(Pid pid) const {
    return pid == seen_.own_pid ||
           std::any_of(connections_.begin(), connections_.end(),
                       [&](const ConnectionEntry& connection) { return connection.pid == pid; });
  }
  bool AskerMayHold(Pid pid) const {
    return pid == seen_.own_pid && seen_.asking_reads &&
           (!seen_.asking_mark || seen_.asking_mark == mark_);
  }
  bool IsOwn(Pid pid) const {
    const bool guard_here = pid == seen_.own_pid && seen_.guard_mark == mark_;
    return AskerMayHold(pid) || guard_here || (seen_.checkpoint_runs && IsManaged(pid));
  }
  // Whether the only candidate must be the one.
  bool IsCertain(Pid pid) const {
    if (!seen_.knows_pids || !pid || AskerMayHold(pid)) return false;
    return std::none_of(
        connections_.begin(), connections_.end(), [&](const ConnectionEntry& connection) {
          return connection.pid == pid && connection.id != seen_.asking && MayRead(connection);
        });
  }
  // A connection or process without the extension holds it.
  Reader WithoutConnection(Pid pid) const {
    Reader reader = Bare(pid);
    const bool managed = IsManaged(pid);
    const bool unmanaged = pid && !managed && !seen_.some_are_hidden;
    if (pid && managed) reader.verdict = ReaderVerdict::kOpenTransaction;
    if (unmanaged) reader.verdict = ReaderVerdict::kUnmanagedProcess;
    reader.certain = seen_.knows_pids && unmanaged;
    return reader;
  }
  Reader Bare(Pid pid) const {
    Reader reader;
    reader.mark = mark_;
    reader.pid = pid;
    return reader;
  }

  const ReadersSeen& seen_;
  const std::span<const ConnectionEntry> connections_;
  const int mark_;
};

}  // namespace

const char* VerdictName(ReaderVerdict verdict) {
  constexpr const char* kNames[] = {"running query", "unfinished statement", "open transaction",
                                    "unmanaged process"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::array<bool, kReadMarks> MayBeHeldBy(
    std::int64_t pid, const std::array<bool, kReadMarks>& held,
    const std::array<std::vector<std::int64_t>, kReadMarks>& pids, bool knows_pids) {
  if (!knows_pids) return held;
  std::array<bool, kReadMarks> may_be{};
  for (std::size_t mark = 0; mark < held.size(); ++mark) {
    may_be[mark] =
        held[mark] && std::find(pids[mark].begin(), pids[mark].end(), pid) != pids[mark].end();
  }
  return may_be;
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
    if (!seen.held[static_cast<std::size_t>(mark)]) continue;
    auto of_mark = HeldMark(seen, connections, mark).Readers();
    std::move(of_mark.begin(), of_mark.end(), std::back_inserter(readers));
  }
  // A connection is on one mark. Where it is the only candidate for two marks, another reader is
  // not seen.
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
