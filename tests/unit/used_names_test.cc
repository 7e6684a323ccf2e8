#include "ext/core/text/used_names.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

using Names = std::set<std::string>;

Names Functions(const char* sql) { return FindUsedNames(sql).functions; }
Names Tables(const char* sql) { return FindUsedNames(sql).tables; }

TEST(UsedNames, FunctionsAreCalled) {
  EXPECT_EQ(Functions("SELECT Hostf(a), \"g\" (1), count(*) FROM t WHERE h( ) OVER (w) > (1)"),
            (Names{"hostf", "g", "count", "h"}));
  EXPECT_EQ(Functions("SELECT replace(a, 1, 2), left(a, 1) FROM t"), (Names{"replace", "left"}));
  EXPECT_EQ(Functions("SELECT a REGEXP 'x', b LIKE 'y', c MATCH 'z'"), Names{"regexp"});
  EXPECT_EQ(Functions("SELECT CAST(f(a) AS VARCHAR(10)), a IN (1), EXISTS (SELECT 'f' ('x'))"),
            Names{"f"});
  EXPECT_EQ(Functions("WITH w(x) AS MATERIALIZED (SELECT 1) SELECT f(x) FROM w"), Names{"f"});
  EXPECT_EQ(Functions("WITH f AS (SELECT 1) SELECT f(2) FROM f"), Names{"f"});
  EXPECT_EQ(Functions("-- f(1)\nSELECT 'g(1)', x /* h(1) */ FROM t"), Names{});
}

TEST(UsedNames, TablesAreReadAndWritten) {
  EXPECT_EQ(Tables("SELECT a, b FROM T x, [u v] AS y LEFT JOIN w USING (a), z WHERE a, b"),
            (Names{"t", "u v", "w", "z"}));
  EXPECT_EQ(Tables("SELECT * FROM (t JOIN (SELECT a, b FROM u) x), (v, w) ORDER BY a, b"),
            (Names{"t", "u", "v", "w"}));
  EXPECT_EQ(Tables("INSERT OR IGNORE INTO t(a, b) SELECT a, b FROM u WHERE a IN v AND b IN (1, c)"),
            (Names{"t", "u", "v"}));
  EXPECT_EQ(Tables("UPDATE OR REPLACE t SET a = 1, b = 2 FROM u, v RETURNING a, b"),
            (Names{"t", "u", "v"}));
  EXPECT_EQ(Tables("DELETE FROM t WHERE a = (SELECT max(b), c FROM u)"), (Names{"t", "u"}));
  EXPECT_EQ(Tables("INSERT INTO t VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET a = 1, b = c"),
            Names{"t"});
  EXPECT_EQ(Tables("SELECT value, x FROM json_each(a, b), t"), (Names{"json_each", "t"}));
}

TEST(UsedNames, TablesOfWithAreNotThoseOfTheDatabase) {
  EXPECT_EQ(
      Tables("WITH RECURSIVE a AS (SELECT 1 UNION SELECT x FROM a, t), b(x, y) AS (SELECT 1, 2) "
             "SELECT x, y FROM a, b, u"),
      (Names{"t", "u"}));
  // A query in parentheses has a name of WITH for itself.
  EXPECT_EQ(Tables("SELECT (WITH t AS (SELECT 1) SELECT * FROM t), * FROM t"), Names{"t"});
}

TEST(UsedNames, SchemasAndCollations) {
  EXPECT_FALSE(FindUsedNames("SELECT * FROM main.t, u").other_schema);
  EXPECT_EQ(Tables("SELECT * FROM main.t, u"), (Names{"t", "u"}));
  EXPECT_TRUE(FindUsedNames("SELECT * FROM t, temp.u").other_schema);
  EXPECT_TRUE(FindUsedNames("INSERT INTO aux.t VALUES (1)").other_schema);
  const UsedNames used =
      FindUsedNames("SELECT a FROM t ORDER BY a COLLATE NoCase, b COLLATE \"x\"");
  EXPECT_EQ(used.collations, (Names{"nocase", "x"}));
}

TEST(UsedNames, TextsOfTheSchema) {
  const UsedNames table = FindUsedNames(
      "CREATE TABLE t(a VARCHAR(10), b DECIMAL(10, 2) CHECK (f(b)), c AS (g(a)), d DEFAULT (h()), "
      "PRIMARY KEY (a), FOREIGN KEY (b) REFERENCES p(x), UNIQUE (c COLLATE z))");
  EXPECT_EQ(table.functions, (Names{"t", "f", "g", "h"}));
  EXPECT_EQ(table.tables, Names{"p"});
  EXPECT_EQ(table.collations, Names{"z"});
  const UsedNames trigger = FindUsedNames(
      "CREATE TRIGGER r AFTER UPDATE OF a, b ON t WHEN (f(new.a)) BEGIN INSERT INTO u(a) "
      "VALUES (g(1)); SELECT RAISE(ABORT, 'no') FROM v; END");
  EXPECT_EQ(trigger.functions, (Names{"f", "g"}));
  EXPECT_EQ(trigger.tables, (Names{"u", "v"}));
  EXPECT_EQ(FindUsedNames("CREATE INDEX i ON t(f(a))").functions, (Names{"t", "f"}));
}

TEST(UsedNames, AnyBytesHaveSomeNames) {
  for (const char* sql : {"", ")))", "WITH", "FROM", "UPDATE OR", "COLLATE", "SELECT * FROM main.",
                          "((((", ",,,", "IN", "CAST("}) {
    (void)FindUsedNames(sql);
  }
  EXPECT_EQ(Tables("FROM a) FROM b"), (Names{"a", "b"}));
}

}  // namespace
}  // namespace walmanager
