// A program with a global object that uses and closes its database in its destructor. That runs
// after the destructors of everything that the extension made while it was loaded. For
// test_watch_as_guest.py:
//   late_host walmanager.so database seconds "last words"
#include <sqlite3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

int Run(sqlite3* db, const char* sql) {
  char* message = nullptr;
  if (sqlite3_exec(db, sql, nullptr, nullptr, &message) == SQLITE_OK) return 0;
  std::fprintf(stderr, "%s: %s\n", sql, message ? message : "?");
  return 1;
}

struct Host {
  sqlite3* db = nullptr;
  useconds_t microseconds = 0;
  std::string last_words;
  ~Host() {
    if (!db) return;
    usleep(microseconds);
    if (Run(db, last_words.c_str()) != 0 || sqlite3_close(db) != SQLITE_OK) _exit(1);
  }
} host;

}  // namespace

int main(int, char** arguments) {
  sqlite3* db = nullptr;
  if (sqlite3_open(arguments[2], &db) != SQLITE_OK) return 2;
  sqlite3_enable_load_extension(db, 1);
  if (sqlite3_load_extension(db, arguments[1], nullptr, nullptr) != SQLITE_OK) return 2;
  if (Run(db,
          "SELECT wal_set('sample_interval_ms', 10), wal_set('alert_interval_ms', 50);"
          "INSERT INTO t(payload) VALUES (1)") != 0) {
    return 2;
  }
  usleep(150'000);
  host.microseconds = static_cast<useconds_t>(std::atof(arguments[3]) * 1e6);
  host.last_words = arguments[4];
  host.db = db;
  return 0;
}
