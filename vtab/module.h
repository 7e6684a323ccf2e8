// Makes the tables of tables.cc known to a connection.
#pragma once

#include "ext/core/result.h"

namespace walmanager {

class Connection;

// The error names the table that failed. Called once per connection.
Status RegisterTables(Connection* connection);

}  // namespace walmanager
