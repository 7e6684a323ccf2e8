#include "ext/core/policy/oldest_reader.h"

namespace walmanager {

std::optional<std::uint64_t> OldestReader::See(const std::array<bool, kReadMarks>& held,
                                               const WalIndex& index, std::uint64_t now_ns) {
  const std::optional<std::size_t> before = oldest_;
  const Seen was = before ? seen_[*before] : Seen{};
  oldest_.reset();
  for (std::size_t mark = 0; mark < seen_.size(); ++mark) {
    Seen& seen = seen_[mark];
    const std::uint32_t frame = index.Snapshot(static_cast<int>(mark));
    if (!held[mark]) {
      seen.held = false;
      continue;
    }
    const bool may_be_new = !seen.held || seen.frame != frame || frame == index.max_frame;
    if (may_be_new) seen = {true, frame, now_ns};
    if (!oldest_ || frame < seen_[*oldest_].frame) oldest_ = mark;
  }
  const bool is_there = !before || (seen_[*before].held && seen_[*before].frame == was.frame);
  return is_there ? std::nullopt : std::optional(now_ns - was.since_ns);
}

}  // namespace walmanager
