// wal_integrity_check.
#include "ext/clock.h"
#include "ext/connection.h"
#include "ext/core/evidence.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// Whether the engine's error is a finding about the database, and not about this attempt.
bool IsFinding(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kNotADatabase ||
         error.code == ErrorCode::kInputOutput;
}

// Adds the lines that `sql` finds; what the engine cannot read is a line, too.
Status Find(Connection& connection, const std::string& sql,
            std::string (*line)(const Connection::TextRow&), std::vector<std::string>& findings) {
  const auto rows = connection.Rows(sql, "");
  if (!rows.ok()) {
    if (!IsFinding(rows.error())) return rows.error();
    findings.push_back(rows.error().message);
    return Ok{};
  }
  for (const Connection::TextRow& row : rows.value()) {
    if (std::string text = line(row); text != "ok") findings.push_back(std::move(text));
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

}  // namespace

Result<Value> WalIntegrityCheck(Connection& connection, const Arguments& arguments) {
  std::string kind = "quick";
  if (arguments.has(0)) {
    const auto given = arguments.Text(0, "kind");
    if (!given.ok() || (given.value() != "quick" && given.value() != "full")) {
      return arguments.Wrong(0, "kind", "'quick' or 'full'");
    }
    kind = given.value();
  }
  const auto name = arguments.SchemaName(1);
  if (!name.ok()) return name.error();
  const auto schema = connection.FindSchema(arguments.function(), name.value());
  if (!schema.ok()) return schema.error();

  const std::string pragma = "PRAGMA " + Connection::Quoted(schema.value().name) + ".";
  const std::uint64_t start = MonotonicNs();
  std::vector<std::string> findings;
  Status status = Find(connection, pragma + (kind == "full" ? "integrity_check" : "quick_check"),
                       IntegrityLine, findings);
  if (status.ok()) {
    status = Find(connection, pragma + "foreign_key_check", ForeignKeyLine, findings);
  }
  // Interrupted or locked out: nothing was found out, and what was known stays.
  if (!status.ok()) return arguments.Prefixed(status.error());
  if (schema.value().database) {
    const auto control = schema.value().database->control();
    KeepIntegrity(control->memory()->evidence,
                  {UnixMs(), kind == "full", static_cast<std::int64_t>(findings.size()),
                   static_cast<std::int64_t>(MonotonicNs() - start),
                   findings.empty() ? "" : findings.front()});
  }
  std::string text;
  for (const std::string& finding : findings) text += (text.empty() ? "" : "\n") + finding;
  return Value(findings.empty() ? "ok" : text);
}

}  // namespace walmanager
