// The strategy in force: the rules that the control file selects, and the settings that they see.
// Where the selected strategy cannot be compiled the default one is in force. The compiled rules
// are borrowed from the process for each evaluation (rule_sets.h).
//
// Thread rules: the caller holds the mutex of CheckpointState, except for error(), which any thread
// may call.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ext/checkpoint/rule_set.h"
#include "ext/checkpoint/rule_sets.h"
#include "ext/core/base/mutex.h"
#include "ext/core/policy/settings.h"
#include "ext/core/policy/stored_settings.h"
#include "ext/core/policy/strategy.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class StrategyInForce {
 public:
  explicit StrategyInForce(const ControlInUse& control) : control_(control) {}

  // Compiles the rules where the settings, the control file or `most_wal_bytes`, which lowers the
  // setting wal_limit_bytes, have changed. Returns whether it did.
  Result<bool> Follow(std::int64_t most_wal_bytes);
  // Takes settings without compiling their rules: rules() stays empty until Follow().
  void TakeUncompiled(StoredSettings stored, const SettingValues& values);

  // Whether the rules have been compiled, and can be asked.
  bool is_compiled() const { return list_ != nullptr; }
  // In priority order; empty before Follow().
  std::span<const Rule> rules() const {
    return list_ ? std::span<const Rule>(list_->rules()) : std::span<const Rule>();
  }
  // The name of the selected strategy, and the generation of the settings that select it.
  const std::string& name() const { return stored_.strategy; }
  std::uint64_t generation() const { return stored_.generation; }
  const SettingValues& values() const { return values_; }
  std::int64_t operator[](Setting setting) const { return values_[setting]; }

  // After Follow(), as RuleSet has them.
  bool Asks(std::optional<double> Facts::*fact) const { return list_->Asks(fact); }
  std::optional<std::size_t> ChooseRule(const Facts& facts) {
    return ChooseRuleAmong(facts, [](const Rule&) { return true; });
  }
  // No rule holds, too, where memory ends: error() says so, and the next Follow() tries again.
  std::optional<std::size_t> ChooseRuleAmong(const Facts& facts,
                                             const std::function<bool(const Rule&)>& may_run);
  // Counts for wal_strategies that this rule called for a checkpoint.
  void CountFired(const Rule& rule) const;

  // Why the default strategy is in force in place of the selected one, or which rule's condition
  // has failed since Follow() compiled the rules. Empty: the selected rules are in force, and none
  // has failed. Any thread.
  std::string error() const {
    const MutexLock lock(error_mutex_);
    return error_;
  }

 private:
  void SetError(const std::string& error);
  // A condition failed: it does not hold.
  void ReportFailure(const Error& failure);

  const ControlInUse& control_;
  std::shared_ptr<RuleSets> sets_;  // of the process; nullptr before Follow()
  std::shared_ptr<const RuleList> list_;
  StoredSettings stored_;  // the settings that list_ follows
  SettingValues values_;
  std::uint64_t control_generation_ = 0;  // of the control file with stored_
  std::int64_t stored_wal_limit_ = 0;     // before most_wal_bytes lowered it
  bool lacks_memory_ = false;             // to compile the selected rules
  bool has_failed_ = false;               // a condition did, since the rules were compiled
  mutable Mutex error_mutex_;             // held for a copy
  std::string error_ GUARDED_BY(error_mutex_);
};

}  // namespace walmanager
