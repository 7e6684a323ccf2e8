// For tables with rows per database file: one loop over the connection's schemas.
#pragma once

#include <utility>
#include <vector>

#include "ext/connection/connection.h"

namespace walmanager {

// `append(schema, rows)` for every schema with a file, main first.
template <typename Row, typename Append>
Result<std::vector<Row>> RowsOfEachDatabase(Connection& connection, Append append) {
  auto schemas = connection.Schemas();
  if (!schemas.ok()) return schemas.error();
  std::vector<Row> rows;
  for (const Schema& schema : schemas.value()) {
    if (schema.database) append(schema, rows);
  }
  return rows;
}

}  // namespace walmanager
