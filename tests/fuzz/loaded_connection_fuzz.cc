// Any statements on connections with walmanager and on connections without: the same rows, the same
// errors, the same counts, the same database in the end.
//
// The bytes choose statements of a grammar, or are SQL themselves, for two connections each to a
// database of its own. What depends on time, on chance or on the names of functions is left out,
// and so is what a program sees of checkpoints, which are walmanager's work.
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/fuzz/input_bytes.h"
#include "tests/fuzz/linked_extension.h"

namespace {

// % and a letter: t table, c column, n number, v value.
constexpr const char* kStatements[] = {
    "CREATE TABLE IF NOT EXISTS %t(a INTEGER PRIMARY KEY, b TEXT, c UNIQUE, d INT DEFAULT 7 CHECK "
    "(d<>13))",
    "CREATE TABLE %t AS SELECT %v AS a, %v AS b, %v AS c, %n AS d",
    "CREATE TABLE %t(a, b, c, d, PRIMARY KEY(a, b)) WITHOUT ROWID",
    "CREATE TEMP TABLE %t(a, b, c, d)",
    "CREATE INDEX i%n ON %t(%c, %c)",
    "CREATE UNIQUE INDEX i%n ON %t(%c)",
    "CREATE VIEW v%n AS SELECT %c, %c AS x FROM %t",
    "CREATE TRIGGER r%n AFTER INSERT ON %t BEGIN UPDATE %t SET b=new.a WHERE a=%n; END",
    "CREATE TRIGGER r%n BEFORE DELETE ON %t BEGIN SELECT RAISE(FAIL, 'no'); END",
    "CREATE TRIGGER r%n BEFORE UPDATE ON %t WHEN new.d=%n BEGIN SELECT RAISE(ROLLBACK, 'back'); "
    "END",
    "DROP TABLE %t",
    "DROP INDEX i%n",
    "DROP VIEW v%n",
    "DROP TRIGGER r%n",
    "ALTER TABLE %t ADD COLUMN e%n",
    "ALTER TABLE %t RENAME COLUMN %c TO e%n",
    "INSERT INTO %t VALUES(%v, %v, %v, %v)",
    "INSERT INTO %t(a, b, c, d) VALUES(%n, %v, %v, %n),(%v, %v, %n, %v)",
    "INSERT OR REPLACE INTO %t(a, b) VALUES(%n, zeroblob(%n * 100))",
    "INSERT OR ROLLBACK INTO %t(a, c) VALUES(%n, %v)",
    "INSERT OR IGNORE INTO %t SELECT * FROM %t",
    "INSERT INTO %t(a, b) VALUES(%n, %v) RETURNING a, b, d",
    "INSERT INTO %t(b) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM x WHERE i<%n*9) "
    "SELECT i FROM x",
    "UPDATE %t SET %c=%v WHERE %c=%v",
    "UPDATE OR FAIL %t SET c=%n, d=d+1",
    "UPDATE %t SET b=hex(zeroblob(%n * 200)) WHERE a>%n RETURNING a, length(b)",
    "DELETE FROM %t WHERE %c>%v",
    "DELETE FROM %t",
    "SELECT * FROM %t ORDER BY 1, 2, 3",
    "SELECT %c, count(*), sum(d), group_concat(typeof(c)) FROM %t GROUP BY %c ORDER BY 1, 2",
    "SELECT * FROM %t JOIN %t USING(%c) WHERE d>%n ORDER BY 1, 2, 3, 4 LIMIT 5",
    "SELECT * FROM v%n",
    "SELECT %v UNION SELECT %c FROM %t ORDER BY 1",
    "SELECT a, (SELECT max(b) FROM %t) FROM %t WHERE a IN (SELECT %c FROM %t) ORDER BY a",
    "EXPLAIN QUERY PLAN SELECT * FROM %t WHERE %c=%v",
    "SELECT changes(), total_changes(), last_insert_rowid()",
    "SELECT name, sql FROM sqlite_schema ORDER BY 1",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s%n",
    "RELEASE s%n",
    "ROLLBACK TO s%n",
    "PRAGMA foreign_keys=%n",
    "PRAGMA synchronous=%n",
    "PRAGMA cache_size=%n",
    "PRAGMA cache_spill=%n",
    "PRAGMA user_version=%n",
    "PRAGMA user_version",
    "PRAGMA secure_delete=%n",
    "PRAGMA auto_vacuum=%n",
    "PRAGMA incremental_vacuum(%n)",
    "PRAGMA busy_timeout",
    "PRAGMA query_only=%n",
    "PRAGMA recursive_triggers=%n",
    "PRAGMA temp_store=%n",
    "PRAGMA locking_mode",
    "PRAGMA journal_mode",
    "PRAGMA page_count",
    "PRAGMA freelist_count",
    "PRAGMA integrity_check",
    "PRAGMA table_info(%t)",
    "PRAGMA index_list(%t)",
    "PRAGMA data_version",
    "PRAGMA wal_autocheckpoint=%n",
    "PRAGMA wal_checkpoint",
    "VACUUM",
    "ANALYZE",
    "REINDEX",
    "ATTACH ':memory:' AS m%n",
    "DETACH m%n",
    "SELECT * FROM m%n.sqlite_schema",
    "SELECT no_such_function(%n)",
    "SELECT %c FROM nowhere",
    "SELEC %n",
    "SELECT abs(-9223372036854775808)",
    "SELECT json_extract('{\"x\":%n}', '$.x')",
    "SELECT * FROM pragma_table_list ORDER BY 1, 2",
    "",
    "; -- nothing",
};
constexpr const char* kValues[] = {"NULL",    "1",  "13",      "2.5",  "'text'",         "''",
                                   "x'00ff'", "-7", "'It''s'", "9e99", "zeroblob(3000)", "x'ff",
                                   "a",       "?1", ":name"};
// Nobody can compare these, or they are about checkpoints.
constexpr std::string_view kLeftOut[] = {
    "random",        "now",          "current",        "date",
    "time",          "julian",       "strf",           "wal",
    "metrics",       "health",       "environment",    "read_pool",
    "candidates",    "statistics",   "unused",         "query_performance",
    "function_list", "module_list",  "load_extension", "into",
    "attach",        "limit_memory", "heap",           "threads",
    "mmap",          "journal",      "temp_store_d",   "locking_mode",
    "data_store",    "version",      "lock_status",    "shell",
    "fts",           "rtree",        "dbpage",         "dbstat",
    "stmt",          "compile",      "page_size",      "schema_version",
    "writable",      "optimize",     "recurs",         "generate"};

std::string Statement(InputBytes& bytes) {
  std::string sql;
  for (const char* c = bytes.OneOf(kStatements); *c; ++c) {
    if (*c != '%') {
      sql += *c;
      continue;
    }
    switch (*++c) {
      case 't':
        sql += 't';
        sql += static_cast<char>('0' + bytes.Next() % 3);
        break;
      case 'c':
        sql += static_cast<char>('a' + bytes.Next() % 4);
        break;
      case 'n':
        sql += std::to_string(bytes.Next() % 10);
        break;
      default:
        sql += bytes.OneOf(kValues);
    }
  }
  return sql;
}

bool IsLeftOut(const std::string& sql) {
  std::string lower(sql);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::any_of(std::begin(kLeftOut), std::end(kLeftOut),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// What the program sees of a statement.
std::string Outcome(sqlite3* db, const std::string& sql, bool runs_out) {
  std::string seen;
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  int rc = sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement, &tail);
  int rows = 0;
  // PRAGMA wal_checkpoint tells what walmanager has left to do, and whether it is at it.
  const bool is_checkpoint = sql == "PRAGMA wal_checkpoint";
  while (rc == SQLITE_OK && statement && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    for (int i = 0; i < sqlite3_column_count(statement) && !is_checkpoint; ++i) {
      const auto* text = static_cast<const char*>(sqlite3_column_blob(statement, i));
      seen += "|" + std::to_string(sqlite3_column_type(statement, i)) + ":";
      if (text) seen.append(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, i)));
    }
    seen += '\n';
    if (!runs_out || ++rows > 200) break;
  }
  seen += "rc " + std::to_string(is_checkpoint ? 0 : rc & 0xff);
  if (rc != SQLITE_OK && rc != SQLITE_DONE && !is_checkpoint) seen += sqlite3_errmsg(db);
  (void)sqlite3_finalize(statement);
  seen += " changes " + std::to_string(sqlite3_changes(db)) + " of " +
          std::to_string(sqlite3_total_changes(db)) + " rowid " +
          std::to_string(sqlite3_last_insert_rowid(db)) + " autocommit " +
          std::to_string(sqlite3_get_autocommit(db)) + " transaction " +
          std::to_string(sqlite3_txn_state(db, "main"));
  return seen;
}

struct Pair {
  sqlite3* bare = nullptr;
  sqlite3* loaded = nullptr;
};

const std::string& Folder() {
  // Never destroyed, since it is used at the exit.
  static const std::string& folder = *[] {
    std::string name = "/dev/shm/walmanager-fuzz-XXXXXX";
    if (!mkdtemp(name.data())) std::abort();
    std::atexit([] { (void)std::system(("rm -rf " + Folder()).c_str()); });
    return new std::string(name);
  }();
  return folder;
}

sqlite3* Open(const std::string& path, bool load) {
  sqlite3* db = nullptr;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr) !=
      SQLITE_OK)
    std::abort();
  if (load) LoadLinkedExtension(db);
  return db;
}

void Differ(const std::string& history, const std::string& bare, const std::string& loaded) {
  std::fprintf(stderr, "%s\n--- bare:\n%s\n--- loaded:\n%s\n", history.c_str(), bare.c_str(),
               loaded.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  InputBytes bytes(data, size);
  const std::string bare_path = Folder() + "/bare.db", loaded_path = Folder() + "/loaded.db";
  for (const std::string& path : {bare_path, loaded_path}) {
    for (const char* end : {"", "-wal", "-shm", "-journal", "-walmanager"})
      (void)unlink((path + end).c_str());
  }
  Pair pairs[2];
  const bool uses_log = bytes.Next() % 4 != 0;
  for (Pair& pair : pairs) pair = {Open(bare_path, false), Open(loaded_path, true)};
  std::string history;
  const auto run = [&](int which, const std::string& sql, bool runs_out) {
    history += std::to_string(which) + ": " + sql + "\n";
    const std::string bare = Outcome(pairs[which].bare, sql, runs_out);
    const std::string loaded = Outcome(pairs[which].loaded, sql, runs_out);
    if (bare != loaded) Differ(history, bare, loaded);
  };
  if (uses_log) run(0, "PRAGMA journal_mode=WAL", true);
  run(0, "CREATE TABLE t0(a INTEGER PRIMARY KEY, b TEXT, c UNIQUE, d INT DEFAULT 7 CHECK (d<>13))",
      true);
  while (!bytes.empty()) {
    const std::uint8_t how = bytes.Next();
    const int which = how & 1;
    if ((how & 0xf0) == 0xf0) {
      const std::string sql = bytes.Take(how >> 1 & 7 ? 40 : 200);
      if (!IsLeftOut(sql) && sql.find('\0') == std::string::npos) run(which, sql, true);
    } else {
      run(which, Statement(bytes), (how & 0x0e) != 0);
    }
  }
  for (int which : {0, 1}) {
    if (sqlite3_get_autocommit(pairs[which].bare) == 0) run(which, "ROLLBACK", true);
  }
  for (const char* sql :
       {"SELECT name, sql FROM sqlite_schema ORDER BY 1, 2", "SELECT * FROM main.t0 ORDER BY 1, 2",
        "SELECT * FROM main.t1 ORDER BY 1, 2", "SELECT * FROM main.t2 ORDER BY 1, 2",
        "PRAGMA main.integrity_check"}) {
    run(0, sql, true);
  }
  for (Pair& pair : pairs) {
    if (sqlite3_close(pair.bare) != SQLITE_OK || sqlite3_close(pair.loaded) != SQLITE_OK)
      std::abort();
  }
  // Nothing is left beside the database that SQLite alone would not leave, but the control file.
  for (const char* end : {"-wal", "-shm", "-journal"}) {
    struct stat status {};
    const bool bare = stat((bare_path + end).c_str(), &status) == 0;
    const bool loaded = stat((loaded_path + end).c_str(), &status) == 0;
    if (bare != loaded) Differ(history, bare ? end : "none", loaded ? end : "none");
  }
  return 0;
}
