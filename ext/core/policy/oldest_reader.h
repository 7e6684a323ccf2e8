// The oldest reader of the log, and since when it has been there: how long readers last decides
// whether a commit waits for them. Readers of the newest frame share a mark, so each of them may
// have just begun. Of an older frame the mark counts as one reader.
// Pure: the time comes in as CLOCK_MONOTONIC. Thread rules: one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "ext/core/format/wal_index_format.h"

namespace walmanager {

class OldestReader {
 public:
  // Takes in which marks are held at `now_ns`. Returns how long the reader that was the oldest has
  // been seen, where it has left or moved on.
  std::optional<std::uint64_t> See(const std::array<bool, kReadMarks>& held, const WalIndex& index,
                                   std::uint64_t now_ns);

  // The frame at which it reads; nullopt where no reader was seen.
  std::optional<std::uint32_t> frame() const {
    return oldest_ ? std::optional(seen_[*oldest_].frame) : std::nullopt;
  }
  // Whether it has been there for longer than `duration_ns`.
  bool IsOlderThan(std::uint64_t duration_ns, std::uint64_t now_ns) const {
    return oldest_ && now_ns - seen_[*oldest_].since_ns > duration_ns;
  }

 private:
  struct Seen {
    bool held = false;
    std::uint32_t frame = 0;
    std::uint64_t since_ns = 0;  // held at this frame
  };
  std::array<Seen, kReadMarks> seen_{};
  std::optional<std::size_t> oldest_;  // index into seen_
};

}  // namespace walmanager
