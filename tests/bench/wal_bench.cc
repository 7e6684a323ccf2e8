// wal_bench: what the extension costs and gains, as ratios against SQLite itself in the same run.
// Run by hand, on a machine that does nothing else; see kUsage in options.h.
//
// A plain program rather than Google Benchmark, which runs each benchmark to its end and compares
// aggregates: here a figure is the median of ratios or differences between neighbours in time,
// percentiles up to p99.99 need every latency, and every segment needs a fresh database, outside
// the time taken, and a process of its own.
#include <cstdio>
#include <fstream>

#include "tests/bench/backup_bench.h"
#include "tests/bench/commit_bench.h"
#include "tests/bench/condition.h"
#include "tests/bench/conversation_bench.h"
#include "tests/bench/hook_bench.h"
#include "tests/bench/load_bench.h"
#include "tests/bench/machines_bench.h"
#include "tests/bench/options.h"
#include "tests/bench/pool_bench.h"
#include "tests/bench/profiles_bench.h"
#include "tests/bench/report.h"
#include "tests/bench/scale_bench.h"
#include "tests/bench/scenario.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/statement_bench.h"

namespace walmanager::bench {
namespace {

void RunPoolAndPointReads(const Options& options, Report& report) {
  RunPoolBench(options, report);
  RunPointReadBench(options, report);
}

void Run(const Options& options) {
  std::ofstream json;
  if (!options.json_file.empty()) {
    json.open(options.json_file);
    if (!json) Fail("--json: '" + options.json_file + "' cannot be written");
  }
  Report report;
  const Condition condition(options.cpus, options.busy);
  report.machine = DescribeMachine();
  report.machine.push_back(condition.text());
  report.PrintMachine();
  switch (options.mode) {
    case Options::Mode::kFigures:
      RunCommitBench(PromisedCases(options), options, report);
      if (options.Includes("hook")) RunHookBench(options, report);
      if (options.Includes("statements")) RunStatementBench(options, report);
      if (options.Includes("load")) RunLoadBench(options, report);
      if (options.Includes("pool")) RunPoolAndPointReads(options, report);
      if (options.Includes("backup")) RunBackupBench(options, report);
      break;
    case Options::Mode::kMatrix:
      RunCommitBench(Grid(options), options, report);
      break;
    case Options::Mode::kConversation:
      RunConversationBench(options, report);
      break;
    case Options::Mode::kHook:
      RunHookBench(options, report);
      break;
    case Options::Mode::kStatements:
      RunStatementBench(options, report);
      break;
    case Options::Mode::kLoad:
      RunLoadBench(options, report);
      break;
    case Options::Mode::kPool:
      RunPoolAndPointReads(options, report);
      break;
    case Options::Mode::kBackup:
      RunBackupBench(options, report);
      break;
    case Options::Mode::kProfiles:
      RunProfilesBench(options, report);
      break;
    case Options::Mode::kScale:
      RunScaleBench(options, report);
      break;
    case Options::Mode::kMachines:
      RunMachinesBench(options, report);
      break;
  }
  report.PrintTargets();
  if (json.is_open() && !(json << report.Json()).flush()) {
    Fail("--json: '" + options.json_file + "' could not be written whole");
  }
}

}  // namespace
}  // namespace walmanager::bench

int main(int argc, char** argv) {
  using namespace walmanager::bench;
  const auto options = ParseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) {
    std::fprintf(stderr, "wal_bench: %s\n\n%s", options.error().message.c_str(), kUsage);
    return 2;
  }
  try {
    Run(options.value());
  } catch (const std::exception& failure) {
    std::fflush(stdout);
    std::fprintf(stderr, "wal_bench: %s\n", failure.what());
    return 1;
  }
  return 0;
}
