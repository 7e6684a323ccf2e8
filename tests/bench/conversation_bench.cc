// The work of a chat application on its database, one kind of work at a time, and the same kinds on
// rows of 100 bytes. The extension is
// measured twice: merely loaded, with the pragmas that the application sets itself, and with the
// `conversation` profile, which sets a larger cache and a mapped file.
#include "tests/bench/conversation_bench.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <future>
#include <memory>
#include <span>

#include "tests/bench/conversation.h"
#include "tests/bench/light_client.h"
#include "tests/bench/measured.h"
#include "tests/bench/rounds.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {
namespace {

constexpr int kSegments = 2, kPointReadsPerRound = 5;
constexpr std::uint64_t kBeforeBeginNs = 20'000'000;  // for all threads to have started
const std::vector<std::string> kColumns = {"ops_per_s", "rows_per_s", "mean_ms", "p95_ms",
                                           "cpu_us",    "rss_mb",     "pss_mb"};

// Makes what one client does again and again. `seed` tells clients apart.
using Work = std::function<void()>;
using MakeWork = Work (*)(Db&, const Prose&, std::uint64_t seed);

template <void (ConversationClient::*run)()>
Work Talk(Db& db, const Prose& prose, std::uint64_t seed) {
  return [client = std::make_shared<ConversationClient>(db, prose, seed)] { (*client.*run)(); };
}

template <void (LightClient::*run)()>
Work Light(Db& db, const Prose&, std::uint64_t seed) {
  return [client = std::make_shared<LightClient>(db, seed)] { (*client.*run)(); };
}

struct Activity {
  const char* name;
  int clients;     // at the same time, each with a connection and a thread
  int operations;  // of a segment, all clients together
  int rows;        // of an operation, where rows are what counts
  MakeWork work;
  int warm_up = 0;             // operations of each client before the clock starts
  std::uint64_t every_ns = 0;  // of each client; 0: as fast as they go
};
constexpr Activity kActivities[] = {
    {"individual writes", 1, 5000, 0, Talk<&ConversationClient::WriteMessage>},
    {"individual reads", 1, 20'000, 0, Talk<&ConversationClient::Read>},
    {"batch writes of 25 rows", 1, 400, kBatchMessages, Talk<&ConversationClient::WriteBatch>},
    {"complex analytics", 1, 300, 0, Talk<&ConversationClient::Analyze>},
    {"100 concurrent readers", 100, 30'000, 0, Talk<&ConversationClient::Read>},
    {"light: individual writes", 1, 40'000, 0, Light<&LightClient::Write>},
    {"light: individual reads", 1, 200'000, 0, Light<&LightClient::Read>},
    {"light: batch writes of 100 rows", 1, 2'000, kLightBatch, Light<&LightClient::WriteBatch>},
    {"light: analytics of 1000 rows", 1, 5'000, 0, Light<&LightClient::Analyze>},
    {"light: 100 concurrent readers", 100, 200'000, 0, Light<&LightClient::Read>},
};
// Without a pace, the scheduler decides p99; with one, the cost of a read does. In a
// process of two seconds the first evaluation of alerts, which is once in its life, is a part of
// that.
struct PointReads {
  Activity activity;
  bool has_target;
};
constexpr PointReads kPointReads[] = {
    {{"saturating", 100, 200'000, 0, Talk<&ConversationClient::ReadMessage>, 10}, true},
    {{"200 a second each, 10 s", 100, 200'000, 0, Talk<&ConversationClient::ReadMessage>, 10,
      5'000'000},
     true},
    {{"200 a second each, 2 s", 100, 40'000, 0, Talk<&ConversationClient::ReadMessage>, 10,
      5'000'000},
     false},
};
constexpr double kPointReadTarget = 1.05;

void SetPragmas(Db& db) {
  db.Exec(
      "PRAGMA busy_timeout=30000; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
      "PRAGMA foreign_keys=ON");
}

void SetPragmasAndLoad(Db& db) {
  SetPragmas(db);
  db.LoadExtension();
}

struct Client {
  const char* name;
  void (*prepare)(Db&);
};
constexpr Client kClients[] = {
    {"sqlite", SetPragmas},
    {"walmanager", SetPragmasAndLoad},
    {"walmanager, profile conversation",
     [](Db& db) {
       SetPragmasAndLoad(db);
       db.Query("SELECT wal_configure('conversation')");
     }},
};
constexpr Client kPointReadClients[] = {
    {"sqlite", SetPragmas}, {"sqlite again", SetPragmas}, {"walmanager", SetPragmasAndLoad}};

void RunClients(const Activity& activity, const Client& client, const std::string& path,
                const Measured& measured) {
  const auto count = static_cast<std::size_t>(activity.clients);
  const Prose prose;
  std::vector<std::unique_ptr<Db>> connections;
  std::vector<Work> clients;
  for (std::size_t i = 0; i < count; ++i) {
    connections.push_back(std::make_unique<Db>(path));
    client.prepare(*connections.back());
    clients.push_back(activity.work(*connections.back(), prose, i + 1));
    for (int k = 0; k < activity.warm_up; ++k) clients.back()();
  }
  const std::uint64_t cpu_begin = CpuTime();
  const std::uint64_t begin = Now() + kBeforeBeginNs;
  std::vector<std::future<void>> working;
  for (std::size_t i = 0; i < count; ++i) {
    working.push_back(std::async(std::launch::async, [&, i] {
      std::uint64_t next = begin + activity.every_ns * i / count;
      SleepUntil(next);
      for (Operation& operation : measured.operations.Part(i, count)) {
        if (activity.every_ns > 0) SleepUntil(next);
        next += activity.every_ns;
        const std::uint64_t start = Now();
        clients[i]();
        operation.ns = Now() - start;
      }
    }));
  }
  for (auto& worker : working) worker.get();
  Totals& totals = measured.totals();
  totals.elapsed_ns = Now() - begin;
  totals.cpu_ns = CpuTime() - cpu_begin;
  totals.use = UseOfThisProcess();
}

Measured RunSegment(const Activity& activity, const Client& client,
                    const std::string& template_path, const std::string& directory, double scale) {
  const long operations = std::max(1L, std::lround(activity.operations * scale));
  Measured measured(static_cast<std::size_t>(operations), 0);
  const ScratchDirectory scratch(directory);
  const std::string path = scratch.path() + "/conversation.db";
  CopyAndSync(template_path, path);
  RunInProcess([&] { RunClients(activity, client, path, measured); });
  return measured;
}

std::string MakeTemplate(const std::string& directory) {
  const std::string path = directory + "/conversation.template";
  RunInProcess([&] {
    Db db(path);
    ConversationClient::Fill(db, Prose());
    LightClient::Fill(db);
  });
  return path;
}

// The figures of each client.
std::vector<Rounds> Measure(const Activity& activity, std::span<const Client> clients, int rounds,
                            int segments, double scale, const std::string& template_path,
                            const std::string& directory) {
  std::vector<Rounds> all(clients.size());
  Alternate(
      rounds, segments, clients.size(),
      [&](std::size_t i) {
        return RunSegment(activity, clients[i], template_path, directory, scale);
      },
      [&](std::size_t i, const std::vector<Measured>& measured) {
        Figures figures = Summarize(measured);
        if (activity.rows > 0) figures["rows_per_s"] = figures["ops_per_s"] * activity.rows;
        all[i].push_back(figures);
      });
  return all;
}

}  // namespace

void RunConversationBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::string path = MakeTemplate(scratch.path());
  Table table{"conversation",
              "Conversation workload, synchronous=NORMAL; median of " +
                  std::to_string(options.rounds) + " rounds of " + std::to_string(kSegments) +
                  " segments",
              {"activity", "variant"},
              kColumns,
              {}};
  for (const Activity& activity : kActivities) {
    const auto rounds =
        Measure(activity, kClients, options.rounds, kSegments, options.scale, path, scratch.path());
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      table.rows.push_back(RowOf({activity.name, kClients[i].name}, rounds[i], kColumns));
    }
  }
  report.Add(table);
}

void RunPointReadBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::string path = MakeTemplate(scratch.path());
  const std::vector<std::string> figures = {"ops_per_s", "p50_us",   "p95_us",
                                            "p99_us",    "p99.9_us", "cpu_us"};
  // A round is one segment: now and then one has readers that wait for each other all the time,
  // with or without the extension, and put together with others it would make up their p99, too.
  const int rounds = options.rounds * kPointReadsPerRound;
  Table table{"point_reads",
              "100 concurrent readers of one message by its key, without and with the extension "
              "loaded; median of " +
                  std::to_string(rounds) + " segments, and of their ratios to sqlite",
              {"pace", "variant"},
              figures,
              {}};
  table.number_columns.push_back("p99_ratio");
  for (const auto& [activity, has_target] : kPointReads) {
    const auto measured =
        Measure(activity, kPointReadClients, rounds, 1, options.scale, path, scratch.path());
    for (std::size_t i = 0; i < measured.size(); ++i) {
      table.rows.push_back(RowOf({activity.name, kPointReadClients[i].name}, measured[i], figures));
      table.rows.back().numbers.push_back(MedianOf(Ratios(measured[i], measured[0], "p99_us")));
    }
    if (!has_target) continue;
    report.targets.push_back(
        {"pool", std::string("p99 of point reads by 100 readers, ") + activity.name + ", ratio",
         table.rows.back().numbers.back(), Target::Bound::kAtMost, kPointReadTarget});
  }
  report.Add(table);
}

}  // namespace walmanager::bench
