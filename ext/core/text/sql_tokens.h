// SQL text cut into tokens as SQLite cuts it: the rules of tokenize.c at https://www.sqlite.org/src
// (3.50), so that nothing which SQLite takes for a literal is taken for something else here.
//
// Any bytes make tokens; the text ends at its first NUL, as SQLite's does. White space, comments
// and byte order marks are passed over. Tokens point into the text. Not for several threads at
// once.
#pragma once

#include <cstdint>
#include <string_view>

#include "ext/core/text/sql_keywords.h"

namespace walmanager {

enum class TokenKind : std::uint8_t {
  kEnd,
  kWord,      // an identifier or keyword without quotes
  kQuoted,    // an identifier in backticks or [], or what is in "": that may also be a literal
  kNumber,    // also what only begins like one, such as 12abc
  kLiteral,   // '..', x'..', a parameter, a quote that is never closed, a byte no token begins with
  kOperator,  // also a + or - that turns out to be a sign
  kOpen,
  kClose,
  kComma,
  kSemicolon,
  kDot,
  kEllipsis,  // "...": not SQLite's; in normalized text it stands for omitted items
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Keyword keyword = Keyword::kNone;  // of a kWord
  std::string_view text;
};

// Whether the token is a string in single quotes that is closed: where a name must stand, SQLite
// takes it for one.
bool IsClosedString(const Token& token);

class SqlTokenizer {
 public:
  explicit SqlTokenizer(std::string_view sql);
  // Writes the next token to `token`: kEnd at the end, and ever after.
  void Next(Token& token);

 private:
  std::string_view Rest() const {
    return std::string_view(at_, static_cast<std::size_t>(end_ - at_));
  }
  // The byte `ahead` bytes further on, or NUL behind the end.
  char Peek(std::size_t ahead) const {
    return ahead < static_cast<std::size_t>(end_ - at_) ? at_[ahead] : '\0';
  }
  void SkipSpaceAndComments();
  TokenKind Scan();
  TokenKind ScanWord();
  TokenKind ScanNumber();
  TokenKind ScanString();
  TokenKind ScanQuoted();
  TokenKind ScanBracketed();
  TokenKind ScanBlob();
  TokenKind ScanParameter();
  TokenKind Take(std::size_t length, TokenKind kind);
  bool SkipQuotes(char quote);
  void SkipWordBytes();

  const char* at_;
  const char* end_;
};

}  // namespace walmanager
