// The part of a host's schema that is needed to plan its statements elsewhere, read once through
// the host's connection.
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

// `statements` will be planned, so every object whose name stands anywhere in them is needed, and
// with a table the tables that refer to it. nullopt where the schema cannot be read: it is corrupt
// or locked, or the host's authorizer refuses. Runs in the thread that uses the connection; no
// statement stays open.
std::optional<SchemaSource> ReadSchemaSource(Connection& connection, const std::string& schema,
                                             const std::vector<std::string>& statements);

}  // namespace walmanager
