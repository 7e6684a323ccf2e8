// What a chat application does with its database, one kind of work at a time. The extension is
// measured twice: merely loaded, with the pragmas that the application sets itself, and with the
// `conversation` profile, whose larger cache and mapped file are part of what it offers.
#include "tests/bench/conversation_bench.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <memory>

#include "tests/bench/conversation.h"
#include "tests/bench/measured.h"
#include "tests/bench/rounds.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {
namespace {

constexpr int kSegments = 2;
constexpr std::uint64_t kBeforeBeginNs = 20'000'000;  // for all threads to have started
const std::vector<std::string> kColumns = {"ops_per_s", "rows_per_s", "mean_ms", "p95_ms",
                                           "cpu_us",    "rss_mb",     "pss_mb"};

struct Activity {
  const char* name;
  int clients;     // at the same time, each with a connection and a thread
  int operations;  // of a segment, all clients together
  int rows;        // of an operation, where rows are what counts
  void (ConversationClient::*run)();
};
constexpr Activity kActivities[] = {
    {"individual writes", 1, 5000, 0, &ConversationClient::WriteMessage},
    {"individual reads", 1, 20'000, 0, &ConversationClient::Read},
    {"batch writes of 25 rows", 1, 400, kBatchMessages, &ConversationClient::WriteBatch},
    {"complex analytics", 1, 300, 0, &ConversationClient::Analyze},
    {"100 concurrent readers", 100, 30'000, 0, &ConversationClient::Read},
};

void SetPragmas(Db& db) {
  db.Exec(
      "PRAGMA busy_timeout=30000; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
      "PRAGMA foreign_keys=ON");
}

struct Client {
  const char* name;
  void (*prepare)(Db&);
};
constexpr Client kClients[] = {
    {"sqlite", SetPragmas},
    {"walmanager",
     [](Db& db) {
       SetPragmas(db);
       db.LoadExtension();
     }},
    {"walmanager, profile conversation",
     [](Db& db) {
       SetPragmas(db);
       db.LoadExtension();
       db.Query("SELECT wal_configure('conversation')");
     }},
};

void Work(const Activity& activity, const Client& client, const std::string& path,
          const Measured& measured) {
  const auto count = static_cast<std::size_t>(activity.clients);
  const Prose prose;
  std::vector<std::unique_ptr<Db>> connections;
  std::vector<std::unique_ptr<ConversationClient>> clients;
  for (std::size_t i = 0; i < count; ++i) {
    connections.push_back(std::make_unique<Db>(path));
    client.prepare(*connections.back());
    clients.push_back(std::make_unique<ConversationClient>(*connections.back(), prose, i + 1));
  }
  const std::uint64_t cpu_begin = CpuTime();
  const std::uint64_t begin = Now() + kBeforeBeginNs;
  std::vector<std::future<void>> working;
  for (std::size_t i = 0; i < count; ++i) {
    working.push_back(std::async(std::launch::async, [&, i] {
      SleepUntil(begin);
      for (Operation& operation : measured.operations.Part(i, count)) {
        const std::uint64_t start = Now();
        (*clients[i].*activity.run)();
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
  RunInProcess([&] { Work(activity, client, path, measured); });
  return measured;
}

}  // namespace

void RunConversationBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::string path = scratch.path() + "/conversation.template";
  RunInProcess([&] {
    Db db(path);
    ConversationClient::Fill(db, Prose());
  });
  Table table{"conversation",
              "Conversation workload, synchronous=NORMAL; median of " +
                  std::to_string(options.rounds) + " rounds of " + std::to_string(kSegments) +
                  " segments",
              {"activity", "variant"},
              kColumns,
              {}};
  for (const Activity& activity : kActivities) {
    std::vector<Rounds> rounds(std::size(kClients));
    Alternate(
        options.rounds, kSegments, std::size(kClients),
        [&](std::size_t i) {
          return RunSegment(activity, kClients[i], path, scratch.path(), options.scale);
        },
        [&](std::size_t i, const std::vector<Measured>& segments) {
          Figures figures = Summarize(segments);
          if (activity.rows > 0) figures["rows_per_s"] = figures["ops_per_s"] * activity.rows;
          rounds[i].push_back(figures);
        });
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      table.rows.push_back(RowOf({activity.name, kClients[i].name}, rounds[i], kColumns));
    }
  }
  report.Add(table);
}

}  // namespace walmanager::bench
