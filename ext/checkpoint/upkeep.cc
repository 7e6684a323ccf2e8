#include "ext/checkpoint/upkeep.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/known_names.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::int64_t kEveryMs = 3'600'000;
constexpr std::uint64_t kIdleBeforeNs = 10'000 * kMs;

bool HasOptimizedLately(const layout::Counter& optimized_ms) {
  const auto optimized = static_cast<std::int64_t>(Get(optimized_ms));
  return optimized <= UnixMs() && UnixMs() - optimized < kEveryMs;
}

}  // namespace

bool Upkeep::Request(const std::vector<PlanWish>& wishes) {
  constexpr std::size_t kMost = 64;
  const MutexLock lock(mutex_);
  if (wishes_.size() >= kMost) return false;
  wishes_.insert(wishes_.end(), wishes.begin(), wishes.end());
  return true;
}

void Upkeep::CapturePlans(ControlFile& current) {
  std::vector<PlanWish> wishes;
  {
    const MutexLock lock(mutex_);
    wishes = std::exchange(wishes_, {});
  }
  if (wishes.empty()) return;
  QueryStatistics statistics(current.space());
  if (connections_.Open() != CheckpointConnections::Allowed::kYes) return;
  auto opened = connections_.OpenAnother();
  if (!opened.ok()) return;
  sqlite3* db = opened.value().get();
  const auto version = QueryText(db, "PRAGMA schema_version");
  if (!version.ok() || !version.value()) return;
  const auto schema_version = static_cast<std::uint32_t>(std::stoll(*version.value()));
  const KnownNames known(db);
  for (const PlanWish& wish : wishes) {
    const auto entry = statistics.Find(wish.id);
    if (!entry || statistics.PlanSchemaVersion(*entry) == schema_version) continue;
    // A statement that needs a temporary table, an attached database or a function of the host
    // cannot be prepared here.
    if (!known.Cover(wish.sql)) continue;
    const auto plan = QueryPlan(db, wish.sql);
    if (plan.ok()) statistics.SetPlan(*entry, wish.id, plan.value(), schema_version);
  }
}

std::optional<std::uint64_t> Upkeep::NextOptimize(ControlRegion& region,
                                                  std::uint64_t last_commit_ns) const {
  if (last_commit_ns == 0 || HasOptimizedLately(region.engine().optimized_ms) ||
      !connections_.permitted()) {
    return std::nullopt;
  }
  return std::max(last_commit_ns + kIdleBeforeNs, not_before_ns_);
}

void Upkeep::OptimizeIfDue(ControlFile& current, std::uint64_t last_commit_ns, std::uint64_t now_ns,
                           const std::function<bool()>& others_wait) {
  constexpr std::uint64_t kEveryNs = kEveryMs * kMs;
  const auto due_ns = NextOptimize(current.region(), last_commit_ns);
  if (!due_ns || now_ns < *due_ns || !current.TryLease()) return;
  const auto end = [](ControlFile* file) { file->EndLease(); };
  const std::unique_ptr<ControlFile, decltype(end)> lease(&current, end);
  // For the case that it does not come to its end. Each pause is longer than the last: a
  // transaction of the program's may be open for long.
  pause_ns_ = std::clamp(2 * pause_ns_, kIdleBeforeNs, kEveryNs);
  not_before_ns_ = now_ns + pause_ns_;
  const Result<bool> done = Optimize(others_wait);
  if (done.ok() && done.value()) {
    pause_ns_ = not_before_ns_ = 0;
    Put(current.region().engine().optimized_ms, static_cast<std::uint64_t>(UnixMs()));
  } else if (!done.ok() && done.error().code != ErrorCode::kBusy &&
             done.error().code != ErrorCode::kLocked) {
    // SQLite has written it to the program's error log.
    not_before_ns_ = now_ns + kEveryNs;
  }
}

Result<bool> Upkeep::Optimize(const std::function<bool()>& others_wait) {
  if (connections_.Open() != CheckpointConnections::Allowed::kYes) return false;
  auto opened = connections_.OpenAnother();
  if (!opened.ok()) return opened.error();
  sqlite3* db = opened.value().get();
  if (auto limited = QueryText(db, "PRAGMA analysis_limit=400"); !limited.ok()) {
    return limited.error();
  }
  constexpr int kOptimizeLooksAtAllTables = 3046000;
  const bool looks_at_all = sqlite3_libversion_number() >= kOptimizeLooksAtAllTables;
  if (!looks_at_all) {
    if (Status status = AskForStatistics(db); !status.ok()) return status.error();
  }
  OwnFileOf(db)->may_write_lock = true;
  connections_.MarkUsed();
  // The lowest bit asks for the statements that the PRAGMA would run. Run one by one, they can end
  // in between without an interrupt, which SQLite would write to the host's error log. The limit
  // keeps each of them short.
  const auto analyses =
      QueryRows(db, looks_at_all ? "PRAGMA optimize=0x10003" : "PRAGMA optimize=3", "");
  if (!analyses.ok()) return analyses.error();
  for (const TextRow& analysis : analyses.value()) {
    if (connections_.cancelled() || others_wait()) return false;
    auto done = QueryText(db, analysis.at(0).value_or(""));
    if (!done.ok()) return done.error();
  }
  return !connections_.cancelled();
}

// Older versions of SQLite optimize only tables for which the planner of this connection has asked
// for statistics. So each index is asked about once.
Status Upkeep::AskForStatistics(sqlite3* db) const {
  auto indexes = Prepare(db,
                         "SELECT t.name, i.name, c.name FROM sqlite_master t, "
                         "pragma_index_list(t.name) i, pragma_index_info(i.name) c "
                         "WHERE t.type='table' AND c.seqno=0 AND c.name IS NOT NULL");
  if (!indexes.ok()) return indexes.error();
  sqlite3_stmt* index = indexes.value().get();
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(index)) == SQLITE_ROW && !connections_.cancelled()) {
    const std::string table = ColumnText(index, 0);
    const std::string column = ColumnText(index, 2);
    (void)Prepare(db, "SELECT 1 FROM " + QuoteName(table) + " WHERE " + QuoteName(column) + "=?1");
  }
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return EngineError(db);
  return Ok{};
}

}  // namespace walmanager
