#include "ext/checkpoint/upkeep.h"

#include <algorithm>
#include <iterator>
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

std::optional<std::uint32_t> ReadSchemaVersion(sqlite3* db) {
  const auto version = QueryText(db, "PRAGMA schema_version");
  if (!version.ok() || !version.value()) return std::nullopt;
  return static_cast<std::uint32_t>(std::stoll(*version.value()));
}

bool HasOptimizedLately(const layout::Counter& optimized_ms) {
  const auto optimized = static_cast<std::int64_t>(Get(optimized_ms));
  return optimized <= UnixMs() && UnixMs() - optimized < kEveryMs;
}

}  // namespace

bool Upkeep::Request(const std::vector<PlanWish>& wishes) {
  constexpr std::size_t kMost = 1024, kMostBytes = std::size_t{1} << 20;
  const MutexLock lock(mutex_);
  if (wishes_.size() >= kMost || wish_bytes_ >= kMostBytes) return false;
  for (const PlanWish& wish : wishes) {
    if (!wished_.insert(wish.id).second) continue;  // another connection has asked for it
    wishes_.push_back(wish);
    wish_bytes_ += wish.sql.size();
  }
  return true;
}

std::vector<PlanWish> Upkeep::TakeRequests() {
  const MutexLock lock(mutex_);
  wished_.clear();
  wish_bytes_ = 0;
  return std::exchange(wishes_, {});
}

void Upkeep::PutBack(std::vector<PlanWish> left) {
  const MutexLock lock(mutex_);
  std::swap(left, wishes_);
  std::vector<PlanWish> all = std::exchange(wishes_, {});
  wished_.clear();
  wish_bytes_ = 0;
  all.insert(all.end(), std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()));
  for (PlanWish& wish : all) {
    if (!wished_.insert(wish.id).second) continue;
    wish_bytes_ += wish.sql.size();
    wishes_.push_back(std::move(wish));
  }
}

void Upkeep::CapturePlans(ControlFile& current) {
  constexpr std::uint64_t kAtOnceNs = 5 * kMs, kShare = 50, kPauseNs = 10'000 * kMs;
  const std::uint64_t begin = MonotonicNs();
  if (begin < next_plans_ns_) return;
  LookAtSchema(current, begin);
  std::vector<PlanWish> wishes = TakeRequests();
  if (wishes.empty()) return;
  if (!Serve(current, wishes, begin + kAtOnceNs)) {
    // They would keep a thread awake for as long as the database is open.
    refuses_until_ns_ = begin + kPauseNs;
    planned_->AskAgain();
    return;
  }
  if (!wishes.empty()) PutBack(std::move(wishes));
  const std::uint64_t end = MonotonicNs();
  next_plans_ns_ = end + (kShare - 1) * (end - begin);
}

bool Upkeep::Serve(ControlFile& current, std::vector<PlanWish>& wishes, std::uint64_t end_ns) {
  // Each connection that is opened and closed beside the program's may leave descriptors open.
  OwnedDb another;
  if (!connections_.open()) {
    auto opened = connections_.OpenToExplain();
    if (!opened.ok()) return false;
    another = std::move(opened.value());
  }
  sqlite3* db = another ? another.get() : connections_.guard();
  const auto version = ReadSchemaVersion(db);
  if (!version) return false;
  planned_->Is(*version);
  QueryStatistics statistics(current.space());
  std::optional<KnownNames> known;
  std::size_t served = 0;
  for (const PlanWish& wish : wishes) {
    const auto entry = statistics.Find(wish.id);
    if (entry && statistics.PlanSchemaVersion(*entry) != version) {
      if (!known) known.emplace(db);
      ServeOne(statistics, db, *known, wish, *version);
    }
    ++served;
    if (MonotonicNs() >= end_ns || connections_.cancelled()) break;
  }
  wishes.erase(wishes.begin(), wishes.begin() + static_cast<std::ptrdiff_t>(served));
  return true;
}

void Upkeep::ServeOne(QueryStatistics& statistics, sqlite3* db, const KnownNames& known,
                      const PlanWish& wish, std::uint32_t schema_version) {
  const auto entry = statistics.Find(wish.id);
  if (!entry) return;
  // A statement that needs a temporary table, an attached database or a function of the host
  // cannot be prepared here. That is written down, or each of its executions would ask again.
  if (!known.Cover(wish.sql)) return statistics.SetNoPlan(*entry, wish.id, schema_version);
  const auto plan = QueryPlan(db, wish.sql);
  if (plan.ok()) {
    statistics.SetPlan(*entry, wish.id, plan.value(), schema_version);
  } else if (plan.error().code == ErrorCode::kError) {
    statistics.SetNoPlan(*entry, wish.id, schema_version);
  } else {
    planned_->AskAgain();  // it was busy, for example
  }
}

void Upkeep::LookAtSchema(ControlFile& current, std::uint64_t now_ns) {
  constexpr std::uint64_t kEveryNs = 10'000 * kMs;
  if (now_ns < next_schema_ns_ || !connections_.open()) return;
  const std::uint64_t position = Get(current.region().header().log_position);
  if (std::exchange(schema_position_, position) == position) return;
  next_schema_ns_ = now_ns + kEveryNs;
  if (const auto version = ReadSchemaVersion(connections_.checkpoint())) planned_->Is(*version);
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
