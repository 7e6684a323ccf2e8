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
  // Its statements are traced. So walmanager closes the checkpointer's connections before this one
  // changes the journal mode, which fails while they are open.
  bool traced = true;
  // Whether its commits sync the log themselves (synchronous FULL or EXTRA); nullopt until a look
  // has asked. nullptr where there is no place for the answer: then no look asks.
  std::optional<bool>* commits_sync = nullptr;
};

}  // namespace walmanager
