#include "ext/checkpoint/log_readers.h"

#include <algorithm>
#include <set>

#include "ext/core/control/reader_attribution.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

// Whether the system's lock table has the locks of all processes. The PID namespace that shows all
// of them is PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h. Any other hides the locks
// of processes outside of it.
bool AllProcessesAreShown() { return ThisProcess().pid_namespace == 0xefff'fffc; }

}  // namespace

std::optional<ReadMarks> LogReaders::Find() const {
  std::optional<ReadMarks> marks = FromLockTable();
  AddTriedMarks(marks);
  return marks;
}

void LogReaders::AddTriedMarks(std::optional<ReadMarks>& marks) const {
  // A reader can come between the two looks. So a hidden process holds a mark only if the mark is
  // held at the try after the second look at the table, and that look names no holder either.
  constexpr int kLooks = 3;
  for (int look = 1;; ++look) {
    const auto held = connections_.TryReadMarks();
    if (!held) return;
    if (!marks) marks.emplace();
    marks->held = *held;
    bool all_named = true;
    for (std::size_t mark = 0; mark < held->size(); ++mark) {
      if (!marks->held[mark] || !marks->pids[mark].empty()) continue;
      // A lock that is not shared belongs to a checkpoint of another process, not to a reader. The
      // table does not show that of a process of another PID namespace.
      if (marks->held_alone[mark] || !connections_.IsHeldByReaders(static_cast<int>(mark))) {
        marks->held[mark] = false;
      } else {
        all_named = false;
      }
    }
    if (all_named || !marks->knows_pids || look == kLooks) return;
    const auto again = FromLockTable();
    if (!again) return;
    *marks = *again;
  }
}

std::vector<UnknownReader> LogReaders::FindUnknown(bool asked) const {
  const auto index = connections_.Look();
  const auto marks = Find();
  if (!index || !marks) return {};
  ReadersSeen seen;
  seen.held = marks->held;
  seen.pids = marks->pids;
  seen.knows_pids = marks->knows_pids;
  seen.checkpoint_runs = CheckpointRuns();
  seen.own_pid = ThisProcess().pid;
  seen.asking_reads = asked;
  const auto connections = control_.Get()->Connections();
  std::vector<UnknownReader> unknown;
  for (const Reader& reader : AttributeReaders(seen, connections)) {
    // Where the system hides the holder of a mark, a managed connection that reads need not be its
    // holder.
    const bool named = marks->knows_pids && reader.pid;
    if (named && reader.connection) continue;
    unknown.push_back(
        {reader.mark, index->Snapshot(reader.mark), named ? reader.pid : std::nullopt});
  }
  return unknown;
}

bool LogReaders::CheckpointRuns() const {
  const std::uint64_t now = MonotonicNs();
  const std::uint64_t until = control_.Get()->region().engine().at_work_until_ns.load();
  return checkpointer_.guard_mark().has_value() || (until > now && until - now <= kLongestPassNs);
}

bool LogReaders::OthersHaveItOpen() const {
  const auto marks = FromLockTable();
  return !marks || !AllProcessesAreShown() ||
         std::any_of(marks->open_by.begin(), marks->open_by.end(),
                     [](std::int64_t pid) { return pid != ThisProcess().pid; });
}

bool LogReaders::OnlyManagedHaveItOpen() const {
  if (!AllProcessesAreShown()) return false;
  // A table that does not show the locks of this process may hide those of others, too.
  const auto marks = FromLockTable();
  return marks &&
         std::count(marks->open_by.begin(), marks->open_by.end(), ThisProcess().pid) != 0 &&
         CountUnmanagedProcesses() == 0;
}

bool LogReaders::SomeAreHidden() const {
  const auto connections = control_.Get()->Connections();
  return std::any_of(connections.begin(), connections.end(),
                     [](const ConnectionEntry& connection) { return !connection.pid; });
}

std::optional<std::int64_t> LogReaders::CountUnmanagedProcesses() const {
  const auto marks = FromLockTable();
  if (!marks) return std::nullopt;
  const auto current = control_.Get();
  std::set<std::int64_t> managed = current->slabs().LeftByPids();
  managed.insert(ThisProcess().pid);
  const auto connections = current->Connections();
  if (current->slabs().not_shown() > 0) return std::nullopt;
  // The system's lock table has the pids, as in this PID namespace, of the processes that use the
  // control file, also where this one does not.
  for (const std::int64_t pid : LockHolders(current->path())) managed.insert(pid);
  for (const ConnectionEntry& connection : connections) {
    if (connection.pid) managed.insert(*connection.pid);
  }
  return std::count_if(marks->open_by.begin(), marks->open_by.end(),
                       [&](std::int64_t pid) { return managed.count(pid) == 0; });
}

LogReaders::Blocker LogReaders::FindBlocker(CheckpointMode mode, CheckpointOrigin origin,
                                            bool pinned, const WalIndex& index,
                                            std::uint64_t start_ns) const {
  Blocker blocker;
  const auto marks = FromLockTable();
  if (!marks) return blocker;
  if (mode != CheckpointMode::kPassive && marks->writer) {
    blocker.pid = marks->writer;
    blocker.writes = true;
    return blocker;
  }
  // A checkpoint that lets the log start over also waits for a reader of the newest frame.
  const bool starts_over =
      pinned || mode == CheckpointMode::kRestart || mode == CheckpointMode::kTruncate;
  const bool in_call =
      origin == CheckpointOrigin::kManual || origin == CheckpointOrigin::kApplication;
  for (int mark = 0; mark < kReadMarks; ++mark) {
    const std::uint32_t frame = index.Snapshot(mark);
    if ((blocker.pid && frame >= blocker.frame) || (!starts_over && frame >= index.max_frame)) {
      continue;
    }
    // A commit of this process holds a mark for a moment, and does not block a checkpoint.
    const auto& pids = marks->pids[static_cast<std::size_t>(mark)];
    const auto holder = std::find_if(pids.begin(), pids.end(), [&](std::int64_t each) {
      return each != 0 && (each != ThisProcess().pid || ReadsHere(start_ns, in_call));
    });
    if (holder == pids.end()) continue;
    blocker.pid = *holder;
    blocker.frame = frame;
  }
  return blocker;
}

bool LogReaders::ReadsHere(std::uint64_t since_ns, bool in_call) const {
  const auto connections = control_.Get()->Connections();
  return std::any_of(connections.begin(), connections.end(), [&](const ConnectionEntry& each) {
    if (each.pid != ThisProcess().pid || each.role == ConnectionRole::kCheckpointer) return false;
    if (each.transaction == TransactionState::kWrite) return false;
    // The statement of the call itself has returned no row yet.
    const bool may_be_the_call = in_call && each.statement_rows == 0;
    const std::uint64_t began = each.transaction == TransactionState::kRead ? each.transaction_ns
                                : may_be_the_call                           ? 0
                                                                            : each.started_ns;
    return began != 0 && began < since_ns;
  });
}

}  // namespace walmanager
