#include "tests/engine/wal_database.h"

#include <stdlib.h>

#include <fstream>
#include <utility>

#include "ext/core/format/wal_index_format.h"
#include "ext/engine/log_file.h"
#include "ext/system/file_id_at.h"
#include "ext/system/file_system.h"

namespace walmanager {
namespace {

void CopyOut(sqlite3_file* file, const std::string& path) {
  sqlite3_int64 bytes = 0;
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(file->pMethods->xFileSize(file, &bytes), SQLITE_OK);
  std::string content(static_cast<std::size_t>(bytes), '\0');
  if (bytes > 0) {
    ASSERT_EQ(file->pMethods->xRead(file, content.data(), static_cast<int>(bytes), 0), SQLITE_OK);
  }
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace

WalDatabase::WalDatabase() {
  std::string directory = std::filesystem::temp_directory_path() / "walmanager_XXXXXX";
  EXPECT_NE(mkdtemp(directory.data()), nullptr);
  directory_ = directory;
  path_ = std::filesystem::canonical(directory_).string() + "/data.db";
  db_ = Open();
  Run("PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)");
}

WalDatabase::~WalDatabase() {
  db_.reset();
  std::filesystem::remove_all(directory_);
}

FileId WalDatabase::id() const { return FileIdAt(path_).value_or(FileId{}); }

WalFile WalDatabase::log() const { return WalFile::InWalMode(DatabaseFile(db_.get(), "main")); }

WalIndex WalDatabase::Look() const { return ReadWalIndex(log()).value_or(WalIndex{}); }

void WalDatabase::Run(sqlite3* db, const std::string& sql) {
  ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sql << ": " << sqlite3_errmsg(db);
}

std::int64_t WalDatabase::Number(sqlite3* db, const std::string& sql) {
  const auto text = QueryText(db, sql);
  return text.ok() && text.value() ? std::stoll(*text.value()) : -1;
}

void WalDatabase::Commit(int rows) const {
  Run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
      std::to_string(rows) + ") INSERT INTO t(v) SELECT zeroblob(4000) FROM n");
}

void WalDatabase::MakeShortLogInLongFile(int rows) const {
  Commit(rows);
  Run("PRAGMA wal_checkpoint(RESTART)");
  Commit(1);
}

OwnedDb WalDatabase::Open() const {
  sqlite3* db = nullptr;
  EXPECT_EQ(
      sqlite3_open_v2(path_.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr),
      SQLITE_OK);
  OwnedDb owned(db);
  sqlite3_wal_hook(db, nullptr, nullptr);  // no automatic checkpoint
  return owned;
}

OwnedDb WalDatabase::OpenReader() const {
  OwnedDb reader = Open();
  Run(reader.get(), "BEGIN; SELECT count(*) FROM t");
  return reader;
}

std::int64_t WalDatabase::wal_bytes() const { return FileBytes(wal_path()).value_or(-1); }

std::int64_t WalDatabase::RowsInCopy(bool with_log) const {
  const std::string copy = directory_ + "/copy.db";
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(copy + suffix);
  CopyOut(DatabaseFile(db_.get(), "main"), copy);
  if (with_log) CopyOut(LogFile(db_.get()), copy + "-wal");
  sqlite3* db = nullptr;
  sqlite3_open_v2(copy.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  const OwnedDb owned(db);
  const auto sound = QueryText(db, "PRAGMA integrity_check");
  if (!sound.ok() || sound.value() != "ok") return -1;
  return Number(db, "SELECT count(*) FROM t");
}

std::unique_ptr<ControlInUse> MakeControl(const WalDatabase& database) {
  auto file = ControlFile::Open(database.path(), database.id(), ControlFile::Wish::kMakeAndWait);
  EXPECT_TRUE(file->shared()) << file->reason();
  return std::make_unique<ControlInUse>(std::move(file));
}

std::unique_ptr<ControlInUse> MakePrivateControl() {
  return std::make_unique<ControlInUse>(
      ControlFile::Open("/no/such/database", {}, ControlFile::Wish::kAttach));
}

void ChangeSetting(ControlRegion& region, Setting setting, std::int64_t value) {
  StoredSettings stored = region.ReadSettings().value_or(StoredSettings{});
  stored.Set(SettingSpecs()[static_cast<std::size_t>(setting)], value, {"a test", 1});
  ASSERT_TRUE(region.WriteSettings(stored).ok());
}

void SelectStrategy(ControlRegion& region, const std::string& name) {
  StoredSettings stored = region.ReadSettings().value_or(StoredSettings{});
  ASSERT_TRUE(stored.SelectStrategy(name, {"a test", 1}).ok());
  ASSERT_TRUE(region.WriteSettings(stored).ok());
}

void SelectRule(ControlRegion& region, const std::string& condition) {
  Rule rule;
  rule.strategy = "mine";
  rule.name = "only";
  rule.condition = condition;
  StoredSettings stored;
  ASSERT_TRUE(stored.DefineStrategy("mine", {rule}).ok());
  ASSERT_TRUE(stored.SelectStrategy("mine", {"a test", 1}).ok());
  ASSERT_TRUE(region.WriteSettings(stored).ok());
}

}  // namespace walmanager
