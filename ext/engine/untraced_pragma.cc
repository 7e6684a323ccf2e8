#include "ext/engine/untraced_pragma.h"

#include <algorithm>
#include <cstddef>

#include "ext/engine/own_connection.h"

namespace walmanager {
namespace {

constexpr std::size_t kOpcode = 1;  // column of EXPLAIN

// The instruction that returns the value of such a PRAGMA, and the column of EXPLAIN with the
// value. Versions of SQLite differ in the column: 3.53 has p4, 3.54 p1.
struct ValueInProgram {
  std::string opcode;
  std::size_t column;
};

std::optional<ValueInProgram> FindValueInProgram() {
  constexpr char kValue[] = "31337";
  const auto memory = OpenInMemory();
  if (!memory.ok()) return std::nullopt;
  sqlite3* db = memory.value().get();
  if (!QueryText(db, std::string("PRAGMA wal_autocheckpoint=") + kValue).ok()) return std::nullopt;
  const auto program = QueryRows(db, "EXPLAIN PRAGMA wal_autocheckpoint", "");
  if (!program.ok()) return std::nullopt;
  for (const TextRow& columns : program.value()) {
    const auto found = std::find(columns.begin(), columns.end(), kValue);
    if (found == columns.end() || !columns[kOpcode]) continue;
    return ValueInProgram{*columns[kOpcode], static_cast<std::size_t>(found - columns.begin())};
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<std::string>> AskUntraced(sqlite3* db, const std::string& pragma) {
  static const std::optional<ValueInProgram> place = FindValueInProgram();
  if (place) {
    const auto program = QueryRows(db, "EXPLAIN PRAGMA " + pragma, "");
    if (!program.ok()) return program.error();
    for (const TextRow& columns : program.value()) {
      if (columns[kOpcode] == place->opcode && columns[place->column]) {
        return columns[place->column];
      }
    }
  }
  return QueryText(db, "PRAGMA " + pragma);
}

}  // namespace walmanager
