// Which version of a database's schema the plans of its statements are wanted for, as far as this
// process knows. A connection asks it whether a statement that has just run still needs a plan.
//
// The version is read where plans are made. Between two readings it may be out of date: a statement
// that SQLite prepared again asks for its plan in any case, and so the new version comes to light.
// Thread rules: any thread may call any member. The two words are relaxed: a connection that sees a
// change late asks for its plan at its next execution.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace walmanager {

class PlannedSchema {
 public:
  // Changes whenever all statements must look anew whether they have a plan. Never 0.
  std::uint32_t epoch() const { return epoch_.load(std::memory_order_relaxed); }
  // Whether a plan of this version of the schema is good. nullopt: there is no plan.
  bool IsCurrent(std::optional<std::uint32_t> of_plan) const {
    return of_plan && std::uint64_t{*of_plan} + 1 == version_.load(std::memory_order_relaxed);
  }
  // A statement has changed the schema, or will have once its transaction commits.
  void MayHaveChanged() {
    // What was asked for since it is unknown is made as of a later version.
    if (version_.exchange(kUnknown, std::memory_order_relaxed) != kUnknown) Next();
  }
  // Requests for plans were lost: each statement asks again.
  void AskAgain() { Next(); }
  // The version was read.
  void Is(std::uint32_t version) {
    const std::uint64_t before =
        version_.exchange(std::uint64_t{version} + 1, std::memory_order_relaxed);
    if (before != std::uint64_t{version} + 1 && before != kUnknown) Next();
  }

 private:
  static constexpr std::uint64_t kUnknown = 0;
  void Next() {
    if (epoch_.fetch_add(1, std::memory_order_relaxed) + 1 == 0) epoch_ = 1;
  }

  std::atomic<std::uint32_t> epoch_{1};
  std::atomic<std::uint64_t> version_{kUnknown};  // + 1
};

}  // namespace walmanager
