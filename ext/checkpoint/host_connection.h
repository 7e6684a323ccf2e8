// A connection of the host's, in whose thread and name something runs. Valid for the call.
#pragma once

#include <optional>

#include "ext/engine/wal_index.h"

struct sqlite3;

namespace walmanager {

struct HostConnection {
  sqlite3* db;
  const char* schema;
  WalFile log;            // of the schema
  bool own_only = false;  // the host's handle must not run anything now
  // Its statements are traced: connections of the checkpointer's are never in its way when it
  // changes the mode of the database, since they are closed before.
  bool traced = true;
  // Whether its commits sync by themselves (synchronous FULL or EXTRA), once it was asked; nullptr
  // where the answer cannot be kept, then it is not asked.
  std::optional<bool>* commits_sync = nullptr;
};

}  // namespace walmanager
