// Which parts of a statement its fingerprint keeps, and which it leaves out.
#include "ext/core/text/normalize.h"

#include <gtest/gtest.h>

#include <span>
#include <string>

#include "ext/core/base/ascii_case.h"

namespace walmanager {
namespace {

constexpr std::size_t kWhole = std::size_t{1} << 30;

struct Case {
  std::string_view sql;
  std::string_view text;
};

std::string InOtherCase(std::string_view text) {
  std::string other(text);
  for (char& c : other) c = c == AsciiLower(c) ? AsciiUpper(c) : AsciiLower(c);
  return other;
}

void Check(std::span<const Case> cases) {
  for (const Case& test : cases) {
    const NormalizedQuery query = Normalize(test.sql, kWhole);
    EXPECT_EQ(query.text, test.text) << test.sql;
    const NormalizedQuery again = Normalize(query.text, kWhole);
    EXPECT_EQ(again.text, query.text) << test.sql;
    EXPECT_EQ(again.id, query.id) << test.sql;
    const NormalizedQuery other = Normalize(InOtherCase(test.sql), kWhole);
    EXPECT_EQ(other.id, query.id) << test.sql;
    EXPECT_TRUE(EqualIgnoringCase(other.text, query.text)) << test.sql << '\n' << other.text;
  }
}

TEST(Normalize, SpacingCaseAndComments) {
  const Case kCases[] = {
      {"", ""},
      {" ;; -- nothing", ""},
      {"select a,B from T where x=1 and F(y) in (1,2,3)",
       "SELECT a, B FROM T WHERE x = ? AND F(y) IN (...)"},
      {"SELECT/**/a--b\n,/*c*/d FROM/* */t;", "SELECT a, d FROM t"},
      {"SELECT a -- ", "SELECT a"},
      {"SELECT a /* to the end", "SELECT a"},
      {"SELECT 1; SELECT 'two'", "SELECT ?"},
      {"\xef\xbb\xbfSELECT \xc3\x84 FROM t", "SELECT \xc3\x84 FROM t"},
      {"SELECT a<>b,a!=b,a==b,a<<b||c,a->b,a->>'$.secret',~a",
       "SELECT a <> b, a != b, a == b, a << b || c, a -> b, a ->> ?, ~a"},
      {"SELECT count ( * ), t . *, max(DISTINCT a) FROM t",
       "SELECT count(*), t.*, max(DISTINCT a) FROM t"},
      {"SELECT key, t.Order, replace(a,'b','c'), like('a',b) FROM t",
       "SELECT key, t.Order, replace(a, ?, ?), like(?, b) FROM t"},
      {"SELECT * FROM a NATURAL LEFT JOIN (b join c USING(d,e)),f",
       "SELECT * FROM a NATURAL LEFT JOIN (b JOIN c USING (d, e)), f"},
      {"SELECT sum(x)OVER(PARTITION BY y ORDER BY z ROWS BETWEEN 1 PRECEDING AND CURRENT ROW),"
       "count(*)filter(where a)over w FROM t WINDOW w AS(ORDER BY a)",
       "SELECT sum(x) OVER (PARTITION BY y ORDER BY z ROWS BETWEEN ? PRECEDING AND CURRENT ROW), "
       "count(*) FILTER (WHERE a) OVER w FROM t WINDOW w AS (ORDER BY a)"},
  };
  Check(kCases);
}

TEST(Normalize, NamesAreShownAsTyped) {
  const Case kCases[] = {
      {"select Query, Rows from Filter where Key=1 and Plan.Action='x'",
       "SELECT Query, Rows FROM Filter WHERE Key = ? AND Plan.Action = ?"},
      {"SELECT count(*) rows, max(x) Query FROM t", "SELECT count(*) rows, max(x) Query FROM t"},
      {"SELECT count(*) rows FROM t", "SELECT count(*) rows FROM t"},
      {"SELECT case when a then b end FROM t", "SELECT CASE WHEN a THEN b END FROM t"},
      {"SELECT a FROM t ORDER BY b desc, c nulls last, d",
       "SELECT a FROM t ORDER BY b DESC, c NULLS LAST, d"},
      {"SELECT [camelCase], `Two Words`, t.\"select\" FROM \"MyTable\"",
       "SELECT camelCase, `Two Words`, t.\"select\" FROM MyTable"},
      {"INSERT INTO T VALUES (F(1)), (f(2))", "INSERT INTO T VALUES (F(?)), ..."},
      {"PRAGMA User_Version", "PRAGMA User_Version"},
  };
  Check(kCases);
}

TEST(Normalize, KeywordsThatMayBeNamesAreShownAsKeywordsInTheirPhrases) {
  const Case kCases[] = {
      {"select a from t natural left outer join u cross join v",
       "SELECT a FROM t NATURAL LEFT OUTER JOIN u CROSS JOIN v"},
      {"insert or ignore into t values (1) on conflict do nothing",
       "INSERT OR IGNORE INTO t VALUES (?) ON CONFLICT DO NOTHING"},
      {"insert into t values (1) on conflict (a) do update set b = 2",
       "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = ?"},
      {"replace into t values (1)", "REPLACE INTO t VALUES (?)"},
      {"update or replace t set a = 1", "UPDATE OR REPLACE t SET a = ?"},
      {"select cast(a as integer) from t", "SELECT CAST(a AS integer) FROM t"},
      {"select sum(a) over (partition by b rows between unbounded preceding and current row) "
       "from t",
       "SELECT sum(a) OVER (PARTITION BY b ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) "
       "FROM t"},
      {"create temp table t (a references p on delete cascade on update no action, "
       "b generated always as (a), c unique on conflict ignore) without rowid",
       "CREATE TEMP TABLE t (a REFERENCES p ON DELETE CASCADE ON UPDATE NO ACTION, "
       "b GENERATED ALWAYS AS (a), c UNIQUE ON CONFLICT IGNORE) WITHOUT rowid"},
      {"create trigger r instead of insert on v for each row begin select raise(ignore); end",
       "CREATE TRIGGER r INSTEAD OF INSERT ON v FOR EACH ROW BEGIN SELECT RAISE(IGNORE); END"},
      {"with recursive n(i) as (select 1) select i from n limit 1 offset 2",
       "WITH RECURSIVE n (i) AS (SELECT ?) SELECT i FROM n LIMIT ? OFFSET ?"},
      {"analyze", "ANALYZE"},
      {"select a from t where b like 'x' escape 'y' and b glob 'z' order by a asc limit 1",
       "SELECT a FROM t WHERE b LIKE ? ESCAPE ? AND b GLOB ? ORDER BY a ASC LIMIT ?"},
  };
  Check(kCases);
}

// "The id does not depend on the case of letters", not even where a keyword is a name.
TEST(Normalize, TheIdIsThatOfTheTextInOneCase) {
  const NormalizedQuery typed = Normalize("SELECT Query, t.Rows, [A B] FROM MyTable t", kWhole);
  EXPECT_EQ(typed.id, Normalize("select QUERY, T.rows, `a b` from mytable T", kWhole).id);
  EXPECT_NE(typed.id, Normalize("SELECT Query, t.Row, [A B] FROM MyTable t", kWhole).id);
}

TEST(Normalize, LiteralsAndParametersAreQuestionMarks) {
  const Case kCases[] = {
      {"SELECT 1,2.5,.5,1e9,0xFF,1_000,'a','it''s',x'00',X'0F'",
       "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"},
      {"SELECT ?,?12,:a,@b,$c,$d::e(f),#1", "SELECT ?, ?, ?, ?, ?, ?, ?"},
      {"SELECT 12abc, 'never closed", "SELECT ?, ?"},
      {"SELECT -1, + 1, - -1, - - x, -x, -(1), ~1, -:a", "SELECT ?, ?, -?, - -x, -x, -(?), ~?, -?"},
      {"SELECT x-1, x - 1, x - -1, f(x)-1, 2-1, key-1",
       "SELECT x - ?, x - ?, x - ?, f(x) - ?, ? - ?, key - ?"},
      {"SELECT a.-1", "SELECT a.?"},
      {"SELECT NULL, true, coalesce(x, NULL), x = FALSE", "SELECT ?, ?, coalesce(x, ?), x = ?"},
      {"SELECT x IS NULL, x IS NOT NULL, x IS TRUE, NOT FALSE, x NOT NULL, x NOTNULL",
       "SELECT x IS NULL, x IS NOT NULL, x IS TRUE, NOT FALSE, x NOT NULL, x NOTNULL"},
      {"SELECT current_timestamp", "SELECT CURRENT_TIMESTAMP"},
      {"SELECT a 'alias' FROM 'table' AS 'b'", "SELECT a ? FROM \"table\" AS ?"},
      {"CREATE TABLE t(a DEFAULT -5, b DEFAULT NULL NOT NULL, c NULL, d REFERENCES p ON DELETE SET "
       "NULL, e DECIMAL(10,-2) DEFAULT CURRENT_TIME, f DEFAULT bare, g DEFAULT [bare])",
       "CREATE TABLE t (a DEFAULT ?, b DEFAULT ? NOT NULL, c NULL, d REFERENCES p ON DELETE SET "
       "NULL, e DECIMAL(?, ?) DEFAULT CURRENT_TIME, f DEFAULT ?, g DEFAULT ?)"},
      {"SELECT RAISE(ABORT, 'm'), RAISE(FAIL, bare), RAISE(IGNORE)",
       "SELECT RAISE(ABORT, ?), RAISE(FAIL, ?), RAISE(IGNORE)"},
      {"SELECT a FROM t LIMIT 10 OFFSET 20", "SELECT a FROM t LIMIT ? OFFSET ?"},
  };
  Check(kCases);
}

TEST(Normalize, QuotedNamesAreWrittenLikeOthers) {
  const Case kCases[] = {
      {"SELECT [A], `b`, t.\"C\" FROM \"T\"", "SELECT A, b, t.C FROM T"},
      {"SELECT t.\"a b\", t.\"a\"\"B\", t.[Order], t.`c``d`",
       "SELECT t.\"a b\", t.\"a\"\"B\", t.\"Order\", t.\"c`d\""},
      // Where a value may stand, backticks keep it a name.
      {"SELECT [a b], [select], `c``\"d`, [true]", "SELECT `a b`, `select`, `c``\"d`, `true`"},
      {"SELECT [a]]", "SELECT a ?"},
      {"SELECT 1 AS \"true\", 2 \"a b\"", "SELECT ? AS \"true\", ? \"a b\""},
  };
  Check(kCases);
}

// "so no data leaks" (query_performance): SQLite takes a name in double quotes for a string.
TEST(Normalize, DoubleQuotesAreLiteralsWhereAValueMayStand) {
  const Case kCases[] = {
      {"SELECT \"secret\"", "SELECT ?"},
      {"SELECT DISTINCT \"s\", -\"s\", (\"s\"), f(\"s\"), \"s\" || \"s\"",
       "SELECT DISTINCT ?, -?, (?), f(?), ? || ?"},
      {"SELECT a FROM t WHERE name = \"secret\" AND \"s\" LIKE \"s\" ESCAPE \"s\"",
       "SELECT a FROM t WHERE name = ? AND ? LIKE ? ESCAPE ?"},
      {"SELECT a IS DISTINCT FROM \"s\", \"s\", a IS NOT DISTINCT FROM \"s\"",
       "SELECT a IS DISTINCT FROM ?, ?, a IS NOT DISTINCT FROM ?"},
      {"SELECT a MATCH \"s\", a NOT MATCH \"s\", a BETWEEN \"s\" AND \"s\", CASE \"s\" WHEN \"s\" "
       "THEN \"s\" ELSE \"s\" END",
       "SELECT a MATCH ?, a NOT MATCH ?, a BETWEEN ? AND ?, CASE ? WHEN ? THEN ? ELSE ? END"},
      {"SELECT a FROM t GROUP BY \"s\" ORDER BY \"s\" LIMIT \"s\" OFFSET \"s\"",
       "SELECT a FROM t GROUP BY ? ORDER BY ? LIMIT ? OFFSET ?"},
      {"SELECT rows*\"s\", like*\"s\", with, \"s\", window, \"s\" AS x, over, \"s\"",
       "SELECT rows * ?, like * ?, with, ?, window, ? AS x, over, ?"},
      {"SELECT f(with LIKE \"s\", \"s\"), max(with, \"s\")",
       "SELECT f(with LIKE ?, ?), max(with, ?)"},
      {"SELECT 1 FROM a JOIN b ON conflict LIKE \"s\" LIMIT like OFFSET \"s\"",
       "SELECT ? FROM a JOIN b ON conflict LIKE ? LIMIT like OFFSET ?"},
      {"SELECT f(rows LIKE \"s\"), a NOT LIKE \"s\", NOT like LIKE \"s\", (rows - 5)",
       "SELECT f(rows LIKE ?), a NOT LIKE ?, NOT like LIKE ?, (rows - ?)"},
      {"CREATE TABLE t(a CHECK (if NOT LIKE \"s\"))", "CREATE TABLE t (a CHECK (if NOT LIKE ?))"},
      {"SELECT * FROM a JOIN b ON \"s\" IN (1, \"s\") AND x IN (y, \"s\"), \"c\"",
       "SELECT * FROM a JOIN b ON ? IN (...) AND x IN (y, ?), c"},
      {"SELECT x OVER (PARTITION BY \"s\" ORDER BY \"s\" ROWS \"s\" PRECEDING)",
       "SELECT x OVER (PARTITION BY ? ORDER BY ? ROWS ? PRECEDING)"},
      {"INSERT INTO t VALUES (\"secret\") RETURNING \"s\"", "INSERT INTO t VALUES (?) RETURNING ?"},
      {"INSERT INTO t(a) VALUES (1) ON CONFLICT (\"s\") DO UPDATE SET a = \"s\" WHERE \"s\"",
       "INSERT INTO t (a) VALUES (?) ON CONFLICT (?) DO UPDATE SET a = ? WHERE ?"},
      {"CREATE TABLE t(a DEFAULT \"secret\" CHECK (\"s\" = a), b AS (\"s\"))",
       "CREATE TABLE t (a DEFAULT ? CHECK (? = a), b AS (?))"},
      {"CREATE INDEX i ON t(\"s\", a) WHERE \"s\"", "CREATE INDEX i ON t (?, a) WHERE ?"},
      {"SELECT * FROM json_each(\"s\"), (SELECT \"s\")", "SELECT * FROM json_each(?), (SELECT ?)"},
  };
  Check(kCases);
}

TEST(Normalize, DoubleQuotesAreNamesWhereNothingElseMayStand) {
  const Case kCases[] = {
      {"SELECT 1 \"alias\", f(x) \"b\", a AS \"c\", \"t\".\"d\", \"f\"(1), x COLLATE \"nocase\"",
       "SELECT ? alias, f(x) b, a AS c, t.d, f(?), x COLLATE nocase"},
      {"SELECT * FROM \"a\", \"b\" \"c\" JOIN (\"d\" JOIN \"e\" USING (\"f\", \"g\")) AS \"h\"",
       "SELECT * FROM a, b c JOIN (d JOIN e USING (f, g)) AS h"},
      {"SELECT * FROM \"t\" INDEXED BY \"i\" WHERE x IN \"u\"",
       "SELECT * FROM t INDEXED BY i WHERE x IN u"},
      {"WITH RECURSIVE \"a\"(\"b\") AS (SELECT 1), \"c\" AS NOT MATERIALIZED (VALUES (1)) SELECT 1",
       "WITH RECURSIVE a (b) AS (SELECT ?), c AS NOT MATERIALIZED (VALUES (?)) SELECT ?"},
      {"SELECT rank() OVER \"w\" FROM t WINDOW \"w\" AS (), \"x\" AS ()",
       "SELECT rank() OVER w FROM t WINDOW w AS (), x AS ()"},
      {"INSERT INTO \"m\".\"t\" AS \"n\" (\"a\", \"b\") VALUES (1, 2) ON CONFLICT (a) DO UPDATE "
       "SET "
       "\"a\" = excluded.\"a\", (\"b\", \"c\") = (1, 2)",
       "INSERT INTO m.t AS n (a, b) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET "
       "a = excluded.a, (b, c) = (?, ?)"},
      {"UPDATE OR FAIL \"t\" SET \"a\" = 1, \"b\" = 2 FROM \"u\", \"v\"",
       "UPDATE OR FAIL t SET a = ?, b = ? FROM u, v"},
      {"DELETE FROM \"t\"", "DELETE FROM t"},
      {"CREATE TABLE IF NOT EXISTS \"t\"(\"a\" \"my type\", \"b\" INT CONSTRAINT \"c\" REFERENCES "
       "\"p\"(\"q\"), UNIQUE (\"a\"), PRIMARY KEY(\"b\"), FOREIGN KEY (\"a\") REFERENCES p)",
       "CREATE TABLE IF NOT EXISTS t (a \"my type\", b INT CONSTRAINT c REFERENCES "
       "p (q), UNIQUE (a), PRIMARY KEY (b), FOREIGN KEY (a) REFERENCES p)"},
      {"CREATE INDEX IF NOT EXISTS \"i\" ON \"t\"(a)", "CREATE INDEX IF NOT EXISTS i ON t (a)"},
      {"CREATE VIEW \"v\"(\"a\") AS SELECT 1", "CREATE VIEW v (a) AS SELECT ?"},
      {"ALTER TABLE \"t\" RENAME COLUMN \"a\" TO \"b\"", "ALTER TABLE t RENAME COLUMN a TO b"},
      {"ALTER TABLE t ADD \"c\" TEXT DEFAULT \"secret\"", "ALTER TABLE t ADD c TEXT DEFAULT ?"},
      {"DROP TABLE IF EXISTS \"t\"", "DROP TABLE IF EXISTS t"},
      {"REINDEX \"i\"", "REINDEX i"},
  };
  Check(kCases);
}

TEST(Normalize, InListsAreFolded) {
  const Case kCases[] = {
      {"SELECT a IN (), b NOT IN (1), c IN (?, :x, 'y', NULL, -1)",
       "SELECT a IN (...), b NOT IN (...), c IN (...)"},
      {"SELECT a IN (1, b, 2)", "SELECT a IN (?, b, ?)"},
      {"SELECT a IN (1, 2+3)", "SELECT a IN (?, ? + ?)"},
      {"SELECT a IN (1,", "SELECT a IN (?,"},
      {"SELECT a IN (SELECT b FROM t WHERE c IN (1,2))",
       "SELECT a IN (SELECT b FROM t WHERE c IN (...))"},
      {"SELECT (a,b) IN (VALUES (1,2),(3,4))", "SELECT (a, b) IN (VALUES (?, ?), ...)"},
  };
  Check(kCases);
}

TEST(Normalize, RowsLikeTheFirstAreFolded) {
  const Case kCases[] = {
      {"INSERT INTO t VALUES (1, 2)", "INSERT INTO t VALUES (?, ?)"},
      {"INSERT INTO t VALUES (1,'a'),(2,NULL),(?,?) RETURNING a",
       "INSERT INTO t VALUES (?, ?), ... RETURNING a"},
      {"VALUES (f(1)), (f(2))", "VALUES (f(?)), ..."},
      {"VALUES (1), (2),, (3) + 4", "VALUES (?), ...,, ... + ?"},
      {"VALUES (1), (a), (2), (3), (a), (4)", "VALUES (?), (a), ..., (a), ..."},
      {"VALUES ((SELECT 1 FROM (VALUES (1),(2)))), ((SELECT 2 FROM (VALUES (3),(4))))",
       "VALUES ((SELECT ? FROM (VALUES (?), ...))), ..."},
      {"VALUES (1),(2) UNION VALUES (3),(4) ORDER BY 1, (2)",
       "VALUES (?), ... UNION VALUES (?), ... ORDER BY 1, (?)"},
  };
  Check(kCases);
}

TEST(Normalize, AMegabyteOfRowsIsOneRow) {
  std::string sql = "INSERT INTO t VALUES (0, 'x')";
  while (sql.size() < 1'000'000) sql += ", (" + std::to_string(sql.size()) + ", 'secret')";
  EXPECT_EQ(Normalize(sql, kWhole).text, "INSERT INTO t VALUES (?, ?), ...");
  EXPECT_EQ(Normalize(std::string(1'000'000, '('), 10).text, "(((((((…");
}

TEST(Normalize, ColumnNumbersInOrderByAndGroupByAreKept) {
  const Case kCases[] = {
      {"SELECT a FROM t GROUP BY 1,2 ORDER BY 1 DESC, 2 COLLATE nocase, 999 LIMIT 3, 4",
       "SELECT a FROM t GROUP BY 1, 2 ORDER BY 1 DESC, 2 COLLATE nocase, 999 LIMIT ?, ?"},
      {"SELECT a FROM t ORDER BY 1+1, -1, 1000, (1), 1.0, 0x1, 'a'",
       "SELECT a FROM t ORDER BY ? + ?, ?, ?, (?), ?, ?, ?"},
      {"SELECT f(x) OVER (PARTITION BY 1 ORDER BY 2)",
       "SELECT f(x) OVER (PARTITION BY ? ORDER BY 2)"},
  };
  Check(kCases);
}

TEST(Normalize, TransactionsLoseTheirNames) {
  const Case kCases[] = {
      {"begin", "BEGIN"},
      {"BEGIN DEFERRED TRANSACTION x", "BEGIN"},
      {"BEGIN IMMEDIATE TRANSACTION", "BEGIN IMMEDIATE"},
      {"BEGIN EXCLUSIVE", "BEGIN EXCLUSIVE"},
      {"COMMIT TRANSACTION x", "COMMIT"},
      {"END", "COMMIT"},
      {"ROLLBACK TRANSACTION x", "ROLLBACK"},
      {"ROLLBACK TRANSACTION x TO SAVEPOINT \"y\"", "ROLLBACK TO ?"},
      {"SAVEPOINT sp_17", "SAVEPOINT ?"},
      {"RELEASE SAVEPOINT sp_17", "RELEASE ?"},
  };
  Check(kCases);
  for (const Case& test : kCases) {
    EXPECT_EQ(Normalize(test.sql, kWhole).kind, QueryKind::kTransaction) << test.sql;
  }
}

// Statements that SQLite's own FTS3, FTS5 and R-tree run.
TEST(Normalize, BugTablesInSingleQuotesWereAllTheSameTable) {
  const Case kCases[] = {
      {"REPLACE INTO 'main'.'docs_data'(id, block) VALUES(?,?)",
       "REPLACE INTO main.docs_data (id, block) VALUES (?, ?)"},
      {"INSERT OR REPLACE INTO 'main'.'boxes_node' VALUES(?1, ?2)",
       "INSERT OR REPLACE INTO main.boxes_node VALUES (?, ?)"},
      {"DELETE FROM 'main'.'docs_idx' WHERE segid = ? AND (id/2) = 'x'",
       "DELETE FROM main.docs_idx WHERE segid = ? AND (id / ?) = ?"},
      {"SELECT a FROM 'it''s'.'b c', 'd'.'e' JOIN 'f' ON x = 'secret'",
       "SELECT a FROM \"it's\".\"b c\", d.e JOIN f ON x = ?"},
      {"UPDATE 'main'.'docs_segdir' SET level = 'secret'", "UPDATE main.docs_segdir SET level = ?"},
      {"PRAGMA 'main'.'journal_mode' = 'secret'", "PRAGMA main.journal_mode = ?"},
      {"VACUUM 'main' INTO 'secret'", "VACUUM INTO ?"},
      {"SELECT a IS DISTINCT FROM 'secret', 'secret', x'00' FROM 'never closed",
       "SELECT a IS "
       "DISTINCT FROM ?, ?, ? FROM ?"},
      {"SELECT a FROM t WHERE b IN ('secret') AND c = 'secret' UNION SELECT 'secret'",
       "SELECT a FROM t WHERE b IN (...) AND c = ? UNION SELECT ?"},
  };
  Check(kCases);
}

TEST(Normalize, ArgumentsThatMayBeAnyTextAreLeftOut) {
  const Case kCases[] = {
      {"PRAGMA journal_mode", "PRAGMA journal_mode"},
      {"PRAGMA Main.\"journal_mode\"=WAL", "PRAGMA Main.journal_mode = ?"},
      {"pragma journal_mode('wal')", "PRAGMA journal_mode = ?"},
      {"PRAGMA key = secret", "PRAGMA key = ?"},
      {"PRAGMA hexkey = -5 more (words)", "PRAGMA hexkey = ?"},
      {"ATTACH DATABASE 'a' AS b", "ATTACH ? AS ?"},
      {"ATTACH a || CAST(b AS text) AS key KEY secret", "ATTACH ? AS ? KEY ?"},
      {"DETACH DATABASE b", "DETACH ?"},
      {"VACUUM main INTO secret", "VACUUM INTO ?"},
      {"VACUUM \"main\"", "VACUUM main"},
      {"VACUUM", "VACUUM"},
      {"CREATE VIRTUAL TABLE IF NOT EXISTS \"x\" USING \"fts5\"(a, b='secret (\"', secret(c))",
       "CREATE VIRTUAL TABLE IF NOT EXISTS x USING fts5(...)"},
      {"CREATE VIRTUAL TABLE x USING m", "CREATE VIRTUAL TABLE x USING m"},
  };
  Check(kCases);
}

TEST(Normalize, TriggersGoToTheirLastEnd) {
  const Case kCases[] = {
      {"CREATE TEMP TRIGGER IF NOT EXISTS \"r\" AFTER UPDATE OF \"a\",\"b\" ON \"t\" FOR EACH ROW "
       "WHEN new.\"a\" = \"secret\" BEGIN UPDATE u SET \"a\" = CASE WHEN 1 THEN 2 END; INSERT INTO "
       "u VALUES (1),(2); END; SELECT 1",
       "CREATE TEMP TRIGGER IF NOT EXISTS r AFTER UPDATE OF a, b ON t FOR EACH ROW "
       "WHEN new.a = ? BEGIN UPDATE u SET a = CASE WHEN ? THEN ? END; INSERT INTO "
       "u VALUES (?), ...; END"},
      {"CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN SELECT \"s\"; END",
       "CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN SELECT ?; END"},
      {"CREATE TRIGGER r BEFORE DELETE ON t BEGIN SELECT 1",
       "CREATE TRIGGER r BEFORE DELETE ON t BEGIN SELECT ?"},
  };
  Check(kCases);
}

TEST(Normalize, Kinds) {
  const struct {
    std::string_view sql;
    std::string_view kind;
  } kCases[] = {
      {"SELECT 1", "read"},
      {"VALUES (1)", "read"},
      {"INSERT INTO t VALUES (1)", "write"},
      {"REPLACE INTO t VALUES (1)", "write"},
      {"UPDATE t SET a = 1", "write"},
      {"DELETE FROM t", "write"},
      {"WITH a AS (DELETE FROM t) SELECT 1", "read"},
      {"WITH replace AS (SELECT 1) INSERT INTO t SELECT 1", "write"},
      {"WITH a AS (SELECT 1) REPLACE INTO t VALUES (1)", "write"},
      {"CREATE TABLE t(a)", "schema"},
      {"DROP TABLE t", "schema"},
      {"ALTER TABLE t RENAME TO u", "schema"},
      {"BEGIN", "transaction"},
      {"EXPLAIN SELECT 1", "other"},
      {"EXPLAIN QUERY PLAN DELETE FROM t", "other"},
      {"PRAGMA user_version", "other"},
      {"ANALYZE", "other"},
      {"", "other"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(QueryKindName(Normalize(test.sql, kWhole).kind), test.kind) << test.sql;
  }
  EXPECT_EQ(Normalize("explain query plan select 1", kWhole).text, "EXPLAIN QUERY PLAN SELECT ?");
}

// Stored and compared by other processes, versions and machines: these never change.
TEST(Normalize, GoldenIds) {
  EXPECT_EQ(Normalize("", kWhole).id, 3244421341483603138u);
  EXPECT_EQ(Normalize("SELECT 1", kWhole).id, 11792942495538223886u);
  EXPECT_EQ(Normalize("select a, b from t where x = 'y'", kWhole).id, 1944983397558020555u);
  EXPECT_EQ(Normalize("SELECT A, b FROM T WHERE x = 'y'", kWhole).id, 1944983397558020555u);
  EXPECT_EQ(Normalize("INSERT INTO t VALUES (1, 2), (3, 4)", kWhole).id, 6179391384754780007u);
  EXPECT_EQ(Normalize("begin deferred", kWhole).id, 9501056488816903573u);
}

TEST(Normalize, ALongTextIsCutAndItsIdIsOfTheWhole) {
  const std::string_view sql = "SELECT \xc3\xa4\xc3\xa4 FROM t";
  const NormalizedQuery whole = Normalize(sql, kWhole);
  EXPECT_EQ(Normalize(sql, whole.text.size()).text, whole.text);
  EXPECT_EQ(Normalize(sql, 13).text, "SELECT \xc3\xa4…");
  EXPECT_EQ(Normalize(sql, 12).text, "SELECT \xc3\xa4…");
  EXPECT_EQ(Normalize(sql, 11).text, "SELECT …");
  EXPECT_EQ(Normalize(sql, 3).text, "…");
  EXPECT_EQ(Normalize(sql, 2).text, "");
  EXPECT_EQ(Normalize(sql, 0).text, "");
  EXPECT_EQ(Normalize(sql, 0).id, whole.id);
}

}  // namespace
}  // namespace walmanager
