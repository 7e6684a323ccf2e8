// How long a commit is made to wait because the log is beyond its limit: for the thread that
// copies, and under the setting `backpressure` always.
#pragma once

#include <cstdint>

namespace walmanager {

// Nanoseconds, from 0 at the limit: 100 ms times the square of the part by which the log is over
// it, so 1 ms at 10 %, 25 ms at 50 %, 100 ms at twice the limit, and never more than a second.
// Pure.
std::uint64_t BackpressureNs(std::uint64_t wal_frames, std::uint64_t limit_frames);

// The same while frames are being copied, so that a wait is not in vain. Up to a tenth over the
// limit as above, then steeper, so that the log stays within a quarter over it where syncs take
// long: 8 ms at 15 %, 56 ms at 25 %. The most is the caller's. Pure.
std::uint64_t CopierPauseNs(std::uint64_t wal_frames, std::uint64_t limit_frames);

}  // namespace walmanager
