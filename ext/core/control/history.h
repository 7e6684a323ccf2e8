// The history of samples in the memory of a control file: three rings in fixed space, one of
// samples as they are taken, one of minutes and one of hours. The layout is in control_layout.h
// (History).
//
// The protocol, for all who touch this memory, in this process or another:
// - Add, Reset and ForgetMonotonicTime write, and there is one writer at a time: the caller holds a
//   lock. Readers need none.
// - What changes with every sample (how much had been counted, the minute and the hour that are not
//   over, the last ids) stands twice; the lowest bit of `generation` names the state in force. A
//   writer fills the slots of the rings, then the other state, then stores the next generation with
//   release: at that moment the sample is taken, as a whole.
// - A slot's id is 0 while it is written, and stored with release when it is done; readers check it
//   before and after they copy. Ids beyond the last one of the state in force do not count.
// - So a writer that is killed anywhere before the end took no sample: what it would have counted
// is
//   in the next one, once. At most the oldest sample of a ring is gone, whose place it was to take.
// - What is read is not trusted: ids belong to one slot each, weights are bounded, no loop is
// longer
//   than a ring.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ext/core/control/control_layout.h"
#include "ext/core/control/history_sample.h"

namespace walmanager {

class History {
 public:
  // `file` must outlive this object.
  explicit History(layout::ControlFile* file) : history_(file->history) {}

  // Takes a sample. Its counters are what `totals` grew by since the sample before, however long
  // ago that was (after a gap covers_ms says so, and nothing is filled in); the very first sample
  // has none, and a covers_ms of 0, but after Begin(). After another boot covers_ms is taken from
  // the wall clock, and is 0 where that did not move forward. A minute is over when a sample comes
  // whose `unix_ms` is in another one, also an earlier one: times in a ring may go back, its order
  // is that of the samples. Likewise an hour. `monotonic_ns`: CLOCK_MONOTONIC. `interval_ms`: the
  // sample interval, to be kept with it.
  void Add(std::int64_t unix_ms, std::uint64_t monotonic_ns, std::int64_t interval_ms,
           const HistoryTotals& totals, const HistoryGauges& gauges);

  // Nothing has been counted yet: the first sample has all that is from here on. The caller alone
  // has the memory, and it holds no sample.
  void Begin(std::int64_t unix_ms, std::uint64_t monotonic_ns);
  // The same in memory that is all zeros: touches nothing but the beginning.
  void BeginAnew(std::int64_t unix_ms, std::uint64_t monotonic_ns);

  // Nanoseconds until `interval_ms` have passed since the last sample; 0: one is due. Ask again
  // when the lock is held: another process may have taken it meanwhile.
  std::uint64_t DueInNs(std::uint64_t monotonic_ns, std::int64_t interval_ms) const;
  // Unix time of the last sample; nullopt: none was taken, or all were reset.
  std::optional<std::int64_t> last_ms() const;

  // All hours that are over, then all minutes, then all samples; the oldest first of each.
  std::vector<HistorySample> Read() const;
  // All samples that ended in (from_ms, to_ms] as one, each counted once: from the first ring that
  // still has them, and the minute and the hour that are not over in place of samples that have
  // left the first already. Where a minute is all that is left of its samples, it counts as ended
  // with the last of them; likewise an hour. nullopt where there are none.
  std::optional<HistorySample> Merge(std::int64_t from_ms, std::int64_t to_ms) const;

  // Forgets all samples; the number that Read would have returned. The next is a first one again.
  std::int64_t Reset();
  // After another boot: the monotonic time of the last sample says nothing any more.
  void ForgetMonotonicTime();

 private:
  layout::History& history_;
};

}  // namespace walmanager
