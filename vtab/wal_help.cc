// wal_help: every function, table, column, setting and fact, with the sentence of its declaration.
#include <algorithm>
#include <array>
#include <string_view>

#include "ext/core/policy/settings.h"
#include "ext/core/policy/strategy.h"
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

struct FactSentence {
  std::string_view name;
  const char* about;
};

// clang-format off
constexpr std::array<FactSentence, 13> kFacts = {{
    {"pending_frames", "Frames that are not in the database yet."},
    {"pending_bytes", "Size of the frames that are not in the database yet, in bytes of the log."},
    {"wal_frames", "Frames in the log."},
    {"wal_bytes", "Size of the -wal file, in bytes."},
    {"page_size", "Size of a page of the database, in bytes."},
    {"readers", "Read marks whose lock is held."},
    {"oldest_reader_lag", "Frames after the oldest read mark that is held."},
    {"idle_ms", "Time since the commit before this one, in ms."},
    {"since_checkpoint_ms", "Time since the last checkpoint, or since the statistics began, in ms."},
    {"last_checkpoint_ms", "Duration of the last checkpoint, in ms."},
    {"commits_since_checkpoint", "Commits after the last checkpoint."},
    {"commit_rate", "Commits per second, smoothed over the last looks."},
    {"due_frames", "Pending frames at which conversation_workload begins to copy: checkpoint_frames, or up to 8000 where that is at its default, a thread copies, and commits do not sync (synchronous=FULL, EXTRA)."},
}};
// clang-format on

const char* SentenceOf(const FactSpec& fact) {
  const auto found = std::ranges::find(kFacts, std::string_view(fact.name), &FactSentence::name);
  return found == kFacts.end() ? nullptr : found->about;
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
  for (const FactSpec& fact : FactSpecs()) {
    const char* type = TypeName(fact.real ? kReal : kInteger);
    rows.push_back({"fact", fact.name, nullptr, type, SentenceOf(fact)});
  }
  return rows;
}

}  // namespace

const Table& WalHelpTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_help", "One row per function, table, column, setting and fact of a strategy's conditions, with a sentence about it.",
      Read, /*reveals_others=*/false,
      {
          {"kind", kText, "what the row is about: function, table, column, hidden column (not in SELECT *), setting or fact (of the conditions of a strategy)", [](const Row& r) -> Value { return Text(r.kind); }},
          {"name", kText, "name of the function, table, setting or fact; for a column, the name of its table", [](const Row& r) -> Value { return Text(r.name); }},
          {"member", kText, "name of the column; for a function its call with the arguments; NULL for a table, a setting or a fact", [](const Row& r) -> Value { return Text(r.member); }},
          {"type", kText, "type of the column, setting or fact: INTEGER, REAL or TEXT; NULL for a function or a table", [](const Row& r) -> Value { return Text(r.type); }},
          {"about", kText, "what it does, or what it says", [](const Row& r) -> Value { return Text(r.about); }},
          {"default_value", kInteger, "value of the setting where none was set, of the type in column type; NULL if the row is about no setting", [](const Row& r) -> Value { return r.setting ? ShownSetting(*r.setting, r.setting->default_value) : Value(); }},
          {"allowed", kText, "values that wal_set() takes for the setting; NULL if the row is about no setting", [](const Row& r) -> Value { return r.setting ? Value(AllowedValues(*r.setting)) : Value(); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
