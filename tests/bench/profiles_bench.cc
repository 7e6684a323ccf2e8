// The work of a profile runs in one process and in four, as fast as it goes, with SQLite, SQLite
// once more, and the profile in turn, each on a fresh copy of one database of 10,000 messages. So
// that the profile is compared with what a program does that knows SQLite, SQLite has WAL mode, the
// profile's synchronous and foreign keys, and is otherwise left at its defaults. A connection waits
// up to 30 s for a lock in all of them, because the work would end with an error otherwise.
#include "tests/bench/profiles_bench.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <memory>
#include <optional>

#include "tests/bench/comparison.h"
#include "tests/bench/conversation.h"
#include "tests/bench/measured.h"
#include "tests/bench/process.h"
#include "tests/bench/statistics.h"
#include "tests/bench/turns.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {
namespace {

constexpr int kProcesses[] = {1, 4};
constexpr int kWarmUp = 20;  // operations of each connection before the clock starts
constexpr std::uint64_t kBeforeBeginNs = 20'000'000;
constexpr std::uint64_t kMostWaitNs = 20'000'000'000;  // for the other processes
constexpr char kBusyTimeout[] = "30000";

struct Work {
  const char* profile;
  const char* synchronous;
  int connections;  // of each process, each with a thread
  // Operations of a segment, all processes together, and how many in a hundred write a message or
  // ask for an analysis; the others read.
  int operations;
  int writes;
  int analyses;
  // For this work the time of one operation counts, too.
  bool even;
};
constexpr Work kWork[] = {
    {"conversation", "NORMAL", 1, 15'000, 40, 1, false},
    {"high_concurrency", "NORMAL", 8, 15'000, 20, 0, false},
    {"low_latency", "NORMAL", 1, 15'000, 70, 0, true},
    {"durable", "FULL", 1, 4'000, 80, 0, false},
    {"embedded", "NORMAL", 1, 15'000, 30, 0, false},
    {"web", "NORMAL", 4, 20'000, 5, 0, false},
};

void Prepare(Db& db, const Work& work, Variant variant, const std::string& overrides) {
  if (variant != kLoaded) {
    db.Exec(std::string("PRAGMA busy_timeout=") + kBusyTimeout +
            "; PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA synchronous=" +
            work.synchronous);
    return;
  }
  db.LoadExtension();
  db.Exec(std::string("PRAGMA busy_timeout=") + kBusyTimeout);
  db.Query(std::string("SELECT wal_configure('") + work.profile + "', '" + overrides + "')");
  db.Exec(std::string("PRAGMA busy_timeout=") + kBusyTimeout);
}

// One of the processes of a segment.
struct Place {
  std::size_t process, processes;
  std::atomic<std::uint64_t>& ready;  // counts the processes that have opened their connections
  std::uint64_t& elapsed_ns;
  std::uint64_t& log_bytes;
};

void AwaitReady(const Place& place, std::size_t processes) {
  for (const std::uint64_t since = Now(); place.ready < processes;) {
    if (Now() - since > kMostWaitNs) Fail("another measuring process did not begin");
    SleepUntil(Now() + 1'000'000);
  }
}

// Raises `largest` to the size of the log now. stat never opens the file.
void SeeLog(const std::string& path, std::uint64_t& largest) {
  struct stat status {};
  if (stat((path + "-wal").c_str(), &status) == 0) {
    largest = std::max(largest, static_cast<std::uint64_t>(status.st_size));
  }
}

// Opens the connections, after the process before it has, because SQLite's first look at a database
// locks it; waits until all processes have, and works.
void DoWork(const Work& work, Variant variant, const std::string& overrides,
            const std::string& path, const SharedArray<std::uint64_t>& times, const Place& place) {
  const auto count = static_cast<std::size_t>(work.connections);
  const Prose prose;
  AwaitReady(place, place.process);
  std::vector<std::unique_ptr<Db>> connections;
  std::vector<std::unique_ptr<ConversationClient>> clients;
  for (std::size_t i = 0; i < count; ++i) {
    connections.push_back(std::make_unique<Db>(path));
    Prepare(*connections.back(), work, variant, overrides);
    clients.push_back(std::make_unique<ConversationClient>(*connections.back(), prose,
                                                           place.process * count + i + 1));
    for (int k = 0; k < kWarmUp; ++k) clients.back()->Read();
  }
  ++place.ready;
  AwaitReady(place, place.processes);
  const std::uint64_t begin = Now() + kBeforeBeginNs;
  std::vector<std::future<void>> working;
  for (std::size_t i = 0; i < count; ++i) {
    working.push_back(std::async(std::launch::async, [&, i] {
      std::mt19937 random(static_cast<unsigned>(place.process * count + i));
      SleepUntil(begin);
      for (std::uint64_t& ns : times.Part(place.process * count + i, place.processes * count)) {
        const auto chance = static_cast<int>(random() % 100);
        const std::uint64_t start = Now();
        if (chance < work.writes) {
          clients[i]->WriteMessage();
        } else if (chance < work.writes + work.analyses) {
          clients[i]->Analyze();
        } else {
          clients[i]->Read();
        }
        ns = Now() - start;
        if (i == 0) SeeLog(path, place.log_bytes);
      }
    }));
  }
  for (auto& worker : working) worker.get();
  place.elapsed_ns = Now() - begin;
}

struct Segment {
  double operation_us;  // of the time of all, for each operation
  double p999_us;
  double log_mb;
};

Segment RunSegment(const Work& work, Variant variant, int processes, const Options& options,
                   const std::string& template_path, const std::string& directory) {
  const auto count = static_cast<std::size_t>(processes);
  const long operations = std::max(100L, std::lround(work.operations * options.scale));
  const SharedArray<std::uint64_t> times(static_cast<std::size_t>(operations)), elapsed(count),
      log(count);
  const SharedArray<std::atomic<std::uint64_t>> ready(1);
  const ScratchDirectory scratch(directory);
  const std::string path = scratch.path() + "/profile.db";
  CopyAndSync(template_path, path);
  RunInProcesses(count, [&](std::size_t i) {
    DoWork(work, variant, options.overrides, path, times, {i, count, ready[0], elapsed[i], log[i]});
  });
  std::vector<std::uint64_t> sorted(times.begin(), times.end());
  std::sort(sorted.begin(), sorted.end());
  const auto longest = static_cast<double>(*std::max_element(elapsed.begin(), elapsed.end()));
  return {longest / 1e3 / static_cast<double>(operations), Quantile(sorted, 0.999) / 1e3,
          static_cast<double>(*std::max_element(log.begin(), log.end())) / 1e6};
}

void Measure(const Work& work, int processes, const Options& options,
             const std::string& template_path, const std::string& directory, Table& table) {
  const std::string name = std::string(work.profile) + ", " + std::to_string(processes) +
                           (processes == 1 ? " process: " : " processes: ");
  Comparison speed(name + "us for an operation", {.ratio = 1});
  Comparison tail(name + "p99.9 of an operation, us", {.ratio = 1, .judged = work.even});
  Comparison log(name + "largest log, MB", {.ratio = 1, .judged = false});
  for (int pair = 0; pair < options.pairs; ++pair) {
    Turn speeds, tails, logs;
    for (std::size_t step = 0; step < std::size(kVariants); ++step) {
      const auto variant =
          kVariants[(step + static_cast<std::size_t>(pair)) % std::size(kVariants)];
      const Segment segment =
          RunSegment(work, variant, processes, options, template_path, directory);
      speeds[variant] = segment.operation_us;
      tails[variant] = segment.p999_us;
      logs[variant] = segment.log_mb;
    }
    speed.Add(speeds);
    tail.Add(tails);
    log.Add(logs);
  }
  for (const Comparison* comparison : {&speed, &tail, &log}) {
    table.rows.push_back(comparison->Row());
  }
}

}  // namespace

void RunProfilesBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::string path = scratch.path() + "/profiles.template";
  RunInProcess([&] {
    Db db(path);
    ConversationClient::Fill(db, Prose());
  });
  for (const Work& work : kWork) {
    if (!options.only_profile.empty() && options.only_profile != work.profile) continue;
    Table table = Comparison::MakeTable(
        "profiles", std::string(work.profile) + " against SQLite's defaults in WAL mode: " +
                        std::to_string(work.connections) +
                        (work.connections == 1 ? " connection" : " connections") + " a process, " +
                        std::to_string(work.writes) + " % writes, synchronous=" + work.synchronous);
    for (const int processes : kProcesses) {
      Measure(work, processes, options, path, scratch.path(), table);
    }
    report.Add(table);
  }
}

}  // namespace walmanager::bench
