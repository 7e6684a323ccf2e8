#include "tests/bench/scenario.h"

#include <algorithm>
#include <cmath>

namespace walmanager::bench {
namespace {

constexpr auto kAtLeast = Target::Bound::kAtLeast;
constexpr auto kAtMost = Target::Bound::kAtMost;
constexpr int kFullWarmUp = 5000;
constexpr char kDefault[] = "conversation_workload";

constexpr int kHoldAfterMs = 500;
constexpr int kSecondsAfterHold = 5;
constexpr int kHoldRate = 3000;

int Scaled(int commits, const Options& options) {
  return std::max(1, static_cast<int>(std::lround(commits * options.scale)));
}

Promise Tail(const char* strategy, double limit) {
  return {strategy, "p99.9_us", "sqlite-1000", kAtMost, limit};
}
Promise Stalls(const char* strategy, double limit) {
  return {strategy, "stall_ms", "sqlite-4000", kAtMost, limit};
}
Promise Throughput(const char* strategy, double limit) {
  return {strategy, "ops_per_s", "sqlite-1000", kAtLeast, limit};
}
Promise LongLogThroughput(const char* strategy, double limit) {
  return {strategy, "ops_per_s", kLongLog.name, kAtLeast, limit};
}
Promise Log(const char* strategy, double limit) {
  return {strategy, "wal_max_mb", "", kAtMost, limit};
}

// p99.9 of 40000 commits, two segments of 20000, is the 40th slowest. SQLite's autocheckpoint at
// 1000 frames makes one commit in 900 (append) or 430 (indexed) slow, so its p99.9 is a checkpoint.
// On `append` it is the shortest of them, which is why saturating segments have twice as many.
std::vector<Scenario> Cases(const Options& options) {
  return {
      {.name = "indexed-paced",
       .workload = "indexed",
       .rate = 5000,
       .commits = 20'000,
       .promises = {Tail("low_latency", 0.05), Stalls("low_latency", 0.1),
                    Throughput("low_latency", 0.99), Log("low_latency", 32)}},
      {.name = "indexed-saturating",
       .workload = "indexed",
       .commits = 40'000,
       .promises = {Tail("low_latency", 0.08), Stalls("low_latency", 0.15),
                    Throughput("low_latency", 1.5), LongLogThroughput("low_latency", 1.15),
                    Log("low_latency", 64), Throughput(kDefault, 0.95), Tail(kDefault, 1.05)}},
      {.name = "append-saturating",
       .workload = "append",
       .commits = 40'000,
       .promises = {Tail("low_latency", 0.1), Stalls("low_latency", 0.1),
                    Throughput("low_latency", 1.2), LongLogThroughput("low_latency", 1.15),
                    Log("low_latency", 64), Throughput(kDefault, 0.95), Tail(kDefault, 1.05)}},
      {.name = "indexed-full",
       .workload = "indexed",
       .synchronous = "FULL",
       .commits = 15'000,
       .warm_up = kFullWarmUp,
       .promises = {Tail(kDefault, 1), Stalls(kDefault, 1), Throughput(kDefault, 0.95),
                    Log(kDefault, 32)}},
      {.name = "append-full",
       .workload = "append",
       .synchronous = "FULL",
       .commits = 15'000,
       .warm_up = kFullWarmUp,
       .promises = {Tail(kDefault, 1), Stalls(kDefault, 1), Throughput(kDefault, 0.95),
                    Log(kDefault, 32)}},
      {.name = "overlapping-readers",
       .workload = "indexed",
       .rate = 4000,
       .readers = {.count = 8, .hold_ms = 20},
       .commits = 20'000,
       .promises = {Tail("high_concurrency", 1), Throughput("high_concurrency", 0.99),
                    Log("high_concurrency", 64)}},
      // The reader leaves early enough to see what becomes of the log. One segment a round: it is
      // long enough for a p99.9, and two would take half of the whole run.
      {.name = "long-reader",
       .workload = "indexed",
       .rate = kHoldRate,
       .readers = {.count = 1,
                   .hold_ms = options.hold_s * 1000,
                   .once = true,
                   .first_after_ms = kHoldAfterMs},
       .commits =
           kHoldRate * (options.hold_s + kSecondsAfterHold) + kHoldRate * kHoldAfterMs / 1000,
       .segments = 1,
       .promises = {{kDefault, "held_p99.9_us", "sqlite-1000", kAtMost, 1},
                    Stalls(kDefault, 0.5),
                    Throughput(kDefault, 0.97),
                    {kDefault, "reset_after_s", "", kAtMost, 1}}},
  };
}

// Four or more of them make about 4000 SELECTs a second together, however many they are.
Readers Polling(int count) { return {.count = count, .gap_ms = std::max(1, count / 4)}; }

template <typename T>
std::vector<T> Only(const std::optional<T>& one, std::vector<T> all) {
  return one ? std::vector<T>{*one} : all;
}

Scenario Cell(const std::string& workload, const std::string& synchronous, int rate, int readers,
              int writers, const Options& options) {
  const bool full = synchronous == "FULL";
  return {.name = workload + " " + synchronous + " " +
                  (rate ? std::to_string(rate) + "/s" : "max") + " r" + std::to_string(readers) +
                  " w" + std::to_string(writers),
          .workload = workload,
          .rate = rate,
          .synchronous = synchronous,
          .readers = Polling(readers),
          .writers = writers,
          .commits = Scaled(full ? 8000 : 20'000, options),
          .warm_up = full ? Scaled(kFullWarmUp, options) : 0};
}

}  // namespace

std::string Scenario::Description() const {
  std::string text = workload + ", synchronous=" + synchronous + ", " +
                     (rate > 0 ? std::to_string(rate) + " commits/s" : "saturating") + ", " +
                     std::to_string(writers) + (writers == 1 ? " writer, " : " writers, ") +
                     std::to_string(readers.count) + (readers.count == 1 ? " reader" : " readers");
  if (readers.hold_ms > 0) {
    text += readers.once ? " that holds a snapshot once for " : " that hold a snapshot for ";
    text += std::to_string(readers.hold_ms) + " ms";
  }
  if (readers.count > 0 && !readers.once) {
    text += readers.gap_ms > 0 ? ", then wait " + std::to_string(readers.gap_ms) + " ms"
                               : " without a gap";
  }
  text += ", " + std::to_string(commits) + " commits a segment";
  if (warm_up > 0) text += " after " + std::to_string(warm_up) + " to warm up";
  return text;
}

std::vector<Scenario> PromisedCases(const Options& options) {
  std::vector<Scenario> cases;
  for (Scenario& scenario : Cases(options)) {
    if (!options.only_case.empty() && options.only_case != scenario.name) continue;
    // How long a snapshot is held is set by --hold alone.
    if (!scenario.readers.once) scenario.commits = Scaled(scenario.commits, options);
    scenario.warm_up = scenario.warm_up > 0 ? Scaled(scenario.warm_up, options) : 0;
    for (Promise& promise : scenario.promises) {
      if (!options.strategies.empty()) promise.strategy = options.strategies.front();
    }
    cases.push_back(std::move(scenario));
  }
  return cases;
}

std::vector<Scenario> Grid(const Options& options) {
  std::vector<Scenario> cells;
  for (const auto& workload : Only<std::string>(options.workload, {"append", "indexed"})) {
    for (const auto& synchronous : Only<std::string>(options.synchronous, {"NORMAL", "FULL"})) {
      // Rates that this disk can follow; 0: saturating.
      for (const int rate : Only(options.rate, {synchronous == "FULL" ? 1500 : 5000, 0})) {
        for (const int readers : Only(options.readers, {0, 4, 100})) {
          for (const int writers : Only(options.writers, {1, 4})) {
            cells.push_back(Cell(workload, synchronous, rate, readers, writers, options));
          }
        }
      }
    }
  }
  return cells;
}

}  // namespace walmanager::bench
