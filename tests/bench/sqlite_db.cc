#include "tests/bench/sqlite_db.h"

#include <stdlib.h>
#include <time.h>

#include <filesystem>

namespace walmanager::bench {

namespace {

std::uint64_t ReadClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t Now() { return ReadClock(CLOCK_MONOTONIC); }
std::uint64_t CpuTime() { return ReadClock(CLOCK_PROCESS_CPUTIME_ID); }

void SleepUntil(std::uint64_t when) {
  const timespec until{static_cast<time_t>(when / 1'000'000'000),
                       static_cast<long>(when % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

void Fail(const std::string& message) { throw Failure(message); }

Statement::Statement(sqlite3* db, const std::string& sql, unsigned flags) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v3(db, sql.c_str(), -1, flags, &stmt, nullptr) != SQLITE_OK) {
    Fail(sql + ": " + sqlite3_errmsg(db));
  }
  stmt_.reset(stmt);
}

void Statement::Run() {
  if (!RunUnlessBusy()) Fail(std::string(sqlite3_sql(stmt_.get())) + ": database is locked");
}

bool Statement::RunUnlessBusy() {
  while (sqlite3_step(stmt_.get()) == SQLITE_ROW) {
  }
  const int rc = sqlite3_reset(stmt_.get());
  if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
    Fail(std::string(sqlite3_sql(stmt_.get())) + ": " +
         sqlite3_errmsg(sqlite3_db_handle(stmt_.get())));
  }
  return rc == SQLITE_OK;
}

void Statement::Bind(const char* name, const std::string& text) {
  const int index = sqlite3_bind_parameter_index(stmt_.get(), name);
  sqlite3_bind_text(stmt_.get(), index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

void Statement::Bind(const char* name, sqlite3_int64 number) {
  sqlite3_bind_int64(stmt_.get(), sqlite3_bind_parameter_index(stmt_.get(), name), number);
}

Db::Db(const std::string& path) {
  sqlite3* db = nullptr;
  const int rc = sqlite3_open(path.c_str(), &db);
  db_.reset(db);
  if (rc != SQLITE_OK) Fail(path + ": " + sqlite3_errmsg(db));
  Exec("SELECT count(*) FROM sqlite_schema");
}

std::uint64_t Db::LoadExtension(const std::string& library) {
  sqlite3_db_config(get(), SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, nullptr);
  char* message = nullptr;
  const std::uint64_t start = Now();
  const int rc = sqlite3_load_extension(get(), library.c_str(), nullptr, &message);
  const std::uint64_t end = Now();
  if (rc != SQLITE_OK) Fail(library + ": " + (message ? message : "?"));
  return end - start;
}

void Db::Exec(const std::string& sql) {
  char* message = nullptr;
  if (sqlite3_exec(get(), sql.c_str(), nullptr, nullptr, &message) != SQLITE_OK) {
    Fail(sql + ": " + (message ? message : "?"));
  }
}

std::string Db::Query(const std::string& sql) {
  const Statement statement(get(), sql);
  const int rc = sqlite3_step(statement.get());
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) Fail(sql + ": " + sqlite3_errmsg(get()));
  const auto* text = rc == SQLITE_ROW
                         ? reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0))
                         : nullptr;
  return text ? text : "";
}

ScratchDirectory::ScratchDirectory(const std::string& parent) {
  const std::filesystem::path where =
      parent.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(parent);
  path_ = (where / "wal_bench.XXXXXX").string();
  if (!mkdtemp(path_.data())) Fail(where.string() + ": no directory can be made in it");
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace walmanager::bench
