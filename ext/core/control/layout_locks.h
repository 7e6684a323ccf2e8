// The POSIX locks by which processes show themselves, as byte offsets beyond the end of the control
// file. Those for making and attaching are the same in every layout.
#pragma once

#include <cstdint>

namespace walmanager::layout {

inline constexpr std::int64_t kLockBase = std::int64_t{1} << 40;
inline constexpr std::int64_t kLockMake = kLockBase;          // exclusive: making the file
inline constexpr std::int64_t kLockAttached = kLockBase + 1;  // shared: mapped by this process
inline constexpr std::int64_t kLockSettings = kLockBase + 2;  // exclusive: changing settings
inline constexpr std::int64_t kLockLease = kLockBase + 3;     // exclusive: copies in the background
inline constexpr std::int64_t kLockSampler = kLockBase + 4;   // exclusive: takes samples
inline constexpr std::int64_t kLockGrow = kLockBase + 5;      // exclusive: appends a section
inline constexpr std::int64_t kLockSlab = kLockBase + 16;     // + i, exclusive: owns slab i

}  // namespace walmanager::layout
