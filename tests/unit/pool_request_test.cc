// The two arguments of read_pool() and their values: exact values, and messages for wrong ones.
#include "ext/core/text/pool_request.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ext/core/base/json_reader.h"
#include "ext/core/base/value_json.h"

namespace walmanager {
namespace {

std::string ErrorOf(std::string_view json) {
  const auto parsed = ParseJson(json);
  return parsed.ok() ? "" : parsed.error().message;
}

TEST(JsonReader, NumbersAreExact) {
  EXPECT_EQ(*ParseJson("-9223372036854775808").value().value.integer(), INT64_MIN);
  EXPECT_EQ(*ParseJson("9007199254740993").value().value.integer(), 9007199254740993);
  EXPECT_EQ(*ParseJson("5e-324").value().value.real(), 5e-324);
  EXPECT_EQ(*ParseJson("9e999").value().value.real(), HUGE_VAL);
  EXPECT_EQ(*ParseJson("-9e999").value().value.real(), -HUGE_VAL);
  EXPECT_EQ(*ParseJson("1e-999").value().value.real(), 0.0);
  EXPECT_TRUE(std::signbit(*ParseJson("-0.0").value().value.real()));
  EXPECT_EQ(ErrorOf("9223372036854775808"), "a whole number of more than 64 bits at byte 1");
}

TEST(JsonReader, StringsHaveAllCharacters) {
  EXPECT_EQ(*ParseJson(R"("\u0000\ud83d\ude00\u00e4\n")").value().value.text(),
            std::string("\0\xf0\x9f\x98\x80\xc3\xa4\n", 8));
  EXPECT_EQ(ErrorOf(R"("\ud83d")"), "half of a surrogate pair at byte 8");
}

TEST(JsonReader, WrongTextIsAnErrorAtItsPlace) {
  for (const char* text : {"", "[", "[1,]", "{\"a\"}", "{a:1}", "nul", "01", "1.", "1e", "-", "\"a",
                           "[1] 2", "\"\t\"", "\"\\x\"", "'a'", "+1", ".5", "]"}) {
    EXPECT_FALSE(ParseJson(text).ok()) << text;
  }
  EXPECT_TRUE(ParseJson(" [ 1 , { \"a\" : null } ] ").ok());
  EXPECT_FALSE(ParseJson(std::string(100, '[') + std::string(100, ']')).ok());
}

TEST(ValueJson, TextThatIsNotUtf8IsDigits) {
  for (const char* text :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "a\x80"}) {
    std::string out;
    AppendJsonText(out, text);
    EXPECT_EQ(out.rfind("{\"$text\":\"", 0), 0u) << out;
    EXPECT_EQ(*ValueOfJson(ParseJson(out).value()).value().text(), text);
  }
}

TEST(ValueJson, RealsStayReals) {
  for (const double number : {5.0, 1e100, 0.1, -0.0, 1e300, 123456789012345680.0}) {
    std::string out;
    AppendJsonReal(out, number);
    const Json json = ParseJson(out).value();
    ASSERT_NE(json.value.real(), nullptr) << out;
    EXPECT_EQ(*json.value.real(), number);
  }
}

TEST(ValueJson, NumberedNamesAreFree) {
  EXPECT_EQ(JsonFieldNames({"a", "a", "a:2", "a"}),
            (std::vector<std::string>{"\"a\":", "\"a:3\":", "\"a:2\":", "\"a:4\":"}));
}

TEST(PoolRequest, OnlyStatementsThatReadPass) {
  for (const char* sql :
       {"SELECT 1", "; VALUES (1)", "/* x */ with a AS (SELECT 1) SELECT 2",
        "EXPLAIN QUERY PLAN SELECT 1", "PRAGMA table_info(t)", "PRAGMA main.user_version",
        "SELECT wal_set FROM t", "SELECT wal_version()"}) {
    EXPECT_TRUE(LooksLikeReading(sql).ok()) << sql;
  }
  for (const char* sql :
       {"", ";", "DELETE FROM t", "BEGIN", "PRAGMA user_version=1", "PRAGMA \"optimize\"",
        "PRAGMA main.user_version (1)", "SELECT Load_Extension ('x')", "SELECT [wal_set]('a', 1)",
        "SELECT 1 + wal_checkpoint/**/('FULL')"}) {
    EXPECT_FALSE(LooksLikeReading(sql).ok()) << sql;
  }
}

TEST(PoolRequest, AStatementAfterExplainIsJudged) {
  for (const char* sql :
       {"EXPLAIN SELECT 1", "explain query plan WITH x AS (SELECT 1) SELECT 1",
        "EXPLAIN /* x */ QUERY -- y\n PLAN VALUES (1)", "EXPLAIN PRAGMA page_size"}) {
    EXPECT_TRUE(LooksLikeReading(sql).ok()) << sql;
  }
  for (const char* sql :
       {"EXPLAIN PRAGMA foreign_keys=1", "EXPLAIN QUERY PLAN PRAGMA query_only(1)",
        "EXPLAIN DELETE FROM t", "EXPLAIN", "EXPLAIN QUERY", "EXPLAIN EXPLAIN SELECT 1",
        "SELECT * FROM \"pragma_optimize\"", "SELECT * FROM main.[PRAGMA_OPTIMIZE]"}) {
    EXPECT_FALSE(LooksLikeReading(sql).ok()) << sql;
  }
}

TEST(PoolRequest, NothingButCommentsIsEmpty) {
  for (const char* sql : {"", " ;; ", "-- x", "/* x */ ; -- y\n"})
    EXPECT_TRUE(IsEmptySql(sql)) << sql;
  for (const char* sql : {"x", "; SELECT 1", "'", "/* x */ 1", "$"})
    EXPECT_FALSE(IsEmptySql(sql)) << sql;
}

TEST(PoolRequest, NamesAreFoundWithAndWithoutPrefix) {
  const auto request =
      ParsePoolRequest("SELECT :a, @b, $c", R"({"a":1,"@b":2,"$c":3,"snapshot":true})");
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_TRUE(request.value().snapshot);
  const PoolParameters& parameters = *request.value().statements[0].parameters;
  EXPECT_EQ(*parameters.Find(":a")->integer(), 1);
  EXPECT_EQ(*parameters.Find("@b")->integer(), 2);
  EXPECT_EQ(parameters.Find(":b"), nullptr);
}

}  // namespace
}  // namespace walmanager
