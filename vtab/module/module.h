// Registers the tables of tables.cc on a connection.
#pragma once

#include <memory>

#include "ext/core/base/result.h"

struct sqlite3;

namespace walmanager {

class Connection;
class HealthObserver;
class QueryRoom;

// Registers them on the program's connection, where they describe its databases. The error names
// the table that failed. Called once per connection.
Status RegisterTables(Connection* connection);

// Reads system_health for the watch over a database (ext/database/health_watch.h).
std::unique_ptr<HealthObserver> MakeHealthObserver();

// Registers them on the private connection of a room, where they describe the room's source. `room`
// must outlive `db`.
Status RegisterTables(sqlite3* db, QueryRoom& room);

}  // namespace walmanager
