#include "ext/core/statement_text.h"

#include <cstring>

namespace walmanager {
namespace {

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

// Whether a PRAGMA statement gives `name` a value.
bool Sets(const char* sql, const char* name) {
  for (; *sql; ++sql) {
    if (StartsWith(sql, name)) return std::strpbrk(sql, "=(") != nullptr;
  }
  return false;
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
      return StartsWith(sql, "rollback") ? StatementKind::kRollback : StatementKind::kOther;
    case 'p':
      if (!StartsWith(sql, "pragma")) return StatementKind::kOther;
      if (Sets(sql, "wal_autocheckpoint")) return StatementKind::kSetsAutocheckpoint;
      if (Sets(sql, "journal_mode") || Sets(sql, "locking_mode"))
        return StatementKind::kChangesMode;
      return StatementKind::kOther;
    default:
      return StatementKind::kOther;
  }
}

}  // namespace walmanager
