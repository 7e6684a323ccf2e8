#include "ext/core/policy/reader_lease.h"

#include <array>
#include <cstddef>

#include "ext/core/format/wal_index_format.h"

namespace walmanager {

const char* ObstacleText(LeaseObstacle obstacle) {
  static constexpr std::array<const char*, static_cast<std::size_t>(LeaseObstacle::kCount)> kTexts =
      {"it has just begun or ended",
       "its transaction is open and no statement runs",
       "its statement has returned rows, and the program may run others in between",
       "another statement of the connection is open, or runs in this one",
       "its statement is no query, or its transaction has written",
       "its query calls walmanager",
       "SQLite does not say what it reads",
       "the connection has no mutex",
       "the program runs other statements while it holds a row of it",
       "its query reads another database"};
  return kTexts[static_cast<std::size_t>(obstacle) % kTexts.size()];
}

std::int64_t LogBytes(std::uint64_t log_position, std::uint32_t page_bytes) {
  const auto frames = static_cast<std::int64_t>(log_position & 0xFFFF'FFFF);
  return frames == 0 ? 0 : kLogHeaderBytes + frames * (page_bytes + kFrameHeaderBytes);
}

bool IsBeyondLimit(std::uint64_t position_then, std::uint64_t position_now,
                   std::uint32_t page_bytes, std::int64_t limit_bytes) {
  return position_now != position_then && LogBytes(position_now, page_bytes) > limit_bytes;
}

}  // namespace walmanager
