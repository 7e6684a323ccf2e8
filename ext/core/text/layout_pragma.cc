#include "ext/core/text/layout_pragma.h"

#include <bit>
#include <charconv>

#include "ext/core/base/ascii_case.h"
#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

// A name or a value, without its quotes.
std::string Content(const Token& token) {
  const bool quoted = token.kind == TokenKind::kQuoted || token.kind == TokenKind::kLiteral;
  if (!quoted || token.text.size() < 2) return std::string(token.text);
  return std::string(token.text.substr(1, token.text.size() - 2));
}

std::optional<std::int64_t> Number(const std::string& text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::optional<std::int64_t> AutoVacuum(const std::string& value) {
  constexpr std::string_view kNames[] = {"none", "full", "incremental"};
  for (std::int64_t i = 0; i < 3; ++i) {
    if (value == kNames[i] || Number(value) == i) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<LayoutPragma> ParseLayoutPragma(std::string_view sql) {
  SqlTokenizer tokens(sql);
  Token token;
  do {
    tokens.Next(token);
  } while (token.kind == TokenKind::kSemicolon);
  if (token.kind != TokenKind::kWord || AsciiLowered(token.text) != "pragma") return std::nullopt;
  tokens.Next(token);
  LayoutPragma pragma;
  std::string name = Content(token);
  tokens.Next(token);
  if (token.kind == TokenKind::kDot) {
    pragma.schema = name;
    tokens.Next(token);
    name = Content(token);
    tokens.Next(token);
  }
  const std::string wanted = AsciiLowered(name);
  if (wanted != "page_size" && wanted != "auto_vacuum") return std::nullopt;
  const bool sets =
      token.kind == TokenKind::kOpen || (token.kind == TokenKind::kOperator && token.text == "=");
  if (!sets) return std::nullopt;
  tokens.Next(token);
  const std::string value = AsciiLowered(Content(token));
  if (wanted == "auto_vacuum") {
    pragma.auto_vacuum = AutoVacuum(value);
    return pragma;
  }
  const auto bytes = Number(value);
  if (bytes && *bytes >= 512 && *bytes <= 65'536 &&
      std::has_single_bit(static_cast<std::uint64_t>(*bytes))) {
    pragma.page_size = bytes;
  }
  return pragma;
}

}  // namespace walmanager
