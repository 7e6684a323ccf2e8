#include "ext/core/text/sql_tokens.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace walmanager {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

enum ByteClass : std::uint8_t { kSpace = 1, kWordByte = 2, kDigit = 4, kHexDigit = 8 };

constexpr std::array<std::uint8_t, 256> MakeClasses() {
  std::array<std::uint8_t, 256> classes{};
  for (const unsigned char c : {' ', '\t', '\n', '\v', '\f', '\r'}) classes[c] |= kSpace;
  for (unsigned c = '0'; c <= '9'; ++c) classes[c] |= kDigit | kHexDigit | kWordByte;
  for (unsigned c = 'a'; c <= 'z'; ++c) classes[c] |= kWordByte;
  for (unsigned c = 'A'; c <= 'Z'; ++c) classes[c] |= kWordByte;
  for (unsigned c = 0x80; c <= 0xff; ++c) classes[c] |= kWordByte;
  for (const unsigned char c : {'_', '$'}) classes[c] |= kWordByte;
  for (unsigned c = 0; c < 6; ++c) {
    classes['a' + c] |= kHexDigit;
    classes['A' + c] |= kHexDigit;
  }
  return classes;
}

constexpr std::array<std::uint8_t, 256> kClasses = MakeClasses();

bool Is(char c, ByteClass byte_class) {
  return (kClasses[static_cast<unsigned char>(c)] & byte_class) != 0;
}

}  // namespace

SqlTokenizer::SqlTokenizer(std::string_view sql) : at_(sql.data()), end_(at_ + sql.size()) {
  const void* nul = sql.empty() ? nullptr : std::memchr(at_, '\0', sql.size());
  if (nul) end_ = static_cast<const char*>(nul);
}

void SqlTokenizer::Next(Token& token) {
  SkipSpaceAndComments();
  const char* begin = at_;
  token.kind = at_ == end_ ? TokenKind::kEnd : Scan();
  token.text = std::string_view(begin, static_cast<std::size_t>(at_ - begin));
  token.keyword = token.kind == TokenKind::kWord ? FindKeyword(token.text) : Keyword::kNone;
}

void SqlTokenizer::SkipSpaceAndComments() {
  while (at_ != end_) {
    const char c = *at_;
    if (Is(c, kSpace) && c != '\v') {  // a vertical tab is space only behind other space
      do {
        ++at_;
      } while (at_ != end_ && Is(*at_, kSpace));
    } else if (c == '-' && Peek(1) == '-') {
      const void* newline = std::memchr(at_, '\n', Rest().size());
      at_ = newline ? static_cast<const char*>(newline) : end_;
    } else if (c == '/' && Peek(1) == '*' && Peek(2) != '\0') {  // "/*" at the end is two operators
      const std::size_t close = Rest().find("*/", 2);
      at_ = close == std::string_view::npos ? end_ : at_ + close + 2;
    } else if (c == kByteOrderMark[0] && Rest().starts_with(kByteOrderMark)) {
      at_ += kByteOrderMark.size();
    } else {
      return;
    }
  }
}

TokenKind SqlTokenizer::Scan() {
  const char c = *at_;
  const char next = Peek(1);
  switch (c) {
    case '(':
      return Take(1, TokenKind::kOpen);
    case ')':
      return Take(1, TokenKind::kClose);
    case ',':
      return Take(1, TokenKind::kComma);
    case ';':
      return Take(1, TokenKind::kSemicolon);
    case '\'':
      return ScanString();
    case '"':
    case '`':
      return ScanQuoted();
    case '[':
      return ScanBracketed();
    case '.':
      if (Is(next, kDigit)) return ScanNumber();
      if (next == '.' && Peek(2) == '.') return Take(3, TokenKind::kEllipsis);
      return Take(1, TokenKind::kDot);
    case '?': {
      std::size_t length = 1;
      while (Is(Peek(length), kDigit)) ++length;
      return Take(length, TokenKind::kLiteral);
    }
    case '$':
    case '@':
    case ':':
    case '#':
      return ScanParameter();
    case '-':
      if (next == '>') return Take(Peek(2) == '>' ? 3 : 2, TokenKind::kOperator);
      return Take(1, TokenKind::kOperator);
    case '<':
      return Take(next == '=' || next == '>' || next == '<' ? 2 : 1, TokenKind::kOperator);
    case '>':
      return Take(next == '=' || next == '>' ? 2 : 1, TokenKind::kOperator);
    case '=':
      return Take(next == '=' ? 2 : 1, TokenKind::kOperator);
    case '|':
      return Take(next == '|' ? 2 : 1, TokenKind::kOperator);
    case '!':
      if (next == '=') return Take(2, TokenKind::kOperator);
      return Take(1, TokenKind::kLiteral);
    case '+':
    case '*':
    case '/':
    case '%':
    case '&':
    case '~':
      return Take(1, TokenKind::kOperator);
    case 'x':
    case 'X':
      return next == '\'' ? ScanBlob() : ScanWord();
    default:
      if (Is(c, kDigit)) return ScanNumber();
      if (Is(c, kWordByte)) return ScanWord();
      return Take(1, TokenKind::kLiteral);
  }
}

TokenKind SqlTokenizer::Take(std::size_t length, TokenKind kind) {
  at_ += length;
  return kind;
}

void SqlTokenizer::SkipWordBytes() {
  while (at_ != end_ && Is(*at_, kWordByte)) ++at_;
}

TokenKind SqlTokenizer::ScanWord() {
  SkipWordBytes();
  return TokenKind::kWord;
}

TokenKind SqlTokenizer::ScanNumber() {
  const auto skip_digits = [this](ByteClass digit) {
    while (at_ != end_ && (Is(*at_, digit) || *at_ == '_')) ++at_;
  };
  if (*at_ == '0' && AsciiLower(Peek(1)) == 'x' && Is(Peek(2), kHexDigit)) {
    at_ += 2;
    skip_digits(kHexDigit);
  } else {
    skip_digits(kDigit);
    if (Peek(0) == '.') {
      ++at_;
      skip_digits(kDigit);
    }
    const std::size_t sign = Peek(1) == '+' || Peek(1) == '-' ? 1 : 0;
    if (AsciiLower(Peek(0)) == 'e' && Is(Peek(1 + sign), kDigit)) {
      at_ += 1 + sign;
      skip_digits(kDigit);
    }
  }
  SkipWordBytes();  // 12abc is one token, which SQLite refuses
  return TokenKind::kNumber;
}

// To the byte behind the closing quote; a doubled quote is content. False where none closes.
bool SqlTokenizer::SkipQuotes(char quote) {
  for (++at_; at_ != end_;) {
    const void* found = std::memchr(at_, quote, Rest().size());
    if (!found) break;
    at_ = static_cast<const char*>(found) + 1;
    if (Peek(0) != quote) return true;
    ++at_;
  }
  at_ = end_;
  return false;
}

TokenKind SqlTokenizer::ScanString() {
  SkipQuotes('\'');
  return TokenKind::kLiteral;
}

TokenKind SqlTokenizer::ScanQuoted() {
  return SkipQuotes(*at_) ? TokenKind::kQuoted : TokenKind::kLiteral;
}

TokenKind SqlTokenizer::ScanBracketed() {
  const std::size_t close = Rest().find(']');
  if (close == std::string_view::npos) return Take(Rest().size(), TokenKind::kLiteral);
  return Take(close + 1, TokenKind::kQuoted);
}

TokenKind SqlTokenizer::ScanBlob() {
  const std::size_t close = Rest().find('\'', 2);
  return Take(close == std::string_view::npos ? Rest().size() : close + 1, TokenKind::kLiteral);
}

// $name, also with Tcl's namespaces and an index: $a::b(c).
TokenKind SqlTokenizer::ScanParameter() {
  bool named = false;
  for (++at_; at_ != end_;) {
    if (Is(*at_, kWordByte)) {
      named = true;
      ++at_;
    } else if (*at_ == '(' && named) {
      while (at_ != end_ && *at_ != ')' && !Is(*at_, kSpace)) ++at_;
      if (Peek(0) == ')') ++at_;
      break;
    } else if (*at_ == ':' && Peek(1) == ':') {
      at_ += 2;
    } else {
      break;
    }
  }
  return TokenKind::kLiteral;
}

bool IsClosedString(const Token& token) {
  constexpr char kQuote = '\'';
  // Each quote within is doubled, so that of one that is not closed there is an odd number.
  return token.kind == TokenKind::kLiteral && token.text.size() >= 2 &&
         token.text.front() == kQuote && token.text.back() == kQuote &&
         std::count(token.text.begin(), token.text.end(), kQuote) % 2 == 0;
}

}  // namespace walmanager
