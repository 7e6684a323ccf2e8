#include "ext/core/policy/oldest_reader.h"

namespace walmanager {

std::optional<std::uint64_t> OldestReader::See(const std::array<bool, kReadMarks>& held,
                                               const WalIndex& index, std::uint64_t now_ns) {
  OldestReader oldest;
  for (int mark = 0; mark < kReadMarks; ++mark) {
    if (!held[static_cast<std::size_t>(mark)]) continue;
    const std::uint32_t frame = index.Snapshot(mark);
    if (oldest.mark_ && frame >= oldest.frame_) continue;
    oldest.mark_ = mark;
    oldest.frame_ = frame;
    oldest.since_ns_ = now_ns;
  }
  if (oldest.mark_ == mark_ && oldest.frame_ == frame_) return std::nullopt;
  const auto lasted = mark_ ? std::optional(now_ns - since_ns_) : std::nullopt;
  *this = oldest;
  return lasted;
}

std::optional<std::uint32_t> OldestReader::frame() const {
  return mark_ ? std::optional(frame_) : std::nullopt;
}

}  // namespace walmanager
