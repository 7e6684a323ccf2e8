// The sizes of the control file (control_layout.h): of its first part, of a section, and how many
// records there are of each kind. Another number here is another layout.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace walmanager::layout {

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free && sizeof(Counter) == 8);

// The size of the first part. A change of it is another layout: raise kLayoutNumber, too.
#ifndef WALMANAGER_SMALL_LAYOUT
inline constexpr std::size_t kFirstBytes = 196'608;
#else
inline constexpr std::size_t kFirstBytes = 131'072;
#endif

// Sections are multiples of this: the page size of some aarch64 kernels.
inline constexpr std::size_t kBlockBytes = 65'536;
inline constexpr std::size_t kSections = 320;  // that the table has room for

inline constexpr std::size_t kBuiltinRules = 64;
inline constexpr std::size_t kLearned = 16;
inline constexpr std::size_t kHotQueries = 12;  // of a connection, with counters of its own
// How many records there may be in all, how many of them are in the first part, and of connections
// how many are in ControlFile: the others are in ManyConnections.
#ifndef WALMANAGER_SMALL_LAYOUT
inline constexpr std::size_t kSettings = 192, kFirstSettings = 24;
inline constexpr std::size_t kRules = 128, kFirstRules = 6;
inline constexpr std::size_t kCheckpointRecords = 512, kFirstCheckpointRecords = 64;
inline constexpr std::size_t kConnections = 4096, kNearConnections = 256, kFirstConnections = 6;
inline constexpr std::size_t kQueries = 1024;  // statements that can be told apart
inline constexpr std::size_t kFirstQueries = 18;
inline constexpr std::size_t kHistorySamples = 900;   // 15 minutes at one a second
inline constexpr std::size_t kHistoryMinutes = 1440;  // a day
inline constexpr std::size_t kHistoryHours = 2160;    // 90 days
inline constexpr std::size_t kAlerts = 256, kFirstAlerts = 16;
inline constexpr std::size_t kLockWaitRecords = 256;
#else
// For the fuzzer, which copies a whole file for each input. Rings also wrap around sooner.
inline constexpr std::size_t kSettings = 16, kFirstSettings = 8;
inline constexpr std::size_t kRules = 8, kFirstRules = 3;
inline constexpr std::size_t kCheckpointRecords = 8, kFirstCheckpointRecords = 4;
inline constexpr std::size_t kConnections = 6, kNearConnections = 4, kFirstConnections = 2;
inline constexpr std::size_t kQueries = 32, kFirstQueries = 8;
inline constexpr std::size_t kHistorySamples = 12;
inline constexpr std::size_t kHistoryMinutes = 12;
inline constexpr std::size_t kHistoryHours = 12;
inline constexpr std::size_t kAlerts = 16, kFirstAlerts = 4;
inline constexpr std::size_t kLockWaitRecords = 8;
#endif
inline constexpr std::size_t kWatchedChecks = 96;

}  // namespace walmanager::layout
