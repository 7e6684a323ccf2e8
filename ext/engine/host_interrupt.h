// Whether the host wants the statement that calls the extension to end: by sqlite3_interrupt() or
// by its progress handler. Runs a short statement on the host's handle to find out, since
// sqlite3_is_interrupted() does not know of the progress handler, and exists only since 3.41.
// Thread rules: in the thread of the host's statement.
#pragma once

#include <cstdint>

#include "ext/engine/sqlite.h"
#include "ext/system/host_turn.h"

namespace walmanager {

class HostInterrupt {
 public:
  // `turn`: of the call, gives way to forks whenever this is asked; nullptr: there is none.
  explicit HostInterrupt(sqlite3* host, HostTurn* turn = nullptr);
  // Asks at most once in ten milliseconds; stays true.
  bool Asked();
  // Waits; false where it was asked to end meanwhile.
  bool Pause(std::int64_t milliseconds);
  // From here on statements on `own` end, too, unless the engine has no progress handlers.
  void Follow(sqlite3* own);

 private:
  HostTurn* const turn_;
  OwnedStmt question_;  // nullptr where it could not be prepared: then nothing is known
  std::uint64_t next_ns_ = 0;
  bool asked_ = false;
};

}  // namespace walmanager
