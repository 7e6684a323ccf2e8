#include "ext/core/control/query_counters.h"

#include <algorithm>
#include <array>

#include "ext/core/base/wide.h"
#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

using layout::Counter;
using layout::QueryCounters;
using Bucket = std::atomic<std::uint32_t>;

constexpr std::uint32_t kFullBucket = std::uint32_t{1} << 31;

// Plain sums, in the order in which QueryTotals has them.
constexpr std::array kSums = {
    &QueryCounters::calls,          &QueryCounters::total_ns,     &QueryCounters::rows,
    &QueryCounters::slow_calls,     &QueryCounters::upgraded,     &QueryCounters::stall_ns,
    &QueryCounters::wal_frames,     &QueryCounters::reprepares,   &QueryCounters::scan_calls,
    &QueryCounters::fullscan_steps, &QueryCounters::sorts,        &QueryCounters::auto_index_rows,
    &QueryCounters::vm_steps,       &QueryCounters::cache_calls,  &QueryCounters::cache_hits,
    &QueryCounters::cache_misses,   &QueryCounters::cache_writes, &QueryCounters::cache_spills,
    &QueryCounters::upgrades_failed};
constexpr std::array kTotals = {
    &QueryTotals::calls,          &QueryTotals::total_ns,     &QueryTotals::rows,
    &QueryTotals::slow_calls,     &QueryTotals::upgraded,     &QueryTotals::stall_ns,
    &QueryTotals::wal_frames,     &QueryTotals::reprepares,   &QueryTotals::scan_calls,
    &QueryTotals::fullscan_steps, &QueryTotals::sorts,        &QueryTotals::auto_index_rows,
    &QueryTotals::vm_steps,       &QueryTotals::cache_calls,  &QueryTotals::cache_hits,
    &QueryTotals::cache_misses,   &QueryTotals::cache_writes, &QueryTotals::cache_spills,
    &QueryTotals::upgrades_failed};
static_assert(kSums.size() == kTotals.size());

void Lower(Counter& counter, std::uint64_t value) {
  std::uint64_t seen = Get(counter);
  while ((seen == 0 || seen > value) &&
         !counter.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// The two ways to add: to counters of one connection alone, and to counters that all share.
// Relaxed: each counter is a sum of its own.
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
void AddBy(QueryCounters& counters, const Execution& execution) {
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
  if (execution.upgrade_failed) Way::Plus(counters.upgrades_failed, 1);
  Put(counters.last_seen_ms, static_cast<std::uint64_t>(execution.at_ms));
  if (execution.looked) AddLooked<Way>(counters, *execution.looked);
  Bucket& bucket = counters.histogram[StatementScale::Bucket(ns)];
  if (Way::Plus(bucket, std::uint32_t{1}) == kFullBucket) Halve(counters);
}

template <typename Way>
void SubtractBy(QueryCounters& counters, const Execution& execution) {
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

}  // namespace

void AddExecution(QueryCounters& counters, const Execution& execution, CountedBy by) {
  by == CountedBy::kOwner ? AddBy<Own>(counters, execution) : AddBy<Shared>(counters, execution);
}

void SubtractExecution(QueryCounters& counters, const Execution& execution, CountedBy by) {
  by == CountedBy::kOwner ? SubtractBy<Own>(counters, execution)
                          : SubtractBy<Shared>(counters, execution);
}

void AddCommit(QueryCounters& counters, std::uint64_t frames, std::uint64_t stall_ns,
               CountedBy by) {
  const auto add = [&](Counter& counter, std::uint64_t n) {
    by == CountedBy::kOwner ? Own::Plus(counter, n) : Shared::Plus(counter, n);
  };
  add(counters.wal_frames, frames);
  add(counters.stall_ns, stall_ns);
}

bool IsEmpty(const QueryCounters& counters) {
  return Get(counters.calls) == 0 && Get(counters.wal_frames) == 0 && Get(counters.stall_ns) == 0;
}

void Move(QueryCounters& from, QueryCounters& to) {
  const auto take = [](Counter& counter) { return counter.exchange(0, std::memory_order_relaxed); };
  if (IsEmpty(from)) return;
  for (const auto sum : kSums) {
    // Release: a reader that sees the count at its new place, and then looks at the old one, does
    // not see it there as well.
    if (const std::uint64_t value = take(from.*sum)) {
      (to.*sum).fetch_add(value, std::memory_order_release);
    }
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

}  // namespace walmanager
