// The rules of one strategy, compiled: conditions are SQL expressions, and SQLite evaluates them.
//
// The conditions are the columns of one statement on a private connection in memory. Every fact
// and setting is a column of a subquery with one row, and is bound before each look. An authorizer
// refuses all else: tables, subqueries, and functions other than the harmless ones named in
// rule_set.cc.
//
// The rule that is easy to break: no condition may end its statement with an error, except where
// memory ends. SQLite would write that to the program's error log at each look. So abs(), the only
// one of these functions that can fail, is not SQLite's.
// Thread rules: one thread at a time. StrategyInForce borrows a set for one evaluation
// (rule_sets.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ext/core/policy/settings.h"
#include "ext/core/policy/strategy.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

// The rules of a set, which never change.
class RuleList {
 public:
  explicit RuleList(std::vector<Rule> rules);
  const std::vector<Rule>& rules() const { return rules_; }
  // Whether any condition asks for this fact, so that facts which take long to find are gathered
  // only where they are used.
  bool Asks(std::optional<double> Facts::*fact) const;
  bool AsksAt(std::size_t fact) const { return asked_[fact]; }

 private:
  const std::vector<Rule> rules_;
  std::vector<bool> asked_;  // for each of FactSpecs(), whether a condition asks for it
};

class RuleSet {
 public:
  // The rules must have priority order; conditions see `settings` as they are now. An error names
  // the rule, its condition and what is wrong.
  static Result<RuleSet> Compile(std::vector<Rule> rules, const SettingValues& settings) {
    return Compile(std::make_shared<const RuleList>(std::move(rules)), settings);
  }
  static Result<RuleSet> Compile(std::shared_ptr<const RuleList> list,
                                 const SettingValues& settings);

  const std::shared_ptr<const RuleList>& list() const { return list_; }
  const std::vector<Rule>& rules() const { return list_->rules(); }
  bool Asks(std::optional<double> Facts::*fact) const { return list_->Asks(fact); }
  // Conditions see these from now on.
  void SetSettings(const SettingValues& settings);
  // The first rule whose condition holds; a condition that fails or is NULL does not hold.
  std::optional<std::size_t> ChooseRule(const Facts& facts);
  // The same among the rules for which `may_run` says true.
  std::optional<std::size_t> ChooseRuleAmong(const Facts& facts,
                                             const std::function<bool(const Rule&)>& may_run);
  // Which condition failed first in the last choice, and why; nullopt where none did.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  void BindSettings();
  void BindFacts(sqlite3_stmt* stmt, const Facts& facts) const;
  // From now on each condition is a statement of its own.
  void SplitStatement();

  std::unique_ptr<bool> overflowed_;  // abs() had no result since this was set to false
  OwnedDb db_;                        // its abs() has the pointer
  std::shared_ptr<const RuleList> list_;
  SettingValues settings_;
  // One statement with a column for each rule. After a condition has failed, one statement for each
  // rule.
  std::vector<OwnedStmt> statements_;
  std::optional<Error> failure_;
};

}  // namespace walmanager
