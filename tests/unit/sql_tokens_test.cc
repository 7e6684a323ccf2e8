// Tokens are cut where SQLite cuts them, and any bytes make tokens.
#include "ext/core/text/sql_tokens.h"

#include <gtest/gtest.h>

#include <string>

namespace walmanager {
namespace {

using namespace std::string_literals;

// The tokens with a letter each for their kind: w:select n:1.
std::string Tokens(std::string_view sql) {
  constexpr std::string_view kLetters = "-wqnlo(),;.e";
  std::string text;
  SqlTokenizer tokenizer(sql);
  Token token;
  for (tokenizer.Next(token); token.kind != TokenKind::kEnd; tokenizer.Next(token)) {
    if (!text.empty()) text += ' ';
    text += kLetters[static_cast<std::size_t>(token.kind)];
    text += ':';
    text += token.text;
  }
  return text;
}

TEST(SqlTokens, AreCutAsSqliteCutsThem) {
  const struct {
    std::string_view sql;
    std::string_view tokens;
  } kCases[] = {
      {"", ""},
      {"select a$1,\xc3\xa4 _b", "w:select w:a$1 ,:, w:\xc3\xa4 w:_b"},
      {"'it''s' \"a\"\"b\" `c``d` [e\"]", "l:'it''s' q:\"a\"\"b\" q:`c``d` q:[e\"]"},
      {"[a]]", "q:[a] l:]"},
      {"'open ' ' more", "l:'open ' l:' more"},
      {"\"open", "l:\"open"},
      {"`open``", "l:`open``"},
      {"[open", "l:[open"},
      {"'", "l:'"},
      {"x'00' X'fF' x'0 x", "l:x'00' l:X'fF' l:x'0 x"},
      {"x 'a'", "w:x l:'a'"},
      {"1 1.5 .5 5. 1e5 1E-5 1.e+5 0xAb 1_000 0x1_F 1.2_3",
       "n:1 n:1.5 n:.5 n:5. n:1e5 n:1E-5 n:1.e+5 n:0xAb n:1_000 n:0x1_F n:1.2_3"},
      {"12abc 1e 0x 1.2.3 1e+", "n:12abc n:1e n:0x n:1.2 n:.3 n:1e o:+"},
      {"a.b a.5 a..5", "w:a .:. w:b w:a n:.5 w:a .:. n:.5"},
      {"?1 ? ?a :n @n $n #1", "l:?1 l:? l:? w:a l::n l:@n l:$n l:#1"},
      {"$a::b(c) $a(b c) :a(1)x ::a", "l:$a::b(c) l:$a(b w:c ):) l::a(1) w:x l:: l::a"},
      {": @ $ :(a)", "l:: l:@ l:$ l:: (:( w:a ):)"},
      {"-> ->> - > || | <> << <= < >> >= > == = != ! ~&%+*/",
       "o:-> o:->> o:- o:> o:|| o:| o:<> o:<< o:<= o:< o:>> o:>= o:> o:== o:= o:!= l:! "
       "o:~ o:& o:% o:+ o:* o:/"},
      {"f(a);", "w:f (:( w:a ):) ;:;"},
      {"(...) .. ....", "(:( e:... ):) .:. .:. e:... .:."},
      {"^\\{\x01", "l:^ l:\\ l:{ l:\x01"},
  };
  for (const auto& test : kCases) EXPECT_EQ(Tokens(test.sql), test.tokens) << test.sql;
}

TEST(SqlTokens, SpaceAndCommentsArePassedOver) {
  EXPECT_EQ(Tokens(" \t\r\n\fa\f\vb"), "w:a w:b");
  EXPECT_EQ(Tokens("\va"), "l:\v w:a");  // space only behind other space
  EXPECT_EQ(Tokens("a--b\nc--d"), "w:a w:c");
  EXPECT_EQ(Tokens("a/*b*/c/**/d/*/e*/f"), "w:a w:c w:d w:f");
  EXPECT_EQ(Tokens("a/* never closed"), "w:a");
  EXPECT_EQ(Tokens("a/*"), "w:a o:/ o:*");
  EXPECT_EQ(Tokens("\xef\xbb\xbf"
                   "a\xef\xbb\xbf"),
            "w:a\xef\xbb\xbf");
}

TEST(SqlTokens, TheTextEndsAtNul) {
  EXPECT_EQ(Tokens("a\0b"s), "w:a");
  EXPECT_EQ(Tokens("'a\0'"s), "l:'a");
}

TEST(SqlTokens, KeywordsInAnyCaseUnlessQuoted) {
  const auto keyword = [](std::string_view sql) {
    Token token;
    SqlTokenizer(sql).Next(token);
    return token.keyword;
  };
  EXPECT_EQ(keyword("select"), Keyword::kSelect);
  EXPECT_EQ(keyword("SeLeCt "), Keyword::kSelect);
  EXPECT_EQ(keyword("\"select\""), Keyword::kNone);
  EXPECT_EQ(keyword("selects"), Keyword::kNone);
  EXPECT_EQ(keyword("current_timestamp"), Keyword::kCurrentTime);
  EXPECT_EQ(keyword("a"), Keyword::kNone);
}

}  // namespace
}  // namespace walmanager
