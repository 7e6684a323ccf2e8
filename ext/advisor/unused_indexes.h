// Indexes of one database that nothing needs, and what they take: from its schema, read through the
// host's connection, and from the statements of query_performance (index_use.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/connection/connection.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/text/index_use.h"

namespace walmanager {

struct UnusedIndexReport {
  std::string table, name;
  UnusedIndex::Reason reason = UnusedIndex::Reason::kNotUsed;
  std::string covered_by;  // empty: none
  std::string sql_to_run;
};

// `queries`: what is known of the statements of the database. `all_seen`: no connection runs
// statements on it that are counted elsewhere. None where the schema cannot be read. Runs in the
// thread that uses the connection; no statement stays open.
std::vector<UnusedIndexReport> ReportUnusedIndexes(Connection& connection,
                                                   const std::string& schema,
                                                   const std::vector<QueryRow>& queries,
                                                   bool all_seen);

// The pages of an index, from dbstat; nullopt where this SQLite has none. Reads the whole index.
std::optional<std::int64_t> BytesOfIndex(Connection& connection, const std::string& schema,
                                         const std::string& index);

}  // namespace walmanager
