// A connection to a database for the benchmarks, with or without the extension. Whatever goes wrong
// is thrown and ends the program with a message, after the scratch files are gone: a benchmark that
// goes on after an error measures nothing.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace walmanager::bench {

// Nanoseconds of CLOCK_MONOTONIC, about 22 ns a call.
std::uint64_t Now();
void SleepUntil(std::uint64_t when);  // of Now()
// Nanoseconds that all threads of this process have had a CPU, in user and system mode.
std::uint64_t CpuTime();

class Failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};
[[noreturn]] void Fail(const std::string& message);

class Statement {
 public:
  // `flags`: SQLITE_PREPARE_*; 0 for a statement that runs but once.
  Statement(sqlite3* db, const std::string& sql, unsigned flags = SQLITE_PREPARE_PERSISTENT);
  sqlite3_stmt* get() const { return stmt_.get(); }
  // Runs it to its end and makes it ready for the next time; in autocommit mode that commits.
  void Run();
  // The same; false where SQLite said SQLITE_BUSY.
  bool RunUnlessBusy();
  // Values of named parameters, `:name`. A name that the statement has not is passed over, so that
  // one set of values serves many statements. `text` must live until the statement has run.
  void Bind(const char* name, const std::string& text);
  void Bind(const char* name, std::string&& text) = delete;
  void Bind(const char* name, sqlite3_int64 number);

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* stmt) const { sqlite3_finalize(stmt); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> stmt_;
};

class Db {
 public:
  // Opens, or makes, the database at `path`, and runs a first statement so that it is open indeed.
  explicit Db(const std::string& path);
  sqlite3* get() const { return db_.get(); }
  // The extension from now on; nanoseconds that sqlite3_load_extension took.
  std::uint64_t LoadExtension(const std::string& library = WALMANAGER_SO);
  void Exec(const std::string& sql);
  // The first column of the first row; empty where there is none or it is NULL.
  std::string Query(const std::string& sql);

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

// A directory with a unique name, removed with its content at the end. `parent` empty: the
// system's temporary directory.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::string& parent);
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace walmanager::bench
