#include "ext/core/text/sql_names.h"

#include <cstddef>
#include <utility>

#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

std::string Unquoted(std::string_view text) {
  if (text.size() < 2) return "";
  const char quote = text.back();
  text = text.substr(1, text.size() - 2);
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    name += text[i];
    if (text[i] == quote && quote != ']' && i + 1 < text.size() && text[i + 1] == quote) ++i;
  }
  return name;
}

template <typename Visit>
void ForEachToken(std::string_view sql, Visit visit) {
  SqlTokenizer tokens(sql);
  Token token;
  for (tokens.Next(token); token.kind != TokenKind::kEnd; tokens.Next(token)) visit(token);
}

}  // namespace

std::string LowerName(std::string_view name) { return AsciiLowered(name); }

std::string NameOf(const Token& token) {
  if (token.kind == TokenKind::kWord) return LowerName(token.text);
  const bool is_string = token.kind == TokenKind::kLiteral && token.text.starts_with('\'');
  return token.kind == TokenKind::kQuoted || is_string ? LowerName(Unquoted(token.text)) : "";
}

void AddNames(std::string_view sql, std::set<std::string>& names) {
  ForEachToken(sql, [&](const Token& token) {
    if (std::string name = NameOf(token); !name.empty()) names.insert(std::move(name));
  });
}

void AddReferredNames(std::string_view sql, std::set<std::string>& names) {
  bool refers = false;
  ForEachToken(sql, [&](const Token& token) {
    if (std::string name = NameOf(token); refers && !name.empty()) names.insert(std::move(name));
    refers = token.keyword == Keyword::kReferences;
  });
}

bool HasReferences(std::string_view sql) {
  SqlTokenizer tokens(sql);
  Token token;
  for (tokens.Next(token); token.kind != TokenKind::kEnd; tokens.Next(token)) {
    if (token.keyword == Keyword::kReferences) return true;
  }
  return false;
}

bool Calls(std::string_view sql, std::string_view function) {
  bool named = false, calls = false;
  ForEachToken(sql, [&](const Token& token) {
    if (named && token.kind == TokenKind::kOpen) calls = true;
    named = NameOf(token) == function;
  });
  return calls;
}

}  // namespace walmanager
