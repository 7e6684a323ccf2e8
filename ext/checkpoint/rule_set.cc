#include "ext/checkpoint/rule_set.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "ext/checkpoint/rule_check.h"
#include "ext/engine/own_connection.h"

namespace walmanager {
namespace {

// Deterministic functions without side effects, built into every SQLite since 3.34.
constexpr std::array<const char*, 9> kFunctions = {"abs", "coalesce", "ifnull", "iif",   "max",
                                                   "min", "nullif",   "round",  "typeof"};

std::string AllowedNames() {
  std::string names;
  for (const FactSpec& fact : FactSpecs()) (names += names.empty() ? "" : ", ") += fact.name;
  for (const SettingSpec& setting : NamedSettingSpecs()) (names += ", ") += setting.name;
  return names;
}

// SELECT ?1 AS pending_frames, … : what a condition may name. Without parameters, for checks, NULL.
std::string FactsQuery(bool with_parameters) {
  std::string sql = "SELECT ";
  int parameter = 0;
  const auto add = [&](const char* name) {
    if (parameter++ > 0) sql += ", ";
    sql += (with_parameters ? "?" + std::to_string(parameter) : "NULL") + " AS " + name;
  };
  for (const FactSpec& fact : FactSpecs()) add(fact.name);
  for (const SettingSpec& setting : NamedSettingSpecs()) add(setting.name);
  return sql;
}

struct Authorizer {
  int selects = 0;
  std::string refused;

  static int Check(void* self, int action, const char* first, const char* second, const char*,
                   const char*) {
    auto* authorizer = static_cast<Authorizer*>(self);
    return AtCEdge([&] { return authorizer->Allow(action, first, second); });
  }

  int Allow(int action, const char* first, const char* second) {
    // Two are expected: the SELECT of the condition and the SELECT of the facts. SQLite may
    // announce each of them twice.
    if (action == SQLITE_SELECT) {
      ++selects;
      return SQLITE_OK;
    }
    // SQLite does not ask about the columns of the subquery with the facts, so this is a table.
    if (action == SQLITE_READ) return Refuse(std::string("table ") + (first ? first : "?"));
    if (action == SQLITE_FUNCTION && second) {
      const auto same = [&](const char* name) { return sqlite3_stricmp(second, name) == 0; };
      if (std::any_of(kFunctions.begin(), kFunctions.end(), same)) return SQLITE_OK;
      return Refuse(std::string("function ") + second + "()");
    }
    return Refuse("anything but an expression");
  }

  int Refuse(const std::string& what) {
    if (refused.empty()) refused = what + " is not allowed";
    return SQLITE_DENY;
  }
};

// Prepares `sql`, which contains a condition. The error says in words what is wrong with it.
Result<OwnedStmt> PrepareOne(sqlite3* db, Authorizer& authorizer, const std::string& sql) {
  sqlite3_stmt* stmt = nullptr;
  const char* tail = nullptr;
  sqlite3_set_authorizer(db, Authorizer::Check, &authorizer);
  const int rc = sqlite3_prepare_v3(db, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
  sqlite3_set_authorizer(db, nullptr, nullptr);
  OwnedStmt owned(stmt);
  if (!authorizer.refused.empty()) return Error{authorizer.refused};
  if (rc != SQLITE_OK) return Error{sqlite3_errmsg(db)};
  if (!stmt || *tail != '\0' || sqlite3_column_count(stmt) != 1)
    return Error{"it is not one expression"};
  return owned;
}

std::string ConditionQuery(const std::string& condition, const std::string& facts) {
  return "SELECT (" + condition + "\n) FROM (" + facts + ")";
}

// How often SQLite tells the authorizer of a SELECT in the query around a condition. More of them
// with a condition are subqueries of the condition.
Result<int> CountSelectsAround(sqlite3* db, const std::string& facts) {
  Authorizer authorizer;
  const auto empty = PrepareOne(db, authorizer, ConditionQuery("1", facts));
  if (!empty.ok()) return empty.error();
  return authorizer.selects;
}

// Whether it is one expression and nothing more, `selects_around` as counted above. In a WHERE
// clause, text that closes our parenthesis and goes on as a FROM cannot compile.
Status CheckInWhere(sqlite3* db, const std::string& condition, int selects_around) {
  Authorizer where;
  const auto in_where = PrepareOne(
      db, where, "SELECT 1 FROM (" + FactsQuery(false) + ") WHERE (" + condition + "\n)");
  if (!in_where.ok()) return in_where.error();
  if (where.selects > selects_around) return Error{"subqueries are not allowed"};
  if (sqlite3_bind_parameter_count(in_where.value().get()) != 0) {
    return Error{"parameters are not allowed"};
  }
  return Ok{};
}

Result<OwnedStmt> CompileCondition(sqlite3* db, const Rule& rule, const std::string& facts,
                                   int selects_around) {
  if (!rule.builtin) {
    Status checked = CheckInWhere(db, rule.condition, selects_around);
    if (!checked.ok()) return checked.error();
  }
  Authorizer authorizer;
  auto stmt = PrepareOne(db, authorizer, ConditionQuery(rule.condition, facts));
  if (!stmt.ok()) return stmt.error();
  if (authorizer.selects > selects_around) return Error{"subqueries are not allowed"};
  return stmt;
}

// Whether `text` contains `name`, in any case: a cheap look that may say yes too often.
bool Mentions(std::string_view text, std::string_view name) {
  const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  return std::search(text.begin(), text.end(), name.begin(), name.end(), same) != text.end();
}

}  // namespace

Result<RuleSet> RuleSet::Compile(std::vector<Rule> rules, const SettingValues& settings) {
  RuleSet set;
  auto db = OpenInMemory();
  if (!db.ok()) return db.error();
  set.db_ = std::move(db.value());
  set.asked_.resize(FactSpecs().size());
  // "x" is a column or an error, never a string.
  sqlite3_db_config(set.db_.get(), SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  const std::string facts_query = FactsQuery(true);
  const auto selects_around = CountSelectsAround(set.db_.get(), facts_query);
  if (!selects_around.ok()) return selects_around.error();
  std::string first_that_holds = "SELECT CASE";
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string& condition = rules[i].condition;
    auto stmt = CompileCondition(set.db_.get(), rules[i], facts_query, selects_around.value());
    if (!stmt.ok()) {
      return Error{"rule '" + rules[i].name + "': condition " + ShownText(condition) + ": " +
                   stmt.error().message + "; a condition is an expression over " + AllowedNames()};
    }
    for (std::size_t fact = 0; fact < set.asked_.size(); ++fact) {
      if (Mentions(condition, FactSpecs()[fact].name)) set.asked_[fact] = true;
    }
    set.conditions_.push_back(std::move(stmt.value()));
    first_that_holds += " WHEN (" + condition + "\n) THEN " + std::to_string(i);
  }
  auto all = Prepare(set.db_.get(), first_that_holds + " END FROM (" + facts_query + ")");
  if (!all.ok()) return all.error();
  set.first_that_holds_ = std::move(all.value());
  const int facts = static_cast<int>(FactSpecs().size());
  for (int i = 0; i < static_cast<int>(NamedSettingSpecs().size()); ++i) {
    const auto index = static_cast<std::size_t>(i);
    const auto bind = [&](sqlite3_stmt* stmt) {
      const SettingSpec& spec = NamedSettingSpecs()[index];
      if (spec.kind == SettingKind::kReal) {
        sqlite3_bind_double(stmt, facts + i + 1, settings.RealAt(index));
      } else if (spec.kind == SettingKind::kChoice) {
        sqlite3_bind_text(stmt, facts + i + 1,
                          spec.choices[static_cast<std::size_t>(settings.at(index))], -1,
                          SQLITE_STATIC);
      } else {
        sqlite3_bind_int64(stmt, facts + i + 1, settings.at(index));
      }
    };
    bind(set.first_that_holds_.get());
    for (const OwnedStmt& stmt : set.conditions_) bind(stmt.get());
  }
  set.rules_ = std::move(rules);
  return set;
}

Status CheckConditions(const std::vector<Rule>& rules) {
  const auto compiled = RuleSet::Compile(rules, SettingValues());
  if (!compiled.ok()) return compiled.error();
  return Ok{};
}

bool RuleSet::Asks(std::optional<double> Facts::*fact) const {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (FactSpecs()[i].value == fact) return asked_[i];
  }
  return false;
}

void RuleSet::Bind(sqlite3_stmt* stmt, const Facts& facts) const {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (!asked_[i]) continue;
    const FactSpec& fact = FactSpecs()[i];
    const std::optional<double>& value = facts.*fact.value;
    const int parameter = static_cast<int>(i) + 1;
    if (!value) {
      sqlite3_bind_null(stmt, parameter);
    } else if (fact.real) {
      sqlite3_bind_double(stmt, parameter, *value);
    } else {
      sqlite3_bind_int64(stmt, parameter, static_cast<sqlite3_int64>(*value));
    }
  }
}

std::optional<std::size_t> RuleSet::ChooseRule(const Facts& facts) {
  // All conditions in one statement, since this runs in committing threads.
  sqlite3_stmt* all = first_that_holds_.get();
  Bind(all, facts);
  if (sqlite3_step(all) == SQLITE_ROW) {
    const bool none = sqlite3_column_type(all, 0) == SQLITE_NULL;
    const auto rule = static_cast<std::size_t>(sqlite3_column_int64(all, 0));
    sqlite3_reset(all);
    return none || rule >= rules_.size() ? std::nullopt : std::optional(rule);
  }
  sqlite3_reset(all);
  // A condition failed, for example with an overflow. The others still count.
  return ChooseRuleAmong(facts, [](const Rule&) { return true; });
}

std::optional<std::size_t> RuleSet::ChooseRuleAmong(
    const Facts& facts, const std::function<bool(const Rule&)>& may_run) {
  const auto holds = [&](std::size_t rule) {
    if (!may_run(rules_[rule])) return false;
    sqlite3_stmt* stmt = conditions_[rule].get();
    Bind(stmt, facts);
    const bool yes = sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_double(stmt, 0) != 0;
    sqlite3_reset(stmt);
    return yes;
  };
  return FirstRuleThatHolds(rules_, holds);
}

}  // namespace walmanager
