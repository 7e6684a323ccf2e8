#include "ext/engine/known_names.h"

#include <gtest/gtest.h>

#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

class KnownNamesTest : public testing::Test {
 protected:
  bool Cover(const std::string& sql) { return KnownNames(database_.db()).Cover(sql); }

  WalDatabase database_;
};

TEST_F(KnownNamesTest, CoversWhatTheSchemaAndSqliteHave) {
  EXPECT_TRUE(Cover("SELECT max(v) FROM t WHERE id IN (SELECT value FROM json_each('[1]'))"));
  EXPECT_TRUE(Cover("SELECT name FROM sqlite_master"));
  EXPECT_TRUE(Cover("SELECT name FROM sqlite_schema"));
  EXPECT_TRUE(Cover("SELECT name FROM pragma_table_info('t')"));
  EXPECT_TRUE(Cover("SELECT name FROM main.Pragma_Index_List('t')"));
  EXPECT_FALSE(Cover("SELECT v FROM missing"));
  EXPECT_FALSE(Cover("SELECT missing(v) FROM t"));
}

// A TEMP table of the program's may have such a name.
TEST_F(KnownNamesTest, BugATableWasTakenForOneOfSqlitesByItsNameAlone) {
  EXPECT_FALSE(Cover("SELECT note FROM pragma_notes"));
  // A module that has no table of its own name.
  ASSERT_GT(database_.Number("SELECT count(*) FROM pragma_module_list WHERE name = 'rtree'"), 0);
  EXPECT_FALSE(Cover("SELECT x FROM rtree"));
}

}  // namespace
}  // namespace walmanager
