// The history of samples in the memory of a control file: three rings in fixed space, one of
// samples as they are taken, one of minutes and one of hours. The layout is in layout_history.h
// (History).
//
// The protocol, for every thread and process that accesses this memory:
// - Add, Reset and ForgetMonotonicTime write, and there is one writer at a time: the caller holds a
//   lock. Readers need none.
// - There are two copies of the state that changes with every sample (how much had been counted,
//   the minute and the hour that are not over, the last ids); the lowest bit of `generation` names
//   the one in force. A writer fills the slots of the rings, then the other state, then stores the
//   next generation with release: at that moment the sample is taken, as a whole.
// - A slot's id is 0 while it is written, and stored with release when it is done; readers check it
//   before and after they copy. Ids beyond the last one of the state in force do not count.
// - So a writer that is killed anywhere before the end took no sample: the next sample has what it
//   would have counted, once. At most the oldest sample of a ring, which it was to replace, is
//   gone.
// - Values read are not trusted: ids belong to one slot each, weights are bounded, no loop is
//   longer than a ring.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ext/core/control/control_space.h"
#include "ext/core/control/history_sample.h"

namespace walmanager {

class History {
 public:
  // `space` must outlive this object.
  explicit History(ControlSpace* space) : space_(space), history_(space->file()->history) {}

  // Takes a sample. Its counters are the growth of `totals` since the previous sample, however long
  // ago that was: after a gap covers_ms says how long, and no samples are filled in. The very first
  // sample has no counters and a covers_ms of 0, unless Begin() was called. After another boot
  // covers_ms comes from the wall clock, and is 0 where that did not move forward. A minute ends
  // with the first sample whose `unix_ms` is in another minute, also an earlier one: a ring keeps
  // the order of the samples, so its times may go back. Likewise an hour. `monotonic_ns`:
  // CLOCK_MONOTONIC. `interval_ms`: the sample interval, which is kept with the sample.
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
  // All samples that ended in (from_ms, to_ms] merged into one, each counted once: each sample from
  // the finest ring that still has it, or from the minute or hour that is not over yet. A minute
  // that stands for samples which have left their ring counts as ended with the last of them;
  // likewise an hour. nullopt where there are none.
  std::optional<HistorySample> Merge(std::int64_t from_ms, std::int64_t to_ms) const;
  // The same of several periods: the rings are looked through once.
  struct Period {
    std::int64_t from_ms = 0, to_ms = 0;
  };
  std::vector<std::optional<HistorySample>> Merge(std::span<const Period> periods) const;

  // Forgets all samples, and returns how many Read() would have returned. The next sample is a
  // first one again.
  std::int64_t Reset();
  // After another boot: the monotonic time of the last sample means nothing any more.
  void ForgetMonotonicTime();

 private:
  ControlSpace* space_;
  layout::History& history_;
};

}  // namespace walmanager
