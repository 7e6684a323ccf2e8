// PRAGMA page_size and auto_vacuum are found in any spelling, and only what SQLite would take
// counts.
#include "ext/core/text/layout_pragma.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

TEST(LayoutPragma, PageSize) {
  EXPECT_EQ(ParseLayoutPragma("PRAGMA page_size=8192")->page_size, 8192);
  EXPECT_EQ(ParseLayoutPragma(" ;/* x */ pragma Page_Size ( 512 );")->page_size, 512);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA page_size='65536'")->page_size, 65536);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA page_size=8192")->schema, "main");
  for (const char* ignored :
       {"PRAGMA page_size=1000", "PRAGMA page_size=256", "PRAGMA page_size=131072",
        "PRAGMA page_size=x", "PRAGMA page_size="}) {
    ASSERT_TRUE(ParseLayoutPragma(ignored)) << ignored;
    EXPECT_FALSE(ParseLayoutPragma(ignored)->page_size) << ignored;
  }
}

TEST(LayoutPragma, AutoVacuum) {
  EXPECT_EQ(ParseLayoutPragma("PRAGMA auto_vacuum=FULL")->auto_vacuum, 1);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA auto_vacuum('incremental')")->auto_vacuum, 2);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA auto_vacuum=2")->auto_vacuum, 2);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA auto_vacuum=none")->auto_vacuum, 0);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA auto_vacuum=3")->auto_vacuum, std::nullopt);
  EXPECT_EQ(ParseLayoutPragma("PRAGMA auto_vacuum=FULL")->page_size, std::nullopt);
}

TEST(LayoutPragma, TheSchemaIsNamed) {
  EXPECT_EQ(ParseLayoutPragma("PRAGMA aux.page_size=512")->schema, "aux");
  EXPECT_EQ(ParseLayoutPragma("PRAGMA \"a b\".[auto_vacuum] = 1")->schema, "a b");
}

TEST(LayoutPragma, OtherStatementsAreNone) {
  for (const char* other :
       {"PRAGMA page_size", "PRAGMA auto_vacuum", "PRAGMA cache_size=512", "SELECT page_size=512",
        "PRAGMA", "PRAGMA x.", "", ";", "PRAGMA page_size.x=1", "PRAGMA main.page_size"}) {
    EXPECT_FALSE(ParseLayoutPragma(other)) << other;
  }
}

}  // namespace
}  // namespace walmanager
