// The list of functions: a line each.
#include "sql/function.h"

// body, name, signature, least and most arguments, acts, sentence
#define WALMANAGER_FUNCTIONS(FUNCTION)                                                             \
  FUNCTION(WalVersion, "wal_version", "wal_version()", 0, 0, false,                                \
           "Version and build, the SQLite it runs in, and what that SQLite can and cannot.")       \
  FUNCTION(WalStrategy, "wal_strategy", "wal_strategy([name [, schema]])", 0, 2, true,             \
           "Reads or sets the active checkpoint strategy, for all processes at once.")             \
  FUNCTION(WalStrategyDefine, "wal_strategy_define",                                               \
           "wal_strategy_define(name, rules_json [, schema])", 2, 3, true,                         \
           "Makes or replaces a strategy of your own.")                                            \
  FUNCTION(WalStrategyDrop, "wal_strategy_drop", "wal_strategy_drop(name [, schema])", 1, 2, true, \
           "Forgets a strategy of your own that is not active.")                                   \
  FUNCTION(WalSet, "wal_set", "wal_set(name, value [, schema])", 2, 3, true,                       \
           "Changes a setting for all processes at once; NULL: back to the default.")              \
  FUNCTION(WalCheckpointAuto, "wal_checkpoint_auto", "wal_checkpoint_auto([schema])", 0, 1, true,  \
           "Evaluates the active strategy now and runs the checkpoint that it calls for.")         \
  FUNCTION(WalCheckpoint, "wal_checkpoint", "wal_checkpoint(mode [, schema])", 1, 2, true,         \
           "Runs a checkpoint now: PASSIVE, FULL, RESTART or TRUNCATE.")                           \
  FUNCTION(WalConfigure, "wal_configure", "wal_configure(profile [, overrides_json [, schema]])",  \
           1, 3, true, "Puts connection and database into a profile, whole or not at all.")        \
  FUNCTION(WalIntegrityCheck, "wal_integrity_check", "wal_integrity_check([kind [, schema]])", 0,  \
           2, true,                                                                                \
           "Checks database and foreign keys, 'quick' or 'full': 'ok', or a line per finding.")    \
  FUNCTION(WalBackup, "wal_backup", "wal_backup(path [, options_json [, schema]])", 1, 3, true,    \
           "Copies the database as it is now into a file, while others read and write.")           \
  FUNCTION(WalRestore, "wal_restore", "wal_restore(backup_path [, schema])", 1, 2, true,           \
           "Puts the content of a backup in the place of this database's, whole or not at all.")   \
  FUNCTION(WalApplicationName, "wal_application_name", "wal_application_name([name])", 0, 1, true, \
           "Names this connection in connection_metrics and wal_readers.")                         \
  FUNCTION(WalTrace, "wal_trace", "wal_trace([action])", 0, 1, true,                               \
           "Whose SQLite's one trace slot is: active, displaced or off; 'take' makes it ours.")    \
  FUNCTION(WalMetricsReset, "wal_metrics_reset", "wal_metrics_reset([what [, schema]])", 0, 2,     \
           true, "Forgets statistics, keeps settings; the number of rows forgotten.")

namespace walmanager {

#define DECLARE(body, ...) Result<Value> body(Connection&, const Arguments&);
WALMANAGER_FUNCTIONS(DECLARE)
#undef DECLARE

std::span<const Function> AllFunctions() {
#define ENTRY(body, name, signature, least, most, acts, about) \
  {name, signature, least, most, acts, about, body},
  static const Function kFunctions[] = {WALMANAGER_FUNCTIONS(ENTRY)};
#undef ENTRY
  return kFunctions;
}

}  // namespace walmanager
