// JSON comes out as RFC 8259 has it, and kinds stay apart for json_type().
#include "ext/core/base/json_writer.h"

#include <gtest/gtest.h>

#include <limits>

#include "ext/core/base/value_json.h"

namespace walmanager {
namespace {

TEST(JsonObject, Empty) { EXPECT_EQ(JsonObject().text(), "{}"); }

TEST(JsonObject, FieldsStandInTheOrderTheyWereAdded) {
  JsonObject object;
  object.Add("b", std::int64_t{1}).Add("a", "x").Add("c", true).Add("d", false).AddNull("e");
  EXPECT_EQ(object.text(), R"({"b":1,"a":"x","c":true,"d":false,"e":null})");
  EXPECT_EQ(object.text(), R"({"b":1,"a":"x","c":true,"d":false,"e":null})") << "asked twice";
}

TEST(JsonObject, TextIsTextAndNotABoolean) {
  const std::string owned = "owned";
  const char* plain = "plain";
  EXPECT_EQ(JsonObject().Add("a", owned).Add("b", plain).Add("c", "").text(),
            R"({"a":"owned","b":"plain","c":""})");
}

TEST(JsonObject, CharactersAreEscaped) {
  EXPECT_EQ(JsonObject().Add("t", "a\"b\\c/d").text(), R"({"t":"a\"b\\c/d"})");
  EXPECT_EQ(JsonObject().Add("t", "\n\t\r\x1f\x7f").text(),
            "{\"t\":\"\\u000a\\u0009\\u000d\\u001f\x7f\"}");
  EXPECT_EQ(JsonObject().Add("t", std::string_view("\0", 1)).text(), R"({"t":"\u0000"})");
  EXPECT_EQ(JsonObject().Add("t", "é€𝄞").text(), "{\"t\":\"é€𝄞\"}");
  EXPECT_EQ(JsonObject().Add("a\"b", true).text(), R"({"a\"b":true})");
}

TEST(JsonObject, BytesThatAreNotUtf8StandAsTheyAre) {
  EXPECT_EQ(JsonObject().Add("t", "a\xff\"\xc3").text(), "{\"t\":\"a\xff\\\"\xc3\"}");
}

TEST(AppendJsonString, TellsWhetherItIsUtf8) {
  std::string out;
  EXPECT_TRUE(AppendJsonString(out, "é\n"));
  EXPECT_EQ(out, "\"é\\u000a\"");
  EXPECT_FALSE(AppendJsonString(out, "\xe2\x82"));
  EXPECT_EQ(out, "\"é\\u000a\"\"\xe2\x82\"");
}

TEST(JsonObject, Integers) {
  EXPECT_EQ(JsonObject()
                .Add("least", std::numeric_limits<std::int64_t>::min())
                .Add("most", std::numeric_limits<std::int64_t>::max())
                .text(),
            R"({"least":-9223372036854775808,"most":9223372036854775807})");
}

TEST(JsonObject, RealsStayReals) {
  const auto text = [](double number) { return JsonObject().Add("r", number).text(); };
  EXPECT_EQ(text(5.0), R"({"r":5.0})");
  EXPECT_EQ(text(0.1), R"({"r":0.1})");
  EXPECT_EQ(text(-0.0), R"({"r":-0.0})");
  EXPECT_EQ(text(1e300), R"({"r":1e+300})");
  EXPECT_EQ(text(-2.2250738585072014e-308), R"({"r":-2.2250738585072014e-308})");
  EXPECT_EQ(text(std::numeric_limits<double>::infinity()), R"({"r":null})");
  EXPECT_EQ(text(std::numeric_limits<double>::quiet_NaN()), R"({"r":null})");
  // The point is looked for in the number alone, not in what stands before it.
  EXPECT_EQ(JsonObject().Add("e.n", "e.n").Add("r", 7.0).text(), R"({"e.n":"e.n","r":7.0})");
}

TEST(JsonObject, UnknownIsNull) {
  EXPECT_EQ(JsonObject()
                .Add("a", std::optional<std::int64_t>())
                .Add("b", std::optional<std::int64_t>(0))
                .Add("c", std::optional<double>(1.5))
                .Add("d", std::optional<std::string>("x"))
                .text(),
            R"({"a":null,"b":0,"c":1.5,"d":"x"})");
}

TEST(JsonObject, ObjectsNest) {
  EXPECT_EQ(JsonObject().Add("a", JsonObject().Add("b", true)).Add("c", JsonObject()).text(),
            R"({"a":{"b":true},"c":{}})");
}

}  // namespace
}  // namespace walmanager
