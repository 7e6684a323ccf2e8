#include "ext/core/text/pool_request.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "ext/core/base/ascii_case.h"
#include "ext/core/base/json_reader.h"
#include "ext/core/base/value_json.h"
#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

using Shared = std::shared_ptr<const PoolParameters>;

bool IsPrefix(char c) { return c == ':' || c == '@' || c == '$' || c == '?'; }
std::string_view Bare(std::string_view name) {
  return !name.empty() && IsPrefix(name[0]) ? name.substr(1) : name;
}

Error About(const std::string& what, const Error& error) {
  return Error{what + " " + error.message};
}

bool IsArray(const std::string& sql) {
  const std::size_t begin = sql.find_first_not_of(" \t\r\n");
  return begin != sql.npos && sql[begin] == '[';
}

Result<std::vector<std::string>> ParseStatements(const std::string& sql) {
  if (!IsArray(sql)) return std::vector<std::string>{sql};
  auto json = ParseJson(sql);
  if (!json.ok()) return Error{"sql is no JSON array: " + json.error().message};
  if (json.value().items.empty()) return Error{"sql is an empty array: at least one statement"};
  std::vector<std::string> statements;
  for (const Json& item : json.value().items) {
    const std::string* text = item.kind == Json::Kind::kValue ? item.value.text() : nullptr;
    if (!text) {
      return Error{StatementName(statements.size()) + " is no text: sql is an array of statements"};
    }
    statements.push_back(*text);
  }
  return statements;
}

// The parameters of one statement. `owner`: names the statement in messages.
Result<Shared> ParseParameters(const std::string& owner, const Json& json) {
  auto parameters = std::make_shared<PoolParameters>();
  if (json.kind == Json::Kind::kValue && json.value.is_null()) return Shared(parameters);
  if (json.kind == Json::Kind::kValue) {
    return Error{owner + "parameters " + json.value.Shown() +
                 " are neither an array nor an object"};
  }
  parameters->by_name = json.kind == Json::Kind::kObject;
  for (std::size_t i = 0; i < json.items.size(); ++i) {
    const std::string name = parameters->by_name ? ShownText(json.names[i]) : std::to_string(i + 1);
    auto value = ValueOfJson(json.items[i]);
    if (!value.ok()) return About(owner + "parameter " + name, value.error());
    if (parameters->by_name) {
      parameters->names[json.names[i]] = std::move(value.value());
    } else {
      parameters->values.push_back(std::move(value.value()));
    }
  }
  return Shared(parameters);
}

// The parameters that a statement names, without their prefix.
std::set<std::string> NamesIn(std::string_view sql) {
  std::set<std::string> names;
  SqlTokenizer tokens(sql);
  Token token;
  for (tokens.Next(token); token.kind != TokenKind::kEnd; tokens.Next(token)) {
    if (token.kind != TokenKind::kLiteral || !IsPrefix(token.text[0])) continue;
    names.insert(std::string(Bare(token.text)));
  }
  return names;
}

// `statements`: those that have these parameters.
Status CheckNames(std::span<const PoolStatement> statements, const PoolParameters& parameters,
                  const std::string& owner) {
  if (parameters.names.empty()) return Ok{};
  std::set<std::string> wanted;
  for (const PoolStatement& statement : statements) wanted.merge(NamesIn(statement.sql));
  for (const auto& [name, value] : parameters.names) {
    if (wanted.count(std::string(Bare(name))) != 0) continue;
    return Error{owner + "parameter " + ShownText(name) + " is in no statement"};
  }
  return Ok{};
}

// A timeout of the call's: as much as the setting may be.
Status TakeTimeout(const std::string& name, const Json& json, std::optional<std::int64_t>& taken) {
  constexpr std::int64_t kMostMs = 3'600'000;
  const auto* ms = json.kind == Json::Kind::kValue ? json.value.integer() : nullptr;
  if (!ms || *ms < 1 || *ms > kMostMs) {
    return Error{"parameter '" + name + "' is reserved: 1 to 3600000 ms (or ':" + name +
                 "', by name)"};
  }
  taken = *ms;
  return Ok{};
}

// {"snapshot":..., "parameters":...}, or an object of named parameters with some of the reserved
// names among them: `rest` is what remains.
Status TakeReserved(Json& json, PoolRequest& request) {
  if (json.kind != Json::Kind::kObject) return Ok{};
  std::optional<Json> parameters;
  Json rest{Json::Kind::kObject, {}, {}, {}};
  for (std::size_t i = 0; i < json.names.size(); ++i) {
    if (json.names[i] == "snapshot") {
      const auto* on = json.items[i].value.integer();
      if (json.items[i].kind != Json::Kind::kValue || !on || (*on != 0 && *on != 1)) {
        return Error{"parameter 'snapshot' is reserved: true or false (or ':snapshot', by name)"};
      }
      request.snapshot = *on == 1;
    } else if (json.names[i] == "timeout_ms" || json.names[i] == "statement_timeout_ms") {
      auto& taken =
          json.names[i] == "timeout_ms" ? request.timeout_ms : request.statement_timeout_ms;
      Status status = TakeTimeout(json.names[i], json.items[i], taken);
      if (!status.ok()) return status;
    } else if (json.names[i] == "parameters") {
      parameters = std::move(json.items[i]);
    } else {
      rest.names.push_back(std::move(json.names[i]));
      rest.items.push_back(std::move(json.items[i]));
    }
  }
  if (parameters && !rest.names.empty()) {
    return Error{"parameter " + ShownText(rest.names[0]) +
                 " stands beside 'parameters', which is reserved for all of them"};
  }
  // An array of none would be one that does not fit.
  json = parameters ? std::move(*parameters) : rest.names.empty() ? Json{} : std::move(rest);
  return Ok{};
}

Status GiveParameters(const Json& json, bool several, std::vector<PoolStatement>& statements) {
  if (several && json.kind == Json::Kind::kArray) {
    if (json.items.size() != statements.size()) {
      return Error{"the array of parameters has length " + std::to_string(json.items.size()) +
                   ", that of statements " + std::to_string(statements.size())};
    }
    for (std::size_t i = 0; i < statements.size(); ++i) {
      const std::string owner = StatementName(i) + ": ";
      auto parsed = ParseParameters(owner, json.items[i]);
      if (!parsed.ok()) return parsed.error();
      statements[i].parameters = parsed.value();
      Status named = CheckNames({&statements[i], 1}, *statements[i].parameters, owner);
      if (!named.ok()) return named;
    }
    return Ok{};
  }
  auto parsed = ParseParameters("", json);
  if (!parsed.ok()) return parsed.error();
  for (PoolStatement& statement : statements) statement.parameters = parsed.value();
  return CheckNames(statements, *parsed.value(), "");
}

// A name as it stands in SQL, without its quotes.
std::string NameOf(const Token& token) {
  std::string_view text = token.text;
  const bool quoted = token.kind == TokenKind::kQuoted ||
                      (token.kind == TokenKind::kLiteral && !text.empty() && text[0] == '\'');
  if (quoted && text.size() >= 2) text = text.substr(1, text.size() - 2);
  return AsciiLowered(text);
}

// Functions that act: walmanager's, except the one that tells versions, and SQLite's loader.
bool Acts(const std::string& function) {
  return function == "load_extension" ||
         (function.rfind("wal_", 0) == 0 && function != "wal_version");
}

Status CheckPragma(SqlTokenizer& tokens) {
  Token name, next;
  tokens.Next(name);
  tokens.Next(next);
  if (next.kind == TokenKind::kDot) {
    tokens.Next(name);
    tokens.Next(next);
  }
  const bool has_argument = next.kind == TokenKind::kOpen || next.kind == TokenKind::kOperator;
  if (PragmaOnlyReads(NameOf(name), has_argument)) return Ok{};
  return Error{"PRAGMA " + NameOf(name) + (has_argument ? " with a value" : "") +
               " is refused: only what reads runs here"};
}

}  // namespace

const Value* PoolParameters::Find(std::string_view parameter) const {
  auto found = names.find(std::string(parameter));
  if (found != names.end()) return &found->second;
  found = names.find(std::string(Bare(parameter)));
  return found == names.end() ? nullptr : &found->second;
}

std::string StatementName(std::size_t index) { return "statement " + std::to_string(index + 1); }

bool PragmaOnlyReads(std::string_view name, bool has_argument) {
  constexpr std::array<std::string_view, 15> kPlain = {
      "application_id", "collation_list", "compile_options", "data_version", "database_list",
      "encoding",       "freelist_count", "function_list",   "module_list",  "page_count",
      "page_size",      "pragma_list",    "schema_version",  "table_list",   "user_version"};
  constexpr std::array<std::string_view, 9> kAny = {
      "foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo",
      "integrity_check",   "quick_check",      "table_info", "table_xinfo"};
  const auto among = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return among(kAny) || (among(kPlain) && (!has_argument || name == "table_list"));
}

Status LooksLikeReading(std::string_view sql) {
  SqlTokenizer tokens(sql);
  Token token;
  do tokens.Next(token);
  while (token.kind == TokenKind::kSemicolon);
  if (token.kind == TokenKind::kEnd) return Error{"is empty"};
  const std::string first(token.text);
  if (token.keyword == Keyword::kExplain) {
    tokens.Next(token);
    if (NameOf(token) == "query") {
      tokens.Next(token);
      tokens.Next(token);
    }
  }
  if (token.keyword == Keyword::kPragma) return CheckPragma(tokens);
  const bool reads = token.keyword == Keyword::kSelect || token.keyword == Keyword::kValues ||
                     token.keyword == Keyword::kWith;
  if (!reads) {
    const std::string shown =
        first == token.text ? first : first + " ... " + std::string(token.text);
    return Error{"begins with " + ShownText(shown) +
                 ", which is refused: SELECT, VALUES, WITH, EXPLAIN and PRAGMA that read run here"};
  }
  Token before;
  for (; token.kind != TokenKind::kEnd; before = token, tokens.Next(token)) {
    // The one table of a PRAGMA that acts.
    if (NameOf(token) == "pragma_optimize") {
      return Error{"reads pragma_optimize, which is refused: only what reads runs here"};
    }
    if (token.kind == TokenKind::kOpen && Acts(NameOf(before))) {
      return Error{"calls " + NameOf(before) + "(), which is refused: only what reads runs here"};
    }
  }
  return Ok{};
}

bool IsEmptySql(std::string_view sql) {
  SqlTokenizer tokens(sql);
  Token token;
  do tokens.Next(token);
  while (token.kind == TokenKind::kSemicolon);
  return token.kind == TokenKind::kEnd;
}

Result<PoolRequest> ParsePoolRequest(const std::string& sql,
                                     const std::optional<std::string>& parameters_json) {
  auto texts = ParseStatements(sql);
  if (!texts.ok()) return texts.error();
  PoolRequest request;
  for (std::string& text : texts.value()) {
    if (Status reads = LooksLikeReading(text); !reads.ok()) {
      return About(StatementName(request.statements.size()) + ":", reads.error());
    }
    request.statements.push_back({std::move(text), std::make_shared<PoolParameters>()});
  }
  if (!parameters_json) return request;
  auto json = ParseJson(*parameters_json);
  if (!json.ok())
    return About("parameters_json is not a JSON array or object of parameters:", json.error());
  if (Status taken = TakeReserved(json.value(), request); !taken.ok()) {
    return taken.error();
  }
  Status given = GiveParameters(json.value(), IsArray(sql), request.statements);
  if (!given.ok()) return given.error();
  return request;
}

}  // namespace walmanager
