#include "ext/core/text/preparable_text.h"

#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

constexpr std::string_view kCutMark = "…";
constexpr std::string_view kSomeParameters = "?, ?, ?";

std::size_t Begin(const Token& token, std::string_view text) {
  return static_cast<std::size_t>(token.text.data() - text.data());
}

}  // namespace

std::string PreparableText(std::string_view normalized) {
  if (normalized.ends_with(kCutMark)) return "";
  std::string sql;
  SqlTokenizer tokens(normalized);
  Token token;
  std::size_t copied = 0;  // of `normalized`
  std::size_t comma = 0;   // where the last one stands in `sql`
  bool after_comma = false;
  for (tokens.Next(token); token.kind != TokenKind::kEnd; tokens.Next(token)) {
    const std::size_t begin = Begin(token, normalized);
    sql += normalized.substr(copied, begin - copied);
    copied = begin + token.text.size();
    if (token.kind == TokenKind::kComma) comma = sql.size();
    if (token.kind != TokenKind::kEllipsis) {
      sql += token.text;
    } else if (after_comma) {
      sql.resize(comma);
    } else {
      sql += kSomeParameters;
    }
    after_comma = token.kind == TokenKind::kComma;
  }
  return sql;
}

std::string_view WithoutReturning(std::string_view sql) {
  SqlTokenizer tokens(sql);
  Token token;
  bool after_dot = false;
  for (tokens.Next(token); token.kind != TokenKind::kEnd; tokens.Next(token)) {
    if (token.keyword == Keyword::kReturning && !after_dot) return sql.substr(0, Begin(token, sql));
    after_dot = token.kind == TokenKind::kDot;
  }
  return sql;
}

}  // namespace walmanager
