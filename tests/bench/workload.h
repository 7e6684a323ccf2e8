// The tables that commits are measured on, and where their rows come from.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {

inline constexpr int kRowsAtStart = 100'000;

struct Workload {
  const char* name;
  const char* schema;
};
inline constexpr Workload kWorkloads[] = {
    {"append", "CREATE TABLE message(id INTEGER PRIMARY KEY, number INTEGER, payload BLOB);"},
    {"indexed",
     "CREATE TABLE message(id INTEGER PRIMARY KEY, number INTEGER, payload BLOB);"
     "CREATE INDEX message_by_number ON message(number);"},
};

// The INSERTs of one connection: the same rows for the same `seed`.
class RowSource {
 public:
  RowSource(Db& db, std::uint64_t seed);
  void BindNext();
  void Insert() { insert_.Run(); }
  bool InsertUnlessBusy() { return insert_.RunUnlessBusy(); }

 private:
  Statement insert_;
  std::mt19937_64 random_;
  std::string payload_;
};

// Makes, unless it is there, a closed database with so many rows, of 195 to 220 bytes, and no log.
void MakeTemplate(const Workload& workload, const std::string& path, int rows = kRowsAtStart);

// A copy that is synced to the disk, so that no measurement includes that.
void CopyAndSync(const std::string& from, const std::string& to);

}  // namespace walmanager::bench
