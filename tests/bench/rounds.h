// In each round every variant has its segments: one after the other, and then backwards, so that a
// disk that gets slower or faster meanwhile, as disks do, favours no variant. Only figures of
// one round are compared.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/bench/measured.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Figures of one variant, an entry per round.
using Rounds = std::vector<Figures>;

// Runs `segments` segments of each of `variants` variants in each round. `run(i)` is one segment of
// variant i, and returns what it measured; `take(i, segments)` gets those of a round at its end.
template <typename Run, typename Take>
void Alternate(int rounds, int segments, std::size_t variants, Run run, Take take) {
  bool forwards = true;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::vector<std::invoke_result_t<Run&, std::size_t>>> measured(variants);
    for (int segment = 0; segment < segments; ++segment, forwards = !forwards) {
      for (std::size_t turn = 0; turn < variants; ++turn) {
        const std::size_t i = forwards ? turn : variants - 1 - turn;
        measured[i].push_back(run(i));
      }
    }
    for (std::size_t i = 0; i < variants; ++i) take(i, measured[i]);
  }
}

// The median over the rounds; nullopt where no round has the figure.
std::optional<double> MedianOf(const Rounds& rounds, const std::string& figure);

// nullopt where none is known.
std::optional<double> MedianOf(const std::vector<std::optional<double>>& values);

// Round by round; nullopt where one of the two is not known or the base is 0.
std::vector<std::optional<double>> Ratios(const Rounds& rounds, const Rounds& base,
                                          const std::string& figure);

// A table's row of medians.
Table::Row RowOf(std::vector<std::string> labels, const Rounds& rounds,
                 const std::vector<std::string>& figures);

}  // namespace walmanager::bench
