#include "tests/bench/light_client.h"

namespace walmanager::bench {
namespace {

constexpr sqlite3_int64 kRows = 100'000;
constexpr sqlite3_int64 kGroups = 10;
constexpr sqlite3_int64 kAnalyzed = 1000;

}  // namespace

LightClient::LightClient(Db& db, std::uint64_t seed)
    : random_(seed),
      begin_(db.get(), "BEGIN IMMEDIATE"),
      commit_(db.get(), "COMMIT"),
      insert_(db.get(), "INSERT INTO light(number, text) VALUES (:number, printf('%.100c', 'x'))"),
      read_(db.get(), "SELECT text FROM light WHERE id = :key"),
      analyze_(db.get(),
               "SELECT number, count(*), sum(length(text)) FROM light"
               " WHERE id BETWEEN :key AND :key + :rows GROUP BY number") {
  analyze_.Bind(":rows", kAnalyzed - 1);
}

void LightClient::Write() { Insert(); }

void LightClient::WriteBatch() {
  begin_.Run();
  for (int i = 0; i < kLightBatch; ++i) Insert();
  commit_.Run();
}

void LightClient::Read() {
  read_.Bind(":key", RandomKey());
  read_.Run();
}

void LightClient::Analyze() {
  analyze_.Bind(":key", RandomKey());
  analyze_.Run();
}

void LightClient::Fill(Db& db) {
  db.Exec(
      "CREATE TABLE light(id INTEGER PRIMARY KEY, number INTEGER, text TEXT);"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
      std::to_string(kRows) +
      ") INSERT INTO light(number, text) SELECT i % 10, printf('%.100c', 'x') FROM n");
}

sqlite3_int64 LightClient::RandomKey() {
  return std::uniform_int_distribution<sqlite3_int64>(1, kRows)(random_);
}

void LightClient::Insert() {
  insert_.Bind(":number", RandomKey() % kGroups);
  insert_.Run();
}

}  // namespace walmanager::bench
