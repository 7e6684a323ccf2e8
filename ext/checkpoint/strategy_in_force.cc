#include "ext/checkpoint/strategy_in_force.h"

#include <algorithm>
#include <utility>

#include "ext/core/base/value.h"
#include "ext/core/control/alerts.h"
#include "ext/system/clock.h"

namespace walmanager {

Result<bool> StrategyInForce::Follow(std::int64_t most_wal_bytes) {
  const auto current = control_.Get();
  const std::uint64_t control_generation = control_.generation();
  if (list_ && !lacks_memory_ && control_generation_ == control_generation &&
      stored_.generation == current->region().settings_generation() &&
      values_[Setting::kWalLimitBytes] == std::min(stored_wal_limit_, most_wal_bytes)) {
    return false;
  }
  auto stored = current->region().ReadSettings();
  if (!stored) return Error{"the settings cannot be read: they change too fast"};
  SettingValues values = stored->Values();
  const std::int64_t wal_limit = values[Setting::kWalLimitBytes];
  values.Lower(Setting::kWalLimitBytes, most_wal_bytes);
  if (!sets_) sets_ = RuleSets::OfThisProcess();
  auto set = sets_->Borrow(stored->RulesOf(stored->strategy), values);
  lacks_memory_ = !set.ok() && set.error().code == ErrorCode::kNoMemory;
  std::string error;
  if (!set.ok()) {
    // Memory has ended. Or another program has written these bytes, since the strategy was checked
    // when it was defined. The log must not grow because of that.
    error = "strategy " + ShownText(stored->strategy) + ": " + set.error().message;
    SetError(error);
    set = sets_->Borrow(stored->RulesOf(kDefaultStrategy), values);
    if (!set.ok()) return set.error();
  }
  SetError(error);
  has_failed_ = false;
  list_ = set.value()->list();
  sets_->GiveBack(std::move(set.value()));
  values_ = values;
  stored_wal_limit_ = wal_limit;
  stored_ = std::move(*stored);
  control_generation_ = control_generation;
  return true;
}

void StrategyInForce::TakeUncompiled(StoredSettings stored, const SettingValues& values) {
  values_ = values;
  stored_ = std::move(stored);
}

std::optional<std::size_t> StrategyInForce::ChooseRuleAmong(
    const Facts& facts, const std::function<bool(const Rule&)>& may_run) {
  auto set = sets_->Borrow(list_, values_);
  if (!set.ok()) {
    lacks_memory_ = true;
    SetError("strategy " + ShownText(name()) + ": no rule was asked: " + set.error().message);
    return std::nullopt;
  }
  const auto chosen = set.value()->ChooseRuleAmong(facts, may_run);
  if (const auto& failure = set.value()->failure()) [[unlikely]]
    ReportFailure(*failure);
  sets_->GiveBack(std::move(set.value()));
  return chosen;
}

void StrategyInForce::SetError(const std::string& error) {
  const MutexLock lock(error_mutex_);
  error_ = error;
}

void StrategyInForce::ReportFailure(const Error& failure) {
  if (has_failed_) return;
  const std::string error = "strategy " + ShownText(name()) + ": " + failure.message;
  SetError(error);
  if (failure.code == ErrorCode::kNoMemory) {
    lacks_memory_ = true;
    return;
  }
  has_failed_ = true;
  // So that other processes see it, too.
  Alerts(control_.Get()->space()).RecordFailure("strategy", error, UnixMs());
}

void StrategyInForce::CountFired(const Rule& rule) const {
  const std::span<const Rule> all =
      rule.builtin ? BuiltinRules() : std::span<const Rule>(stored_.rules);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].strategy == rule.strategy && all[i].name == rule.name) {
      control_.Get()->region().CountFired(rule.builtin, i, UnixMs());
    }
  }
}

}  // namespace walmanager
