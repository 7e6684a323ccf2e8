#include "ext/connection/commit_path.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

// NULL means main, and saves SQLite a search by name.
const char* FastName(const char* schema) {
  return std::strcmp(schema, "main") == 0 ? nullptr : schema;
}

}  // namespace

void CommitPath::Committed(const char* schema, int frames) {
  const std::uint64_t start = QuickMonotonicNs();
  const char* name = FastName(schema);
  const char* file_name = sqlite3_db_filename(db_, name);
  ManagedLog* log = logs_.Find(schema, file_name);
  if (!log) return;
  const WalFile wal = WalFile::InWalMode(log->found_by_name ? DatabaseFileByName(file_name)
                                                            : DatabaseFile(db_, name));
  Database& database = *log->database;
  MakeReady(*log);
  ControlRegion& region = log->control->region();
  if (log->wish != CheckpointWish::kWanted) [[unlikely]]
    CommitsWith(*log);

  auto log_end = ReadLogEnd(wal);
  // Without a wal-index, what the hook says must be enough. Where there is a wal-index, but other
  // writers changed it during each look, this commit is counted and the next one looks.
  const bool without_index = !log_end && !MapWalIndex(wal);
  if (without_index) log_end = LookWithoutIndex(*log, frames).end();
  ControlRegion::Commit commit;
  if (log_end) commit.frames = CountFrames(*log, *log_end);
  const Seen seen = SeenBefore(*log);
  // PRAGMA journal_mode also commits, before it needs the database for itself.
  const bool due = log_end && hook_.automatic() && !statement_.wants_database &&
                   database.IsDue(region, *log_end, start);
  const auto index = !due            ? std::nullopt
                     : without_index ? std::optional(log->without_index)
                                     : ReadWalIndex(wal);
  if (index) {
    const PausedLockWatch paused(log->locks);
    const CheckpointReport report = database.AfterCommit(
        {db_, schema, wal, false, /*traced=*/!seen.trace_lost(), &log->commits_sync}, region,
        *index, MonotonicNs());
    log->without_index.backfill = static_cast<std::uint32_t>(
        report.checkpointed_frames.value_or(log->without_index.backfill));
  }
  // Where nothing was due, the hook took a fraction of a microsecond, less than reading the clock.
  const std::uint64_t end = due ? QuickMonotonicNs() : start;
  if (seen.start) commit.duration_ns = std::max(end, statement_.start_ns) - statement_.start_ns;
  commit.stall_ns = std::max(end, start) - start;
  region.RecordCommit(log->slab, commit);
  Count(*log, commit, seen);
  // Relaxed: a time that stands for itself, and by which others rest.
  region.header().last_commit_ns.store(end, std::memory_order_relaxed);
  log->statement = statement_.serial;
  if (log_end) log->log_position = log_end->position();
  hook_.WasCalled();
  // Only where no background thread does it.
  if (due && !Database::WatchesByItself()) database.Watch(Database::Watching::kSample);
  database.TellNews();
  // Without the trace, a PRAGMA journal_mode is not announced: keep nothing open in its way.
  if (seen.trace_lost()) database.StayOutOfTheWay(end);
}

CommitPath::Seen CommitPath::SeenBefore(const ManagedLog& log) {
  // Where there are two commits and no statement between them, another trace has taken the slot.
  // But a write that was left half-way commits without the hook, and SQLite calls the hook at the
  // end of the next statement, which may only read. Such a commit is not timed, and our trace
  // stands.
  Seen seen;
  seen.start = statement_.traced && statement_.may_commit && log.statement != statement_.serial;
  seen.made_up = !seen.start && !statement_.may_commit && statement_.hook_is_owed;
  statement_.hook_is_owed = false;
  return seen;
}

void CommitPath::CommitsWith(ManagedLog& log) {
  hook_.ProvedToStand();
  if (hook_.automatic()) logs_.WantCheckpoints(log);
}

void CommitPath::Count(ManagedLog& log, const ControlRegion::Commit& commit, Seen seen) {
  if (log.slab < layout::kConnections) {
    AddOwn(log.control->region().slab(log.slab).info.commits, 1);
    if (seen.trace_lost() && statement_.traced) logs_.ShowDisplaced(log);
  }
  if (seen.start && meter_.bound()) {
    meter_.Committed(*log.control, commit.frames, commit.stall_ns);
  }
}

void CommitPath::MakeReady(ManagedLog& log) {
  logs_.MakeReady(log);
  hook_.FollowWish(log);
}

std::uint64_t CommitPath::CountFrames(ManagedLog& log, const LogEnd& end) {
  ControlRegion& region = log.control->region();
  bool log_reset = false;
  const std::uint64_t frames = region.AdvanceLog(end.salt1, end.max_frame, &log_reset);
  if (log_reset) region.CountLogReset();
  return frames;
}

WalIndex CommitPath::LookWithoutIndex(ManagedLog& log, int frames) {
  // locking_mode=EXCLUSIVE keeps the wal-index in private memory. The hook still says how long the
  // log is; where it is shorter than before, it has started over.
  WalIndex& index = log.without_index;
  const auto max_frame = static_cast<std::uint32_t>(std::max(frames, 0));
  if (max_frame < index.max_frame) {
    ++index.salt1;
    index.backfill = 0;
  }
  index.max_frame = max_frame;
  if (index.page_size == 0) {
    constexpr std::uint32_t kUsual = 4096;
    const auto size = QueryText(db_, "PRAGMA " + QuoteName(log.schema) + ".page_size");
    index.page_size =
        size.ok() && size.value() ? static_cast<std::uint32_t>(std::stoul(*size.value())) : kUsual;
  }
  return index;
}

void CommitPath::LookForUnhooked() {
  if (!hook_.automatic() || sqlite3_get_autocommit(db_) == 0 ||
      sqlite3_txn_state(db_, nullptr) != SQLITE_TXN_NONE) {
    return;
  }
  const std::uint64_t now = MonotonicNs();
  for (ManagedLog& log : logs_) {
    const WalFile wal = WalFile::Ask(db_, log.schema.c_str());
    const auto index = ReadWalIndex(wal);
    if (!index) continue;
    if (index->max_frame > 0) {
      MakeReady(log);
      log.control->region().AddFrames(log.slab, CountFrames(log, index->end()));
    } else {
      logs_.BindIfChanged(log);
    }
    ControlRegion& region = log.control->region();
    if (!log.database->IsDue(region, index->end(), now)) continue;
    log.database->AfterCommit({db_, log.schema.c_str(), wal, /*own_only=*/true}, region, *index,
                              now);
  }
}

}  // namespace walmanager
