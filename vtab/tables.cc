// The list of tables: a line each.
#include "vtab/table.h"

#define WALMANAGER_TABLES(TABLE) \
  TABLE(WalMetrics)              \
  TABLE(QueryPerformance)        \
  TABLE(ConnectionMetrics)       \
  TABLE(WalReaders)              \
  TABLE(WalCheckpoints)          \
  TABLE(WalStrategies)           \
  TABLE(WalConfig)

namespace walmanager {

#define DECLARE(name) const Table& name##Table();
WALMANAGER_TABLES(DECLARE)
#undef DECLARE

std::span<const Table* const> AllTables() {
#define ADDRESS(name) &name##Table(),
  static const Table* const kTables[] = {WALMANAGER_TABLES(ADDRESS)};
#undef ADDRESS
  return kTables;
}

}  // namespace walmanager
