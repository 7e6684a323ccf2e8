// The list of tables: a line each, and the files of sql/queries.
#include <vector>

#include "vtab/query_table.h"
#include "vtab/table.h"

#define WALMANAGER_TABLES(TABLE) \
  TABLE(WalMetrics)              \
  TABLE(QueryPerformance)        \
  TABLE(IndexCandidates)         \
  TABLE(ConnectionMetrics)       \
  TABLE(WalReaders)              \
  TABLE(WalCheckpoints)          \
  TABLE(WalStrategies)           \
  TABLE(WalConfig)               \
  TABLE(WalAlerts)               \
  TABLE(WalHistory)              \
  TABLE(WalPeriods)              \
  TABLE(WalEnvironment)          \
  TABLE(StaleStatistics)

namespace walmanager {

#define DECLARE(name) const Table& name##Table();
WALMANAGER_TABLES(DECLARE)
#undef DECLARE

std::span<const Table* const> AllTables() {
  static const std::vector<const Table*> kTables = [] {
#define ADDRESS(name) &name##Table(),
    std::vector<const Table*> tables = {WALMANAGER_TABLES(ADDRESS)};
#undef ADDRESS
    static const std::vector<QueryTable> kQueries(EmbeddedQueries().begin(),
                                                  EmbeddedQueries().end());
    for (const QueryTable& query : kQueries) tables.push_back(&query);
    return tables;
  }();
  return kTables;
}

}  // namespace walmanager
