#include "ext/checkpoint/room_watch.h"

#include <algorithm>
#include <limits>

#include "ext/core/base/time_units.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/core/policy/look_plan.h"
#include "ext/system/disk_room.h"

namespace walmanager {

void RoomWatch::Look(const SettingValues& values, std::uint32_t page_size, std::int64_t wal_bytes,
                     std::uint64_t now_ns) {
  // Commits look at least once in an interval: the period lasts beyond the next look.
  const std::uint64_t inline_for_ns =
      kMs * (1000 + 2 * static_cast<std::uint64_t>(values[Setting::kSampleIntervalMs]));
  // How long the log usually gets: a multiple of the length at which a checkpoint is due. A large
  // limit is far beyond that.
  constexpr std::int64_t kTimesDue = 4;
  const std::uint32_t page = std::max(page_size, 4096u);
  const std::int64_t usual =
      kTimesDue * LeastDueFrames(values, page) * (std::int64_t{page} + kFrameHeaderBytes);
  // A program may lower its limit at any time, and a fast one reaches it in some milliseconds.
  most_wal_bytes_ = WalLimitInForce(std::numeric_limits<std::int64_t>::max());
  const bool is_limited = most_wal_bytes_ < usual;
  if (is_limited) {
    inline_.Begin(now_ns, "RLIMIT_FSIZE leaves no room for a log of the usual length",
                  inline_for_ns);
  }
  const std::int64_t growth = std::min(values[Setting::kWalLimitBytes], usual) - wal_bytes;
  LookAtDisk(std::max<std::int64_t>(0, growth), now_ns);
  // Under a tight limit commits keep the log as short as SQLite does, also where a thread could
  // copy: on a busy machine it copies too late, and commits would fail.
  is_short_ = is_limited || disk_is_short_;
  if (disk_is_short_) {
    inline_.Begin(
        now_ns,
        "the disk has no room for a log of the usual length beside the reserve that stays "
        "free: 5 % of it, or 256 MB",
        inline_for_ns);
  }
}

void RoomWatch::LookAtDisk(std::int64_t growth, std::uint64_t now_ns) {
  constexpr std::uint64_t kEveryNs = 50'000'000;
  if (now_ns < next_look_ns_) return;
  next_look_ns_ = now_ns + kEveryNs;
  // A disk quota is seen only once it is used up: then the control file has no room.
  disk_is_short_ = control_.Get()->lacks_room() || !LeavesReserve(path_, growth);
}

}  // namespace walmanager
