#include "ext/checkpoint/rule_set.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
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

// SELECT ? AS pending_frames, … : what a condition may name.
std::string FactsQuery() {
  std::string sql;
  const auto add = [&](const char* name) {
    (sql += sql.empty() ? "SELECT ? AS " : ", ? AS ") += name;
  };
  for (const FactSpec& fact : FactSpecs()) add(fact.name);
  for (const SettingSpec& setting : NamedSettingSpecs()) add(setting.name);
  return sql;
}

std::string ConditionText(const Rule& rule) {
  return "rule '" + rule.name + "': condition " + ShownText(rule.condition) + ": ";
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

// Prepares one statement for all these conditions. Its row has a column for each, and its
// parameters are those of FactsQuery(). An error says in words what is wrong with a condition.
class ConditionsCompiler {
 public:
  explicit ConditionsCompiler(sqlite3* db) : db_(db) {
    // "x" is a column or an error, never a string.
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  }

  // A condition cannot end our parentheses and go on as anything but an expression: what follows it
  // is a FROM, and columns are counted. So are parameters, of which ours come last.
  Result<OwnedStmt> Compile(std::span<const Rule> rules) {
    std::string sql = "SELECT ";
    for (std::size_t i = 0; i < rules.size(); ++i) {
      sql += (i > 0 ? ", (" : "(") + rules[i].condition + "\n)";
    }
    if (rules.empty()) sql += "NULL";
    auto stmt = Prepare(sql + From(), std::max<std::size_t>(rules.size(), 1));
    if (!stmt.ok()) return stmt;
    const std::size_t parameters = FactSpecs().size() + NamedSettingSpecs().size();
    if (sqlite3_bind_parameter_count(stmt.value().get()) != static_cast<int>(parameters)) {
      return Error{"parameters are not allowed"};
    }
    // How often SQLite tells the authorizer of a SELECT depends on its version.
    const int selects = authorizer_.selects;
    const auto without = Prepare("SELECT 1" + From(), 1);
    if (!without.ok()) return without.error();
    if (selects > authorizer_.selects) return Error{"subqueries are not allowed"};
    return stmt;
  }

  // Whether each condition can be compiled alone. An error names the first rule for which not.
  Status Check(std::span<const Rule> rules) {
    for (const Rule& rule : rules) {
      const auto alone = Compile(std::span(&rule, 1));
      if (alone.ok()) continue;
      // At the end of a query, SQLite's message does not name our text after the condition.
      const auto at_end = Prepare("SELECT 1" + From() + " WHERE (" + rule.condition + "\n)", 1);
      const Error& error = at_end.ok() ? alone.error() : at_end.error();
      return Error{ConditionText(rule) + error.message + "; a condition is an expression over " +
                   AllowedNames()};
    }
    return Ok{};
  }

 private:
  static std::string From() { return " FROM (" + FactsQuery() + ")"; }

  Result<OwnedStmt> Prepare(const std::string& sql, std::size_t count) {
    authorizer_ = {};
    sqlite3_stmt* stmt = nullptr;
    const char* tail = nullptr;
    sqlite3_set_authorizer(db_, Authorizer::Check, &authorizer_);
    const int rc =
        sqlite3_prepare_v3(db_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
    sqlite3_set_authorizer(db_, nullptr, nullptr);
    OwnedStmt owned(stmt);
    if (!authorizer_.refused.empty()) return Error{authorizer_.refused};
    if (rc != SQLITE_OK) return EngineError(db_);
    if (!stmt || *tail != '\0' || static_cast<std::size_t>(sqlite3_column_count(stmt)) != count) {
      return Error{"it is not one expression"};
    }
    return owned;
  }

  sqlite3* const db_;
  Authorizer authorizer_;
};

// As SQLite's abs(), except that there is no error for the one integer whose absolute value is not
// an integer of 64 bits: then the result is NULL, and `overflowed` is set.
void Abs(sqlite3_context* context, int, sqlite3_value** arguments) {
  sqlite3_value* const argument = arguments[0];
  const int type = sqlite3_value_type(argument);
  if (type == SQLITE_NULL) return;
  if (type != SQLITE_INTEGER) {
    return sqlite3_result_double(context, std::fabs(sqlite3_value_double(argument)));
  }
  const sqlite3_int64 integer = sqlite3_value_int64(argument);
  if (integer == std::numeric_limits<sqlite3_int64>::min()) {
    *static_cast<bool*>(sqlite3_user_data(context)) = true;
    return;
  }
  sqlite3_result_int64(context, integer < 0 ? -integer : integer);
}

void ReplaceAbs(sqlite3* db, bool* overflowed) {
  sqlite3_create_function_v2(db, "abs", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, overflowed, Abs,
                             nullptr, nullptr, nullptr);
}

// Whether `text` contains `name`, in any case: a cheap look that may say yes too often.
bool Mentions(std::string_view text, std::string_view name) {
  const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  return std::search(text.begin(), text.end(), name.begin(), name.end(), same) != text.end();
}

}  // namespace

RuleList::RuleList(std::vector<Rule> rules) : rules_(std::move(rules)), asked_(FactSpecs().size()) {
  for (const Rule& rule : rules_) {
    for (std::size_t fact = 0; fact < asked_.size(); ++fact) {
      if (Mentions(rule.condition, FactSpecs()[fact].name)) asked_[fact] = true;
    }
  }
}

bool RuleList::Asks(std::optional<double> Facts::*fact) const {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (FactSpecs()[i].value == fact) return asked_[i];
  }
  return false;
}

Result<RuleSet> RuleSet::Compile(std::shared_ptr<const RuleList> list,
                                 const SettingValues& settings) {
  const std::vector<Rule>& rules = list->rules();
  RuleSet set;
  auto db = OpenInMemory();
  if (!db.ok()) return db.error();
  set.db_ = std::move(db.value());
  set.overflowed_ = std::make_unique<bool>(false);
  ReplaceAbs(set.db_.get(), set.overflowed_.get());
  ConditionsCompiler compiler(set.db_.get());
  auto stmt = compiler.Compile(rules);
  if (!stmt.ok()) {
    if (stmt.error().code == ErrorCode::kNoMemory) return stmt.error();
    const Status checked = compiler.Check(rules);
    return checked.ok() ? stmt.error() : checked.error();
  }
  set.statements_.push_back(std::move(stmt.value()));
  set.settings_ = settings;
  set.list_ = std::move(list);
  set.BindSettings();
  return set;
}

Status CheckConditions(const std::vector<Rule>& rules) {
  const auto db = OpenInMemory();
  if (!db.ok()) return db.error();
  return ConditionsCompiler(db.value().get()).Check(rules);
}

void RuleSet::SetSettings(const SettingValues& settings) {
  if (settings_ == settings) return;
  settings_ = settings;
  BindSettings();
}

void RuleSet::BindSettings() {
  int parameter = static_cast<int>(FactSpecs().size());
  for (std::size_t i = 0; i < NamedSettingSpecs().size(); ++i) {
    const SettingSpec& spec = NamedSettingSpecs()[i];
    ++parameter;
    for (const OwnedStmt& stmt : statements_) {
      if (spec.kind == SettingKind::kReal) {
        sqlite3_bind_double(stmt.get(), parameter, settings_.RealAt(i));
      } else if (spec.kind == SettingKind::kChoice) {
        const char* choice = spec.choices[static_cast<std::size_t>(settings_.at(i))];
        sqlite3_bind_text(stmt.get(), parameter, choice, -1, SQLITE_STATIC);
      } else {
        sqlite3_bind_int64(stmt.get(), parameter, settings_.at(i));
      }
    }
  }
}

void RuleSet::BindFacts(sqlite3_stmt* stmt, const Facts& facts) const {
  for (std::size_t i = 0; i < FactSpecs().size(); ++i) {
    if (!list_->AsksAt(i)) continue;
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

void RuleSet::SplitStatement() {
  std::vector<OwnedStmt> each;
  ConditionsCompiler compiler(db_.get());
  for (const Rule& rule : rules()) {
    auto stmt = compiler.Compile(std::span(&rule, 1));
    if (!stmt.ok()) return;
    each.push_back(std::move(stmt.value()));
  }
  statements_ = std::move(each);
  BindSettings();
}

std::optional<std::size_t> RuleSet::ChooseRule(const Facts& facts) {
  return ChooseRuleAmong(facts, [](const Rule&) { return true; });
}

std::optional<std::size_t> RuleSet::ChooseRuleAmong(
    const Facts& facts, const std::function<bool(const Rule&)>& may_run) {
  failure_.reset();
  std::optional<std::size_t> chosen;
  bool failed = false;
  std::size_t rule = 0;
  for (const OwnedStmt& stmt : statements_) {
    BindFacts(stmt.get(), facts);
    *overflowed_ = false;
    const bool has_row = sqlite3_step(stmt.get()) == SQLITE_ROW;
    const bool fails = !has_row || *overflowed_;
    failed = failed || fails;
    if (fails && !failure_) {
      failure_ = has_row ? Error{"integer overflow"} : EngineError(db_.get());
      failure_->message =
          ConditionText(rules()[rule]) + failure_->message + "; it does not hold then";
    }
    const int columns = sqlite3_column_count(stmt.get());
    for (int i = 0; i < columns && rule < rules().size(); ++i, ++rule) {
      const bool holds = !fails && sqlite3_column_double(stmt.get(), i) != 0;
      if (holds && !chosen && may_run(rules()[rule])) chosen = rule;
    }
    sqlite3_reset(stmt.get());
  }
  if (!failed || statements_.size() == rules().size()) return chosen;
  // A condition failed, for example with an overflow. The others still count.
  SplitStatement();
  if (statements_.size() == rules().size()) return ChooseRuleAmong(facts, may_run);
  // Each condition alone has compiled before, so memory has ended.
  failure_ = Error{"no rule was asked: out of memory", ErrorCode::kNoMemory};
  return std::nullopt;
}

}  // namespace walmanager
