#include "tests/fuzz/linked_extension.h"

#include <cstdio>
#include <cstdlib>

extern const sqlite3_api_routines* sqlite3_api;  // of ext/engine/sqlite.cc
extern "C" int sqlite3_walmanager_init(sqlite3* db, char** message,
                                       const sqlite3_api_routines* api);

namespace {

int KeepTable(sqlite3*, char**, const sqlite3_api_routines* table) {
  sqlite3_api = table;
  return SQLITE_OK;
}

}  // namespace

void SetApiTable() {
  if (sqlite3_api) return;
  const auto entry = reinterpret_cast<void (*)()>(KeepTable);
  if (sqlite3_auto_extension(entry) != SQLITE_OK) std::abort();
  sqlite3* db = nullptr;
  if (sqlite3_open(":memory:", &db) != SQLITE_OK) std::abort();
  sqlite3_close(db);
  sqlite3_cancel_auto_extension(entry);
  if (!sqlite3_api) std::abort();
}

void LoadLinkedExtension(sqlite3* db) {
  SetApiTable();
  char* message = nullptr;
  const int rc = sqlite3_walmanager_init(db, &message, sqlite3_api);
  if (rc != SQLITE_OK && rc != SQLITE_OK_LOAD_PERMANENTLY) {
    std::fprintf(stderr, "%s\n", message ? message : "no message");
    std::abort();
  }
}
