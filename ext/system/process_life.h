// Whether a process of this PID namespace is still there.
// Thread rules: any thread.
#pragma once

#include <cstdint>

namespace walmanager {

// Whether the process that had this pid at a time (Unix, in ms) is there: false where it has ended,
// also where its parent has not noticed yet, or where another process has its pid. True where the
// system does not say. Once the system's clock was set forward, false also for a process that began
// before that and a time before that: it cannot be told from a later one with its pid. Both values
// may be garbage.
bool IsStillThere(std::int64_t pid, std::int64_t at_ms);

}  // namespace walmanager
