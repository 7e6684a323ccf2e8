#include "ext/checkpoint/upkeep.h"

#include <string>
#include <utility>

#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/known_names.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

bool HasOptimizedLately(const layout::Counter& optimized_ms) {
  constexpr std::int64_t kEveryMs = 3'600'000;
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

void Upkeep::OptimizeIfDue(ControlFile& current, std::uint64_t last_commit_ns,
                           std::uint64_t now_ns) {
  constexpr std::uint64_t kIdleBeforeNs = 10'000'000'000;
  layout::Counter& optimized_ms = current.region().engine().optimized_ms;
  if (last_commit_ns == 0 || now_ns < last_commit_ns + kIdleBeforeNs ||
      HasOptimizedLately(optimized_ms) || !current.TryLease()) {
    return;
  }
  Put(optimized_ms, static_cast<std::uint64_t>(UnixMs()));
  (void)Optimize();
  current.EndLease();
}

bool Upkeep::WillOptimize(ControlRegion& region, std::uint64_t last_commit_ns) {
  return last_commit_ns != 0 && !HasOptimizedLately(region.engine().optimized_ms);
}

Status Upkeep::Optimize() {
  if (connections_.Open() != CheckpointConnections::Allowed::kYes) {
    return Error{connections_.unguarded_because()};
  }
  auto opened = connections_.OpenAnother();
  if (!opened.ok()) return opened.error();
  sqlite3* db = opened.value().get();
  if (auto limited = QueryText(db, "PRAGMA analysis_limit=400"); !limited.ok()) {
    return limited.error();
  }
  constexpr int kOptimizeLooksAtAllTables = 3046000;
  const bool looks_at_all = sqlite3_libversion_number() >= kOptimizeLooksAtAllTables;
  if (!looks_at_all) {
    if (Status status = AskForStatistics(db); !status.ok()) return status;
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
    if (connections_.cancelled()) break;
    auto done = QueryText(db, analysis.at(0).value_or(""));
    if (!done.ok()) return done.error();
  }
  return Ok{};
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
  while (sqlite3_step(index) == SQLITE_ROW && !connections_.cancelled()) {
    const std::string table = ColumnText(index, 0);
    const std::string column = ColumnText(index, 2);
    (void)Prepare(db, "SELECT 1 FROM " + QuoteName(table) + " WHERE " + QuoteName(column) + "=?1");
  }
  return Ok{};
}

}  // namespace walmanager
