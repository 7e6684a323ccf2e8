/* host LIBRARY DATABASE
**
** A program with its own SQLite, for libraries that were built for another machine (scripts/release --try), and for
** other versions and builds of SQLite (tests/hosts/versions). It loads the library into connections of four threads,
** which write, read, and read every table of the library meanwhile. A SQLite without threads gets one thread.
** The last line is "ok" where all went as it should; else a sentence says what did not.
*/
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

#ifndef SQLITE_THREADSAFE
#define SQLITE_THREADSAFE 1
#endif

enum { kThreads = 4, kCommits = 500, kMostTables = 64 };

static const char *library, *path;
static char *tables[kMostTables];
static int table_count;

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  exit(1);
}

static sqlite3 *open_database(void) {
  sqlite3 *db = 0;
  char *message = 0;
  if (sqlite3_open(path, &db) != SQLITE_OK) fail("open: %s", sqlite3_errmsg(db));
  sqlite3_busy_timeout(db, 20000);
  sqlite3_enable_load_extension(db, 1);
  if (sqlite3_load_extension(db, library, 0, &message) != SQLITE_OK) fail("load: %s", message);
  return db;
}

/* Runs the statement to its end, and returns the number of its rows. `text`: gets the first value. */
static long run(sqlite3 *db, const char *sql, char *text, size_t size) {
  sqlite3_stmt *stmt = 0;
  long rows = 0;
  int rc;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, 0) != SQLITE_OK) fail("%s: %s", sql, sqlite3_errmsg(db));
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    for (int column = 0; column < sqlite3_column_count(stmt); ++column) {
      const unsigned char *value = sqlite3_column_text(stmt, column);
      if (rows == 0 && column == 0 && text) snprintf(text, size, "%s", value ? (const char *)value : "");
    }
    ++rows;
  }
  if (rc != SQLITE_DONE) fail("%s: %s", sql, sqlite3_errmsg(db));
  sqlite3_finalize(stmt);
  return rows;
}

static void expect(sqlite3 *db, const char *sql, const char *wanted) {
  char found[400] = "";
  run(db, sql, found, sizeof found);
  if (strcmp(found, wanted) != 0) fail("%s is '%s', not '%s'", sql, found, wanted);
}

static long read_tables(sqlite3 *db) {
  long rows = 0;
  for (int i = 0; i < table_count; ++i) {
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT * FROM %s", tables[i]);
    rows += run(db, sql, 0, 0);
  }
  return rows;
}

static void *work(void *number) {
  sqlite3 *db = open_database();
  char sql[200];
  for (int i = 0; i < kCommits; ++i) {
    snprintf(sql, sizeof sql, "INSERT INTO t(writer, text) VALUES (%d, hex(randomblob(400)))", *(int *)number);
    run(db, sql, 0, 0);
    if (i % 10 == 0) run(db, "SELECT count(*), max(length(text)) FROM t WHERE writer = 1", 0, 0);
    if (i % 100 == 50) read_tables(db);
  }
  sqlite3_close(db);
  return 0;
}

/* Prints how much of their stacks the threads of the library have used, from /proc/self/smaps: their mappings have
** the size that ext/system/own_thread.h says. */
static void print_stacks(void) {
  FILE *maps = fopen("/proc/self/smaps", "r");
  char line[400];
  long size = 0, rss = 0, most = 0;
  while (maps && fgets(line, sizeof line, maps)) {
    sscanf(line, "Size: %ld", &size);
    if (sscanf(line, "Rss: %ld", &rss) == 1 && size >= 1024 && size <= 1028 && rss > most) most = rss;
  }
  if (maps) fclose(maps);
  printf("threads of the library have used up to %ld kB of their stacks\n", most);
}

int main(int argc, char **argv) {
  if (argc != 3) fail("host LIBRARY DATABASE");
  sqlite3_initialize();
  library = argv[1];
  path = argv[2];
  sqlite3 *db = open_database();
  expect(db, "PRAGMA journal_mode=WAL", "wal");
  run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, writer, text)", 0, 0);
  run(db, "CREATE INDEX i ON t(text)", 0, 0);
  sqlite3_stmt *stmt = 0;
  sqlite3_prepare_v2(db, "SELECT DISTINCT name FROM wal_help WHERE kind = 'table' AND name <> 'read_pool'", -1, &stmt, 0);
  while (sqlite3_step(stmt) == SQLITE_ROW && table_count < kMostTables) {
    tables[table_count++] = strdup((const char *)sqlite3_column_text(stmt, 0));
  }
  sqlite3_finalize(stmt);
  if (table_count < 15) fail("wal_help names %d tables", table_count);
  pthread_t threads[kThreads];
  int numbers[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    numbers[i] = i;
    if (SQLITE_THREADSAFE) {
      pthread_create(&threads[i], 0, work, &numbers[i]);
    } else {
      work(&numbers[i]);
    }
  }
  for (int i = 0; SQLITE_THREADSAFE && i < kThreads; ++i) pthread_join(threads[i], 0);
  char wanted[40];
  snprintf(wanted, sizeof wanted, "%d", kThreads * kCommits);
  expect(db, "SELECT count(*) FROM t", wanted);
  expect(db, "PRAGMA integrity_check", "ok");
  /* The two of CREATE TABLE and CREATE INDEX, too. */
  snprintf(wanted, sizeof wanted, "%d", kThreads * kCommits + 2);
  expect(db, "SELECT commits FROM wal_metrics", wanted);
#ifdef SQLITE_OMIT_TRACE
  expect(db, "SELECT checkpointer || ', because ' || inline_because FROM wal_metrics",
         "inline, because this SQLite was built with SQLITE_OMIT_TRACE: the PRAGMA journal_mode of a connection would "
         "not be announced");
  expect(db, "SELECT count(*) FROM query_performance", "0");
#else
  expect(db, "SELECT checkpointer FROM wal_metrics", SQLITE_THREADSAFE ? "background" : "inline");
  expect(db,
         SQLITE_THREADSAFE ? "SELECT count(*) > 0 FROM wal_checkpoints WHERE origin = 'background' AND moved_frames > 1000"
                           : "SELECT count(*) > 0 FROM wal_checkpoints WHERE origin = 'inline' AND moved_frames > 1000",
         "1");
  snprintf(wanted, sizeof wanted, "%d", kThreads * kCommits);
  expect(db, "SELECT calls FROM query_performance WHERE query LIKE 'INSERT INTO t%'", wanted);
#endif
  expect(db, "SELECT count(*) FROM read_pool('[\"SELECT id FROM t WHERE id <= 10\"]')", "10");
  char *copy = sqlite3_mprintf("SELECT wal_backup('%q-copy') IS NOT NULL", path);
  expect(db, copy, "1");
  sqlite3_free(copy);
  expect(db, "SELECT wal_checkpoint('TRUNCATE') IS NOT NULL", "1");
  /* An error is thrown and caught within the library. */
  if (sqlite3_exec(db, "SELECT wal_checkpoint('FAST')", 0, 0, 0) == SQLITE_OK) fail("wal_checkpoint('FAST') works");
  const long rows = read_tables(db);
  print_stacks();
  printf("SQLite %s, %d tables with %ld rows, %d threads\n", sqlite3_libversion(), table_count, rows, kThreads);
  sqlite3_close(db);
  printf("ok\n");
  return 0;
}
