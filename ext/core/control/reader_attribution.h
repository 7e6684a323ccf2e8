// Which connections pin the log: puts together read marks, the processes that hold them, and the
// connections of these processes that may be reading.
//
// The system names the process that holds a mark, not the connection; where several connections of
// the process read, each is a candidate. Pure: what was seen comes in as arguments.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "ext/core/control/connection_entry.h"
#include "ext/core/format/wal_index_format.h"

namespace walmanager {

enum class ReaderVerdict : std::uint8_t {
  kRunningQuery,
  kUnfinishedStatement,  // a cursor neither finished nor reset, from which the program does not
                         // fetch
  kOpenTransaction,
  kUnmanagedProcess,
};
const char* VerdictName(ReaderVerdict verdict);

// Of the marks that are held, those that the process of this pid may hold. `knows_pids`: `pids` has
// the holders of each mark.
std::array<bool, kReadMarks> MayBeHeldBy(
    std::int64_t pid, const std::array<bool, kReadMarks>& held,
    const std::array<std::vector<std::int64_t>, kReadMarks>& pids, bool knows_pids);

// The mark of a reader that began a moment ago: the newest of those that its process may hold, or 0
// where the log had been copied whole. nullopt: none is held. A statement outside of a transaction
// that asks for readers is such a reader itself. Another process may have come to a newer mark.
std::optional<int> NewestHeldMark(const std::array<bool, kReadMarks>& held, const WalIndex& index);

// What readers of a mark block: 'checkpoint', 'reset' or nullptr.
const char* BlockedBy(int mark, const WalIndex& index);

struct Reader {
  int mark = 0;
  std::optional<std::int64_t> pid;  // nullopt: of another pid namespace, or unknown
  std::optional<ConnectionEntry> connection;
  std::optional<std::uint64_t> since_ns;  // CLOCK_MONOTONIC, of its transaction
  std::optional<ReaderVerdict> verdict;
  bool certain = false;
};

struct ReadersSeen {
  std::array<bool, kReadMarks> held{};
  // By mark; without them, `knows_pids` is false. A mark that is held and has none here is held by
  // a process of a PID namespace that this one does not show, as one with 0 is.
  std::array<std::vector<std::int64_t>, kReadMarks> pids;
  bool knows_pids = false;
  std::optional<int> guard_mark;  // that a checkpoint of this process holds for itself
  bool checkpoint_runs = false;   // of some managed process
  std::int64_t own_pid = 0;
  std::uint64_t asking = 0;   // the connection that asks, which is not counted
  bool asking_reads = false;  // it may hold a mark by itself
  // The one that it holds, and the time (CLOCK_MONOTONIC) from which on others came to the same:
  // that of the last commit. nullopt: not known.
  std::optional<int> asking_mark;
  std::uint64_t asking_mark_since_ns = 0;
  bool some_are_hidden = false;            // there are more connections than can be described
  std::set<std::uint64_t> standing_still;  // whose statements have returned no row for a while
};

// `connections`: of all managed processes, those that have this database open.
std::vector<Reader> AttributeReaders(const ReadersSeen& seen,
                                     std::span<const ConnectionEntry> connections);

}  // namespace walmanager
