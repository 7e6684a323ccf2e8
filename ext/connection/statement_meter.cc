#include "ext/connection/statement_meter.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kExactNs = 100'000;  // each longer execution is looked at
constexpr std::uint64_t kSampled = 16;  // of shorter ones, one in so many has its statuses read
constexpr std::uint64_t kCacheSampled = 64;  // and one in so many has its cache watched
constexpr std::uint64_t kRunsUntilHot = 64;
constexpr std::size_t kMostKnown = 1024;
constexpr std::size_t kMostFingerprints = 1024;
constexpr std::size_t kMostKeptBytes = 4096;  // of a statement's text
constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kLooksBetweenAll = 30;
constexpr std::uint64_t kLongNs = 200'000'000;
// SQLite ran OP_Init and OP_Transaction, saw another schema, and began again.
constexpr std::uint32_t kStepsOfFalseStart = 4;

constexpr std::array kCacheOps = {SQLITE_DBSTATUS_CACHE_HIT, SQLITE_DBSTATUS_CACHE_MISS,
                                  SQLITE_DBSTATUS_CACHE_WRITE, SQLITE_DBSTATUS_CACHE_SPILL};

// Up to 3.38 SQLite announces the second try of a statement, too.
bool AnnouncesTwice() {
  constexpr int kAnnouncesOnce = 3039000;
  static const bool twice = sqlite3_libversion_number() < kAnnouncesOnce;
  return twice;
}

// Whether a statement that has never run may take a second in a small database.
bool MayMultiply(const NormalizedQuery& query) {
  const std::string_view text(query.text);
  const std::size_t from = text.find(" FROM ");
  if (from == std::string_view::npos) return false;
  const std::string_view sources = text.substr(from, text.find(" WHERE ", from) - from);
  return text.find("WITH RECURSIVE ") != std::string_view::npos ||
         sources.find(", ") != std::string_view::npos ||
         sources.find(" JOIN ") != std::string_view::npos;
}

}  // namespace

void StatementMeter::Bind(std::shared_ptr<ControlFile> control, std::size_t slab,
                          std::shared_ptr<PlannedSchema> planned) {
  if (control_ && control_ != control && !control_->shared() && control->shared()) {
    QueryStatistics before(control_->space()), after(control->space());
    before.ReleaseHot(slab_);
    before.MoveTo(after, max_queries_);
  }
  control_ = std::move(control);
  memory_ = control_->space();
  plan_wishes_.Bind(std::move(planned));
  slab_ = slab;
  ++epoch_;
  // These point into the earlier control file, which may be gone.
  for (auto& [stmt, known] : known_) {
    known.hot = nullptr;
    known.plan_epoch = 0;
  }
  next_look_ns_ = 0;
}

void StatementMeter::Unbind() {
  ForgetActive();
  published_.ForgetTransaction();
  published_.SetPlaces({});
  control_.reset();
  memory_ = nullptr;
  known_.clear();
  last_ = ended_ = met_ = nullptr;
}

void StatementMeter::SetPlaces(std::vector<PublishedConnection::Place> places) {
  published_.SetPlaces(std::move(places));
  if (!bound()) return;
  published_.ShowTransactionAgain();
  ShowOldest();
}

void StatementMeter::ForgetActive() {
  for (auto& [stmt, known] : known_) known.start_ns = 0;
  active_ = 0;
  oldest_ = nullptr;
  published_.ShowIdle();
}

void StatementMeter::ShowBegin(Known& known) {
  if (active_++ != 0 && oldest_) return;
  oldest_ = active_ == 1 ? &known : oldest_;
  if (!oldest_) return ShowOldest();
  published_.ShowStatement(oldest_->id, oldest_->rows, oldest_->start_ns);
}

void StatementMeter::ShowOldest() {
  oldest_ = nullptr;
  if (active_ != 0) {
    for (auto& [stmt, known] : known_) {
      if (known.runs_now() && (!oldest_ || known.start_ns < oldest_->start_ns)) oldest_ = &known;
    }
  }
  if (oldest_) {
    published_.ShowStatement(oldest_->id, oldest_->rows, oldest_->start_ns);
  } else {
    published_.ShowIdle();
  }
}

void StatementMeter::SetLimits(std::uint64_t slow_ns, std::size_t max_queries) {
  slow_ns_ = slow_ns;
  max_queries_ = max_queries;
  most_take_ns_ = AnnouncesTwice() ? 0 : std::min(slow_ns, kExactNs);
}

std::int64_t StatementMeter::UnixMsAt(std::uint64_t now_ns) {
  return unix_offset_ms_ + static_cast<std::int64_t>(now_ns / 1'000'000);
}

StatementMeter::Known& StatementMeter::MakeEntry(sqlite3_stmt* stmt) {
  // Not again and again where thousands are open at once.
  if (known_.size() >= kMostKnown + 2 * active_) {
    // Which handles are gone is not known, so all entries go but those of running statements.
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

std::array<std::uint32_t, KnownStatement::kCaches> StatementMeter::ReadCache() const {
  std::array<std::uint32_t, Known::kCaches> cache;
  for (std::size_t i = 0; i < Known::kCaches; ++i) cache[i] = DatabaseStatus(db_, kCacheOps[i]);
  return cache;
}

const Looked& StatementMeter::LookAt(Known& known, std::uint64_t duration_ns) {
  looked_ = Looked();
  known.LookAgain(looked_);
  if (!known.cache_is_watched) return looked_;
  const auto after = ReadCache();
  // A short execution stands for the unwatched ones before it.
  const std::uint32_t weight = duration_ns >= kExactNs ? 1 : known.cache_uncovered;
  const auto part = [&](Known::Cache which) {
    return CountedSince(known.cache_before[which], after[which]) * weight;
  };
  looked_.cache_calls = 1;
  looked_.cache_hits = part(Known::kHits);
  looked_.cache_misses = part(Known::kMisses);
  looked_.cache_writes = part(Known::kWrites);
  looked_.cache_spills = part(Known::kSpills);
  known.cache_uncovered -= weight;
  return looked_;
}

void StatementMeter::Meet(sqlite3_stmt* stmt, const char* sql) {
  Known* known = Find(stmt);
  if (known && known->IsOf(sql)) {
    if (known->Read(Known::kVmSteps) < known->status[Known::kVmSteps]) known->BeginAnew();
  } else {
    known = &MakeEntry(stmt);
    const std::string_view text(sql);
    const std::size_t hash = std::hash<std::string_view>()(text);
    if (text.size() <= kMostKeptBytes) {
      known->sql = text;
    } else {
      known->long_hash = hash;
    }
    auto found = fingerprints_.find(hash);
    if (found == fingerprints_.end()) {
      if (fingerprints_.size() >= kMostFingerprints) fingerprints_.clear();
      const NormalizedQuery query = Normalize(text, sizeof(layout::QueryEntry::text) - 1);
      QueryStatistics statistics(memory_);
      const auto entry = statistics.FindOrMake(query, UnixMs(), max_queries_);
      if (entry) statistics.SawText(*entry, hash);
      const auto longest_ns = entry ? statistics.LongestNs(*entry) : std::nullopt;
      const bool may_last = longest_ns ? *longest_ns >= kLongNs : MayMultiply(query);
      found =
          fingerprints_
              .emplace(hash, Fingerprint{query.id, query.kind, ClassifyStatement(sql), may_last})
              .first;
    }
    known->id = found->second.id;
    known->nature = {found->second.statement_kind, found->second.kind,
                     sqlite3_stmt_readonly(stmt) != 0};
    known->may_last = found->second.may_last;
    known->counts_changes =
        known->nature.query_kind == QueryKind::kWrite && sqlite3_column_count(stmt) == 0;
    known->ReadAll();
    last_ = known;
  }
  known->text = sql;
  known->next_run = RunsOf(stmt) + 1;
  met_ = known;
}

void StatementMeter::EndUnseen(Known& known) {
  --active_;
  if (oldest_ == &known) oldest_ = nullptr;
}

bool StatementMeter::IsSecondTry(const Known& known, bool announced) const {
  if (&known != ended_ || known.last_had_rows || (announced && !AnnouncesTwice())) return false;
  // A whole execution, after which the statement was prepared again, had more steps.
  return (!announced || known.last_may_be_false) &&
         known.Read(Known::kReprepares) != known.reprepares_seen;
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
  published_.ForPlaces(
      [](layout::ConnectionInfo& info) { AddOwn(info.statements, ~std::uint64_t{0}); });
  --known.runs;
  known.start_ns = known.last_start_ns;
  known.last_had_rows = true;  // so that it is not taken for a first try again
  known.rows = 0;
  ShowBegin(known);
}

void StatementMeter::Begin(Known& known) {
  known.rows = 0;
  started_reads_only_ = known.nature.reads_only;
  if (known.counts_changes) known.changes_before = sqlite3_total_changes(db_);
  known.cache_is_watched = known.runs % kCacheSampled == 0 || known.last_ns >= kExactNs / 2;
  if (known.cache_is_watched) known.cache_before = ReadCache();
  ShowBegin(known);
  if (known.hot) QueryStatistics::Prefetch(*known.hot, known.last_ns);
}

bool StatementMeter::EndedAsMost(Known& known, std::uint64_t now_ns) {
  const std::uint64_t start_ns = known.start_ns, ns = now_ns - start_ns;
  // One branch for all that is seldom: where many connections take turns, the processor predicts
  // none of several.
  const bool seldom = (ns >= most_take_ns_) | (now_ns < start_ns) | (start_ns == 0) |
                      (now_ns >= next_look_ns_) | (known.rows == 0) | !known.nature.reads_only |
                      (known.nature.query_kind == QueryKind::kOther) | known.cache_is_watched |
                      (known.runs % kSampled == 0) | (active_ != 1) | (oldest_ != &known) |
                      (known.epoch != epoch_) | !known.hot;
  if (seldom || !published_.TransactionStays(known.nature.query_kind)) return false;
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
  published_.ForPlaces([&](layout::ConnectionInfo& info) {
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

void StatementMeter::EndedAsAny(Known& known, std::uint64_t now_ns) {
  if (!known.runs_now()) {
    if (!IsSecondTry(known, /*announced=*/false)) return;
    GoOn(known);
  }
  Execution execution = Measure(known, now_ns);
  // A PRAGMA may have changed whether foreign keys are enforced.
  if (known.nature.query_kind == QueryKind::kOther) published_.ShowForeignKeys();
  if (known.nature.query_kind == QueryKind::kSchema || plan_wishes_.changes_schema()) [[unlikely]]
    plan_wishes_.FollowSchema(known.nature.query_kind, sqlite3_get_autocommit(db_) != 0);
  if (now_ns >= next_look_ns_) LookOnceASecond(now_ns);
  execution.at_ms = UnixMsAt(now_ns);
  known.last_start_ns = std::exchange(known.start_ns, 0);
  --active_;
  ++known.uncovered;
  ++known.cache_uncovered;
  known.last_had_rows = execution.rows != 0;
  Sample(known, execution);
  const PublishedConnection::Upgrade upgrade = FollowTransaction(known);
  execution.upgraded = upgrade == PublishedConnection::Upgrade::kDone;
  execution.upgrade_failed = upgrade == PublishedConnection::Upgrade::kFailed;
  ++known.runs;
  if (Locate(known, execution.at_ms, known.stmt)) {
    Count(known, execution);
  } else {
    QueryStatistics(memory_).AddWithoutPlace(execution);
  }
  known.last_ns = execution.duration_ns;
  known.last_was_slow = execution.slow;
  ended_ = &known;
  ShowEnd(known, execution);
}

Execution StatementMeter::Measure(const Known& known, std::uint64_t now_ns) const {
  Execution execution;
  execution.duration_ns = now_ns > known.start_ns ? now_ns - known.start_ns : 0;
  execution.rows = known.rows;
  if (known.counts_changes) {
    // Where a statement failed at its start, sqlite3_changes() is still that of the one before.
    const bool changed = sqlite3_total_changes(db_) != known.changes_before;
    execution.rows = changed ? static_cast<std::uint64_t>(sqlite3_changes(db_)) : 0;
  }
  execution.slow = execution.duration_ns >= slow_ns_;
  return execution;
}

void StatementMeter::LookOnceASecond(std::uint64_t now_ns) {
  // The wall clock may have been set.
  unix_offset_ms_ = UnixMs() - static_cast<std::int64_t>(now_ns / 1'000'000);
  // Spreads the looks of connections that began at the same moment.
  constexpr std::uint64_t kStepNs = 37'000'000;
  next_look_ns_ = now_ns + kSecondNs + (next_look_ns_ == 0 ? slab_ * kStepNs % kSecondNs : 0);
  published_.ShowMemory(looks_++ % kLooksBetweenAll == 1);
  published_.ShowForeignKeys();
}

void StatementMeter::Sample(Known& known, Execution& execution) {
  if (execution.duration_ns >= kExactNs || known.cache_is_watched || known.runs % kSampled == 0)
      [[unlikely]] {
    execution.looked = &LookAt(known, execution.duration_ns);
  }
  if (execution.rows == 0) known.reprepares_seen = known.Read(Known::kReprepares);
  if (AnnouncesTwice()) {
    const std::uint32_t steps = known.Read(Known::kVmSteps);
    known.last_may_be_false = CountedSince(known.steps_seen, steps) <= kStepsOfFalseStart;
    known.steps_seen = steps;
  }
}

PublishedConnection::Upgrade StatementMeter::FollowTransaction(const Known& known) {
  const bool other_has_read = active_ != 0 && !known.nature.reads_only && published_.only_begun() &&
                              std::any_of(known_.begin(), known_.end(), [](const auto& entry) {
                                return entry.second.runs_now() && entry.second.rows != 0;
                              });
  return published_.FollowTransaction(known.nature, known.last_start_ns, active_, other_has_read);
}

void StatementMeter::Count(Known& known, const Execution& execution) {
  QueryStatistics statistics(memory_);
  if (!known.hot && known.runs % kRunsUntilHot == 0) {
    known.hot = statistics.ClaimHot(slab_, known.entry, known.id);
  }
  known.min_before_ns = statistics.LeastNs(known.hot, known.entry);
  known.hot ? statistics.Add(*known.hot, execution) : statistics.Add(known.entry, execution);
  plan_wishes_.Ended(known, execution, statistics);
}

void StatementMeter::ShowEnd(const Known& known, const Execution& execution) {
  if (&known == oldest_ || !oldest_) {
    if (active_ != 0) {
      ShowOldest();
    } else {
      oldest_ = nullptr;
    }
  }
  published_.ForPlaces([&](layout::ConnectionInfo& info) {
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
  QueryStatistics statistics(control.space());
  if (&control == control_.get()) {
    // The statement's handle may be gone: a commit of the blob or backup interface has no
    // statement.
    if (Locate(*ended_, unix_ms, nullptr)) {
      statistics.AddCommit(ended_->hot, ended_->entry, frames, stall_ns);
    }
    return;
  }
  // A commit to an attached database.
  const auto entry = FindOrMake(statistics, *ended_, unix_ms, nullptr);
  if (entry) statistics.AddCommit(nullptr, *entry, frames, stall_ns);
}

const StatementMeter::Known* StatementMeter::FindNewestRunning() const {
  const Known* newest = nullptr;
  for (const auto& [stmt, known] : known_) {
    if (known.runs_now() && (!newest || known.start_ns > newest->start_ns)) newest = &known;
  }
  return newest;
}

std::uint64_t StatementMeter::NewestRunning() const {
  const Known* newest = FindNewestRunning();
  return newest ? newest->id : 0;
}

void StatementMeter::MakeEntryIn(ControlSpace* space, sqlite3_stmt* ends) {
  const Known* newest = space != memory_ ? FindNewestRunning() : nullptr;
  if (!newest) return;
  QueryStatistics statistics(space);
  // The handle of another one may be gone: where another trace has the slot, ends are not seen.
  (void)FindOrMake(statistics, *newest, UnixMs(), newest->stmt == ends ? ends : nullptr);
}

void StatementMeter::CountLocks(sqlite3_stmt* stmt, const LockCounts& counts) {
  Known* known = bound() ? Find(stmt) : nullptr;
  if (!known) return;
  const bool has_place = Locate(*known, UnixMsAt(QuickMonotonicNs()), stmt);
  QueryStatistics(memory_).AddLocks(
      has_place ? std::optional<std::size_t>(known->entry) : std::nullopt, known->id, counts);
}

void StatementMeter::UsesExtension() {
  Known* began_last = nullptr;
  for (auto& [stmt, known] : known_) {
    if (known.start_ns != 0 && (!began_last || known.start_ns > began_last->start_ns)) {
      began_last = &known;
    }
  }
  if (began_last) began_last->uses_extension = true;
}

std::vector<PlanWish> StatementMeter::PreparedStatements() {
  std::vector<PlanWish> prepared;
  for (sqlite3_stmt* stmt = nullptr; (stmt = sqlite3_next_stmt(db_, stmt));) {
    const char* text = sqlite3_sql(stmt);
    const Known* known = text ? Find(stmt) : nullptr;
    // One that has not run since the schema changed might not compile any more.
    if (known && known->IsOf(text) && known->runs != 0 && plan_wishes_.HasAsked(*known)) {
      prepared.push_back({known->id, text});
    }
  }
  return prepared;
}

}  // namespace walmanager
