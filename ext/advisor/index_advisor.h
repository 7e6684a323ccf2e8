// Indexes that are missing: found from what statements cost and how SQLite plans them, and tried
// out before they are proposed.
//
// For the statements that scan, sort or make automatic indexes, the planner is asked by which
// columns it looks for rows (scan_probe.h). Indexes on these columns are created in a copy of the
// schema that has the statistics and no rows (schema_copy.h). An index that the planner then uses
// and that saves a scan, a sort or an automatic index is proposed, unless another one of them does
// the same. Equality comes first, then one range or the columns of ORDER BY or GROUP BY; equal
// columns stand in such an order that short indexes are the beginning of longer ones.
//
// No table or code of the host is changed or run. The proposals are as good as the planner's
// estimates: in a database that was never analyzed it takes every index for a good one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ext/connection/connection.h"
#include "ext/core/control/query_statistics.h"

namespace walmanager {

struct IndexCandidate {
  std::string table;
  std::vector<std::string> columns;
  std::string sql_to_run;  // CREATE INDEX, under a name that is free
  // Plans and id of the statement whose executions together would gain the most time.
  std::string plan_before, plan_after;
  std::uint64_t query_id = 0;
  std::string query;
  // Of all that gain:
  std::uint64_t calls = 0, total_ns = 0, statements = 0;
};

// `queries`: recorded for the schema's database, with their captured plans where these are of the
// present schema. The 50 queries that took the most time are looked at. Ends soon after
// `deadline_ns` of the monotonic clock, with the proposals found by then. No proposal where the
// schema cannot be read. Runs in the thread that uses the connection.
std::vector<IndexCandidate> FindIndexCandidates(Connection& connection, const std::string& schema,
                                                std::vector<QueryRow> queries,
                                                std::uint64_t deadline_ns);

}  // namespace walmanager
