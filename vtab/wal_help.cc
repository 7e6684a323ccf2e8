// wal_help: every function, table, column and setting, with the sentence of its declaration.
#include "ext/core/policy/settings.h"
#include "sql/function.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

// Pointers into declarations, which live as long as the process. nullptr is shown as NULL.
struct Row {
  const char* kind;
  const char* name;
  const char* member;
  const char* type;
  const char* about;
  const SettingSpec* setting = nullptr;
};

Value Text(const char* text) { return text ? Value(text) : Value(); }

const char* TypeOf(const SettingSpec& spec) {
  const Value shown = ShownSetting(spec, spec.default_value);
  return TypeName(shown.integer() ? kInteger : shown.real() ? kReal : kText);
}

Result<std::vector<Row>> Read(TableSource&) {
  std::vector<Row> rows;
  for (const Function& function : AllFunctions()) {
    rows.push_back({"function", function.name, function.signature, nullptr, function.about});
  }
  for (const Table* table : AllTables()) {
    rows.push_back({"table", table->name(), nullptr, nullptr, table->about()});
    for (const ColumnInfo& column : table->columns()) {
      const char* kind = column.shown == kShown ? "column" : "hidden column";
      rows.push_back({kind, table->name(), column.name, TypeName(column.type), column.about});
    }
  }
  for (const SettingSpec& spec : SettingSpecs()) {
    rows.push_back({"setting", spec.name, nullptr, TypeOf(spec), spec.description, &spec});
  }
  return rows;
}

}  // namespace

const Table& WalHelpTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_help", "One row per function, table, column and setting, with a sentence about it.",
      Read, /*reveals_others=*/false,
      {
          {"kind", kText, "what the row is about: function, table, column, hidden column (not in SELECT *) or setting", [](const Row& r) -> Value { return Text(r.kind); }},
          {"name", kText, "name of the function, table or setting; for a column, the name of its table", [](const Row& r) -> Value { return Text(r.name); }},
          {"member", kText, "name of the column; for a function its call with the arguments; NULL for a table or a setting", [](const Row& r) -> Value { return Text(r.member); }},
          {"type", kText, "type of the column or setting: INTEGER, REAL or TEXT; NULL for a function or a table", [](const Row& r) -> Value { return Text(r.type); }},
          {"about", kText, "what it does, or what it says", [](const Row& r) -> Value { return Text(r.about); }},
          {"default_value", kInteger, "value of the setting where none was set, of the type in column type; NULL if the row is about no setting", [](const Row& r) -> Value { return r.setting ? ShownSetting(*r.setting, r.setting->default_value) : Value(); }},
          {"allowed", kText, "values that wal_set() takes for the setting; NULL if the row is about no setting", [](const Row& r) -> Value { return r.setting ? Value(AllowedValues(*r.setting)) : Value(); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
