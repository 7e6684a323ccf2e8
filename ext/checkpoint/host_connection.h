// The connection of the host for which a call is made, in the thread that uses it. Valid for the
// call.
#pragma once

#include <optional>

#include "ext/engine/wal_index.h"

struct sqlite3;

namespace walmanager {

struct HostConnection {
  sqlite3* db;
  const char* schema;
  WalFile log;            // of the schema
  bool own_only = false;  // nothing may run on the host's handle now
  // Its statements are traced. So the checkpointer's connections are closed before it changes the
  // mode of the database, which needs that.
  bool traced = true;
  // Whether its commits sync the log themselves (synchronous FULL or EXTRA); nullopt until that is
  // asked. nullptr where the answer cannot be kept: then it is not asked.
  std::optional<bool>* commits_sync = nullptr;
};

}  // namespace walmanager
