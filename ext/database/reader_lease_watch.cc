#include "ext/database/reader_lease_watch.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "ext/core/base/time_units.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/query_statistics.h"
#include "ext/database/database.h"
#include "ext/engine/interruptible.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr char kName[] = "reader_lease";

std::shared_ptr<Interruptible> FindInterruptible(std::uint64_t id) {
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.mutex);
  const auto found = registry.interruptibles.find(id);
  return found == registry.interruptibles.end() ? nullptr : found->second;
}

}  // namespace

void ReaderLeaseWatch::FollowSettings(ControlFile& control) {
  const std::uint64_t generation = control.region().settings_generation();
  if (generation == settings_generation_ && &control == settings_of_) return;
  settings_generation_ = generation;
  settings_of_ = &control;
  const SettingValues values = database_.settings().Values();
  lease_ns_ = static_cast<std::uint64_t>(values[Setting::kReaderLeaseMs]) * kMs;
  limit_bytes_ = WalLimitInForce(values[Setting::kWalLimitBytes]);
}

bool ReaderLeaseWatch::HoldsSnapshot() const {
  const auto marks = database_.FindReadMarks();
  if (!marks || !marks->knows_pids) return true;
  const std::int64_t own = ThisProcess().pid;
  return std::any_of(marks->pids.begin(), marks->pids.end(), [&](const auto& pids) {
    return std::find(pids.begin(), pids.end(), own) != pids.end();
  });
}

void ReaderLeaseWatch::Look(std::uint64_t now_ns) {
  const auto control = database_.control();
  FollowSettings(*control);
  if (lease_ns_ == 0) return seen_.clear();
  for (auto& [id, seen] : seen_) seen.still_there = false;
  const auto wal_bytes = database_.MeasureWal();
  const bool is_beyond = wal_bytes && *wal_bytes > limit_bytes_ && HoldsSnapshot();
  for (const ConnectionEntry& entry : control->OwnConnections()) {
    if (entry.role != ConnectionRole::kApplication || entry.trace != TraceState::kActive) continue;
    if (is_beyond) LookAt(*control, entry, now_ns);
    Seen& seen = seen_[entry.id];
    seen.still_there = true;
    seen.statement = {entry.started_ns, entry.statement_rows};
  }
  std::erase_if(seen_, [](const auto& each) { return !each.second.still_there; });
}

void ReaderLeaseWatch::LookAt(ControlFile& control, const ConnectionEntry& entry,
                              std::uint64_t now_ns) {
  const auto before = seen_.find(entry.id);
  const ReaderVerdictOfLease verdict = JudgeLease(
      entry, before == seen_.end() ? std::nullopt : std::optional(before->second.statement),
      lease_ns_, now_ns);
  if (verdict == ReaderVerdictOfLease::kWithin) return;
  const std::uint64_t since_ns = SnapshotSince(entry).value_or(now_ns);
  std::string why_not;
  if (verdict == ReaderVerdictOfLease::kIdle) {
    why_not = "its transaction is open and no statement runs";
  } else if (verdict == ReaderVerdictOfLease::kUnfetched) {
    why_not = "its statement is neither finished nor reset, and the program fetches no rows";
  } else {
    why_not = Interrupt(control, entry);
    if (why_not == kName) return;  // it ended by itself
  }
  // Once for each statement that is ended, and for each snapshot that cannot be.
  const std::uint64_t told_ns = why_not.empty() ? entry.started_ns : since_ns;
  if (std::exchange(seen_[entry.id].told_ns, told_ns) == told_ns) return;
  Tell(control, entry, now_ns - since_ns, why_not);
}

std::string ReaderLeaseWatch::Interrupt(ControlFile& control, const ConnectionEntry& entry) {
  const auto connection = FindInterruptible(entry.id);
  if (!connection)
    return "its handle has no mutex (SQLITE_OPEN_NOMUTEX), so no other thread may use it";
  const auto is_meant = [&] {
    const std::vector<ConnectionEntry> now = control.OwnConnections();
    return std::any_of(now.begin(), now.end(), [&](const ConnectionEntry& other) {
      return other.id == entry.id && other.started_ns == entry.started_ns &&
             other.query_id == entry.query_id && SnapshotSince(other) == SnapshotSince(entry);
    });
  };
  switch (connection->Interrupt(is_meant)) {
    case Interruptible::Outcome::kInterrupted:
      return "";
    case Interruptible::Outcome::kOver:
      return kName;
    case Interruptible::Outcome::kNotAlone:
      return "another statement of the connection is open, or its statement may write";
    case Interruptible::Outcome::kSeveralDatabases:
      return "the connection uses several databases";
    case Interruptible::Outcome::kIsProtected:
      return "a backup or restore runs in its statement";
  }
  return kName;
}

void ReaderLeaseWatch::Tell(ControlFile& control, const ConnectionEntry& entry,
                            std::uint64_t held_ns, const std::string& why_not) {
  const std::string connection = "connection " + std::to_string(entry.id) +
                                 (entry.application.empty() ? "" : " (" + entry.application + ")");
  const std::string held = " after " + std::to_string(held_ns / kMs) + " ms";
  const std::string query =
      QueryStatistics(control.space()).TextOf(entry.query_id).value_or("an unknown statement");
  const std::string limits = "; reader_lease_ms is " + std::to_string(lease_ns_ / kMs) +
                             ", and the log is beyond wal_limit_bytes";
  Alerts(control.space())
      .RecordChange(kName,
                    (why_not.empty() ? "the query of " + connection + " was interrupted" + held
                                     : connection + " holds its snapshot" + held +
                                           ", and cannot be ended: " + why_not) +
                        limits + ": " + query,
                    UnixMs());
  if (!why_not.empty()) return;
  CheckpointEntry line;
  line.at_ms = UnixMs();
  line.pid = ThisProcess().pid;
  line.pid_namespace = ThisProcess().pid_namespace;
  line.origin = CheckpointOrigin::kBackground;
  line.result = CheckpointResult::kSkipped;
  line.wal_bytes = database_.MeasureWal();
  line.blocked_by_pid = ThisProcess().pid;
  line.rule = "reader_lease_ms";
  line.error = "interrupted" + held + ": " + query;
  control.region().AppendToLog(line);
}

}  // namespace walmanager
