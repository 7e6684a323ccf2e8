// The list of tables: a line each, and the files of sql/queries.
#include <vector>

#include "vtab/module/query_table.h"
#include "vtab/module/table.h"

#define WALMANAGER_TABLES(TABLE) \
  TABLE(WalMetrics)              \
  TABLE(QueryPerformance)        \
  TABLE(IndexCandidates)         \
  TABLE(UnusedIndexes)           \
  TABLE(ConnectionMetrics)       \
  TABLE(WalReaders)              \
  TABLE(WalLockWaits)            \
  TABLE(WalIo)                   \
  TABLE(WalCheckpoints)          \
  TABLE(WalStrategies)           \
  TABLE(WalConfig)               \
  TABLE(WalAlerts)               \
  TABLE(WalHistory)              \
  TABLE(WalPeriods)              \
  TABLE(WalEnvironment)          \
  TABLE(StaleStatistics)         \
  TABLE(ReadPool)                \
  TABLE(WalHelp)

namespace walmanager {

#define DECLARE(name) const Table& name##Table();
WALMANAGER_TABLES(DECLARE)
#undef DECLARE

// Never destroyed, like each table: at exit the background thread may still read it, and so may a
// program that closes its connection in a static destructor.
std::span<const Table* const> AllTables() {
  // Apart from the list, which may find no memory and is then made again.
  static const auto& kQueries =
      *new std::vector<QueryTable>(EmbeddedQueries().begin(), EmbeddedQueries().end());
  static const auto& kTables = *new std::vector<const Table*>([] {
#define ADDRESS(name) &name##Table(),
    std::vector<const Table*> tables = {WALMANAGER_TABLES(ADDRESS)};
#undef ADDRESS
    for (const QueryTable& query : kQueries) tables.push_back(&query);
    return tables;
  }());
  return kTables;
}

}  // namespace walmanager
