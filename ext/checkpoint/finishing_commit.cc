#include "ext/checkpoint/finishing_commit.h"

#include "ext/checkpoint/log_readers.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"

namespace walmanager {

FinishingCommit::FinishingCommit(layout::Header& header, layout::EngineState& engine,
                                 std::uint64_t gate_until_ns, std::uint64_t brake_frame)
    : header_(header), engine_(engine), gate_until_ns_(gate_until_ns), brake_frame_(brake_frame) {
  std::uint64_t seen = Get(header_.gate_until_ns);
  while (seen < gate_until_ns_ &&
         !header_.gate_until_ns.compare_exchange_weak(seen, gate_until_ns_)) {
  }
  std::uint64_t none = 0;
  brakes_ = brake_frame_ != 0 && engine_.brake_frame.compare_exchange_strong(none, brake_frame_);
  if (!brakes_) return;
  at_work_until_ns_ = MonotonicNs() + LogReaders::kLongestPassNs;
  Put(engine_.at_work_until_ns, at_work_until_ns_);
}

FinishingCommit::~FinishingCommit() {
  std::uint64_t gate = gate_until_ns_;
  header_.gate_until_ns.compare_exchange_strong(gate, 0);
  if (!brakes_) return;
  // A thread that has begun to copy meanwhile shows a later time.
  std::uint64_t until = at_work_until_ns_, frame = brake_frame_;
  if (engine_.at_work_until_ns.compare_exchange_strong(until, 0)) {
    engine_.brake_frame.compare_exchange_strong(frame, 0);
  }
}

}  // namespace walmanager
