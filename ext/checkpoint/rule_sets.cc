#include "ext/checkpoint/rule_sets.h"

#include <utility>

#include "ext/system/registry.h"

namespace walmanager {
namespace {

Result<RuleSets::Borrowed> Move(Result<RuleSet> set) {
  if (!set.ok()) return set.error();
  return std::make_unique<RuleSet>(std::move(set.value()));
}

}  // namespace

std::shared_ptr<RuleSets> RuleSets::OfThisProcess() {
  Registry& registry = Registry::Get();
  auto made = std::make_shared<RuleSets>();
  const MutexLock lock(registry.mutex);
  if (auto known = registry.rule_sets.lock()) return known;
  registry.rule_sets = made;
  return made;
}

RuleSets::~RuleSets() {
  for (const auto& place : places_) delete place.load();
}

template <typename IsWanted>
RuleSets::Borrowed RuleSets::Find(const IsWanted& is_wanted) {
  for (auto& place : places_) {
    if (!place.load(std::memory_order_relaxed)) continue;  // the exchange decides
    // Acquire: pairs with GiveBack(), so the set is seen as its last user left it.
    Borrowed set(place.exchange(nullptr, std::memory_order_acquire));
    if (set && is_wanted(*set)) return set;
    if (set) GiveBack(std::move(set));
  }
  return nullptr;
}

Result<RuleSets::Borrowed> RuleSets::Borrow(const std::vector<Rule>& rules,
                                            const SettingValues& settings) {
  Borrowed set = Find([&](const RuleSet& found) { return found.rules() == rules; });
  if (!set) return Move(RuleSet::Compile(rules, settings));
  set->SetSettings(settings);
  return set;
}

Result<RuleSets::Borrowed> RuleSets::Borrow(const std::shared_ptr<const RuleList>& list,
                                            const SettingValues& settings) {
  Borrowed set = Find(
      [&](const RuleSet& found) { return found.list() == list || found.rules() == list->rules(); });
  if (!set) return Move(RuleSet::Compile(list, settings));
  set->SetSettings(settings);
  return set;
}

void RuleSets::GiveBack(Borrowed set) noexcept {
  for (auto& place : places_) {
    RuleSet* none = nullptr;
    // Release: pairs with Find().
    if (!place.load(std::memory_order_relaxed) &&
        place.compare_exchange_strong(none, set.get(), std::memory_order_release,
                                      std::memory_order_relaxed)) {
      (void)set.release();
      return;
    }
  }
  // All places are taken: this set replaces one of them. The number is only a turn, so relaxed.
  // Release for this set, as above, and acquire for the other one, which is deleted here.
  const std::size_t place = next_to_go_.fetch_add(1, std::memory_order_relaxed) % kPlaces;
  set.reset(places_[place].exchange(set.release(), std::memory_order_acq_rel));
}

}  // namespace walmanager
