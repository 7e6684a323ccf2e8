// Tells a statement that computes its next row from one whose program has stopped fetching rows:
// looks twice a second whether the thread of a connection is inside of sqlite3_step(), and shows
// that to all processes. It looks at the connections of this process whose statement has returned
// rows and has neither ended nor returned one since the look before.
//
// Of a connection without a mutex (SQLITE_OPEN_NOMUTEX, as in the sqlite3 shell) it cannot tell.
// Thread rules: one thread at a time. The process must not fork meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "ext/core/control/connection_entry.h"

namespace walmanager {

class ControlFile;

class StepWatch {
 public:
  StepWatch() = default;
  StepWatch(const StepWatch&) = delete;
  StepWatch& operator=(const StepWatch&) = delete;

  void Look(const ControlFile& control);

 private:
  std::vector<OpenStatement> before_;  // at the last look
};

}  // namespace walmanager
