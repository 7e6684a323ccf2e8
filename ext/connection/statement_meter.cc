#include "ext/connection/statement_meter.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kExactNs = 100'000;  // longer ones are not sampled
constexpr std::uint64_t kSampled = 16;  // of how many shorter ones the statuses of one are read
constexpr std::uint64_t kCacheSampled = 64;  // and the cache of one is watched
constexpr std::uint64_t kRunsUntilHot = 64;
constexpr std::size_t kMostKnown = 1024;
constexpr std::size_t kMostFingerprints = 1024;
constexpr std::size_t kMostPlanWishes = 16;
constexpr std::size_t kMostKeptBytes = 4096;  // of a statement's text
constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kPlanLookNs = 10 * kSecondNs;
constexpr std::uint64_t kLooksBetweenAll = 30;
// SQLite ran OP_Init and OP_Transaction, saw another schema, and began again.
constexpr std::uint32_t kStepsOfFalseStart = 4;

constexpr std::array kStatusOps = {SQLITE_STMTSTATUS_FULLSCAN_STEP, SQLITE_STMTSTATUS_SORT,
                                   SQLITE_STMTSTATUS_AUTOINDEX, SQLITE_STMTSTATUS_VM_STEP,
                                   SQLITE_STMTSTATUS_REPREPARE};
constexpr std::array kCacheOps = {SQLITE_DBSTATUS_CACHE_HIT, SQLITE_DBSTATUS_CACHE_MISS,
                                  SQLITE_DBSTATUS_CACHE_WRITE, SQLITE_DBSTATUS_CACHE_SPILL};

// Up to 3.38 SQLite tells of the second try of a statement, too.
bool TellsTwice() {
  constexpr int kTellsOnce = 3039000;
  static const bool twice = sqlite3_libversion_number() < kTellsOnce;
  return twice;
}

// The counters may have been set back by the host.
std::uint64_t Since(std::uint32_t before, std::uint32_t now) {
  return now >= before ? now - before : now;
}

}  // namespace

void StatementMeter::Bind(std::shared_ptr<ControlFile> control, std::size_t slab) {
  if (control_ && control_ != control && !control_->shared() && control->shared()) {
    QueryStatistics before(control_->memory()), after(control->memory());
    before.ReleaseHot(slab_);
    before.MoveTo(after, max_queries_);
  }
  control_ = std::move(control);
  memory_ = control_->memory();
  slab_ = slab;
  ++epoch_;
  // What it points to may be gone.
  for (auto& [stmt, known] : known_) known.hot = nullptr;
  next_look_ns_ = 0;
}

void StatementMeter::Unbind() {
  ForgetActive();
  PublishTransaction(0, 0);
  control_.reset();
  memory_ = nullptr;
  main_ = nullptr;
  places_.clear();
  known_.clear();
  last_ = ended_ = met_ = nullptr;
}

void StatementMeter::SetLimits(std::uint64_t slow_ns, std::size_t max_queries) {
  slow_ns_ = slow_ns;
  max_queries_ = max_queries;
  most_take_ns_ = TellsTwice() ? 0 : std::min(slow_ns, kExactNs);
}

std::int64_t StatementMeter::UnixMsAt(std::uint64_t now_ns) {
  return unix_offset_ms_ + static_cast<std::int64_t>(now_ns / 1'000'000);
}

bool StatementMeter::IsSame(const Known& known, const char* sql) {
  if (known.long_hash == 0) [[likely]]
    return std::strcmp(known.sql.c_str(), sql) == 0;
  return std::hash<std::string_view>()(sql) == known.long_hash;
}

StatementMeter::Known& StatementMeter::Learn(sqlite3_stmt* stmt, const char* sql) {
  // Not again and again where thousands are open at once.
  if (known_.size() >= kMostKnown + 2 * active_) {
    // Those of handles that are gone are not told from others. An active one stays.
    std::erase_if(known_, [](const auto& entry) { return entry.second.start_ns == 0; });
    last_ = ended_ = met_ = nullptr;
  }
  Known& known = known_[stmt];
  if (known.start_ns != 0) {  // ended unseen
    --active_;
    if (oldest_ == &known) oldest_ = nullptr;
  }
  if (ended_ == &known) ended_ = nullptr;
  known = Known();
  known.stmt = stmt;
  const std::string_view text(sql);
  const std::size_t hash = std::hash<std::string_view>()(text);
  if (text.size() <= kMostKeptBytes) {
    known.sql = text;
  } else {
    known.long_hash = hash;
  }
  auto found = fingerprints_.find(hash);
  if (found == fingerprints_.end()) {
    if (fingerprints_.size() >= kMostFingerprints) fingerprints_.clear();
    const NormalizedQuery query = Normalize(text, sizeof(layout::QueryEntry::text) - 1);
    found = fingerprints_.emplace(hash, Fingerprint{query.id, query.kind, ClassifyStatement(sql)})
                .first;
    QueryStatistics statistics(memory_);
    const auto entry = statistics.FindOrMake(query, UnixMs(), max_queries_);
    if (entry) statistics.SawText(*entry, hash);
  }
  known.id = found->second.id;
  known.query_kind = found->second.kind;
  known.kind = found->second.statement_kind;
  known.reads_only = sqlite3_stmt_readonly(stmt) != 0;
  known.counts_changes = known.query_kind == QueryKind::kWrite && sqlite3_column_count(stmt) == 0;
  for (int i = 0; i < kStatuses; ++i) {
    known.status[static_cast<std::size_t>(i)] = ReadStatus(known, static_cast<Status>(i));
  }
  known.steps_seen = known.status[kVmSteps];
  last_ = &known;
  return known;
}

std::optional<std::size_t> StatementMeter::FindOrMake(QueryStatistics& statistics,
                                                      const Known& known, std::int64_t unix_ms,
                                                      sqlite3_stmt* stmt) {
  if (const auto entry = statistics.Find(known.id)) return entry;
  if (known.long_hash != 0 && !stmt) return std::nullopt;
  const std::string_view text(known.long_hash != 0 ? sqlite3_sql(stmt) : known.sql.c_str());
  return statistics.FindOrMake(Normalize(text, sizeof(layout::QueryEntry::text) - 1), unix_ms,
                               max_queries_);
}

bool StatementMeter::Locate(Known& known, std::int64_t unix_ms, sqlite3_stmt* stmt) {
  QueryStatistics statistics(memory_);
  if (known.epoch == epoch_ && statistics.Holds(known.entry, known.id)) {
    if (known.hot && !statistics.IsCurrent(*known.hot, known.id)) known.hot = nullptr;
    return true;
  }
  known.hot = nullptr;
  const auto entry = FindOrMake(statistics, known, unix_ms, stmt);
  if (!entry) return false;
  known.entry = static_cast<std::uint32_t>(*entry);
  known.epoch = epoch_;
  return true;
}

std::uint32_t StatementMeter::RunsOf(sqlite3_stmt* stmt) {
  return static_cast<std::uint32_t>(sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_RUN, 0));
}

std::uint32_t StatementMeter::ReadStatus(const Known& known, Status status) const {
  return static_cast<std::uint32_t>(
      sqlite3_stmt_status(known.stmt, kStatusOps[static_cast<std::size_t>(status)], 0));
}

void StatementMeter::ReadStatuses(Known& known, Looked& looked) {
  std::array<std::uint64_t, kStatuses> since{};
  for (std::size_t i = 0; i < kStatuses; ++i) {
    const std::uint32_t now = ReadStatus(known, static_cast<Status>(i));
    since[i] = Since(known.status[i], now);
    known.status[i] = now;
  }
  looked.fullscan_steps = since[kFullscanSteps];
  looked.sorts = since[kSorts];
  looked.auto_index_rows = since[kAutoIndexRows];
  looked.vm_steps = since[kVmSteps];
  looked.reprepares = since[kReprepares];
  looked.scan_calls = known.uncovered;
  known.uncovered = 0;
}

std::array<std::uint32_t, StatementMeter::kCaches> StatementMeter::ReadCache() const {
  std::array<std::uint32_t, kCaches> cache;
  for (std::size_t i = 0; i < kCaches; ++i) cache[i] = DatabaseStatus(db_, kCacheOps[i]);
  return cache;
}

const Looked& StatementMeter::LookAt(Known& known, std::uint64_t duration_ns) {
  looked_ = Looked();
  ReadStatuses(known, looked_);
  if (!known.cache_is_watched) return looked_;
  const auto after = ReadCache();
  // A short one stands for those before it that were not watched.
  const std::uint32_t weight = duration_ns >= kExactNs ? 1 : known.cache_uncovered;
  const auto part = [&](Cache which) {
    return Since(known.cache_before[which], after[which]) * weight;
  };
  looked_.cache_calls = 1;
  looked_.cache_hits = part(kHits);
  looked_.cache_misses = part(kMisses);
  looked_.cache_writes = part(kWrites);
  looked_.cache_spills = part(kSpills);
  known.cache_uncovered -= weight;
  return looked_;
}

StatementMeter::Known& StatementMeter::Meet(sqlite3_stmt* stmt, const char* sql) {
  Known* known = Find(stmt);
  if (!known || !IsSame(*known, sql)) {
    known = &Learn(stmt, sql);
  } else if (ReadStatus(*known, kVmSteps) < known->status[kVmSteps]) {
    // A new one of the same text, where the one before stood.
    known->status = {};
    known->steps_seen = known->reprepares_seen = 0;
    known->uncovered = 0;
    known->runs = 0;
  }
  known->text = sql;
  known->next_run = RunsOf(stmt) + 1;
  return *known;
}

void StatementMeter::EndUnseen(Known& known) {
  --active_;
  if (oldest_ == &known) oldest_ = nullptr;
}

bool StatementMeter::IsSecondTry(const Known& known, bool told) const {
  if (&known != ended_ || known.last_had_rows || (told && !TellsTwice())) return false;
  // Prepared anew after an execution that was whole, it is not the same: that had more steps.
  return (!told || known.last_may_be_false) &&
         ReadStatus(known, kReprepares) != known.reprepares_seen;
}

void StatementMeter::GoOn(Known& known) {
  Execution beginning;
  beginning.duration_ns = known.last_ns;
  beginning.slow = known.last_was_slow;
  beginning.min_before_ns = known.min_before_ns;
  QueryStatistics statistics(memory_);
  if (known.epoch == epoch_ && statistics.Holds(known.entry, known.id)) {
    const bool own = known.hot && statistics.IsCurrent(*known.hot, known.id);
    statistics.TakeBack(own ? known.hot : nullptr, known.entry, beginning);
  }
  ForPlaces([](layout::ConnectionInfo& info) { AddOwn(info.statements, ~std::uint64_t{0}); });
  --known.runs;
  known.start_ns = known.last_start_ns;
  known.last_had_rows = true;  // what it was is known now
  known.rows = 0;
  Publish(known);
}

void StatementMeter::Begin(Known& known) {
  known.rows = 0;
  started_reads_only_ = known.reads_only;
  if (known.counts_changes) known.changes_before = sqlite3_total_changes(db_);
  known.cache_is_watched = known.runs % kCacheSampled == 0 || known.last_ns >= kExactNs / 2;
  if (known.cache_is_watched) known.cache_before = ReadCache();
  Publish(known);
  if (known.hot) QueryStatistics::Prefetch(*known.hot, known.last_ns);
}

bool StatementMeter::TransactionStays(const Known& known) const {
  // Nothing else begins one, and what SQLite ends by itself is a transaction that was known.
  if (transaction_ == 0) return known.query_kind != QueryKind::kTransaction;
  if (sqlite3_get_autocommit(db_) != 0) return false;
  return (transaction_ & kExplicitTransaction) != 0 && transaction_ != kExplicitTransaction &&
         known.query_kind != QueryKind::kTransaction;
}

bool StatementMeter::EndedAsMost(Known& known, std::uint64_t now_ns) {
  const std::uint64_t start_ns = known.start_ns, ns = now_ns - start_ns;
  // One branch for all that is seldom: none of them has been foreseen where many take turns.
  const bool seldom = (ns >= most_take_ns_) | (now_ns < start_ns) | (start_ns == 0) |
                      (now_ns >= next_look_ns_) | (known.rows == 0) | !known.reads_only |
                      (known.query_kind == QueryKind::kOther) | known.cache_is_watched |
                      (known.runs % kSampled == 0) | (active_ != 1) | (oldest_ != &known) |
                      (known.epoch != epoch_) | !known.hot;
  if (seldom || !TransactionStays(known)) return false;
  QueryStatistics statistics(memory_);
  if (!statistics.Holds(known.entry, known.id) || !statistics.IsCurrent(*known.hot, known.id)) {
    return false;
  }
  Execution execution;
  execution.duration_ns = ns;
  execution.rows = known.rows;
  execution.at_ms = UnixMsAt(now_ns);
  known.min_before_ns = statistics.LeastNs(known.hot, known.entry);
  statistics.Add(*known.hot, execution);
  active_ = 0;
  oldest_ = nullptr;
  known.start_ns = 0;
  ++known.uncovered;
  ++known.cache_uncovered;
  ++known.runs;
  known.last_had_rows = true;
  known.last_was_slow = false;
  known.last_ns = ns;
  known.last_start_ns = start_ns;
  ended_ = &known;
  ForPlaces([&](layout::ConnectionInfo& info) {
    AddOwn(info.statements, 1);
    AddOwn(info.rows, execution.rows);
    Put(info.last_active_ms, static_cast<std::uint64_t>(execution.at_ms));
    Put(info.started_ns, 0);
  });
  return true;
}

void StatementMeter::Ended(sqlite3_stmt* stmt, std::uint64_t now_ns) {
  Known* known = Find(stmt);
  if (known && !EndedAsMost(*known, now_ns)) EndedAsAny(*known, now_ns);
}

void StatementMeter::EndedAsAny(Known& ended, std::uint64_t now_ns) {
  Known* known = &ended;
  if (known->start_ns == 0) {
    if (!IsSecondTry(*known, /*told=*/false)) return;
    GoOn(*known);
  }
  const std::uint64_t start_ns = known->start_ns;
  Execution execution;
  execution.duration_ns = now_ns > start_ns ? now_ns - start_ns : 0;
  execution.rows = known->rows;
  if (known->counts_changes) {
    // One that failed at its start leaves the count of the one before.
    const bool changed = sqlite3_total_changes(db_) != known->changes_before;
    execution.rows = changed ? static_cast<std::uint64_t>(sqlite3_changes(db_)) : 0;
  }
  execution.slow = execution.duration_ns >= slow_ns_;
  // A PRAGMA may have changed it.
  if (known->query_kind == QueryKind::kOther) PublishForeignKeys();
  if (now_ns >= next_look_ns_) {
    // A second is over: the wall clock may have been set.
    unix_offset_ms_ = UnixMs() - static_cast<std::int64_t>(now_ns / 1'000'000);
    // Not all connections in one moment that begin in one.
    constexpr std::uint64_t kStepNs = 37'000'000;
    next_look_ns_ = now_ns + kSecondNs + (next_look_ns_ == 0 ? slab_ * kStepNs % kSecondNs : 0);
    PublishMemory(looks_++ % kLooksBetweenAll == 1);
    PublishForeignKeys();
  }
  execution.at_ms = UnixMsAt(now_ns);
  known->start_ns = 0;
  --active_;
  ++known->uncovered;
  ++known->cache_uncovered;
  known->last_had_rows = execution.rows != 0;
  if (execution.duration_ns >= kExactNs || known->cache_is_watched || known->runs % kSampled == 0)
      [[unlikely]] {
    execution.looked = &LookAt(*known, execution.duration_ns);
  }
  if (execution.rows == 0) known->reprepares_seen = ReadStatus(*known, kReprepares);
  if (TellsTwice()) {
    const std::uint32_t steps = ReadStatus(*known, kVmSteps);
    known->last_may_be_false = Since(known->steps_seen, steps) <= kStepsOfFalseStart;
    known->steps_seen = steps;
  }
  const Upgrade upgrade = FollowTransaction(*known, start_ns);
  execution.upgraded = upgrade == Upgrade::kDone;
  execution.upgrade_failed = upgrade == Upgrade::kFailed;
  ++known->runs;
  if (Locate(*known, execution.at_ms, known->stmt)) {
    QueryStatistics statistics(memory_);
    if (!known->hot && known->runs % kRunsUntilHot == 0) {
      known->hot = statistics.ClaimHot(slab_, known->entry, known->id);
    }
    known->min_before_ns = statistics.LeastNs(known->hot, known->entry);
    known->hot ? statistics.Add(*known->hot, execution) : statistics.Add(known->entry, execution);
    // Where the schema has changed, the plan may have.
    const bool other_plan = execution.looked && execution.looked->reprepares != 0 &&
                            statistics.PlanSchemaVersion(known->entry);
    if (other_plan) known->plan_looked_ns = 0;
    if (other_plan || execution.slow ||
        (execution.looked && execution.looked->fullscan_steps != 0)) {
      WishForPlan(*known, now_ns);
    }
  }
  known->last_ns = execution.duration_ns;
  known->last_was_slow = execution.slow;
  known->last_start_ns = start_ns;
  ended_ = known;
  if (known == oldest_ || !oldest_) {
    if (active_ != 0) {
      PublishOldest();
    } else {
      oldest_ = nullptr;
    }
  }
  ForPlaces([&](layout::ConnectionInfo& info) {
    AddOwn(info.statements, 1);
    if (execution.rows != 0) AddOwn(info.rows, execution.rows);
    if (execution.upgraded) AddOwn(info.upgraded, 1);
    if (execution.upgrade_failed) AddOwn(info.upgrades_failed, 1);
    Put(info.last_active_ms, static_cast<std::uint64_t>(execution.at_ms));
    if (active_ == 0) Put(info.started_ns, 0);
  });
}

void StatementMeter::Committed(ControlFile& control, std::uint64_t frames, std::uint64_t stall_ns) {
  if (!ended_ || !control_) return;
  const std::int64_t unix_ms = UnixMsAt(ended_->last_start_ns);
  QueryStatistics statistics(control.memory());
  if (&control == control_.get()) {
    // Its handle may be gone: a commit of the blob or backup interface has no statement.
    if (Locate(*ended_, unix_ms, nullptr)) {
      statistics.AddCommit(ended_->hot, ended_->entry, frames, stall_ns);
    }
    return;
  }
  // Of an attached database.
  const auto entry = FindOrMake(statistics, *ended_, unix_ms, nullptr);
  if (entry) statistics.AddCommit(nullptr, *entry, frames, stall_ns);
}

void StatementMeter::ReadsOwnTable() {
  Known* began_last = nullptr;
  for (auto& [stmt, known] : known_) {
    if (known.start_ns != 0 && (!began_last || known.start_ns > began_last->start_ns)) {
      began_last = &known;
    }
  }
  if (began_last) began_last->reads_own_tables = true;
}

void StatementMeter::WishForPlan(Known& known, std::uint64_t now_ns) {
  if (known.plan_looked_ns != 0 && now_ns < known.plan_looked_ns + kPlanLookNs) return;
  known.plan_looked_ns = now_ns;
  if (known.query_kind != QueryKind::kRead && known.query_kind != QueryKind::kWrite) return;
  if (known.long_hash != 0 || known.reads_own_tables) return;
  if (plan_wishes_.size() < kMostPlanWishes) plan_wishes_.push_back({known.id, known.sql});
}

}  // namespace walmanager
