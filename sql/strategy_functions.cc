// wal_strategy, wal_strategy_define, wal_strategy_drop.
#include <charconv>
#include <set>

#include "ext/checkpoint/rule_check.h"
#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/base/json_reader.h"
#include "ext/core/base/real_text.h"
#include "ext/core/control/layout_sizes.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// One field of a rule: `name` in lower case, `given` and `shown` as they were written.
struct Field {
  std::string name, given, type, text, shown;
};

Status SetField(Rule& rule, const Field& field, const std::string& where) {
  const auto wrong = [&](const char* allowed) -> Status {
    return Error{where + field.name + " " + field.shown + " is not " + allowed};
  };
  if (field.name == "priority") {
    const char* end = field.text.data() + field.text.size();
    if (field.type != "integer" ||
        std::from_chars(field.text.data(), end, rule.priority).ptr != end) {
      return wrong("an integer");
    }
  } else if (field.name == "stall_budget_ms") {
    const auto number = ParseReal(field.text);
    if ((field.type != "integer" && field.type != "real") || !number) {
      return wrong("a number from 0 to 10000");
    }
    rule.stall_budget_ms = *number;
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
    return Error{where + "field " + ShownText(field.given) +
                 " is not one of priority, rule, condition, mode, runs, stall_budget_ms"};
  }
  return Ok{};
}

// How a message names a rule: by its name, else by its place in the array.
std::string RuleName(const Json& rule, std::size_t place) {
  for (std::size_t i = 0; i < rule.names.size(); ++i) {
    const std::string* name = rule.items[i].value.text();
    if (name && !name->empty() && EqualIgnoringCase(rule.names[i], "rule")) {
      return "rule " + ShownText(*name);
    }
  }
  return "rule " + std::to_string(place);
}

// The rules of a JSON array of objects, checked but for their conditions.
Result<std::vector<Rule>> ParseRules(const std::string& strategy, const std::string& text) {
  const auto json = ParseJson(text);
  const std::string wrong = "rules_json is not a JSON array of rules";
  if (!json.ok()) return Error{wrong + ": " + json.error().message};
  if (json.value().kind != Json::Kind::kArray) return Error{wrong};
  const std::vector<Json>& items = json.value().items;
  if (items.empty()) return Error{"rules_json has no rule, at least one is needed"};
  if (items.size() > layout::kRules) {
    return Error{"rules_json has " + std::to_string(items.size()) + " rules, at most " +
                 std::to_string(layout::kRules) + " are allowed"};
  }
  std::vector<Rule> rules;
  std::set<std::string> seen;
  for (const Json& item : items) {
    const std::string shown = RuleName(item, rules.size());
    if (item.kind != Json::Kind::kObject) return Error{shown + " is not a JSON object"};
    Rule& rule = rules.emplace_back();
    rule.strategy = strategy;
    std::set<std::string> fields;
    for (std::size_t i = 0; i < item.items.size(); ++i) {
      const Json& value = item.items[i];
      const Field field{AsciiLowered(item.names[i]), item.names[i], value.Type(), value.Text(),
                        value.Shown()};
      if (!fields.insert(field.name).second) {
        return Error{shown + ": field " + ShownText(field.given) + " is there twice"};
      }
      if (Status status = SetField(rule, field, shown + ": "); !status.ok()) return status.error();
    }
    if (fields.count("rule") == 0) return Error{shown + ": its name, field rule, is missing"};
  }
  for (const Rule& rule : rules) {
    if (Status status = CheckRule(rule); !status.ok()) return status.error();
    if (!seen.insert(rule.name).second) {
      return Error{"rule '" + rule.name + "' is there twice"};
    }
  }
  return rules;
}

}  // namespace

Result<Value> WalStrategy(Connection& connection, const Arguments& arguments) {
  if (!arguments.has(0)) {
    const auto read = connection.DatabaseOf(arguments.function(), arguments.SchemaName(1));
    if (!read.ok()) return read.error();
    return Value(read.value().database->settings().strategy);
  }
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(1));
  if (!schema.ok()) return schema.error();
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  std::string selected;
  const Status status = schema.value().database->ChangeSettings(
      schema.value().may_make_file(), [&](StoredSettings& stored) {
        Status done = stored.SelectStrategy(name.value(), ThisChange());
        selected = stored.strategy;
        return done;
      });
  if (!status.ok()) return arguments.Prefixed(status.error());
  return Value(selected);
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
  auto rules = ParseRules(name.value(), json.value());
  if (!rules.ok()) return arguments.Prefixed(rules.error());
  if (Status status = CheckConditions(rules.value()); !status.ok()) {
    return arguments.Prefixed(status.error());
  }
  std::string spelled;
  const Status status = schema.value().database->ChangeSettings(
      schema.value().may_make_file(), [&](StoredSettings& stored) {
        Status done = stored.DefineStrategy(name.value(), rules.value());
        spelled = stored.FindStrategy(name.value()).value_or(name.value());
        return done;
      });
  if (!status.ok()) return arguments.Prefixed(status.error());
  return Value(spelled);
}

Result<Value> WalStrategyDrop(Connection& connection, const Arguments& arguments) {
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(1));
  if (!schema.ok()) return schema.error();
  std::string dropped;
  const Status status = schema.value().database->ChangeSettings(
      schema.value().may_make_file(), [&](StoredSettings& stored) {
        dropped = stored.FindStrategy(name.value()).value_or(name.value());
        return stored.DropStrategy(name.value());
      });
  if (!status.ok()) return arguments.Prefixed(status.error());
  return Value(dropped);
}

}  // namespace walmanager
