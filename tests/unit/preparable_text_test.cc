// A normalized text can be prepared again.
#include "ext/core/text/preparable_text.h"

#include <gtest/gtest.h>

#include "ext/core/text/normalize.h"

namespace walmanager {
namespace {

TEST(PreparableText, FoldedListsAreGivenParameters) {
  const struct {
    const char* sql;
    const char* preparable;
  } kCases[] = {
      {"", ""},
      {"SELECT a FROM t WHERE b = 5", "SELECT a FROM t WHERE b = ?"},
      {"SELECT a FROM t WHERE b IN (1,2,3,4) AND c IN ('x')",
       "SELECT a FROM t WHERE b IN (?, ?, ?) AND c IN (?, ?, ?)"},
      {"INSERT INTO t VALUES (1, 2), (3, 4), (5, 6)", "INSERT INTO t VALUES (?, ?)"},
      {"INSERT INTO t VALUES (1), (2), (x), (3)", "INSERT INTO t VALUES (?), (x)"},
      {"SELECT t.\"a, ... (...)\" FROM t", "SELECT t.\"a, ... (...)\" FROM t"},
  };
  for (const auto& example : kCases) {
    EXPECT_EQ(PreparableText(Normalize(example.sql, 1200).text), example.preparable);
  }
}

TEST(PreparableText, ATextThatWasCutIsNone) {
  EXPECT_EQ(PreparableText(Normalize("SELECT abcdefghijk FROM t", 20).text), "");
  EXPECT_EQ(PreparableText("SELECT a FROM t…"), "");
}

TEST(PreparableText, AnyBytesWillDo) {
  EXPECT_EQ(PreparableText("..."), "?, ?, ?");
  EXPECT_EQ(PreparableText(", ..."), "");
  EXPECT_EQ(PreparableText("'never \xff closed"), "'never \xff closed");
}

TEST(PreparableText, ReturningIsCutOff) {
  EXPECT_EQ(WithoutReturning("DELETE FROM t WHERE a = ? RETURNING b"),
            "DELETE FROM t WHERE a = ? ");
  EXPECT_EQ(WithoutReturning("SELECT t.returning, \"returning\" FROM t"),
            "SELECT t.returning, \"returning\" FROM t");
}

}  // namespace
}  // namespace walmanager
