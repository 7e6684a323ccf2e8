#include "ext/database/reader_lease_watch.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/database/database.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr char kName[] = "reader_lease";
constexpr std::uint64_t kSoonestNs = 10 * kMs;
// A lease has run out, and the log is within its limit.
constexpr std::uint64_t kAgainNs = 50 * kMs;

// Since when a connection holds a snapshot of its main database, or a statement of it runs;
// nullopt: neither, or it writes.
std::optional<std::uint64_t> HeldSince(const ConnectionEntry& entry) {
  if (entry.transaction == TransactionState::kWrite) return std::nullopt;
  if (entry.transaction == TransactionState::kRead) return entry.transaction_ns;
  return entry.started_ns != 0 ? std::optional(entry.started_ns) : std::nullopt;
}

std::string NameOf(std::uint64_t connection, const ConnectionEntry* entry) {
  std::string name = "connection " + std::to_string(connection);
  if (entry && !entry->application.empty()) name += " (" + entry->application + ")";
  return name;
}

std::string TextOf(ControlFile& control, std::uint64_t query_id) {
  return QueryStatistics(control.space()).TextOf(query_id).value_or("an unknown statement");
}

std::string Milliseconds(std::uint64_t since_ns, std::uint64_t now_ns) {
  return std::to_string((now_ns - std::min(now_ns, since_ns)) / kMs) + " ms";
}

}  // namespace

void ReaderLeaseWatch::FollowSettings(ControlFile& control) {
  const std::uint64_t generation = control.region().settings_generation();
  if (generation == settings_generation_ && &control == settings_of_) return;
  const SettingValues values = database_.settings().Values();
  lease_ns_ = static_cast<std::uint64_t>(values[Setting::kReaderLeaseMs]) * kMs;
  limit_bytes_ = WalLimitInForce(values[Setting::kWalLimitBytes]);
  settings_generation_ = generation;
  settings_of_ = &control;
}

std::vector<std::shared_ptr<Interruptible>> ReaderLeaseWatch::FindConnections() const {
  std::vector<std::shared_ptr<Interruptible>> found;
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.mutex);
  for (const auto& [db, connection] : registry.interruptibles) {
    if (connection->is_of(database_)) found.push_back(connection);
  }
  return found;
}

std::uint64_t ReaderLeaseWatch::Look(std::uint64_t now_ns) {
  const auto control = database_.control();
  FollowSettings(*control);
  if (lease_ns_ == 0) {
    held_.clear();
    return kNever;
  }
  const std::uint64_t position = Get(control->region().header().log_position);
  std::uint64_t next_ns = now_ns + lease_ns_;
  std::vector<ConnectionEntry> entries;
  const auto entry_of = [&](const Interruptible& connection) -> const ConnectionEntry* {
    if (entries.empty()) entries = control->slabs().ReadOwnConnections();
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
      return entry.id == connection.id() && entry.main;
    });
    return found == entries.end() ? nullptr : &*found;
  };
  std::map<std::uint64_t, Held> held_before;
  held_before.swap(held_);
  for (const auto& connection : FindConnections()) {
    if (const auto offered = connection->Look()) {
      const LeasedQuery& query = offered->query;
      const std::uint64_t end_ns = query.held_since_ns + lease_ns_;
      if (now_ns <= end_ns) {
        next_ns = std::min(next_ns, end_ns);
        continue;
      }
      next_ns = std::min(next_ns, now_ns + kAgainNs);
      if (IsBeyondLimit(query.log_position, position, connection->page_bytes(), limit_bytes_) &&
          connection->Interrupt(offered->number)) {
        TellEnded(*control, entry_of(*connection), connection->id(), query, now_ns);
      }
      continue;
    }
    const auto before = held_before.find(connection->id());
    if (before != held_before.end()) held_.insert(*before);
    if (const ConnectionEntry* entry = entry_of(*connection)) {
      LookAtHeld(*control, *connection, *entry, now_ns);
    }
  }
  return std::max(next_ns, now_ns + kSoonestNs);
}

void ReaderLeaseWatch::LookAtHeld(ControlFile& control, const Interruptible& connection,
                                  const ConnectionEntry& entry, std::uint64_t now_ns) {
  const std::uint64_t position = Get(control.region().header().log_position);
  const auto since_ns = HeldSince(entry);
  const LeaseObstacle obstacle =
      entry.started_ns == 0 ? LeaseObstacle::kNoQuery : connection.obstacle();
  if (!since_ns) {
    held_.erase(entry.id);
    return;
  }
  // Of other statements outside of a transaction it is not known whether they read.
  const bool pins = entry.transaction == TransactionState::kRead ||
                    obstacle == LeaseObstacle::kReturnsRows ||
                    obstacle == LeaseObstacle::kOtherStatement ||
                    obstacle == LeaseObstacle::kNoMutex || obstacle == LeaseObstacle::kBesideOthers;
  Held& held = held_[entry.id];
  if (held.since_ns != *since_ns) held = {*since_ns, position, false};
  // kNone: it has begun or ended just now.
  if (held.is_told || !pins || obstacle == LeaseObstacle::kNone ||
      now_ns <= *since_ns + lease_ns_ ||
      !IsBeyondLimit(held.log_position, position, connection.page_bytes(), limit_bytes_)) {
    return;
  }
  held.is_told = true;
  const std::string query = TextOf(control, entry.query_id);
  Alerts(control.space())
      .RecordChange(kName,
                    NameOf(entry.id, &entry) + " has held its snapshot for " +
                        Milliseconds(*since_ns, now_ns) + Limits() +
                        ", and cannot be ended, since " + ObstacleText(obstacle) + ": " + query,
                    UnixMs());
}

void ReaderLeaseWatch::TellEnded(ControlFile& control, const ConnectionEntry* entry,
                                 std::uint64_t connection, const LeasedQuery& query,
                                 std::uint64_t now_ns) {
  const std::string held = Milliseconds(query.held_since_ns, now_ns);
  const std::string text = TextOf(control, query.id);
  Alerts(control.space())
      .RecordChange(kName,
                    "the query of " + NameOf(connection, entry) +
                        " was interrupted, which had held its snapshot for " + held + Limits() +
                        ": " + text,
                    UnixMs());
  CheckpointEntry line;
  line.at_ms = UnixMs();
  line.pid = line.blocked_by_pid.emplace(ThisProcess().pid);
  line.pid_namespace = ThisProcess().pid_namespace;
  line.origin = CheckpointOrigin::kBackground;
  line.result = CheckpointResult::kSkipped;
  line.wal_frames =
      static_cast<std::int64_t>(Get(control.region().header().log_position) & 0xFFFF'FFFF);
  line.wal_bytes = database_.MeasureWal();
  line.rule = "reader_lease_ms";
  line.error = "interrupted after " + held + ": " + text;
  control.region().AppendToLog(line);
}

std::string ReaderLeaseWatch::Limits() const {
  return " (reader_lease_ms is " + std::to_string(lease_ns_ / kMs) +
         ") while the log is beyond wal_limit_bytes";
}

}  // namespace walmanager
