// When commits look at the log next, and from which length of it on they wait or are slowed.
// All functions are pure.
#pragma once

#include <cstdint>
#include <span>

#include "ext/core/format/wal_index_format.h"
#include "ext/core/policy/settings.h"
#include "ext/core/policy/strategy.h"

namespace walmanager {

// In a log of fewer frames no built-in rule can hold except the one for time: checkpoint_frames or
// a quarter of wal_limit_bytes, the smaller in bytes.
std::int64_t LeastDueFrames(const SettingValues& values, std::uint32_t page_size);
// The length of the log at which the thread begins to copy where commits sync. A checkpoint costs
// each commit beside it a sync more: so four times checkpoint_frames, where that is at its default,
// and half of the limit at most.
std::int64_t SyncedDueFrames(const SettingValues& values, std::uint32_t page_size);

// Whether the condition names a fact that changes while no connection commits.
bool AsksForTime(const Rule& rule);

struct LookPlan {
  std::uint64_t look_frame = 0;      // the commit that reaches this frame looks
  std::uint64_t wait_frame = 0;      // from this frame on a commit waits for the background thread,
  std::uint64_t wait_ns = 0;         // for at most so long
  std::uint64_t pressure_frame = 0;  // beyond this frame commits are slowed; all ones: never
};

// `rules`: of the strategy in force, empty where it is not known yet. `brake_frame`: from this
// frame on commits pause while the background thread copies; 0: it does not copy. `due_frames`: the
// fact.
LookPlan PlanLook(const WalIndex& index, const SettingValues& values, std::span<const Rule> rules,
                  std::uint64_t brake_frame, std::int64_t due_frames);

}  // namespace walmanager
