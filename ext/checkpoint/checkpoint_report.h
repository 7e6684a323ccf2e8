// What a checkpoint did, or why there was none; the fields of wal_checkpoint's JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ext/core/control/control_region.h"
#include "ext/core/policy/strategy.h"

namespace walmanager {

struct CheckpointReport {
  std::string strategy;
  std::optional<std::string> rule;
  std::optional<CheckpointMode> mode;  // nullopt where none ran
  CheckpointResult result = CheckpointResult::kSkipped;
  bool busy = false;
  bool pinned = false;  // its stall budget was spent in vain
  std::optional<std::int64_t> wal_frames, checkpointed_frames, moved_frames, wal_bytes;
  std::uint64_t duration_ns = 0;
  std::uint64_t copying_ns = 0;                // as in CheckpointOutcome
  std::optional<std::int64_t> blocked_by_pid;  // nullopt: no process did, or it is unknown
  std::string message;                         // why it was skipped, was busy or failed
};

}  // namespace walmanager
