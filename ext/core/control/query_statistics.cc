#include "ext/core/control/query_statistics.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

using layout::Counter;
using layout::HotQuery;

constexpr std::size_t kShareThatMakesRoom = 16;

// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/); never 0.
std::uint64_t Check(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash | 1;
}

}  // namespace

std::optional<std::size_t> QueryStatistics::FindAndCount(std::uint64_t id,
                                                         std::size_t* there) const {
  *there = 0;
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    const std::uint64_t of = Get(table_.ids[i]);
    *there += of != 0 ? 1 : 0;
    if (of != id) continue;
    // Another process may have appended the section that it is in.
    if (!Has(i)) space_->Follow();
    if (Has(i)) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> QueryStatistics::Claim(std::uint64_t id, std::int64_t unix_ms,
                                                  bool* made_elsewhere) {
  bool grows_no_more = false;
  for (std::size_t entry = 0; entry < layout::kQueries; ++entry) {
    if (Get(table_.ids[entry]) != 0) continue;
    // After one that cannot be made, those that are there.
    if (!Has(entry) && (grows_no_more || !space_->Make(ControlSpace::Kind::kMoreQueries, entry))) {
      grows_no_more = true;
      continue;
    }
    std::uint64_t seen = 0;
    layout::QueryCounters& counters = file_->query(entry).counters;
    space_->ExpectWrites(&file_->query(entry), sizeof(layout::QueryEntry));
    // Asked before it is claimed: from then on others may count there for the new statement.
    const bool left_behind = !IsEmpty(counters);
    // Relaxed: the exchange decides who has the place, and nothing is read on account of the id
    // alone: `described` says that the text is there.
    if (table_.ids[entry].compare_exchange_strong(seen, id, std::memory_order_relaxed)) {
      // What late writers left there.
      if (left_behind) Move(counters, table_.evicted);
      // Not the first to go, before its first execution has ended.
      Put(counters.last_seen_ms, static_cast<std::uint64_t>(unix_ms));
      return entry;
    }
    // All that make the same statement come to the same place first, so that two seldom make it
    // twice; readers add up what has the same id.
    *made_elsewhere = seen == id;
    if (*made_elsewhere) break;
  }
  return std::nullopt;
}

std::size_t QueryStatistics::CountPlaces() const {
  std::size_t places = 0;
  for (std::size_t i = 0; i < layout::kQueries; ++i) places += Has(i) ? 1 : 0;
  return places;
}

std::optional<std::size_t> QueryStatistics::FindOrClaim(std::uint64_t id, std::int64_t unix_ms,
                                                        std::size_t max_queries) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    std::size_t there = 0;
    if (const auto found = FindAndCount(id, &there)) return found;
    MakeRoom(there, max_queries);
    bool made_elsewhere = false;
    if (const auto claimed = Claim(id, unix_ms, &made_elsewhere)) {
      return claimed;
    }
    if (made_elsewhere) continue;
    // Another process is appending a section: the next execution finds it.
    if (CountPlaces() < layout::kQueries && !space_->IsFull()) return std::nullopt;
    // All places that there can be are taken: the sixteenth part of them makes room.
    max_queries = std::max<std::size_t>(1, CountPlaces());
  }
  return std::nullopt;
}

std::optional<std::size_t> QueryStatistics::FindOrMake(const NormalizedQuery& query,
                                                       std::int64_t unix_ms,
                                                       std::size_t max_queries) {
  const auto place = FindOrClaim(query.id, unix_ms, max_queries);
  if (!place) return std::nullopt;
  layout::QueryEntry& entry = file_->query(*place);
  // Acquire: pairs with the release below, so the text is seen whole.
  if (entry.described.load(std::memory_order_acquire) == query.id) return place;
  if (!Holds(*place, query.id)) return place;  // gone again
  // Keeps the writing below after the place was found claimed: a reader that still copies the text
  // of the statement before sees that the place is another's.
  std::atomic_thread_fence(std::memory_order_release);
  Put(entry.kind, static_cast<std::uint64_t>(query.kind));
  Put(entry.first_seen_ms, static_cast<std::uint64_t>(unix_ms));
  Put(entry.plan_check, 0);
  Put(entry.plan_schema, 0);
  Put(entry.last_text, 0);
  Put(entry.texts, 0);
  PutText(entry.text, query.text);
  // Release: a thread that sees the id sees kind and text.
  entry.described.store(query.id, std::memory_order_release);
  return place;
}

void QueryStatistics::SawText(std::size_t place, std::uint64_t hash) {
  layout::QueryEntry& entry = file_->query(place);
  if (entry.last_text.exchange(hash, std::memory_order_relaxed) != hash) {
    walmanager::Add(entry.texts, 1);
  }
}

void QueryStatistics::MakeRoom(std::size_t there, std::size_t max_queries) {
  max_queries = std::clamp<std::size_t>(max_queries, 1, layout::kQueries);
  if (there < max_queries) return;
  struct Used {
    std::uint64_t last_seen_ms;
    std::size_t turn, entry;
    auto operator<=>(const Used&) const = default;
  };
  std::vector<Used> used;
  std::unordered_map<std::uint64_t, std::size_t> place;  // in `used`, by id
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    const std::uint64_t id = Get(table_.ids[i]);
    if (id == 0) continue;
    place[id] = used.size();
    used.push_back({Get(file_->query(i).counters.last_seen_ms), 0, i});
  }
  if (used.size() < max_queries) return;
  // Among statements of the same millisecond the places leave in turn: a new statement takes the
  // place that has just become free, and would be the next to leave.
  const std::size_t first = evictions() % used.size();
  for (std::size_t i = 0; i < used.size(); ++i) {
    used[i].turn = (i + used.size() - first) % used.size();
  }
  const std::size_t slabs = space_->slabs();
  for (std::size_t slab = 0; slab < slabs; ++slab) {
    // What still runs stays.
    const layout::ConnectionInfo& info = space_->slab(slab).info;
    const auto running = Get(info.started_ns) != 0 ? place.find(Get(info.query_id)) : place.end();
    if (running != place.end()) used[running->second].last_seen_ms = ~std::uint64_t{0};
    for (const HotQuery& hot : space_->hot(slab)) {
      const auto found = place.find(Get(hot.id));
      if (found == place.end()) continue;
      auto& last = used[found->second].last_seen_ms;
      last = std::max(last, Get(hot.counters.last_seen_ms));
    }
  }
  const std::size_t leaving =
      std::min(used.size(), used.size() - max_queries +
                                std::max<std::size_t>(1, max_queries / kShareThatMakesRoom));
  std::nth_element(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(leaving - 1),
                   used.end());
  for (std::size_t i = 0; i < leaving; ++i) {
    const std::size_t entry = used[i].entry;
    if (!Has(entry)) continue;
    if (table_.ids[entry].exchange(0, std::memory_order_relaxed) == 0) continue;
    Put(file_->query(entry).described, 0);
    Move(file_->query(entry).counters, table_.evicted);
    walmanager::Add(table_.evictions, 1);
  }
}

HotQuery* QueryStatistics::ClaimHot(std::size_t slab, std::size_t entry, std::uint64_t id) {
  if (slab >= layout::kConnections || !space_->MakeHot(slab)) return nullptr;
  const std::uint64_t generation = Get(file_->header.query_generation);
  HotQuery* free = nullptr;
  for (HotQuery& hot : space_->hot(slab)) {
    const std::uint64_t of = Get(hot.id);
    const bool current = of != 0 && Get(hot.generation) == generation;
    if (current && of == id) {
      Put(hot.entry, entry);
      return &hot;
    }
    const std::size_t at = std::min<std::size_t>(Get(hot.entry), layout::kQueries - 1);
    if (!current || !Holds(at, of)) free = &hot;
  }
  if (!free) return nullptr;
  if (Get(free->generation) == generation) Move(free->counters, table_.evicted);
  Put(free->id, 0);
  Clear(free->counters);
  Put(free->entry, entry);
  Put(free->generation, generation);
  // Release: a reader that sees the id sees the counters empty.
  free->id.store(id, std::memory_order_release);
  return free;
}

void QueryStatistics::ReleaseHot(std::size_t slab) {
  if (slab >= layout::kConnections) return;
  space_->Follow();
  if (!space_->HasHot(slab)) return;
  const std::uint64_t generation = Get(file_->header.query_generation);
  for (HotQuery& hot : space_->hot(slab)) {
    const std::uint64_t id = Get(hot.id);
    if (id == 0) continue;
    if (Get(hot.generation) == generation) {
      const std::size_t entry = std::min<std::size_t>(Get(hot.entry), layout::kQueries - 1);
      const bool is_there = Holds(entry, id) && Has(entry);
      Move(hot.counters, is_there ? file_->query(entry).counters : table_.evicted);
    }
    Put(hot.id, 0);
  }
}

void QueryStatistics::AddLocks(std::optional<std::size_t> entry, std::uint64_t id,
                               const LockCounts& counts) {
  LockWaits waits(space_);
  if (!counts.any() || !waits.Make()) return;
  entry&& Holds(*entry, id) ? waits.AddToQuery(*entry, id, counts) : waits.AddToEvicted(counts);
}

void QueryStatistics::MoveTo(QueryStatistics& other, std::size_t max_queries) {
  space_->Follow();
  LockWaits waits(space_);
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    const std::uint64_t id = Get(table_.ids[i]);
    if (id == 0 || !Has(i)) continue;
    layout::QueryEntry& entry = file_->query(i);
    if (IsEmpty(entry.counters)) continue;
    std::string text = ReadText(i, id);
    if (text.empty()) {
      Move(entry.counters, other.table_.evicted);
      continue;
    }
    const auto kind =
        std::min<std::uint64_t>(Get(entry.kind), static_cast<std::uint64_t>(QueryKind::kOther));
    const auto place =
        other.FindOrMake({id, static_cast<QueryKind>(kind), std::move(text)},
                         static_cast<std::int64_t>(Get(entry.first_seen_ms)), max_queries);
    Move(entry.counters, place ? other.file_->query(*place).counters : other.table_.evicted);
    if (waits.is_made()) other.AddLocks(place, id, waits.TakeQuery(i, id));
  }
  Move(table_.evicted, other.table_.evicted);
  if (waits.is_made()) other.AddLocks(std::nullopt, 0, waits.TakeEvicted());
}

void QueryStatistics::Add(HotQuery& hot, const Execution& execution) {
  AddExecution(hot.counters, execution, CountedBy::kOwner);
}

void QueryStatistics::Add(std::size_t entry, const Execution& execution) {
  AddExecution(file_->query(entry).counters, execution, CountedBy::kAll);
}

void QueryStatistics::TakeBack(HotQuery* hot, std::size_t entry, const Execution& execution) {
  hot ? SubtractExecution(hot->counters, execution, CountedBy::kOwner)
      : SubtractExecution(file_->query(entry).counters, execution, CountedBy::kAll);
}

void QueryStatistics::AddCommit(HotQuery* hot, std::size_t entry, std::uint64_t frames,
                                std::uint64_t stall_ns) {
  hot ? walmanager::AddCommit(hot->counters, frames, stall_ns, CountedBy::kOwner)
      : walmanager::AddCommit(file_->query(entry).counters, frames, stall_ns, CountedBy::kAll);
}

void QueryStatistics::SetPlan(std::size_t place, std::uint64_t id, std::string_view plan,
                              std::uint32_t schema_version) {
  layout::QueryEntry& entry = file_->query(place);
  if (!Has(place) || !Holds(place, id)) return;
  char cut[sizeof entry.plan];
  SetText(cut, plan);
  Put(entry.plan_check, 0);
  PutText(entry.plan, cut);
  Put(entry.plan_schema, std::uint64_t{schema_version} + 1);
  // Release: a thread that sees the hash sees the text that it is of.
  entry.plan_check.store(Check(cut), std::memory_order_release);
}

void QueryStatistics::SetNoPlan(std::size_t place, std::uint64_t id, std::uint32_t schema_version) {
  layout::QueryEntry& entry = file_->query(place);
  if (!Has(place) || !Holds(place, id)) return;
  Put(entry.plan_check, 0);
  Put(entry.plan_schema, std::uint64_t{schema_version} + 1);
}

std::optional<std::uint32_t> QueryStatistics::PlanSchemaVersion(std::size_t entry) const {
  const std::uint64_t version = Get(file_->query(entry).plan_schema);
  return version == 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(version - 1));
}

std::string QueryStatistics::ReadText(std::size_t place, std::uint64_t id) const {
  const layout::QueryEntry& entry = file_->query(place);
  // Acquire: pairs with the release in FindOrMake().
  if (entry.described.load(std::memory_order_acquire) != id) return "";
  std::string text = GetText(entry.text);
  // Keeps the reading above before the second look.
  std::atomic_thread_fence(std::memory_order_acquire);
  return Holds(place, id) && Get(entry.described) == id ? text : "";
}

std::optional<std::string> QueryStatistics::TextOf(std::uint64_t id) const {
  const auto entry = id == 0 ? std::nullopt : Find(id);
  if (!entry) return std::nullopt;
  std::string text = ReadText(*entry, id);
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

std::vector<QueryRow> QueryStatistics::Read(bool with_plans) const {
  std::vector<QueryRow> rows;
  rows.reserve(layout::kQueries);
  std::unordered_map<std::uint64_t, std::size_t> place;  // in `rows`, by id
  QueryRow evicted;
  evicted.text = "(evicted)";
  Sum(table_.evicted, evicted.totals);
  // Counts move from a connection's counters to an entry, and from there to `evicted`. What is read
  // in the other order is counted once or not at all. So below; pairs with Move().
  std::atomic_thread_fence(std::memory_order_acquire);
  space_->Follow();
  const LockWaits waits(space_);
  const bool has_waits = waits.is_made();
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    if (!Has(i)) continue;
    const std::uint64_t id = Get(table_.ids[i]);
    const layout::QueryEntry& entry = file_->query(i);
    std::string text = id == 0 ? "" : ReadText(i, id);
    if (text.empty()) {
      // Left by late writers, or about to come or to go.
      if (!IsEmpty(entry.counters)) Sum(entry.counters, evicted.totals);
      continue;
    }
    const auto [found, is_new] = place.try_emplace(id, rows.size());
    if (is_new) {
      QueryRow& row = rows.emplace_back();
      row.id = id;
      row.kind = static_cast<QueryKind>(
          std::min<std::uint64_t>(Get(entry.kind), static_cast<std::uint64_t>(QueryKind::kOther)));
      row.text = std::move(text);
      row.first_seen_ms = static_cast<std::int64_t>(Get(entry.first_seen_ms));
      row.texts = Get(entry.texts);
      // Acquire: pairs with the release in SetPlan().
      const std::uint64_t check = entry.plan_check.load(std::memory_order_acquire);
      row.plan_schema = PlanSchemaVersion(i);
      if (with_plans && check != 0) {
        row.plan = GetText(entry.plan);
        row.has_plan = Check(row.plan) == check;
        if (!row.has_plan) row.plan.clear();
      }
    }
    Sum(entry.counters, rows[found->second].totals);
    if (has_waits) rows[found->second].totals.locks.Add(waits.OfQuery(i, id));
  }
  if (has_waits) {
    evicted.totals.locks =
        waits.OfEvicted([&](std::size_t i, std::uint64_t id) { return Holds(i, id); });
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  const std::uint64_t generation = Get(file_->header.query_generation);
  const std::size_t slabs = space_->slabs();
  for (std::size_t slab = 0; slab < slabs; ++slab) {
    for (const HotQuery& hot : space_->hot(slab)) {
      // Acquire: pairs with the release in ClaimHot().
      const std::uint64_t id = hot.id.load(std::memory_order_acquire);
      if (id == 0 || Get(hot.generation) != generation) continue;
      const auto found = place.find(id);
      Sum(hot.counters, found == place.end() ? evicted.totals : rows[found->second].totals);
    }
  }
  if (evicted.totals.calls != 0 || evictions() != 0) rows.push_back(std::move(evicted));
  return rows;
}

QueryTotals QueryStatistics::ReadTotals() const {
  QueryTotals totals;
  Sum(table_.evicted, totals);
  std::atomic_thread_fence(std::memory_order_acquire);  // as in Read()
  space_->Follow();
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    const layout::QueryEntry& entry = file_->query(i);
    if (Has(i) && !IsEmpty(entry.counters)) Sum(entry.counters, totals);
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  const std::uint64_t generation = Get(file_->header.query_generation);
  const std::size_t slabs = space_->slabs();
  for (std::size_t slab = 0; slab < slabs; ++slab) {
    for (const HotQuery& hot : space_->hot(slab)) {
      // Acquire: as in Read().
      const bool is_used = hot.id.load(std::memory_order_acquire) != 0;
      if (is_used && Get(hot.generation) == generation) Sum(hot.counters, totals);
    }
  }
  return totals;
}

std::int64_t QueryStatistics::Reset() {
  // The generation first: from then on what connections add to their own counters does not count.
  walmanager::Add(file_->header.query_generation, 1);
  std::int64_t gone = 0;
  space_->Follow();
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    if (!Has(i)) continue;
    // A page that was never written stays so: a thousand statements have two megabytes.
    layout::QueryEntry& query = file_->query(i);
    const bool is_blank = Get(query.described) == 0 && Get(query.counters.calls) == 0;
    if (!is_blank) Clear(query.counters);
    if (table_.ids[i].exchange(0, std::memory_order_relaxed) == 0) continue;
    if (!is_blank) Put(query.described, 0);
    ++gone;
  }
  Clear(table_.evicted);
  Put(table_.evictions, 0);
  LockWaits(space_).ResetQueries();
  return gone;
}

}  // namespace walmanager
