// Any text as a statement of the program's or an object of the schema, where only its tokens are
// looked at: SQLite has not parsed it yet, or never will.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "ext/core/base/ascii_case.h"
#include "ext/core/text/index_use.h"
#include "ext/core/text/layout_pragma.h"
#include "ext/core/text/sql_names.h"
#include "ext/core/text/statement_text.h"
#include "ext/core/text/used_names.h"

namespace {

using namespace walmanager;

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsWithin(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckKind(const std::string& sql) {
  const StatementKind kind = ClassifyStatement(sql.c_str());
  // Space, and a comment before it, make no other statement of it.
  Require(ClassifyStatement((" \n" + sql).c_str()) == kind);
  Require(ClassifyStatement(("/* COMMIT */" + sql).c_str()) == kind);
  Require(ClassifyStatement(("-- PRAGMA\n" + sql).c_str()) == kind);
  std::string lower = sql;
  for (char& c : lower) c = AsciiLower(c);
  Require(ClassifyStatement(lower.c_str()) == kind);
  const CheckpointPragma checkpoint = ReadCheckpointPragma(sql);
  Require(IsWithin(checkpoint.schema, sql) && IsWithin(checkpoint.mode, sql));
  (void)SetsAutocheckpointToZero(sql.c_str());
  if (const auto layout = ParseLayoutPragma(sql)) {
    if (const auto page = layout->page_size) {
      Require(*page >= 512 && *page <= 65536 && (*page & (*page - 1)) == 0);
    }
    if (const auto vacuum = layout->auto_vacuum) Require(*vacuum >= 0 && *vacuum <= 2);
  }
}

void CheckNames(std::string_view sql) {
  const UsedNames used = FindUsedNames(sql);
  std::set<std::string> all;
  AddNames(sql, all);
  // All that is used stands somewhere. A table without a name is one behind "main." where none is.
  for (const auto* names : {&used.functions, &used.tables, &used.collations}) {
    for (const std::string& name : *names) Require(name.empty() || all.contains(name));
  }
  for (const std::string& function : used.functions) (void)Calls(sql, function);
  const IndexText index = ReadIndexText(sql);
  std::size_t bytes = index.where.size();
  for (const std::string& part : index.parts) bytes += part.size();
  Require(bytes <= 2 * sql.size() + 2);
}

void CheckIndexes(std::string_view sql) {
  SchemaOfIndexes schema;
  const IndexText text = ReadIndexText(sql);
  IndexShape shape{"i0", "t", std::string(sql), false, {}, text.where};
  for (const std::string& part : text.parts) shape.parts.push_back({part, "BINARY"});
  schema.indexes = {shape, shape};
  schema.indexes[1].name = "i1";
  schema.objects = {{"v", "v", std::string(sql), false}, {"r", "t", std::string(sql), true}};
  const SeenStatement statements[] = {{std::string(sql), false, std::string(sql), true, false},
                                      {std::string(sql), true, "", false, true}};
  for (const UnusedIndex& unused : FindUnusedIndexes(schema, statements, false)) {
    Require(unused.index < schema.indexes.size());
    Require(unused.reason != UnusedIndex::Reason::kNotUsed);  // statements are missing
    Require(!unused.covered_by || *unused.covered_by != unused.index);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string sql(reinterpret_cast<const char*>(data), size);
  CheckNames(sql);
  CheckIndexes(sql);
  sql.resize(std::min(sql.find('\0'), sql.size()));  // statements of the program end there
  CheckKind(sql);
  return 0;
}
