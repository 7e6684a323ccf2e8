// Any text as conditions of rules: those that are accepted never end a statement with an error, the
// order and number of rules changes no condition's value, and the program's error log stays empty.
//
// The bytes choose expressions of a grammar, or are the conditions themselves.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "ext/checkpoint/rule_check.h"
#include "ext/checkpoint/rule_set.h"
#include "tests/fuzz/input_bytes.h"
#include "tests/fuzz/linked_extension.h"

namespace {

using namespace walmanager;

constexpr const char* kNames[] = {
    "wal_frames",  "pending_frames",    "readers",        "idle_ms",
    "page_size",   "oldest_reader_lag", "wal_bytes",      "WAL_LIMIT_BYTES",
    "commit_rate", "checkpoint_frames", "backpressure",   "due_frames",
    "replicator",  "nothing",           "\"wal_frames\"", "last_checkpoint_ms"};
constexpr const char* kLiterals[] = {"0",       "1",     "NULL",         "-9223372036854775808",
                                     "'a'",     "x'00'", "9e999",        "9223372036854775807",
                                     "1.5",     "'1'",   "''",           "0x7fffffffffffffff",
                                     "-9e-999", "TRUE",  "CURRENT_DATE", "?1"};
constexpr const char* kOperators[] = {" + ",
                                      " - ",
                                      " * ",
                                      " / ",
                                      " % ",
                                      " || ",
                                      " << ",
                                      " >> ",
                                      " & ",
                                      " | ",
                                      " < ",
                                      " >= ",
                                      " = ",
                                      " <> ",
                                      " IS ",
                                      " IS NOT ",
                                      " AND ",
                                      " OR ",
                                      " == ",
                                      " LIKE ",
                                      " -> ",
                                      " GLOB ",
                                      " COLLATE nocase < "};
constexpr const char* kFunctions[] = {"abs",    "coalesce", "ifnull", "iif",    "max",   "min",
                                      "nullif", "round",    "typeof", "random", "count", "likely"};

std::string Expression(InputBytes& bytes, int depth) {
  if (depth <= 0 || bytes.empty()) {
    return bytes.Choose(2) == 0 ? bytes.OneOf(kNames) : bytes.OneOf(kLiterals);
  }
  const auto part = [&] { return Expression(bytes, depth - 1); };
  std::string text;
  switch (bytes.Choose(14)) {
    case 0:
    case 1:
    case 2:
      text = part();
      text += bytes.OneOf(kOperators);
      return text + part();
    case 3:
    case 4: {
      text = std::string(bytes.OneOf(kFunctions)) + "(";
      const unsigned arguments = bytes.Choose(4);
      for (unsigned i = 0; i < arguments; ++i) text += (i > 0 ? ", " : "") + part();
      text += ")";
      if (bytes.Choose(8) == 0) text += " FILTER (WHERE " + part() + ")";
      if (bytes.Choose(16) == 0) text += " OVER ()";
      return text;
    }
    case 5:
      text = "CASE WHEN " + part();
      text += " THEN " + part();
      return text + " ELSE " + part() + " END";
    case 6:
      text = part() + " BETWEEN ";
      text += part() + " AND ";
      return text + part();
    case 7:
      text = part() + " IN (";
      text += part() + ", ";
      return text + part() + ")";
    case 8:
      return "(" + part() + ")";
    case 9:
      return "NOT " + part();
    case 10:
      return "CAST(" + part() + (bytes.Choose(2) == 0 ? " AS INTEGER)" : " AS BLOB)");
    case 11:
      return "-" + part();
    case 12:
      return "(SELECT " + part() + ")";
    default:
      return bytes.OneOf(kNames);
  }
}

std::optional<double> Number(InputBytes& bytes) {
  constexpr double kNumbers[] = {0, 1, 2, 999, 1000, 4096, 1e6, 4294967295.0, 9e15, 0.5};
  const unsigned chosen = bytes.Choose(std::size(kNumbers) + 1);
  if (chosen == std::size(kNumbers)) return std::nullopt;
  return kNumbers[chosen];
}

std::string logged;  // what SQLite has written to the error log

void Log(void*, int, const char* message) { logged = message; }

void Require(bool holds, const std::vector<Rule>& rules, const std::string& what) {
  if (holds) return;
  for (const Rule& rule : rules) std::fprintf(stderr, "condition: %s\n", rule.condition.c_str());
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

// An error of the evaluation that is not abs() of the one integer without an absolute value.
void RequireNoOtherFailure(const RuleSet& set, const std::vector<Rule>& rules) {
  if (!set.failure()) return;
  Require(set.failure()->message.find("integer overflow") != std::string::npos, rules,
          set.failure()->message);
}

std::optional<std::size_t> Choose(RuleSet& set, const Facts& facts,
                                  const std::vector<Rule>& rules) {
  logged.clear();
  const auto chosen = set.ChooseRule(facts);
  Require(logged.empty(), rules, "the error log has: " + logged);
  RequireNoOtherFailure(set, rules);
  const auto again = set.ChooseRule(facts);
  Require(chosen == again, rules, "the same facts have another answer");
  return chosen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  [[maybe_unused]] static const bool prepared = [] {
    sqlite3_config(SQLITE_CONFIG_LOG, Log, nullptr);
    SetApiTable();
    return true;
  }();
  InputBytes bytes(data, size);
  Facts facts;
  for (const FactSpec& fact : FactSpecs()) facts.*fact.value = Number(bytes);
  SettingValues settings;
  settings.Set(bytes.Next() % kNamedSettingCount, bytes.Next());

  std::vector<Rule> rules(1 + bytes.Choose(3));
  for (Rule& rule : rules) {
    rule.strategy = "mine";
    rule.name = "r" + std::to_string(&rule - rules.data());
    const bool is_text = bytes.Choose(3) == 0;
    rule.condition = is_text ? bytes.Take(bytes.Next()) : Expression(bytes, 4);
    if (!CheckRule(rule).ok()) return 0;
  }
  const Status checked = CheckConditions(rules);
  auto together = RuleSet::Compile(rules, settings);
  if (!checked.ok()) {
    Require(rules.size() > 1 || !together.ok(), rules, "compiled, but: " + checked.error().message);
    // Where two conditions are one only together, they are still nothing but expressions.
    if (together.ok()) (void)together.value().ChooseRule(facts);
    return 0;
  }
  Require(together.ok(), rules, "each is right, and not all together");
  const auto chosen = Choose(together.value(), facts, rules);

  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < rules.size() && !first; ++i) {
    auto alone = RuleSet::Compile({rules[i]}, settings);
    Require(alone.ok(), rules, "compiled by CheckConditions() alone");
    if (Choose(alone.value(), facts, {rules[i]})) first = i;
  }
  Require(chosen == first, rules, "a condition has another value beside the others");
  return 0;
}
