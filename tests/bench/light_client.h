// Work on rows of about 100 bytes with one key and no index: what many programs measure a database
// with. The conversation workload has realistic texts and five indexes.
#pragma once

#include <cstdint>
#include <random>

#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {

inline constexpr int kLightBatch = 100;

// One client. What it does depends on `seed` alone.
class LightClient {
 public:
  LightClient(Db& db, std::uint64_t seed);
  // One row in a transaction of its own.
  void Write();
  // kLightBatch rows in one transaction.
  void WriteBatch();
  // One row by its key.
  void Read();
  // Counts and sums of a thousand rows, in ten groups.
  void Analyze();

  // The table with its rows. For a database without it.
  static void Fill(Db& db);

 private:
  sqlite3_int64 RandomKey();
  void Insert();

  std::mt19937_64 random_;
  Statement begin_, commit_, insert_, read_, analyze_;
};

}  // namespace walmanager::bench
