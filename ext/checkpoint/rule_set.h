// The rules of one strategy, compiled: conditions are SQL expressions, and SQLite evaluates them.
//
// Each condition becomes a statement on a private in-memory connection, in which every fact and
// setting is a column of a one-row subquery bound before each look. An authorizer lets nothing
// else in: no table, no subquery, no function but the harmless ones named in rule_set.cc.
// Thread rules: one thread at a time (CheckpointState holds a mutex).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/policy/settings.h"
#include "ext/core/policy/strategy.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

class RuleSet {
 public:
  // The rules must have priority order; conditions see `settings` as they are now. An error names
  // the rule, its condition and what is wrong.
  static Result<RuleSet> Compile(std::vector<Rule> rules, const SettingValues& settings);

  const std::vector<Rule>& rules() const { return rules_; }
  // Whether any condition asks for this fact: one that is costly to find is not looked for in vain.
  bool Asks(std::optional<double> Facts::*fact) const;
  // The first rule whose condition holds; a condition that fails or is NULL does not hold.
  std::optional<std::size_t> Decide(const Facts& facts);
  // The same among some of the rules; slower.
  std::optional<std::size_t> DecideAmong(const Facts& facts,
                                         const std::function<bool(const Rule&)>& some);

 private:
  void Bind(sqlite3_stmt* stmt, const Facts& facts) const;

  OwnedDb db_;
  std::vector<Rule> rules_;
  OwnedStmt first_that_holds_;         // the index of the rule, or NULL
  std::vector<OwnedStmt> conditions_;  // each by itself, as rules_
  std::vector<bool> asked_;            // by any of them, as FactSpecs()
};

}  // namespace walmanager
