// For tables with rows per database file: one loop over the source's schemas.
#pragma once

#include <utility>
#include <vector>

#include "ext/connection/table_source.h"

namespace walmanager {

// `append(schema, rows)` for every schema with a file, main first.
template <typename Row, typename Append>
Result<std::vector<Row>> RowsOfEachDatabase(TableSource& source, Append append) {
  auto schemas = source.Schemas();
  if (!schemas.ok()) return schemas.error();
  std::vector<Row> rows;
  for (const Schema& schema : schemas.value()) {
    if (schema.database) append(schema, rows);
  }
  return rows;
}

}  // namespace walmanager
