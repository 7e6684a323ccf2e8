#include "ext/core/query_statistics.h"

#include <algorithm>
#include <array>
#include <functional>
#include <unordered_map>
#include <utility>

#include "ext/core/shared_words.h"
#include "ext/core/wide.h"

namespace walmanager {
namespace {

using layout::Counter;
using layout::HotQuery;
using layout::QueryCounters;
using Bucket = std::atomic<std::uint32_t>;

constexpr std::uint32_t kFullBucket = std::uint32_t{1} << 31;
constexpr std::size_t kShareThatMakesRoom = 16;

// Plain sums, in the order in which QueryTotals has them.
constexpr std::array kSums = {
    &QueryCounters::calls,          &QueryCounters::total_ns,     &QueryCounters::rows,
    &QueryCounters::slow_calls,     &QueryCounters::upgraded,     &QueryCounters::stall_ns,
    &QueryCounters::wal_frames,     &QueryCounters::reprepares,   &QueryCounters::scan_calls,
    &QueryCounters::fullscan_steps, &QueryCounters::sorts,        &QueryCounters::auto_index_rows,
    &QueryCounters::vm_steps,       &QueryCounters::cache_calls,  &QueryCounters::cache_hits,
    &QueryCounters::cache_misses,   &QueryCounters::cache_writes, &QueryCounters::cache_spills};
constexpr std::array kTotals = {
    &QueryTotals::calls,          &QueryTotals::total_ns,     &QueryTotals::rows,
    &QueryTotals::slow_calls,     &QueryTotals::upgraded,     &QueryTotals::stall_ns,
    &QueryTotals::wal_frames,     &QueryTotals::reprepares,   &QueryTotals::scan_calls,
    &QueryTotals::fullscan_steps, &QueryTotals::sorts,        &QueryTotals::auto_index_rows,
    &QueryTotals::vm_steps,       &QueryTotals::cache_calls,  &QueryTotals::cache_hits,
    &QueryTotals::cache_misses,   &QueryTotals::cache_writes, &QueryTotals::cache_spills};
static_assert(kSums.size() == kTotals.size());

void Lower(Counter& counter, std::uint64_t value) {
  std::uint64_t seen = Get(counter);
  while ((seen == 0 || seen > value) &&
         !counter.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// The two ways to add: to counters that one connection alone writes, and to those of all.
struct Own {
  static std::uint64_t Plus(Counter& counter, std::uint64_t n) {
    const std::uint64_t before = Get(counter);
    Put(counter, before + n);
    return before;
  }
  static std::uint32_t Plus(Bucket& bucket, std::uint32_t n) {
    const std::uint32_t before = bucket.load(std::memory_order_relaxed);
    bucket.store(before + n, std::memory_order_relaxed);
    return before;
  }
};
struct Shared {
  static std::uint64_t Plus(Counter& counter, std::uint64_t n) {
    return counter.fetch_add(n, std::memory_order_relaxed);
  }
  static std::uint32_t Plus(Bucket& bucket, std::uint32_t n) {
    return bucket.fetch_add(n, std::memory_order_relaxed);
  }
};

void Halve(QueryCounters& counters) {
  for (Bucket& bucket : counters.histogram) {
    bucket.store(bucket.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
  }
}

template <typename Way>
void AddSquare(QueryCounters& counters, std::uint64_t low, std::uint64_t high) {
  const std::uint64_t before = Way::Plus(counters.square_low, low);
  const std::uint64_t carry = before + low < before ? 1 : 0;
  if (high + carry != 0) Way::Plus(counters.square_high, high + carry);
}

template <typename Way>
void AddLooked(QueryCounters& counters, const Looked& looked) {
  const auto add = [](Counter& counter, std::uint64_t n) {
    if (n != 0) Way::Plus(counter, n);
  };
  add(counters.scan_calls, looked.scan_calls);
  add(counters.vm_steps, looked.vm_steps);
  add(counters.fullscan_steps, looked.fullscan_steps);
  add(counters.sorts, looked.sorts);
  add(counters.auto_index_rows, looked.auto_index_rows);
  add(counters.reprepares, looked.reprepares);
  add(counters.cache_calls, looked.cache_calls);
  add(counters.cache_hits, looked.cache_hits);
  add(counters.cache_misses, looked.cache_misses);
  add(counters.cache_writes, looked.cache_writes);
  add(counters.cache_spills, looked.cache_spills);
}

template <typename Way>
void AddExecution(QueryCounters& counters, const Execution& execution) {
  const std::uint64_t ns = execution.duration_ns;
  Way::Plus(counters.calls, 1);
  Way::Plus(counters.total_ns, ns);
  const auto square = static_cast<UInt128>(ns) * ns;
  AddSquare<Way>(counters, static_cast<std::uint64_t>(square),
                 static_cast<std::uint64_t>(square >> 64));
  const std::uint64_t least = Get(counters.min_ns);
  if (least == 0 || ns < least) Lower(counters.min_ns, std::max<std::uint64_t>(ns, 1));
  if (ns > Get(counters.max_ns)) Raise(counters.max_ns, ns);
  if (execution.rows != 0) Way::Plus(counters.rows, execution.rows);
  if (execution.slow) Way::Plus(counters.slow_calls, 1);
  if (execution.upgraded) Way::Plus(counters.upgraded, 1);
  Put(counters.last_seen_ms, static_cast<std::uint64_t>(execution.at_ms));
  if (execution.looked) AddLooked<Way>(counters, *execution.looked);
  Bucket& bucket = counters.histogram[StatementScale::Bucket(ns)];
  if (Way::Plus(bucket, std::uint32_t{1}) == kFullBucket) Halve(counters);
}

// `execution` has a duration, rows and a way back, and nothing else.
template <typename Way>
void SubtractExecution(QueryCounters& counters, const Execution& execution) {
  const std::uint64_t ns = execution.duration_ns;
  if (Get(counters.calls) == 0) return;  // reset since
  Way::Plus(counters.calls, ~std::uint64_t{0});
  Way::Plus(counters.total_ns, 0 - ns);
  const auto square = 0 - static_cast<UInt128>(ns) * ns;
  AddSquare<Way>(counters, static_cast<std::uint64_t>(square),
                 static_cast<std::uint64_t>(square >> 64));
  if (execution.slow) Way::Plus(counters.slow_calls, ~std::uint64_t{0});
  if (Get(counters.min_ns) == std::max<std::uint64_t>(ns, 1)) {
    Put(counters.min_ns, execution.min_before_ns);
  }
  Bucket& bucket = counters.histogram[StatementScale::Bucket(ns)];
  if (bucket.load(std::memory_order_relaxed) > 0) Way::Plus(bucket, ~std::uint32_t{0});
}

bool IsEmpty(const QueryCounters& counters) {
  return Get(counters.calls) == 0 && Get(counters.wal_frames) == 0 && Get(counters.stall_ns) == 0;
}

// Whoever is killed half-way loses the word that was on its way, and nothing is counted twice.
void Move(QueryCounters& from, QueryCounters& to) {
  const auto take = [](Counter& counter) { return counter.exchange(0, std::memory_order_relaxed); };
  if (IsEmpty(from)) return;
  for (const auto sum : kSums) {
    if (const std::uint64_t value = take(from.*sum)) Shared::Plus(to.*sum, value);
  }
  const std::uint64_t low = take(from.square_low);
  AddSquare<Shared>(to, low, take(from.square_high));
  if (const std::uint64_t least = take(from.min_ns)) Lower(to.min_ns, least);
  Raise(to.max_ns, take(from.max_ns));
  Raise(to.last_seen_ms, take(from.last_seen_ms));
  for (std::size_t i = 0; i < from.histogram.size(); ++i) {
    const std::uint32_t count = from.histogram[i].exchange(0, std::memory_order_relaxed);
    if (count == 0) continue;
    if (Shared::Plus(to.histogram[i], count) >= kFullBucket) Halve(to);
  }
}

void Clear(QueryCounters& counters) {
  for (const auto sum : kSums) Put(counters.*sum, 0);
  for (Counter* counter : {&counters.square_low, &counters.square_high, &counters.min_ns,
                           &counters.max_ns, &counters.last_seen_ms}) {
    Put(*counter, 0);
  }
  for (Bucket& bucket : counters.histogram) bucket.store(0, std::memory_order_relaxed);
}

void Sum(const QueryCounters& counters, QueryTotals& totals) {
  for (std::size_t i = 0; i < kSums.size(); ++i) totals.*kTotals[i] += Get(counters.*kSums[i]);
  totals.squares += static_cast<double>(Get(counters.square_low)) +
                    static_cast<double>(Get(counters.square_high)) * 0x1p64;
  const std::uint64_t least = Get(counters.min_ns);
  if (least != 0 && (totals.min_ns == 0 || least < totals.min_ns)) totals.min_ns = least;
  totals.max_ns = std::max(totals.max_ns, Get(counters.max_ns));
  totals.last_seen_ms =
      std::max(totals.last_seen_ms, static_cast<std::int64_t>(Get(counters.last_seen_ms)));
  totals.histogram.resize(StatementScale::kBuckets);
  for (std::size_t i = 0; i < totals.histogram.size(); ++i) {
    totals.histogram[i] += counters.histogram[i].load(std::memory_order_relaxed);
  }
}

// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/); never 0.
std::uint64_t Check(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash | 1;
}

}  // namespace

std::optional<std::size_t> QueryStatistics::Find(std::uint64_t id) const {
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    if (Get(table_.ids[i]) == id) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> QueryStatistics::FindOrMake(const NormalizedQuery& query,
                                                       std::int64_t unix_ms,
                                                       std::size_t max_queries) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    if (const auto found = Find(query.id)) {
      Describe(*found, query, unix_ms);
      return found;
    }
    MakeRoom(max_queries);
    // All who make the same statement look for a place from the same point on, so that two seldom
    // make it twice; readers add up what has the same id.
    for (std::size_t step = 0; step < layout::kQueries; ++step) {
      const std::size_t entry = (query.id + step) % layout::kQueries;
      std::uint64_t seen = 0;
      if (Get(table_.ids[entry]) == 0 &&
          table_.ids[entry].compare_exchange_strong(seen, query.id, std::memory_order_relaxed)) {
        // What late writers left there.
        Move(table_.entries[entry].counters, table_.evicted);
        // Not the first to go, before its first execution has ended.
        Put(table_.entries[entry].counters.last_seen_ms, static_cast<std::uint64_t>(unix_ms));
        Describe(entry, query, unix_ms);
        return entry;
      }
      if (seen == query.id) break;
    }
  }
  return std::nullopt;
}

void QueryStatistics::Describe(std::size_t place, const NormalizedQuery& query,
                               std::int64_t unix_ms) {
  layout::QueryEntry& entry = table_.entries[place];
  // Acquire: pairs with the release below, so the text is seen whole.
  if (entry.described.load(std::memory_order_acquire) == query.id) return;
  if (!Holds(place, query.id)) return;  // gone again
  Put(entry.kind, static_cast<std::uint64_t>(query.kind));
  Put(entry.first_seen_ms, static_cast<std::uint64_t>(unix_ms));
  Put(entry.plan_check, 0);
  Put(entry.plan_schema, 0);
  PutText(entry.text, query.text);
  entry.described.store(query.id, std::memory_order_release);
}

void QueryStatistics::MakeRoom(std::size_t max_queries) {
  max_queries = std::clamp<std::size_t>(max_queries, 1, layout::kQueries);
  std::size_t there = 0;
  for (const Counter& id : table_.ids) there += Get(id) != 0 ? 1 : 0;
  if (there < max_queries) return;
  std::vector<std::pair<std::uint64_t, std::size_t>> used;  // when last seen, and where
  std::unordered_map<std::uint64_t, std::size_t> place;     // in `used`, by id
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    const std::uint64_t id = Get(table_.ids[i]);
    if (id == 0) continue;
    place[id] = used.size();
    used.emplace_back(Get(table_.entries[i].counters.last_seen_ms), i);
  }
  if (used.size() < max_queries) return;
  const std::uint64_t slabs =
      std::min<std::uint64_t>(Get(file_->header.slabs_used), layout::kConnections);
  for (std::size_t slab = 0; slab < slabs; ++slab) {
    // What still runs stays.
    const layout::ConnectionInfo& info = file_->slabs[slab].info;
    const auto running = Get(info.started_ns) != 0 ? place.find(Get(info.query_id)) : place.end();
    if (running != place.end()) used[running->second].first = ~std::uint64_t{0};
    for (const HotQuery& hot : table_.hot[slab]) {
      const auto found = place.find(Get(hot.id));
      if (found == place.end()) continue;
      auto& last = used[found->second].first;
      last = std::max(last, Get(hot.counters.last_seen_ms));
    }
  }
  const std::size_t leaving =
      std::min(used.size(), used.size() - max_queries +
                                std::max<std::size_t>(1, max_queries / kShareThatMakesRoom));
  std::nth_element(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(leaving - 1),
                   used.end());
  for (std::size_t i = 0; i < leaving; ++i) {
    const std::size_t entry = used[i].second;
    if (table_.ids[entry].exchange(0, std::memory_order_relaxed) == 0) continue;
    Put(table_.entries[entry].described, 0);
    Move(table_.entries[entry].counters, table_.evicted);
    Shared::Plus(table_.evictions, 1);
  }
}

HotQuery* QueryStatistics::ClaimHot(std::size_t slab, std::size_t entry, std::uint64_t id) {
  if (slab >= layout::kConnections) return nullptr;
  const std::uint64_t generation = Get(file_->header.query_generation);
  HotQuery* free = nullptr;
  for (HotQuery& hot : table_.hot[slab]) {
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
  Put(free->id, id);
  return free;
}

void QueryStatistics::ReleaseHot(std::size_t slab) {
  if (slab >= layout::kConnections) return;
  const std::uint64_t generation = Get(file_->header.query_generation);
  for (HotQuery& hot : table_.hot[slab]) {
    const std::uint64_t id = Get(hot.id);
    if (id == 0) continue;
    if (Get(hot.generation) == generation) {
      const std::size_t entry = std::min<std::size_t>(Get(hot.entry), layout::kQueries - 1);
      Move(hot.counters, Holds(entry, id) ? table_.entries[entry].counters : table_.evicted);
    }
    Put(hot.id, 0);
  }
}

void QueryStatistics::MoveTo(QueryStatistics& other, std::size_t max_queries) {
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    layout::QueryEntry& entry = table_.entries[i];
    const std::uint64_t id = Get(table_.ids[i]);
    if (id == 0 || IsEmpty(entry.counters)) continue;
    const auto kind =
        std::min<std::uint64_t>(Get(entry.kind), static_cast<std::uint64_t>(QueryKind::kOther));
    const auto place =
        other.FindOrMake({id, static_cast<QueryKind>(kind), ReadText(i, id)},
                         static_cast<std::int64_t>(Get(entry.first_seen_ms)), max_queries);
    Move(entry.counters, place ? other.table_.entries[*place].counters : other.table_.evicted);
  }
  Move(table_.evicted, other.table_.evicted);
}

void QueryStatistics::Add(HotQuery& hot, const Execution& execution) {
  AddExecution<Own>(hot.counters, execution);
}

void QueryStatistics::Add(std::size_t entry, const Execution& execution) {
  AddExecution<Shared>(table_.entries[entry].counters, execution);
}

void QueryStatistics::TakeBack(HotQuery* hot, std::size_t entry, const Execution& execution) {
  hot ? SubtractExecution<Own>(hot->counters, execution)
      : SubtractExecution<Shared>(table_.entries[entry].counters, execution);
}

void QueryStatistics::AddCommit(HotQuery* hot, std::size_t entry, std::uint64_t frames,
                                std::uint64_t stall_ns) {
  if (hot) {
    Own::Plus(hot->counters.wal_frames, frames);
    Own::Plus(hot->counters.stall_ns, stall_ns);
  } else {
    Shared::Plus(table_.entries[entry].counters.wal_frames, frames);
    Shared::Plus(table_.entries[entry].counters.stall_ns, stall_ns);
  }
}

void QueryStatistics::SetPlan(std::size_t place, std::uint64_t id, std::string_view plan,
                              std::uint32_t schema_version) {
  layout::QueryEntry& entry = table_.entries[place];
  if (!Holds(place, id)) return;
  char cut[sizeof entry.plan];
  SetText(cut, plan);
  Put(entry.plan_check, 0);
  PutText(entry.plan, cut);
  Put(entry.plan_schema, std::uint64_t{schema_version} + 1);
  // Release: whoever sees the hash sees the text that it is of.
  entry.plan_check.store(Check(cut), std::memory_order_release);
}

std::optional<std::uint32_t> QueryStatistics::PlanSchemaVersion(std::size_t entry) const {
  const std::uint64_t version = Get(table_.entries[entry].plan_schema);
  return version == 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(version - 1));
}

std::string QueryStatistics::ReadText(std::size_t place, std::uint64_t id) const {
  const layout::QueryEntry& entry = table_.entries[place];
  if (entry.described.load(std::memory_order_acquire) != id) return "";
  std::string text = GetText(entry.text);
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
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    const std::uint64_t id = Get(table_.ids[i]);
    const layout::QueryEntry& entry = table_.entries[i];
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
      const std::uint64_t check = entry.plan_check.load(std::memory_order_acquire);
      if (with_plans && check != 0) {
        row.plan = GetText(entry.plan);
        if (Check(row.plan) != check) row.plan.clear();
      }
    }
    Sum(entry.counters, rows[found->second].totals);
  }
  const std::uint64_t generation = Get(file_->header.query_generation);
  const std::uint64_t slabs =
      std::min<std::uint64_t>(Get(file_->header.slabs_used), layout::kConnections);
  for (std::size_t slab = 0; slab < slabs; ++slab) {
    for (const HotQuery& hot : table_.hot[slab]) {
      const std::uint64_t id = Get(hot.id);
      if (id == 0 || Get(hot.generation) != generation) continue;
      const auto found = place.find(id);
      Sum(hot.counters, found == place.end() ? evicted.totals : rows[found->second].totals);
    }
  }
  if (evicted.totals.calls != 0 || evictions() != 0) rows.push_back(std::move(evicted));
  return rows;
}

std::int64_t QueryStatistics::Reset() {
  // The generation first: what connections still add to counters of their own no longer counts.
  Shared::Plus(file_->header.query_generation, 1);
  std::int64_t gone = 0;
  for (std::size_t i = 0; i < layout::kQueries; ++i) {
    Clear(table_.entries[i].counters);
    if (table_.ids[i].exchange(0, std::memory_order_relaxed) == 0) continue;
    Put(table_.entries[i].described, 0);
    ++gone;
  }
  Clear(table_.evicted);
  Put(table_.evictions, 0);
  return gone;
}

}  // namespace walmanager
