// In each round every variant has its segments: one after the other, and then backwards, so that a
// disk that gets slower or faster meanwhile, as disks do, is nobody's advantage. Only figures of
// one round are compared.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/measured.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Figures of one variant, an entry per round.
using Rounds = std::vector<Figures>;

// Runs `segments` segments of each of `variants` variants in each round. `run(i)` is one segment of
// variant i; `take(i, segments)` gets those of a round at its end.
void Alternate(int rounds, int segments, std::size_t variants,
               const std::function<Measured(std::size_t)>& run,
               const std::function<void(std::size_t, const std::vector<Measured>&)>& take);

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
