#include "tests/bench/machines_bench.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bench/condition.h"
#include "tests/bench/rounds.h"
#include "tests/bench/scenario.h"
#include "tests/bench/scenario_run.h"
#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr char kDefault[] = "conversation_workload";
constexpr char kLowLatency[] = "low_latency";
constexpr char kAgain[] = "sqlite-1000 again";
constexpr double kMostSpread = 0.1;
constexpr double kLimitMb = 64 * 1.048576;  // wal_limit_bytes in millions of bytes

using Bound = Target::Bound;

struct Machine {
  const char* name;
  int cpus, busy;
};
constexpr Machine kMachines[] = {
    {"two free processors", 2, 0}, {"two, one kept busy", 2, 1}, {"one processor", 1, 0}};
using Limits = std::array<double, std::size(kMachines)>;

// A figure of each strategy against the best of `against` in the same round; against nothing: the
// figure itself.
struct Asked {
  const char* figure;
  std::vector<const char*> against;
  Bound bound;
  Limits limits;
};

struct Case {
  Scenario scenario;
  std::vector<const char*> strategies;
  std::vector<Asked> asked;
};

int Scaled(int commits, const Options& options) {
  return std::max(1, static_cast<int>(std::lround(commits * options.scale)));
}

std::vector<Asked> AskedOfSaturating() {
  constexpr auto kAtLeast = Bound::kAtLeast, kAtMost = Bound::kAtMost;
  const std::vector<const char*> both = {"sqlite-1000", "sqlite-4000"};
  const std::vector<const char*> all = {"sqlite-1000", "sqlite-4000", "sqlite-16000"};
  return {{"ops_per_s", both, kAtLeast, {1.4, 1.3, 1.3}},
          {"ops_per_s", {"sqlite-16000"}, kAtLeast, {1.15, 1.1, 1.05}},
          {"p50_us", both, kAtMost, {1.05, 1.08, 1.08}},
          {"p95_us", all, kAtMost, {1.3, 1.5, 1.2}},
          {"p99_us", all, kAtMost, {1.3, 1.5, 1.2}},
          {"p99.9_us", {"sqlite-1000"}, kAtMost, {0.08, 0.12, 0.15}},
          {"stall_ms", {"sqlite-4000"}, kAtMost, {0.15, 0.25, 0.35}},
          {"cpu_us", {"sqlite-4000"}, kAtMost, {1.25, 1.15, 1.1}},
          {"written_mb", {"sqlite-4000"}, kAtMost, {1.1, 1.1, 1.1}},
          {"wal_max_mb", {}, kAtMost, {kLimitMb, kLimitMb, kLimitMb}}};
}

std::vector<Asked> AskedOfFull() {
  return {{"ops_per_s", {"sqlite-4000"}, Bound::kAtLeast, {1, 0.97, 0.97}},
          {"p99.9_us", {"sqlite-4000"}, Bound::kAtMost, {1, 1, 1.1}},
          {"stall_ms", {"sqlite-4000"}, Bound::kAtMost, {1, 1, 1.1}}};
}

std::vector<Asked> AskedOfLog(double limits) {
  const double mb = limits * kLimitMb;
  return {{"wal_max_mb", {}, Bound::kAtMost, {mb, mb, mb}}};
}

std::vector<Case> Cases(const Options& options) {
  constexpr int kCommits = 20'000, kFull = 8'000, kFullWarmUp = 5'000, kRate = 4'000;
  // The log of SQLite at 16,000 frames starts over after 7,000 to 15,000 commits. Before, its file
  // grows, and the strategies learn.
  constexpr int kSaturating = 60'000, kWarmUp = 20'000;
  std::vector<Case> cases;
  for (const char* workload : {"indexed", "append"}) {
    cases.push_back({{.name = std::string(workload) + "-saturating",
                      .workload = workload,
                      .commits = Scaled(kSaturating, options),
                      .warm_up = kWarmUp},
                     {kDefault, kLowLatency},
                     AskedOfSaturating()});
  }
  for (const char* workload : {"indexed", "append"}) {
    cases.push_back({{.name = std::string(workload) + "-full",
                      .workload = workload,
                      .synchronous = "FULL",
                      .commits = Scaled(kFull, options),
                      .warm_up = kFullWarmUp},
                     {kDefault},
                     AskedOfFull()});
  }
  const auto paced = [&](const char* name, const Readers& readers, double limits) {
    cases.push_back({{.name = name,
                      .workload = "indexed",
                      .rate = kRate,
                      .readers = readers,
                      .commits = Scaled(kCommits, options),
                      .segments = 1},
                     {kDefault},
                     AskedOfLog(limits)});
  };
  paced("paced", {}, 1);
  paced("readers-20ms", {.count = 8, .hold_ms = 20}, 1);
  paced("readers-100ms", {.count = 4, .hold_ms = 100}, 1.25);
  std::erase_if(cases, [&](const Case& each) { return !options.Includes(each.scenario.name); });
  return cases;
}

struct Outcome {
  Variant variant;
  Rounds rounds;
};

const Rounds& RoundsOf(const std::vector<Outcome>& outcomes, const std::string& name) {
  return std::find_if(outcomes.begin(), outcomes.end(),
                      [&](const Outcome& outcome) { return outcome.variant.name == name; })
      ->rounds;
}

// In each round the best of the variants.
Rounds BestOf(const std::vector<Outcome>& outcomes, const Asked& asked) {
  Rounds best = RoundsOf(outcomes, asked.against.front());
  for (const char* name : asked.against) {
    const Rounds& rounds = RoundsOf(outcomes, name);
    for (std::size_t i = 0; i < best.size(); ++i) {
      const auto found = rounds[i].find(asked.figure);
      if (found == rounds[i].end()) continue;
      double& value = best[i].try_emplace(asked.figure, found->second).first->second;
      value = asked.bound == Bound::kAtLeast ? std::max(value, found->second)
                                             : std::min(value, found->second);
    }
  }
  return best;
}

// How far SQLite is from itself in the figure.
double SpreadOf(const std::vector<Outcome>& outcomes, const char* figure) {
  std::vector<double> ratios;
  for (const auto& ratio :
       Ratios(RoundsOf(outcomes, kAgain), RoundsOf(outcomes, "sqlite-1000"), figure)) {
    if (ratio) ratios.push_back(*ratio);
  }
  return QuartileDistance(ratios);
}

std::string Joined(const std::vector<const char*>& names) {
  std::string text;
  for (const char* name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

Table::Row Judge(const std::vector<Outcome>& outcomes, const Case& of, const Machine& machine,
                 std::size_t condition, const char* strategy, const Asked& asked) {
  const Rounds& own = RoundsOf(outcomes, strategy);
  const bool absolute = asked.against.empty();
  const auto measured = absolute ? MedianOf(own, asked.figure)
                                 : MedianOf(Ratios(own, BestOf(outcomes, asked), asked.figure));
  const double spread = absolute ? 0 : SpreadOf(outcomes, asked.figure);
  const double limit = asked.limits[condition];
  const bool at_least = asked.bound == Bound::kAtLeast;
  // The spread is one of ratios about 1.
  const bool met = measured && (at_least ? *measured >= limit * (1 - spread / 2)
                                         : *measured <= limit * (1 + spread / 2));
  std::ostringstream text;
  text << (at_least ? ">= " : "<= ") << limit;
  return {
      {machine.name, of.scenario.name, strategy, asked.figure, Joined(asked.against), text.str(),
       !measured              ? "-"
       : spread > kMostSpread ? "not decidable here"
       : met                  ? "met"
                              : "missed"},
      {measured, spread * 100}};
}

Table MachinesTable() {
  return {"machines",
          "What is promised: medians of ratios of one round; the spread is that of SQLite at 1000 "
          "frames against itself",
          {"machine", "case", "strategy", "figure", "against the best of", "asked", "result"},
          {"measured", "spread_percent"},
          {}};
}

void Run(const Machine& machine, std::size_t condition, const Options& options,
         const std::string& directory, Report& report) {
  for (const Case& each : Cases(options)) {
    std::vector<Outcome> outcomes;
    for (const Variant& variant : kSqlite) outcomes.push_back({variant, {}});
    outcomes.push_back({kLongLog, {}});
    outcomes.push_back({kControl, {}});
    for (const char* strategy : each.strategies) outcomes.push_back({{strategy}, {}});
    std::vector<Variant> variants;
    for (const Outcome& outcome : outcomes) variants.push_back(outcome.variant);
    RunScenario(each.scenario, variants, options.rounds, directory,
                [&](std::size_t i, const std::vector<Measured>& segments) {
                  outcomes[i].rounds.push_back(Summarize(segments));
                });
    const std::vector<std::string> figures = {
        "ops_per_s", "free_ops_per_s", "p50_us", "p95_us",  "p99_us",     "p99.9_us",
        "max_us",    "stall_ms",       "cpu_us", "hook_ms", "wal_max_mb", "written_mb"};
    Table commits{"commits",
                  std::string(machine.name) + "; " + each.scenario.name + ": " +
                      each.scenario.Description() + "; median of " +
                      std::to_string(options.rounds) + " rounds",
                  {"machine", "case", "variant"},
                  figures,
                  {}};
    for (const Outcome& outcome : outcomes) {
      commits.rows.push_back(
          RowOf({machine.name, each.scenario.name, outcome.variant.name}, outcome.rounds, figures));
    }
    report.Add(commits);
    Table verdicts = MachinesTable();
    for (const char* strategy : each.strategies) {
      for (const Asked& asked : each.asked) {
        verdicts.rows.push_back(Judge(outcomes, each, machine, condition, strategy, asked));
      }
    }
    report.Add(verdicts);
  }
}

}  // namespace

void RunMachinesBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const bool is_given = options.cpus != 0 || options.busy != 0;
  for (std::size_t i = 0; i < std::size(kMachines); ++i) {
    const Machine& machine = kMachines[i];
    if (is_given &&
        (machine.busy != options.busy || (options.cpus != 0 && machine.cpus != options.cpus))) {
      continue;
    }
    std::unique_ptr<Condition> condition;
    if (!is_given) condition = std::make_unique<Condition>(machine.cpus, machine.busy);
    Run(machine, i, options, scratch.path(), report);
  }
}

}  // namespace walmanager::bench
