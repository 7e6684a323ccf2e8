// Gives the parts under test the API table through which they call SQLite. SQLite hands it to
// extensions alone, so an extension without a file asks for it before the first test.
#include <gtest/gtest.h>
#include <sqlite3.h>

extern const sqlite3_api_routines* sqlite3_api;  // of ext/engine/sqlite.cc

namespace {

int KeepTable(sqlite3*, char**, const sqlite3_api_routines* table) {
  sqlite3_api = table;
  return SQLITE_OK;
}

class ApiTable : public testing::Environment {
  void SetUp() override {
    const auto entry = reinterpret_cast<void (*)()>(KeepTable);
    ASSERT_EQ(sqlite3_auto_extension(entry), SQLITE_OK);
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
    sqlite3_close(db);
    sqlite3_cancel_auto_extension(entry);
    ASSERT_NE(sqlite3_api, nullptr);
  }
};

[[maybe_unused]] const auto* const api_table = testing::AddGlobalTestEnvironment(new ApiTable);

}  // namespace
