// What of a schema of the host's is needed to plan its statements elsewhere: read once, through the
// host's connection.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ext/connection/connection.h"
#include "ext/engine/private_database.h"

namespace walmanager {

struct SchemaSource {
  struct Object {
    std::string type, name, table, sql;  // as in sqlite_schema
    bool needed = false;                 // by the statements
  };
  std::vector<Object> objects;
  // INSERTs that fill sqlite_stat1 and sqlite_stat4, of needed tables; none where the database was
  // never analyzed.
  std::vector<std::string> statistics;
  std::vector<HostFunction> functions;
};

// `statements`: those that will be planned. What they may name is needed: more than they do, for a
// name is looked for wherever it stands; and with a table those that refer to it. nullopt where the
// schema cannot be read: it is corrupt, locked, or the host's authorizer refuses. Runs in the
// thread that uses the connection; nothing of it stays open.
std::optional<SchemaSource> ReadSchemaSource(Connection& connection, const std::string& schema,
                                             const std::vector<std::string>& statements);

}  // namespace walmanager
