// The table of statements in the memory of a control file, and their counters. The layout is in
// layout_statements.h (QueryTable).
//
// The protocol, for every thread and process that accesses this memory:
// - No access waits, and a killed process leaves nothing locked. A place belongs to the statement
//   whose id stands in `ids`. A connection claims it by compare-exchange; every connection that
//   finds it claimed and not described writes kind and text. All write the same but for the case of
//   names: two that write at the same time may mix their letters.
// - A connection has its own counters for the statements that it runs most (HotQuery; load, add,
//   store), and adds to the entry's counters for others (read-modify-write). Readers add both.
//   Counters of a connection that is gone, also by kill -9, stay where they are until the slab's
//   next owner moves them to the entry.
// - When `max_queries` are there, a sixteenth of them makes room: the statements that have not run
//   for the longest time. Their counts move to `evicted`, and so do later counts of a connection
//   for a statement that is gone.
// - Places are taken from the first one on, and the file grows with them. Where it cannot grow, the
//   places that are there are all that there may be.
// - A reset raises header.query_generation and empties ids and entries; counters of connections
//   that have another generation count as zero.
// - While counters move, a reader may see them at neither place: for a moment, totals are too low.
// - Values read are not trusted: places are bounded, texts end at their field's end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/control/control_layout.h"
#include "ext/core/control/control_space.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_counters.h"
#include "ext/core/text/normalize.h"

namespace walmanager {

struct QueryRow {
  std::uint64_t id = 0;  // 0: the evicted ones together
  QueryKind kind = QueryKind::kOther;
  std::string text;
  std::string plan;  // empty also where there is none
  bool has_plan = false;
  // Of the schema as of which it was explained, or found to have no plan.
  std::optional<std::uint32_t> plan_schema;
  std::int64_t first_seen_ms = 0;
  std::uint64_t texts = 0;  // different ones, as given, about
  QueryTotals totals;
};

class QueryStatistics {
 public:
  // `space` must outlive this object.
  explicit QueryStatistics(ControlSpace* space)
      : space_(space), file_(space->file()), table_(file_->queries) {}

  // The place of a statement, which is made if there is none. nullopt only where other connections
  // take every place that becomes free.
  std::optional<std::size_t> FindOrMake(const NormalizedQuery& query, std::int64_t unix_ms,
                                        std::size_t max_queries);
  std::optional<std::size_t> Find(std::uint64_t id) const {
    std::size_t there = 0;
    return FindAndCount(id, &there);
  }
  // A connection has seen a text with this hash, with its literals, for the first time.
  void SawText(std::size_t entry, std::uint64_t hash);
  // Whether the place is still that statement's.
  bool Holds(std::size_t entry, std::uint64_t id) const {
    return table_.ids[entry].load(std::memory_order_relaxed) == id;
  }

  // Counters for a statement that only the slab's owner writes; nullptr where all of its counters
  // are taken. The caller owns `slab` < kConnections.
  layout::HotQuery* ClaimHot(std::size_t slab, std::size_t entry, std::uint64_t id);
  // Whether the counters are still of this statement and count.
  bool IsCurrent(const layout::HotQuery& hot, std::uint64_t id) const {
    return hot.id.load(std::memory_order_relaxed) == id &&
           hot.generation.load(std::memory_order_relaxed) ==
               file_->header.query_generation.load(std::memory_order_relaxed);
  }
  // Moves the counts of the slab's connection to the entries: when it leaves, and when the next
  // owner comes, in case the previous one was killed.
  void ReleaseHot(std::size_t slab);

  // Fetches, while an execution runs, the words that it will add to if it takes `likely_ns`: with
  // many connections these words are not in the cache, and waiting for them costs more than
  // counting.
  static void Prefetch(const layout::HotQuery& hot, std::uint64_t likely_ns) {
    constexpr int kToWrite = 1;
    __builtin_prefetch(&hot.id, kToWrite);
    __builtin_prefetch(&hot.counters.max_ns, kToWrite);
    __builtin_prefetch(&hot.counters.histogram[StatementScale::Bucket(likely_ns)], kToWrite);
  }
  void Add(layout::HotQuery& hot, const Execution& execution);
  void Add(std::size_t entry, const Execution& execution);
  // Counts an execution of a statement that has no place, so that totals are complete.
  void AddWithoutPlace(const Execution& execution) {
    AddExecution(table_.evicted, execution, CountedBy::kAll);
  }
  // The shortest so far; 0: none. `hot` may be nullptr.
  std::uint64_t LeastNs(const layout::HotQuery* hot, std::size_t entry) const {
    const auto& counters = hot ? hot->counters : file_->query(entry).counters;
    return counters.min_ns.load(std::memory_order_relaxed);
  }
  // The longest execution so far, without those that connections count by themselves; nullopt: none
  // has ended.
  std::optional<std::uint64_t> LongestNs(std::size_t entry) const {
    const auto& counters = file_->query(entry).counters;
    if (counters.calls.load(std::memory_order_relaxed) == 0) return std::nullopt;
    return counters.max_ns.load(std::memory_order_relaxed);
  }
  // Takes back an execution that was only the beginning of a longer one: SQLite prepared the
  // statement anew and ran it again.
  void TakeBack(layout::HotQuery* hot, std::size_t entry, const Execution& execution);
  // Frames and stall of a commit; `hot` may be nullptr.
  void AddCommit(layout::HotQuery* hot, std::size_t entry, std::uint64_t frames,
                 std::uint64_t stall_ns);

  // What an execution has waited for locks.
  void AddLocks(std::optional<std::size_t> entry, std::uint64_t id, const LockCounts& counts);

  // Moves everything to another table: from private memory to a file that was made.
  void MoveTo(QueryStatistics& other, std::size_t max_queries);

  // The plan of a statement, as of a version of the schema.
  void SetPlan(std::size_t entry, std::uint64_t id, std::string_view plan,
               std::uint32_t schema_version);
  // It cannot be explained as of that version.
  void SetNoPlan(std::size_t entry, std::uint64_t id, std::uint32_t schema_version);
  // Of SetPlan() or SetNoPlan(); nullopt: neither was called.
  std::optional<std::uint32_t> PlanSchemaVersion(std::size_t entry) const;
  // Whether SetPlan() was called last.
  bool HasPlan(std::size_t entry) const {
    return file_->query(entry).plan_check.load(std::memory_order_relaxed) != 0;
  }

  // All statements, the evicted ones together last where there are any.
  std::vector<QueryRow> Read(bool with_plans) const;
  // What all of them together have counted.
  QueryTotals ReadTotals() const;
  std::optional<std::string> TextOf(std::uint64_t id) const;
  std::uint64_t evictions() const { return table_.evictions.load(std::memory_order_relaxed); }
  // Forgets all statements, and returns how many there were.
  std::int64_t Reset();

 private:
  // The place of this id; where there is none one is claimed, without kind and text.
  std::optional<std::size_t> FindOrClaim(std::uint64_t id, std::int64_t unix_ms,
                                         std::size_t max_queries);
  // `there`: the statements that come before it; all of them where it is not there.
  std::optional<std::size_t> FindAndCount(std::uint64_t id, std::size_t* there) const;
  // Where `max_queries` statements or more are `there`, the sixteenth part of them leaves.
  void MakeRoom(std::size_t there, std::size_t max_queries);
  // The first free place that can be written, claimed; nullopt: none is free. `*made_elsewhere`:
  // another connection has just made the statement's.
  std::optional<std::size_t> Claim(std::uint64_t id, std::int64_t unix_ms, bool* made_elsewhere);
  std::string ReadText(std::size_t entry, std::uint64_t id) const;

  // Whether an entry can be written here.
  bool Has(std::size_t entry) const { return space_->Has(ControlSpace::Kind::kMoreQueries, entry); }

  std::size_t CountPlaces() const;

  ControlSpace* space_;
  layout::ControlFile* file_;
  layout::QueryTable& table_;
};

}  // namespace walmanager
