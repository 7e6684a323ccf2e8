// Units of time, for durations that are counted in nanoseconds.
#pragma once

#include <cstdint>

namespace walmanager {

inline constexpr std::uint64_t kMs = 1'000'000;

}  // namespace walmanager
