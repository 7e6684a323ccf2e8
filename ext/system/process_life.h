// Whether processes of this PID namespace are still there.
// Thread rules: an object is used by one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace walmanager {

// Asks the system once about each process: that takes 20 us.
class ProcessLives {
 public:
  // Whether the process that had this pid at a time (Unix, in ms) is there: false where it has
  // ended, also where its parent has not noticed yet, or where another process has its pid. True
  // where the system does not say. Once the system's clock was set forward, false also for a
  // process that began before that and a time before that: it cannot be told from a later one with
  // its pid. Both values may be garbage.
  bool IsStillThere(std::int64_t pid, std::int64_t at_ms);

 private:
  // When each began (Unix, in ms); nullopt: it has ended.
  std::map<std::int64_t, std::optional<std::int64_t>> began_;
};

}  // namespace walmanager
