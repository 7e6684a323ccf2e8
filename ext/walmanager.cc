// The entry points (https://www.sqlite.org/loadext.html).
//
// A process-wide load registers the first entry as an auto-extension: SQLite then calls it for
// every connection that opens later. The library is never unloaded: hooks and destructors point
// into it.
#include <string>

#include "ext/connection/connection.h"
#include "ext/core/base/engine_version.h"
#include "ext/engine/needed_functions.h"
#include "ext/engine/one_copy.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/system/host_turn.h"
#include "sql/function.h"
#include "vtab/module/module.h"

#define WALMANAGER_EXPORT extern "C" __attribute__((visibility("default")))

WALMANAGER_EXPORT int sqlite3_walmanager_init(sqlite3* db, char** message,
                                              const sqlite3_api_routines* api);
WALMANAGER_EXPORT int sqlite3_walmanagerprocess_init(sqlite3* db, char** message,
                                                     const sqlite3_api_routines* api);

namespace walmanager {
namespace {

constexpr char kEntry[] = "sqlite3_walmanager_init";
constexpr char kProcessWideEntry[] = "sqlite3_walmanagerprocess_init";

int Refuse(char** message, const sqlite3_api_routines* api, const std::string& text) {
  if (message) *message = api->mprintf("walmanager: %s", text.c_str());
  return SQLITE_ERROR;
}

int Manage(sqlite3* db, char** message, const sqlite3_api_routines* api, Connection::At at) {
  const HostTurn turn;  // also since what is made once for the process is made in here
  // The second load on a connection is a quiet success.
  bool made = false;
  auto connection = Connection::Attach(db, &made);
  if (!connection.ok()) return Refuse(message, api, connection.error().message);
  if (!made) return SQLITE_OK;
  Status status = RegisterTables(connection.value());
  if (status.ok()) status = RegisterFunctions(connection.value());
  if (!status.ok()) return Refuse(message, api, status.error().message);
  connection.value()->Start(at);
  return SQLITE_OK;
}

// Whether this engine can run us; sets the API table that all calls go through.
int Accept(char** message, const sqlite3_api_routines* api) {
  if (api->libversion_number() < kOldestEngine) {
    return Refuse(message, api,
                  std::string("SQLite 3.34.0 or newer is needed, this is ") + api->libversion());
  }
  if (sqlite3_api && sqlite3_api->libversion != api->libversion) {
    return Refuse(message, api, "already loaded into another copy of SQLite in this process");
  }
  const std::string missing = MissingFunction(*api);
  if (!missing.empty()) return Refuse(message, api, missing);
  if (sqlite3_api != api) sqlite3_api = api;
  SetObserverMaker(MakeHealthObserver);
  return SQLITE_OK;
}

// For every connection that opens after a process-wide load. An error here would make the host's
// open fail: there is none, the connection is then simply not managed. Also the error that a call
// leaves on the connection would make it fail. One that another automatic extension has left stays,
// and the open fails as it would without us.
int LoadWhileOpening(sqlite3* db, char**, const sqlite3_api_routines* api) {
  if (sqlite3_errcode(db) != SQLITE_OK) return SQLITE_OK;
  AtCEdge([&] {
    if (OpeningOwnConnection()) return SQLITE_OK;
    return Manage(db, nullptr, api, Connection::At::kOpening);
  });
  sqlite3_stmt* nothing = nullptr;
  if (sqlite3_errcode(db) != SQLITE_OK) (void)sqlite3_prepare_v2(db, "", -1, &nothing, nullptr);
  return SQLITE_OK;
}

// `process_wide`: also every connection that opens later.
int Load(sqlite3* db, char** message, const sqlite3_api_routines* api, bool process_wide) {
  return AtCEdge([&] {
    int rc = Accept(message, api);
    if (rc != SQLITE_OK) return rc;
    const HostTurn turn;
    const auto other = process_wide
                           ? FindOtherCopy(kProcessWideEntry, sqlite3_walmanagerprocess_init)
                           : FindOtherCopy(kEntry, sqlite3_walmanager_init);
    if (!other.ok()) return Refuse(message, api, other.error().message);
    if (other.value().entry) return other.value().entry(db, message, api);
    rc = Manage(db, message, api, Connection::At::kOpenConnection);
    if (rc == SQLITE_OK && process_wide) {
      rc = sqlite3_auto_extension(reinterpret_cast<void (*)()>(LoadWhileOpening));
    }
    return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
  });
}

}  // namespace
}  // namespace walmanager

// This connection is managed from now on. Not thread-safe on one handle, as nothing is.
WALMANAGER_EXPORT int sqlite3_walmanager_init(sqlite3* db, char** message,
                                              const sqlite3_api_routines* api) {
  return walmanager::Load(db, message, api, /*process_wide=*/false);
}

// Also every connection that this process opens later.
WALMANAGER_EXPORT int sqlite3_walmanagerprocess_init(sqlite3* db, char** message,
                                                     const sqlite3_api_routines* api) {
  return walmanager::Load(db, message, api, /*process_wide=*/true);
}
