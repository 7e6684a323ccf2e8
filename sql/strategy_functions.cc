// wal_strategy, wal_strategy_define, wal_strategy_drop.
#include <charconv>
#include <set>

#include "ext/connection.h"
#include "ext/rule_check.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// One field of a rule as JSON has it.
struct Field {
  std::string name, type, text;
};

Status SetField(Rule& rule, const Field& field, const std::string& where) {
  const auto wrong = [&](const char* allowed) -> Status {
    return Error{where + field.name + " " + ShownText(field.text) + " is not " + allowed};
  };
  const auto number = [&](auto& to) {
    const char* end = field.text.data() + field.text.size();
    return std::from_chars(field.text.data(), end, to).ptr == end;
  };
  if (field.name == "priority") {
    if (field.type != "integer" || !number(rule.priority)) return wrong("an integer");
  } else if (field.name == "stall_budget_ms") {
    if ((field.type != "integer" && field.type != "real") || !number(rule.stall_budget_ms)) {
      return wrong("a number from 0 to 10000");
    }
  } else if (field.name == "rule" || field.name == "condition") {
    if (field.type != "text") return wrong("text");
    (field.name == "rule" ? rule.name : rule.condition) = field.text;
  } else if (field.name == "mode") {
    const auto mode = ParseMode(field.text);
    if (!mode) return wrong("one of PASSIVE, FULL, RESTART, TRUNCATE");
    rule.mode = *mode;
  } else if (field.name == "runs") {
    const auto runs = ParseRuns(field.text);
    if (!runs) return wrong("one of inline, background");
    rule.runs = *runs;
  } else {
    return Error{where + "field " + ShownText(field.name) +
                 " is not one of priority, rule, condition, mode, runs, stall_budget_ms"};
  }
  return Ok{};
}

// The rules of a JSON array of objects, checked but for their conditions.
Result<std::vector<Rule>> ParseRules(Connection& connection, const std::string& strategy,
                                     const std::string& json) {
  // json_type fails on malformed JSON with SQLite's own words.
  const auto type = connection.Rows("SELECT json_type(?1)", json);
  if (!type.ok()) return Error{"rules_json: " + type.error().message};
  if (type.value().at(0).at(0).value_or("") != "array") {
    return Error{"rules_json is not an array of objects"};
  }
  const auto rows = connection.Rows(
      "SELECT e.key, e.type, k.key, k.type, k.atom FROM json_each(?1) AS e LEFT JOIN "
      "json_each(?1, '$[' || e.key || ']') AS k ORDER BY e.key",
      json);
  if (!rows.ok()) return Error{"rules_json: " + rows.error().message};
  std::vector<Rule> rules;
  std::set<std::string> seen, fields;
  std::string element;
  for (const auto& row : rows.value()) {
    if (rules.empty() || *row[0] != element) {
      element = *row[0];
      if (*row[1] != "object") return Error{"rule " + element + " is not an object"};
      rules.emplace_back().strategy = strategy;
    }
    if (!row[2]) continue;  // an object without fields: its name will be missing
    if (!fields.insert(element + "." + *row[2]).second) {
      return Error{"rule " + element + ": field " + ShownText(*row[2]) + " is there twice"};
    }
    const Field field{*row[2], row[3].value_or("null"), row[4].value_or("NULL")};
    const Status status = SetField(rules.back(), field, "rule " + element + ": ");
    if (!status.ok()) return status.error();
  }
  if (rules.empty()) return Error{"rules_json has no rule, at least one is needed"};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    if (!fields.contains(std::to_string(i) + ".rule"))
      return Error{"rule " + std::to_string(i) + ": its name, field rule, is missing"};
    if (Status status = CheckRule(rule); !status.ok()) return status.error();
    if (!seen.insert(rule.name).second) {
      return Error{"rule '" + rule.name + "' is there twice"};
    }
  }
  return rules;
}

}  // namespace

Result<Value> WalStrategy(Connection& connection, const Arguments& arguments) {
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(1));
  if (!schema.ok()) return schema.error();
  if (!arguments.has(0)) return Value(schema.value().database->settings().strategy);
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  const Status status = schema.value().database->Change(
      schema.value().may_make_file(),
      [&](StoredSettings& stored) { return stored.SelectStrategy(name.value(), ThisChange()); });
  if (!status.ok()) return arguments.Prefixed(status.error());
  return Value(name.value());
}

Result<Value> WalStrategyDefine(Connection& connection, const Arguments& arguments) {
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  if (Status status = CheckName("name", name.value()); !status.ok()) {
    return arguments.Prefixed(status.error());
  }
  const auto json = arguments.Text(1, "rules_json");
  if (!json.ok()) return json.error();
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(2));
  if (!schema.ok()) return schema.error();
  auto rules = ParseRules(connection, name.value(), json.value());
  if (!rules.ok()) return arguments.Prefixed(rules.error());
  if (Status status = CheckConditions(rules.value()); !status.ok()) {
    return arguments.Prefixed(status.error());
  }
  const Status status = schema.value().database->Change(
      schema.value().may_make_file(),
      [&](StoredSettings& stored) { return stored.DefineStrategy(name.value(), rules.value()); });
  if (!status.ok()) return arguments.Prefixed(status.error());
  return Value(name.value());
}

Result<Value> WalStrategyDrop(Connection& connection, const Arguments& arguments) {
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(1));
  if (!schema.ok()) return schema.error();
  const Status status = schema.value().database->Change(
      schema.value().may_make_file(),
      [&](StoredSettings& stored) { return stored.DropStrategy(name.value()); });
  if (!status.ok()) return arguments.Prefixed(status.error());
  return Value(name.value());
}

}  // namespace walmanager
