// The list of functions, one line each.
#include "sql/function.h"

// body, name, signature, least and most arguments, acts, sentence
#define WALMANAGER_FUNCTIONS(FUNCTION)                                                             \
  FUNCTION(WalVersion, "wal_version", "wal_version()", 0, 0, false,                                \
           "Returns version and build, the version of SQLite, and whether that has the WAL-reset " \
           "bug and can use threads.")                                                             \
  FUNCTION(WalStrategy, "wal_strategy", "wal_strategy([name [, schema]])", 0, 2, true,             \
           "Returns the active checkpoint strategy of the database, or sets it for all processes " \
           "at once.")                                                                             \
  FUNCTION(WalStrategyDefine, "wal_strategy_define",                                               \
           "wal_strategy_define(name, rules_json [, schema])", 2, 3, true,                         \
           "Makes or replaces a checkpoint strategy of your own.")                                 \
  FUNCTION(WalStrategyDrop, "wal_strategy_drop", "wal_strategy_drop(name [, schema])", 1, 2, true, \
           "Deletes a checkpoint strategy of your own that is not active.")                        \
  FUNCTION(WalSet, "wal_set", "wal_set(name, value [, schema])", 2, 3, true,                       \
           "Changes a setting for all processes at once; NULL sets it back to the default.")       \
  FUNCTION(WalCheckpointAuto, "wal_checkpoint_auto", "wal_checkpoint_auto([schema])", 0, 1, true,  \
           "Evaluates the active strategy now and runs the checkpoint that it calls for.")         \
  FUNCTION(WalCheckpoint, "wal_checkpoint", "wal_checkpoint(mode [, schema])", 1, 2, true,         \
           "Runs a checkpoint of the mode PASSIVE, FULL, RESTART or TRUNCATE now; error and "      \
           "blocked_by_pid say what was in the way.")                                              \
  FUNCTION(                                                                                        \
      WalConfigure, "wal_configure", "wal_configure(profile [, overrides_json [, schema]])", 1, 3, \
      true,                                                                                        \
      "Sets connection and database to a profile; after an error everything is as it was before.") \
  FUNCTION(                                                                                        \
      WalIntegrityCheck, "wal_integrity_check", "wal_integrity_check([kind [, schema]])", 0, 2,    \
      true,                                                                                        \
      "Checks database and foreign keys, 'quick' or 'full'; returns 'ok' or a line per finding.")  \
  FUNCTION(                                                                                        \
      WalBackup, "wal_backup", "wal_backup(path [, options_json [, schema]])", 1, 3, true,         \
      "Copies the database as it is now into a file, while other connections read and write.")     \
  FUNCTION(WalRestore, "wal_restore", "wal_restore(backup_path [, schema])", 1, 2, true,           \
           "Replaces the content of the database by that of a backup; after an error it is as it " \
           "was before.")                                                                          \
  FUNCTION(WalApplicationName, "wal_application_name", "wal_application_name([name])", 0, 1, true, \
           "Names this connection in connection_metrics and wal_readers, and returns its name.")   \
  FUNCTION(                                                                                        \
      WalCancel, "wal_cancel", "wal_cancel(connection_id)", 1, 1, true,                            \
      "Interrupts the statement that a connection of any process runs; returns 1, or 0 where "     \
      "it runs none.")                                                                             \
  FUNCTION(WalTrace, "wal_trace", "wal_trace([action])", 0, 1, true,                               \
           "Returns whether walmanager has SQLite's one trace slot: active, displaced or off; "    \
           "'take' gives it the slot.")                                                            \
  FUNCTION(WalOpenmetrics, "wal_openmetrics", "wal_openmetrics([schema])", 0, 1, true,             \
           "Returns what is measured of all attached databases, or of one, in the text format "    \
           "OpenMetrics 1.0, which Prometheus scrapes.")                                           \
  FUNCTION(WalMetricsReset, "wal_metrics_reset", "wal_metrics_reset([what [, schema]])", 0, 2,     \
           true, "Deletes statistics but keeps settings; returns the number of rows deleted.")

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
