// The work in a query plan that an index could save, in the wordings of SQLite's versions.
#include "ext/core/text/plan_text.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

TEST(PlanText, WorkIsCounted) {
  const struct {
    const char* plan;
    int scans, sorts, automatic_indexes;
  } kCases[] = {
      {"", 0, 0, 0},
      {"SCAN t", 1, 0, 0},
      {"SCAN TABLE t AS x\nUSE TEMP B-TREE FOR ORDER BY", 1, 1, 0},
      {"SCAN t USING COVERING INDEX i", 1, 0, 0},
      {"SEARCH t USING INTEGER PRIMARY KEY (rowid=?)", 0, 0, 0},
      {"SEARCH t", 1, 0, 0},  // max(a)
      {"SCAN x\nSEARCH y USING AUTOMATIC COVERING INDEX (b=?)", 1, 0, 1},
      {"MULTI-INDEX OR\n  INDEX 1\n    SEARCH t USING INDEX ia (a=?)", 0, 0, 0},
      {"CO-ROUTINE q\n  SCAN 3 CONSTANT ROWS\nSCAN q", 1, 0, 0},
  };
  for (const auto& example : kCases) {
    const PlanWork work = WorkOfPlan(example.plan);
    EXPECT_EQ(work.scans, example.scans) << example.plan;
    EXPECT_EQ(work.sorts, example.sorts) << example.plan;
    EXPECT_EQ(work.automatic_indexes, example.automatic_indexes) << example.plan;
  }
}

TEST(PlanText, LessOfAnythingIsLess) {
  EXPECT_TRUE(WorkOfPlan("SCAN t").HasLessThan(WorkOfPlan("SCAN t\nSCAN u")));
  EXPECT_FALSE(WorkOfPlan("SCAN t").HasLessThan(WorkOfPlan("SCAN u")));
  EXPECT_TRUE(WorkOfPlan("SCAN t").HasLessThan(WorkOfPlan("USE TEMP B-TREE FOR ORDER BY")));
}

TEST(PlanText, AnIndexIsUsedByItsWholeName) {
  const char* plan =
      "SCAN a\n  SEARCH t USING COVERING INDEX t_a_idx (a=?)\nSCAN u USING INDEX u_b";
  EXPECT_TRUE(PlanUsesIndex(plan, "t_a_idx"));
  EXPECT_TRUE(PlanUsesIndex(plan, "u_b"));
  EXPECT_FALSE(PlanUsesIndex(plan, "t_a"));
  EXPECT_FALSE(PlanUsesIndex(plan, "a_idx"));
}

}  // namespace
}  // namespace walmanager
