#include "tests/bench/workload.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

namespace walmanager::bench {
namespace {

constexpr int kPayloadBytes = 180;
constexpr char kInsert[] = "INSERT INTO message(number, payload) VALUES (?1, ?2)";

}  // namespace

RowSource::RowSource(Db& db, std::uint64_t seed) : insert_(db.get(), kInsert), random_(seed) {
  payload_.resize(kPayloadBytes);
  for (char& byte : payload_) byte = static_cast<char>(random_());
}

void RowSource::BindNext() {
  sqlite3_bind_int64(insert_.get(), 1, static_cast<sqlite3_int64>(random_() >> 1));
  sqlite3_bind_blob(insert_.get(), 2, payload_.data(), kPayloadBytes, SQLITE_STATIC);
}

void MakeTemplate(const Workload& workload, const std::string& path, int rows) {
  if (std::filesystem::exists(path)) return;
  Db db(path);
  db.Exec("PRAGMA journal_mode=WAL");
  db.Exec(std::string(workload.schema) + "BEGIN");
  RowSource source(db, 0);
  for (int i = 0; i < rows; ++i) {
    source.BindNext();
    source.Insert();
  }
  db.Exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

void CopyAndSync(const std::string& from, const std::string& to) {
  std::filesystem::copy_file(from, to);
  const int fd = open(to.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fsync(fd) != 0) Fail(to + ": cannot be synced");
  close(fd);
}

}  // namespace walmanager::bench
