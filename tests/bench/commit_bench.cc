// `cpu_us` is what the process used per commit, user and system, readers and background threads
// included: the figure that other programs on the machine disturb least. `stall_ms` is the time of
// all commits over 1 ms in a round, `hook_ms` what commits spent in checkpoints or in the
// extension's hook. `mb` are millions of bytes.
#include "tests/bench/commit_bench.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "tests/bench/process.h"
#include "tests/bench/rounds.h"
#include "tests/bench/scenario_run.h"
#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

const std::vector<std::string> kFigures = {
    "ops_per_s",   "p50_us",      "p95_us",        "p99_us",       "p99.9_us",   "p99.99_us",
    "max_us",      "stall_ms",    "hook_ms",       "cpu_us",       "wal_max_mb", "wal_max_frames",
    "wal_resets",  "written_mb",  "rss_mb",        "rss_peak_mb",  "pss_mb",     "busy",
    "reads_per_s", "read_p99_us", "held_p99.9_us", "reset_after_s"};
const std::vector<std::string> kRatios = {"ops_per_s",  "p50_us",       "p95_us",   "p99_us",
                                          "p99.9_us",   "p99.99_us",    "stall_ms", "cpu_us",
                                          "written_mb", "held_p99.9_us"};

// The built-in strategies.
std::set<std::string> BuiltinStrategies(const std::string& directory) {
  const SharedArray<char> names(4096);
  RunInProcess([&] {
    Db db(directory + "/strategies.db");
    db.LoadExtension();
    const std::string all =
        db.Query("SELECT group_concat(DISTINCT strategy) FROM wal_strategies WHERE builtin");
    std::copy_n(all.begin(), std::min(all.size(), names.size() - 1), names.begin());
  });
  std::set<std::string> strategies;
  std::istringstream list(names.begin());
  for (std::string name; std::getline(list, name, ',');) strategies.insert(name);
  return strategies;
}

// Checkpoints of all segments of one variant.
class Checkpoints {
 public:
  void Add(const Measured& segment) {
    ++segments_;
    for (const CheckpointGroup& group : segment.totals().checkpoints) {
      if (!group.mode[0] || group.count == 0) continue;
      CheckpointGroup& sum = groups_[{group.mode, group.origin}];
      sum.count += group.count;
      sum.busy += group.busy;
      sum.pages += group.pages;
      sum.total_ns += group.total_ns;
      sum.max_ns = std::max(sum.max_ns, group.max_ns);
    }
  }
  void AddRows(const std::string& scenario, const std::string& variant, Table& table) const {
    const auto per_segment = [&](std::uint64_t sum) {
      return static_cast<double>(sum) / segments_;
    };
    for (const auto& [key, sum] : groups_) {
      table.rows.push_back(
          {{scenario, variant, key.first, key.second},
           {per_segment(sum.count), per_segment(sum.busy), per_segment(sum.pages),
            per_segment(sum.total_ns) / 1e6,
            static_cast<double>(sum.total_ns) / 1e6 / static_cast<double>(sum.count),
            static_cast<double>(sum.max_ns) / 1e6}});
    }
  }

 private:
  int segments_ = 0;
  std::map<std::pair<std::string, std::string>, CheckpointGroup> groups_;  // by mode and origin
};

struct Outcome {
  Variant variant;
  Rounds rounds;
  Checkpoints checkpoints;
};

std::vector<Outcome> Measure(const Scenario& scenario, const std::vector<Variant>& variants,
                             const Options& options, const std::string& directory) {
  std::vector<Outcome> outcomes;
  for (const Variant& variant : variants) outcomes.push_back({variant, {}, {}});
  RunScenario(scenario, variants, options.rounds, directory,
              [&](std::size_t i, const std::vector<Measured>& segments) {
                outcomes[i].rounds.push_back(Summarize(segments));
                for (const Measured& segment : segments) outcomes[i].checkpoints.Add(segment);
              });
  return outcomes;
}

// A row for the median and one for each round.
void AddRatios(const std::string& scenario, const Outcome& outcome, const Rounds& base,
               Table& table) {
  const std::size_t first = table.rows.size();
  table.rows.push_back({{scenario, outcome.variant.name, "median"}, {}});
  for (std::size_t round = 1; round <= base.size(); ++round) {
    table.rows.push_back({{scenario, outcome.variant.name, std::to_string(round)}, {}});
  }
  for (const std::string& figure : kRatios) {
    const auto ratios = Ratios(outcome.rounds, base, figure);
    table.rows[first].numbers.push_back(MedianOf(ratios));
    for (std::size_t round = 1; round <= base.size(); ++round) {
      table.rows[first + round].numbers.push_back(ratios[round - 1]);
    }
  }
}

void AddTables(const Scenario& scenario, const std::vector<Outcome>& outcomes, int rounds,
               Report& report) {
  Table figures{"commits",
                scenario.name + ": " + scenario.Description() + "; median of " +
                    std::to_string(rounds) + " rounds",
                {"case", "variant"},
                kFigures,
                {}};
  Table ratios{"commit_ratios",
               "The same as ratios to " + outcomes[0].variant.name + " of the same round",
               {"case", "variant", "round"},
               kRatios,
               {}};
  Table checkpoints{
      "checkpoints",
      "Checkpoints of a segment (SQLite's by a stopwatch in a WAL hook that does what its own "
      "does; "
      "the extension's by wal_checkpoints, which has the last 512, and all of them by wal_metrics)",
      {"case", "variant", "mode", "origin"},
      {"count", "busy", "pages", "total_ms", "mean_ms", "max_ms"},
      {}};
  for (const Outcome& outcome : outcomes) {
    const std::string& name = outcome.variant.name;
    figures.rows.push_back(RowOf({scenario.name, name}, outcome.rounds, kFigures));
    outcome.checkpoints.AddRows(scenario.name, name, checkpoints);
    if (&outcome == &outcomes[0]) continue;
    AddRatios(scenario.name, outcome, outcomes[0].rounds, ratios);
  }
  for (const Table& table : {figures, ratios, checkpoints}) report.Add(table);
}

void AddTargets(const Scenario& scenario, const std::vector<Outcome>& outcomes, Report& report) {
  const auto rounds_of = [&](const std::string& variant) -> const Rounds& {
    return std::find_if(outcomes.begin(), outcomes.end(),
                        [&](const Outcome& outcome) { return outcome.variant.name == variant; })
        ->rounds;
  };
  for (const Promise& promise : scenario.promises) {
    const Rounds& own = rounds_of(promise.strategy);
    const bool absolute = promise.against.empty();
    report.targets.push_back(
        {scenario.name,
         promise.strategy + ": " + promise.figure + (absolute ? "" : " / " + promise.against),
         absolute ? MedianOf(own, promise.figure)
                  : MedianOf(Ratios(own, rounds_of(promise.against), promise.figure)),
         promise.bound, promise.limit});
  }
}

// SQLite's, and those of the extension's strategies that `scenario` or the options name.
std::vector<Variant> VariantsFor(const Scenario& scenario, const Options& options,
                                 const std::set<std::string>& builtin) {
  std::vector<std::string> strategies = options.strategies;
  for (const Promise& promise : scenario.promises) strategies.push_back(promise.strategy);
  if (strategies.empty()) {
    std::copy_if(builtin.begin(), builtin.end(), std::back_inserter(strategies),
                 [](const std::string& name) { return name != "off"; });
  }
  std::vector<Variant> variants(std::begin(kSqlite), std::end(kSqlite));
  if (std::any_of(scenario.promises.begin(), scenario.promises.end(),
                  [](const Promise& promise) { return promise.against == kLongLog.name; })) {
    variants.push_back(kLongLog);
  }
  if (options.control) variants.push_back(kControl);
  std::set<std::string> seen;
  for (const std::string& strategy : strategies) {
    if (!builtin.contains(strategy)) {
      std::string all;
      for (const std::string& name : builtin) all += (all.empty() ? "" : ", ") + name;
      Fail("strategy '" + strategy + "' is not one of the extension's: " + all);
    }
    if (seen.insert(strategy).second) variants.push_back({strategy});
  }
  return variants;
}

}  // namespace

void RunCommitBench(const std::vector<Scenario>& scenarios, const Options& options,
                    Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::set<std::string> builtin = BuiltinStrategies(scratch.path());
  // All of them before the first is measured: a strategy that is not there ends the run at once.
  std::vector<std::vector<Variant>> variants;
  for (const Scenario& scenario : scenarios) {
    variants.push_back(VariantsFor(scenario, options, builtin));
  }
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    const auto outcomes = Measure(scenarios[i], variants[i], options, scratch.path());
    AddTables(scenarios[i], outcomes, options.rounds, report);
    AddTargets(scenarios[i], outcomes, report);
  }
}

}  // namespace walmanager::bench
