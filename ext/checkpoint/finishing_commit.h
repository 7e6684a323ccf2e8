// What a commit that finishes the remainder, or waits for readers, shows to the commits of all
// processes while it lives: a gate that they wait at for a time, and a brake, for which those pause
// that leave the log beyond its limit, for as long as the disk takes to sync.
// Thread rules: any thread.
#pragma once

#include <cstdint>

#include "ext/core/control/control_layout.h"

namespace walmanager {

class FinishingCommit {
 public:
  // `gate_until_ns`: 0 shuts no gate. A gate that another commit has shut for longer, and a brake
  // that another process shows, stay as they are.
  FinishingCommit(layout::Header& header, layout::EngineState& engine, std::uint64_t gate_until_ns,
                  std::uint64_t brake_frame);
  ~FinishingCommit();
  FinishingCommit(const FinishingCommit&) = delete;
  FinishingCommit& operator=(const FinishingCommit&) = delete;

 private:
  layout::Header& header_;
  layout::EngineState& engine_;
  const std::uint64_t gate_until_ns_;
  const std::uint64_t brake_frame_;
  bool brakes_ = false;
  std::uint64_t at_work_until_ns_ = 0;
};

}  // namespace walmanager
