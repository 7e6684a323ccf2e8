#include "ext/backup/backup_check.h"

#include <string_view>
#include <utility>

#include "ext/backup/page_copy.h"

namespace walmanager {
namespace {

constexpr std::string_view kUnknownFunction = "unknown function: ";
constexpr std::string_view kUnknownCollation = "no such collation sequence: ";

// The engine's message where a check cannot be prepared because a collation or function is missing.
// Damage has other messages: a schema that cannot be read is CORRUPT, and the steps of a check find
// what is wrong with pages and rows. No `table`: the check of all tables.
std::string Unknown(sqlite3* backup, const std::string& table = "") {
  const auto check = Prepare(backup, kOwnSql + QuickCheck(table));
  if (check.ok() || check.error().code != ErrorCode::kError) return "";
  const std::string& words = check.error().message;
  return words.starts_with(kUnknownFunction) || words.starts_with(kUnknownCollation) ? words : "";
}

// The first finding in the tables that can be checked as they are.
Result<std::string> FindingInKnown(sqlite3* backup) {
  auto tables = Prepare(backup, std::string(kOwnSql) +
                                    "SELECT name FROM sqlite_master WHERE type = 'table' AND "
                                    "rootpage > 0 UNION ALL SELECT 'sqlite_master'");
  if (!tables.ok()) return tables.error();
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(tables.value().get())) == SQLITE_ROW) {
    const std::string table = ColumnText(tables.value().get(), 0);
    if (!Unknown(backup, table).empty()) continue;
    auto finding = FirstFinding(backup, table);
    if (!finding.ok() || !finding.value().empty()) return finding;
  }
  if (rc != SQLITE_DONE) return EngineError(backup);
  return std::string();
}

// Makes the check preparable by stand-ins: collations to which all text is equal, and functions
// that return NULL.
void StandIn(sqlite3* backup) {
  sqlite3_collation_needed(backup, nullptr, [](void*, sqlite3* db, int, const char* name) {
    const auto equal = [](void*, int, const void*, int, const void*) { return 0; };
    sqlite3_create_collation(db, name, SQLITE_UTF8, nullptr, equal);
  });
  const auto null = [](sqlite3_context* context, int, sqlite3_value**) {
    sqlite3_result_null(context);
  };
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  std::string before, words = Unknown(backup);
  while (words != before && words.starts_with(kUnknownFunction)) {
    // "unknown function: name()"
    const std::string name =
        words.substr(kUnknownFunction.size(), words.rfind("()") - kUnknownFunction.size());
    sqlite3_create_function(backup, name.c_str(), -1, kFlags, nullptr, null, nullptr, nullptr);
    before = std::exchange(words, Unknown(backup));
  }
}

// The first finding in the pages of all tables, which come before any row. Findings in rows, and a
// failed check of rows, do not count: the stand-ins for collations and functions may cause them.
Result<std::string> FindingInPages(sqlite3* backup) {
  StandIn(backup);
  if (!Unknown(backup).empty()) return std::string();
  auto finding = FirstFinding(backup);
  if (!finding.ok()) {
    return finding.error().code == ErrorCode::kError ? Result<std::string>(std::string()) : finding;
  }
  const bool of_pages = finding.value().starts_with("*** in database ") ||
                        finding.value() == sqlite3_errstr(SQLITE_CORRUPT);
  return of_pages ? finding : std::string();
}

}  // namespace

Result<std::string> CheckBackup(sqlite3* backup) {
  const auto pages = Answer(backup, "PRAGMA page_count");
  if (!pages.ok()) return pages.error();
  if (pages.value() == "0") return Error{"is empty"};
  std::string because = Unknown(backup);
  auto finding = because.empty() ? FirstFinding(backup) : FindingInKnown(backup);
  if (!because.empty() && finding.ok() && finding.value().empty()) finding = FindingInPages(backup);
  if (!finding.ok()) {
    if (finding.error().code == ErrorCode::kInterrupt) return Interrupted();
    return Error{"cannot be checked: " + finding.error().message, finding.error().code};
  }
  if (finding.value().empty()) return because;
  return Error{"quick_check: " + finding.value(), ErrorCode::kCorrupt};
}

}  // namespace walmanager
