// Bare SQLite, bare SQLite once more, and the extension take turns, in a process each: a slow
// minute of the disk meets all of them.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <iterator>
#include <vector>

#include "tests/bench/process.h"

namespace walmanager::bench {

enum Variant : std::size_t { kBare, kBareAgain, kLoaded };
inline constexpr Variant kVariants[] = {kBare, kBareAgain, kLoaded};

// A value of each.
using Turn = std::array<double, std::size(kVariants)>;

// A process for each variant.
class Processes {
 public:
  // `begin(variant)` runs in the variant's process.
  template <typename Begin>
  explicit Processes(Begin begin) {
    for (const Variant variant : kVariants) {
      processes_.emplace_back([&begin, variant] { return begin(variant); });
    }
  }
  // What the step measured, a turn for each of its numbers. Every call begins with another variant.
  std::vector<Turn> Run(int what, std::size_t argument = 0) {
    std::vector<Turn> turns;
    ++calls_;
    for (std::size_t step = 0; step < std::size(kVariants); ++step) {
      const std::size_t variant = (step + calls_) % std::size(kVariants);
      const std::vector<double> numbers = processes_[variant].Run(what, argument);
      turns.resize(numbers.size());
      for (std::size_t i = 0; i < numbers.size(); ++i) turns[i][variant] = numbers[i];
    }
    return turns;
  }

 private:
  std::deque<SteppingProcess> processes_;
  std::size_t calls_ = 0;
};

}  // namespace walmanager::bench
