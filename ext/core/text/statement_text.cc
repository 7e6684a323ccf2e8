#include "ext/core/text/statement_text.h"

#include <cstring>

#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

constexpr char kAutocheckpoint[] = "wal_autocheckpoint";

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// `word` is in lower case.
bool StartsWith(const char* text, const char* word) {
  while (*word && Lower(*text) == *word) ++text, ++word;
  return *word == '\0';
}

const char* SkipSpaceAndComments(const char* sql) {
  for (;;) {
    // Empty statements and a byte order mark are passed over by SQLite, too.
    while (*sql == ' ' || *sql == ';' || (*sql >= '\t' && *sql <= '\r')) ++sql;
    if (std::strncmp(sql, "\xef\xbb\xbf", 3) == 0) sql += 3;
    if (sql[0] == '-' && sql[1] == '-') {
      while (*sql && *sql != '\n') ++sql;
    } else if (sql[0] == '/' && sql[1] == '*') {
      const char* end = std::strstr(sql + 2, "*/");
      if (!end) return sql + std::strlen(sql);
      sql = end + 2;
    } else {
      return sql;
    }
  }
}

// What a PRAGMA statement sets `name` to, from there to the end of the text; nullptr where it does
// not.
const char* ValueOf(const char* sql, const char* name) {
  for (; *sql; ++sql) {
    if (!StartsWith(sql, name)) continue;
    const char* value = std::strpbrk(sql, "=(");
    if (!value) return nullptr;
    do {
      value = SkipSpaceAndComments(value + 1);
    } while (*value && std::strchr("'\"`[", *value));
    return value;
  }
  return nullptr;
}

bool Mentions(const char* sql, const char* name) {
  for (; *sql; ++sql) {
    if (StartsWith(sql, name)) return true;
  }
  return false;
}

// A mode that needs the database for itself. The mode in which own connections are open is not one:
// many programs set it on every connection.
bool Changes(const char* sql, const char* name, const char* mode_of_ours) {
  const char* value = ValueOf(sql, name);
  return value && !StartsWith(value, mode_of_ours);
}

}  // namespace

StatementKind ClassifyStatement(const char* sql) {
  sql = SkipSpaceAndComments(sql);
  switch (Lower(*sql)) {
    case 'a':
      return StartsWith(sql, "attach") ? StatementKind::kAttach : StatementKind::kOther;
    case 'd':
      return StartsWith(sql, "detach") ? StatementKind::kDetach : StatementKind::kOther;
    case 'c':
    case 'e':
      return StartsWith(sql, "commit") || StartsWith(sql, "end") ? StatementKind::kEndsTransaction
                                                                 : StatementKind::kOther;
    case 'r':
      if (StartsWith(sql, "release")) return StatementKind::kEndsTransaction;
      return StartsWith(sql, "rollback") ? StatementKind::kRollback : StatementKind::kOther;
    case 'p':
      if (!StartsWith(sql, "pragma")) return StatementKind::kOther;
      if (Mentions(sql, kAutocheckpoint)) {
        return ValueOf(sql, kAutocheckpoint) ? StatementKind::kSetsAutocheckpoint
                                             : StatementKind::kReadsAutocheckpoint;
      }
      if (Changes(sql, "journal_mode", "wal") || Changes(sql, "locking_mode", "normal")) {
        return StatementKind::kWantsDatabase;
      }
      if (Mentions(sql, "wal_checkpoint")) return StatementKind::kCheckpoints;
      if (ValueOf(sql, "synchronous")) return StatementKind::kSetsSynchronous;
      if (ValueOf(sql, "page_size") || ValueOf(sql, "auto_vacuum")) {
        return StatementKind::kSetsLayout;
      }
      return StatementKind::kOther;
    default:
      return StatementKind::kOther;
  }
}

CheckpointPragma ReadCheckpointPragma(std::string_view sql) {
  SqlTokenizer tokenizer(sql);
  Token token;
  const auto next = [&] {
    tokenizer.Next(token);
    const bool quoted = token.kind == TokenKind::kQuoted || IsClosedString(token);
    return quoted ? token.text.substr(1, token.text.size() - 2) : token.text;
  };
  do {
    next();
  } while (token.kind == TokenKind::kSemicolon);
  CheckpointPragma pragma;
  const std::string_view first = next();
  next();
  if (token.kind == TokenKind::kDot) {
    pragma.schema = first;
    next();
    next();
  }
  if (token.kind == TokenKind::kOpen || token.text == "=") pragma.mode = next();
  return pragma;
}

bool SetsAutocheckpointToZero(const char* sql) {
  const char* value = ValueOf(SkipSpaceAndComments(sql), kAutocheckpoint);
  if (!value || *value != '0') return false;
  while (*value == '0') ++value;
  const char next = Lower(*value);
  return !(next >= '1' && next <= '9') && !(next >= 'a' && next <= 'z');
}

}  // namespace walmanager
