// wal_strategies: the rules of every strategy, built in or defined by the user.
#include "ext/core/base/time_text.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  Rule rule;
  double stall_budget_ms = 0;
  bool active = false;
  RuleFired fired;
};

void Append(const Schema& schema, std::vector<Row>& rows) {
  const auto control = schema.database->control();
  const StoredSettings settings = control->region().ReadSettings().value_or(StoredSettings{});
  const SettingValues values = settings.Values();
  const auto add = [&](std::span<const Rule> rules) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
      rows.push_back({schema.name, rules[i], StallBudgetMs(rules[i], values),
                      rules[i].strategy == settings.strategy,
                      control->region().ReadFired(rules[i].builtin, i)});
    }
  };
  add(BuiltinRules());
  add(settings.rules);
}

Result<std::vector<Row>> Read(TableSource& source) {
  return RowsOfEachDatabase<Row>(source, Append);
}

}  // namespace

const Table& WalStrategiesTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_strategies", "The rules of every checkpoint strategy. The first rule whose condition holds decides which checkpoint runs.",
      Read, /*reveals_others=*/false,
      {
          {"strategy", kText, "name of the strategy that the rule belongs to", [](const Row& r) -> Value { return r.rule.strategy; }},
          {"priority", kInteger, "place of the rule in its strategy: the lowest priority is tried first", [](const Row& r) -> Value { return r.rule.priority; }},
          {"rule", kText, "name of the rule within its strategy", [](const Row& r) -> Value { return r.rule.name; }},
          {"condition", kText, "SQL expression over facts and settings that must hold for the rule to run", [](const Row& r) -> Value { return r.rule.condition; }},
          {"mode", kText, "mode of the checkpoint that the rule runs: PASSIVE, FULL, RESTART or TRUNCATE", [](const Row& r) -> Value { return ModeName(r.rule.mode); }},
          {"runs", kText, "where the rule's checkpoint runs: inline (in the committing thread) or background (in a thread of walmanager)", [](const Row& r) -> Value { return RunsName(r.rule.runs); }},
          {"stall_budget_ms", kReal, "longest time that a commit may wait for readers under this rule", [](const Row& r) -> Value { return r.stall_budget_ms; }},
          {"builtin", kInteger, "1 if the rule is built in and cannot be changed", [](const Row& r) -> Value { return r.rule.builtin; }},
          {"active", kInteger, "1 if the rule belongs to the active strategy", [](const Row& r) -> Value { return r.active; }},
          {"fired", kInteger, "times that the rule has run a checkpoint", [](const Row& r) -> Value { return r.fired.fired; }},
          {"last_fired_at", kText, "when the rule last ran a checkpoint, in UTC", [](const Row& r) -> Value { return r.fired.fired ? Value(UtcText(r.fired.last_fired_ms)) : Value(); }},
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
