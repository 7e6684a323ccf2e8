// wal_integrity_check.
#include <algorithm>

#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/control/evidence.h"
#include "ext/system/clock.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// The limit of PRAGMA integrity_check, too. It bounds the memory that findings take.
constexpr std::size_t kMostLines = 100;

// Whether SQLite's error is a finding about the database, not a failure of this attempt.
bool IsFinding(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kNotADatabase ||
         error.code == ErrorCode::kInputOutput;
}

using Findings = std::vector<std::string>;

// SQLite reports the same error for each statement that reads the same page.
void AddOnce(const std::string& finding, Findings& findings) {
  if (std::find(findings.begin(), findings.end(), finding) == findings.end())
    findings.push_back(finding);
}

// A row may hold a headline and several lines.
void AddLines(std::string_view text, Findings& findings) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line != "ok" && !line.starts_with("*** in database "))
      findings.emplace_back(line);
  }
}

// Adds what `sql` finds. That SQLite cannot read a page is a finding, too.
Status Find(Connection& connection, const std::string& sql,
            std::string (*line)(const Connection::TextRow&), Findings& findings) {
  const auto rows = connection.Rows(sql, "", kMostLines + 1);
  if (!rows.ok()) {
    if (!IsFinding(rows.error())) return rows.error();
    AddOnce(rows.error().message, findings);
    return Ok{};
  }
  std::size_t lines = 0;
  for (const Connection::TextRow& row : rows.value()) {
    if (++lines > kMostLines) {
      AddLines("there are more findings than these " + std::to_string(kMostLines), findings);
      break;
    }
    AddLines(line(row), findings);
  }
  return Ok{};
}

std::string IntegrityLine(const Connection::TextRow& row) {
  return row.empty() ? "" : row[0].value_or("");
}

// table, rowid, parent, number of the key:
// https://www.sqlite.org/pragma.html#pragma_foreign_key_check
std::string ForeignKeyLine(const Connection::TextRow& row) {
  const std::string table = row.empty() ? "" : row[0].value_or("");
  const std::string parent = row.size() > 2 ? row[2].value_or("") : "";
  const std::string which = row.size() > 1 && row[1] ? " row " + *row[1] : "";
  return "foreign key: table " + table + which + " refers to a row that is not in " + parent;
}

bool IsMismatch(const Error& error) { return error.message.starts_with("foreign key mismatch"); }

// A foreign key to columns that are not unique cannot be checked, and SQLite then checks none at
// all. So in that case the tables are checked one by one.
Status FindForeignKeys(Connection& connection, const std::string& schema, Findings& findings) {
  const std::string pragma = "PRAGMA " + schema + ".foreign_key_check";
  Status status = Find(connection, pragma, ForeignKeyLine, findings);
  if (status.ok() || !IsMismatch(status.error())) return status;
  const auto tables =
      connection.Rows("SELECT name FROM " + schema +
                          ".sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name",
                      "");
  if (!tables.ok()) return tables.error();
  for (const Connection::TextRow& table : tables.value()) {
    if (table.empty() || !table[0]) continue;
    status = Find(connection, pragma + "(" + Connection::Quoted(*table[0]) + ")", ForeignKeyLine,
                  findings);
    if (status.ok()) continue;
    if (!IsMismatch(status.error())) return status;
    AddOnce(status.error().message, findings);
  }
  return Ok{};
}

}  // namespace

Result<Value> WalIntegrityCheck(Connection& connection, const Arguments& arguments) {
  std::string kind = "quick";
  if (arguments.has(0)) {
    const auto given = arguments.Text(0, "kind");
    if (given.ok()) kind = AsciiLowered(given.value());
    if (!given.ok() || (kind != "quick" && kind != "full")) {
      return arguments.Wrong(0, "kind", "'quick' or 'full'");
    }
  }
  const auto name = arguments.SchemaName(1);
  if (!name.ok()) return name.error();
  const auto schema = connection.FindSchema(arguments.function(), name.value());
  if (!schema.ok()) return schema.error();

  const std::string quoted = Connection::Quoted(schema.value().name);
  const std::uint64_t start = MonotonicNs();
  Findings findings;
  Status status =
      Find(connection, "PRAGMA " + quoted + (kind == "full" ? ".integrity_check" : ".quick_check"),
           IntegrityLine, findings);
  if (status.ok()) status = FindForeignKeys(connection, quoted, findings);
  // The check did not finish (interrupted, locked). Keep the result of the check before.
  if (!status.ok()) return arguments.Prefixed(status.error());
  if (schema.value().database) {
    // All processes share what is known of it.
    if (schema.value().may_make_file()) schema.value().database->MakeControl();
    const auto control = schema.value().database->control();
    KeepIntegrity(control->evidence(),
                  {UnixMs(), kind == "full", static_cast<std::int64_t>(findings.size()),
                   static_cast<std::int64_t>(MonotonicNs() - start),
                   findings.empty() ? "" : findings.front()});
  }
  std::string text;
  for (const std::string& finding : findings) text += (text.empty() ? "" : "\n") + finding;
  return Value(findings.empty() ? "ok" : text);
}

}  // namespace walmanager
