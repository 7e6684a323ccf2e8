// A Value gives back what it was made of, and messages show it as SQL would.
#include "ext/core/base/value.h"

#include <gtest/gtest.h>

#include <limits>

namespace walmanager {
namespace {

TEST(Value, NullIsNothingElse) {
  for (const Value& value : {Value(), Value(std::nullopt), Value(std::optional<double>())}) {
    EXPECT_TRUE(value.is_null());
    EXPECT_FALSE(value.is_blob());
    EXPECT_EQ(value.integer(), nullptr);
    EXPECT_EQ(value.real(), nullptr);
    EXPECT_EQ(value.text(), nullptr);
    EXPECT_EQ(value.Shown(), "NULL");
  }
}

TEST(Value, IntegersOfAllWidths) {
  EXPECT_EQ(*Value(true).integer(), 1);
  EXPECT_EQ(*Value(false).integer(), 0);
  EXPECT_EQ(*Value(-7).integer(), -7);
  EXPECT_EQ(*Value(std::uint32_t{4'000'000'000}).integer(), 4'000'000'000);
  EXPECT_EQ(*Value(std::uint64_t{1} << 40).integer(), std::int64_t{1} << 40);
  EXPECT_EQ(Value(std::numeric_limits<std::int64_t>::min()).Shown(), "-9223372036854775808");
  EXPECT_FALSE(Value(0).is_null());
  EXPECT_EQ(Value(0).real(), nullptr);
}

TEST(Value, Reals) {
  EXPECT_EQ(*Value(2.5).real(), 2.5);
  EXPECT_EQ(Value(2.5).integer(), nullptr);
  EXPECT_EQ(Value(2.5).Shown(), "2.5");
  EXPECT_EQ(Value(-0.001).Shown(), "-0.001");
  EXPECT_EQ(Value(1e300).Shown(), "1e+300");
}

TEST(Value, Texts) {
  EXPECT_EQ(*Value("on").text(), "on");
  EXPECT_EQ(*Value(std::string("a\0b", 3)).text(), std::string("a\0b", 3));
  EXPECT_EQ(Value("on").Shown(), "'on'");
  EXPECT_EQ(Value("").Shown(), "''");
  EXPECT_FALSE(Value("").is_null());
}

TEST(Value, OptionalsKeepTheirKind) {
  EXPECT_EQ(*Value(std::optional<std::int64_t>(3)).integer(), 3);
  EXPECT_EQ(*Value(std::optional<double>(0.5)).real(), 0.5);
  EXPECT_EQ(*Value(std::optional<std::string>("x")).text(), "x");
  EXPECT_EQ(*Value(std::optional<bool>(true)).integer(), 1);
}

TEST(Value, BlobsAreToldApart) {
  const Value blob = Value::Blob("abc");
  EXPECT_TRUE(blob.is_blob());
  EXPECT_FALSE(blob.is_null());
  EXPECT_EQ(blob.text(), nullptr);
  EXPECT_EQ(blob.Shown(), "a blob");
  const Value copy = blob;
  EXPECT_TRUE(copy.is_blob());
}

TEST(Value, LongTextsAreCutAfter60Bytes) {
  EXPECT_EQ(Value(std::string(60, 'x')).Shown(), "'" + std::string(60, 'x') + "'");
  EXPECT_EQ(Value(std::string(61, 'x')).Shown(), "'" + std::string(60, 'x') + "…'");
}

// A message is text for SQLite, so it must stay UTF-8.
TEST(Value, BugANulCutTheMessage) { EXPECT_EQ(ShownText(std::string("a\0b", 3)), "'a\\0b'"); }

TEST(Value, BugAMessageRecursedOncePerNul) {
  std::string zeros = "'";
  for (int i = 0; i < 30; ++i) zeros += "\\0";
  EXPECT_EQ(ShownText(std::string(30, '\0')), zeros + "'");
  EXPECT_EQ(ShownText(std::string(10'000'000, '\0')), zeros + "…'");
}

TEST(Value, ControlCharactersAreShownAndNotSent) {
  EXPECT_EQ(ShownText("a\x1b[31m\n\x7f"), "'a\\x1b[31m\\n\\x7f'");
  EXPECT_TRUE(HasControlCharacters("a\x1b") && HasControlCharacters("\u009b") &&
              HasControlCharacters(std::string("\0", 1)));
  EXPECT_EQ(WithoutControlCharacters("a\x1b[31m\n \u009b é"), "a?[31m? ?? é");
  EXPECT_FALSE(HasControlCharacters("é \u20ac \U0001f600") || HasControlCharacters(""));
}

TEST(Value, BugCharactersThatTurnTheLineWereSentToTheTerminal) {
  EXPECT_EQ(ShownText("a\u202eb\u2028"), "'a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8'");
  for (const char* text : {"\u061c", "\u200f", "\u2029", "\u202a", "\u2069", "\ufeff"}) {
    EXPECT_TRUE(HasControlCharacters(text)) << ShownText(text);
  }
  EXPECT_EQ(WithoutControlCharacters("a\u202eb"), "a???b");
  EXPECT_FALSE(HasControlCharacters("\u2010 \u2027 \u202f \u2065 \u206a"));
}

TEST(Value, BugAMessageHeldBytesThatAreNotUtf8) {
  EXPECT_EQ(ShownText("a\xff\xc3"), "'a\\xff\\xc3'");
  EXPECT_EQ(ShownText("\xed\xa0\x80"), "'\\xed\\xa0\\x80'");
  EXPECT_EQ(ShownText("\xc2"), "'\\xc2'");
}

TEST(Value, LongTextsAreNotCutInsideACharacter) {
  std::string text(59, 'x');
  text += "é and more";
  EXPECT_EQ(Value(text).Shown(), "'" + std::string(59, 'x') + "…'");
}

TEST(Value, BugWholeRealsAreShownAsIntegers) { EXPECT_EQ(Value(5.0).Shown(), "5.0"); }

}  // namespace
}  // namespace walmanager
