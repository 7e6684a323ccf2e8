// The table that `scale` and its parts use. SQLite's settings are its defaults, so every commit
// syncs the log.
#pragma once

#include <string>

#include "tests/bench/process.h"
#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {

inline constexpr char kInsert[] = "INSERT INTO message(text) VALUES ('one row')";
inline constexpr char kSelect[] = "SELECT text FROM message WHERE id = 1";
inline constexpr char kMakeTable[] = "CREATE TABLE message(id INTEGER PRIMARY KEY, text TEXT)";

// A database in WAL mode with that table and a row, made in a process of its own.
inline void MakeDatabase(const std::string& path) {
  RunInProcess([&] {
    Db db(path);
    db.Exec("PRAGMA journal_mode=WAL");
    db.Exec(kMakeTable);
    db.Exec(kInsert);
  });
}

}  // namespace walmanager::bench
