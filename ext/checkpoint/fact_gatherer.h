// Gathers the facts that the rules of the strategy in force ask for. A fact that takes long to find
// is gathered only where a rule names it.
//
// Thread rules: the caller holds the mutex of CheckpointState.
#pragma once

#include <cstdint>
#include <optional>

#include "ext/checkpoint/log_readers.h"
#include "ext/checkpoint/strategy_in_force.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/core/policy/strategy.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class FactGatherer {
 public:
  FactGatherer(const ControlInUse& control, const StrategyInForce& strategy,
               const LogReaders& readers)
      : control_(control), strategy_(strategy), readers_(readers) {}

  // `wal_bytes`: the size of the -wal file, where it is known. `due_frames`: the fact.
  Facts Gather(const WalIndex& index, std::optional<std::int64_t> wal_bytes,
               std::int64_t due_frames, std::uint64_t now_ns);

 private:
  void AddCommits(ControlRegion& region, std::uint64_t now_ns, Facts& facts);
  void AddReaders(const WalIndex& index, Facts& facts) const;

  const ControlInUse& control_;
  const StrategyInForce& strategy_;
  const LogReaders& readers_;
  // The commits at the last look, and the smoothed rate.
  std::uint64_t rate_commits_ = 0, rate_ns_ = 0;
  std::optional<double> commit_rate_;
};

}  // namespace walmanager
