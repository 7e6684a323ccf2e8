// A scenario with every variant in turn, from one template.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "tests/bench/process.h"
#include "tests/bench/rounds.h"
#include "tests/bench/scenario.h"
#include "tests/bench/segment.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {

// `take(i, segments)` gets the segments of variant i at the end of each round.
template <typename Take>
void RunScenario(const Scenario& scenario, const std::vector<Variant>& variants, int rounds,
                 const std::string& directory, Take take) {
  const auto workload =
      std::find_if(std::begin(kWorkloads), std::end(kWorkloads),
                   [&](const Workload& w) { return scenario.workload == w.name; });
  const std::string path = directory + "/" + workload->name + ".template";
  RunInProcess([&] { MakeTemplate(*workload, path); });
  Alternate(
      rounds, scenario.segments, variants.size(),
      [&](std::size_t i) { return RunSegment(scenario, variants[i], path, directory); }, take);
}

}  // namespace walmanager::bench
