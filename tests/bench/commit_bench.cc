// A segment is one variant on one table for a number of commits, from a fresh and synced copy of
// the same database, so that no segment finds what another left. In each round every variant has
// two segments, once in their order and once backwards, which count together: a disk that gets
// slower or faster meanwhile, as disks do, is nobody's advantage. Only figures of one round are
// compared. A latency is that of sqlite3_step and sqlite3_reset of an autocommit INSERT, without
// its wait for the pace. `cpu_us` is what the process used per commit, user and system: the figure
// that other programs on the machine disturb least.
//
// The p99.9 of 40000 commits is the 40th slowest. On `append` that is about the number of
// checkpoints (a commit writes 1.1 frames), so it compares the shortest of them.
#include "tests/bench/commit_bench.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>

#include "tests/bench/sqlite_db.h"
#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr int kRowsAtStart = 100'000;
constexpr int kPayloadBytes = 180;
constexpr int kCommitsBetweenLooksAtLog = 256;
constexpr std::uint64_t kStallNs = 1'000'000;
constexpr char kInsert[] = "INSERT INTO message(number, payload) VALUES (?1, ?2)";

struct Workload {
  const char* name;
  const char* schema;
};
constexpr Workload kWorkloads[] = {
    {"append", "CREATE TABLE message(id INTEGER PRIMARY KEY, number INTEGER, payload BLOB);"},
    {"indexed",
     "CREATE TABLE message(id INTEGER PRIMARY KEY, number INTEGER, payload BLOB);"
     "CREATE INDEX message_by_number ON message(number);"},
};

struct Variant {
  std::string name;
  bool extension = false;  // with it: `name` is the strategy
};

// What one segment came to. Kept by name, so that tables and ratios need no second list.
using Figures = std::map<std::string, double>;
constexpr const char* kFigures[] = {"ops_per_s", "p50_us", "p95_us",   "p99_us", "p99.9_us",
                                    "p99.99_us", "max_us", "stall_ms", "cpu_us", "wal_max_mb"};
constexpr const char* kRatios[] = {"ops_per_s", "p99.9_us", "p99.99_us", "stall_ms", "cpu_us"};

class RowSource {
 public:
  explicit RowSource(Db& db) : insert_(db.get(), kInsert), random_(20240229) {
    payload_.resize(kPayloadBytes);
    for (char& byte : payload_) byte = static_cast<char>(random_());
  }
  void BindNext() {
    sqlite3_bind_int64(insert_.get(), 1, static_cast<sqlite3_int64>(random_() >> 1));
    sqlite3_bind_blob(insert_.get(), 2, payload_.data(), kPayloadBytes, SQLITE_STATIC);
  }
  void Insert() { insert_.Run(); }

 private:
  Statement insert_;
  std::mt19937_64 random_;  // the same rows in every segment
  std::string payload_;
};

void SyncFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fsync(fd) != 0) Fail(path + ": cannot be synced");
  close(fd);
}

std::string MakeTemplate(const Workload& workload, const std::string& directory) {
  const std::string path = directory + "/" + workload.name + ".template";
  Db db(path);
  db.Exec("PRAGMA journal_mode=WAL");
  db.Exec(std::string(workload.schema) + "BEGIN");
  RowSource rows(db);
  for (int i = 0; i < kRowsAtStart; ++i) {
    rows.BindNext();
    rows.Insert();
  }
  db.Exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  return path;
}

// Sleeps until `when`, of Now().
void SleepUntil(std::uint64_t when) {
  const timespec until{static_cast<time_t>(when / 1'000'000'000),
                       static_cast<long>(when % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

// What was measured in one segment, or in several of the same variant together.
struct Measured {
  std::vector<std::uint64_t> latencies_ns;
  std::uint64_t elapsed_ns = 0, cpu_ns = 0;
  std::uintmax_t wal_bytes = 0;

  void Add(const Measured& other) {
    latencies_ns.insert(latencies_ns.end(), other.latencies_ns.begin(), other.latencies_ns.end());
    elapsed_ns += other.elapsed_ns;
    cpu_ns += other.cpu_ns;
    wal_bytes = std::max(wal_bytes, other.wal_bytes);
  }
};

Figures Summarize(Measured measured) {
  auto& latencies = measured.latencies_ns;
  std::sort(latencies.begin(), latencies.end());
  std::uint64_t stall_ns = 0;
  for (const std::uint64_t latency : latencies) stall_ns += latency > kStallNs ? latency : 0;
  const auto commits = static_cast<double>(latencies.size());
  const auto us = [&](double quantile) { return Quantile(latencies, quantile) / 1e3; };
  return {{"ops_per_s", commits * 1e9 / static_cast<double>(measured.elapsed_ns)},
          {"p50_us", us(0.5)},
          {"p95_us", us(0.95)},
          {"p99_us", us(0.99)},
          {"p99.9_us", us(0.999)},
          {"p99.99_us", us(0.9999)},
          {"max_us", us(1)},
          {"stall_ms", static_cast<double>(stall_ns) / 1e6},
          {"cpu_us", static_cast<double>(measured.cpu_ns) / 1e3 / commits},
          {"wal_max_mb", static_cast<double>(measured.wal_bytes) / 1e6}};
}

Measured RunSegment(const Variant& variant, const std::string& template_path,
                    const Options& options, const std::string& parent) {
  const ScratchDirectory directory(parent);
  const std::string path = directory.path() + "/bench.db";
  std::filesystem::copy_file(template_path, path);
  SyncFile(path);
  Db db(path);
  db.Exec("PRAGMA synchronous=NORMAL; PRAGMA cache_size=-20000; PRAGMA busy_timeout=5000");
  if (variant.extension) {
    db.LoadExtension();
    db.Query("SELECT wal_strategy('" + variant.name + "')");
  } else {
    db.Exec("PRAGMA wal_autocheckpoint=1000");
  }
  RowSource rows(db);
  const auto commits = static_cast<std::size_t>(options.commits_per_segment);
  const double gap_ns = options.rate > 0 ? 1e9 / options.rate : 0;
  Measured measured;
  measured.latencies_ns.resize(commits);
  const std::uint64_t cpu_begin = CpuTime();
  const std::uint64_t begin = Now();
  for (std::size_t i = 0; i < commits; ++i) {
    rows.BindNext();
    if (gap_ns > 0) SleepUntil(begin + static_cast<std::uint64_t>(static_cast<double>(i) * gap_ns));
    const std::uint64_t start = Now();
    rows.Insert();
    measured.latencies_ns[i] = Now() - start;
    if ((i + 1) % kCommitsBetweenLooksAtLog == 0 || i + 1 == commits) {
      std::error_code none;
      const std::uintmax_t bytes = std::filesystem::file_size(path + "-wal", none);
      if (!none) measured.wal_bytes = std::max(measured.wal_bytes, bytes);
    }
  }
  measured.elapsed_ns = Now() - begin;
  measured.cpu_ns = CpuTime() - cpu_begin;
  return measured;
}

class CommitTables {
 public:
  explicit CommitTables(const Options& options) {
    const std::string pace =
        options.rate > 0 ? std::to_string(options.rate) + " commits/s" : "saturating";
    figures_ = {"commits",
                "One-row commits, one writer, synchronous=NORMAL, " + pace + ", " +
                    std::to_string(options.commits_per_segment) + " commits a segment from " +
                    std::to_string(kRowsAtStart) + " rows; median of " +
                    std::to_string(options.rounds) + " rounds",
                {"table", "variant"},
                {std::begin(kFigures), std::end(kFigures)},
                {}};
    ratios_ = {"commit_ratios",
               "The same as ratios to sqlite-1000 of the same round",
               {"table", "variant", "figure"},
               {"median"},
               {}};
    for (int round = 1; round <= options.rounds; ++round) {
      ratios_.number_columns.push_back("round_" + std::to_string(round));
    }
  }

  // `rounds` and `baseline`: one entry per round. Returns the median ratios by figure.
  Figures Add(const std::string& workload, const std::string& variant,
              const std::vector<Figures>& rounds, const std::vector<Figures>& baseline) {
    Table::Row row{{workload, variant}, {}};
    for (const char* figure : kFigures) {
      std::vector<double> values;
      for (const Figures& round : rounds) values.push_back(round.at(figure));
      row.numbers.push_back(Median(values));
    }
    figures_.rows.push_back(row);
    Figures medians;
    if (&rounds == &baseline) return medians;
    for (const char* figure : kRatios) {
      Table::Row ratio{{workload, variant, figure}, {std::nullopt}};
      std::vector<double> known;
      for (std::size_t i = 0; i < rounds.size(); ++i) {
        const double base = baseline[i].at(figure);
        ratio.numbers.push_back(base > 0 ? std::optional(rounds[i].at(figure) / base)
                                         : std::nullopt);
        if (base > 0) known.push_back(*ratio.numbers.back());
      }
      ratio.numbers[0] = Median(known);
      if (ratio.numbers[0]) medians[figure] = *ratio.numbers[0];
      ratios_.rows.push_back(ratio);
    }
    return medians;
  }

  const Table& figures() const { return figures_; }
  const Table& ratios() const { return ratios_; }

 private:
  Table figures_, ratios_;
};

}  // namespace

void RunCommitBench(const Options& options, Report& report) {
  std::vector<Variant> variants{{"sqlite-1000"}};
  if (options.control) variants.push_back({"sqlite-1000 again"});
  for (const std::string& strategy : options.strategies) variants.push_back({strategy, true});
  const ScratchDirectory scratch(options.directory);
  CommitTables tables(options);
  for (const Workload& workload : kWorkloads) {
    const std::string path = MakeTemplate(workload, scratch.path());
    std::vector<std::vector<Figures>> figures(variants.size());
    for (int round = 0; round < options.rounds; ++round) {
      std::vector<Measured> measured(variants.size());
      for (std::size_t turn = 0; turn < 2 * variants.size(); ++turn) {
        const std::size_t i = turn < variants.size() ? turn : 2 * variants.size() - 1 - turn;
        measured[i].Add(RunSegment(variants[i], path, options, scratch.path()));
      }
      for (std::size_t i = 0; i < variants.size(); ++i) {
        figures[i].push_back(Summarize(std::move(measured[i])));
      }
    }
    for (std::size_t i = 0; i < variants.size(); ++i) {
      const Figures medians = tables.Add(workload.name, variants[i].name, figures[i], figures[0]);
      // Promised for the strategy that is there without asking.
      if (variants[i].name != "conversation_workload") continue;
      const std::string of = std::string(workload.name) + ", conversation_workload: ";
      report.targets.push_back({of + "throughput against sqlite-1000", medians.at("ops_per_s"),
                                Target::Bound::kAtLeast, 0.95});
      report.targets.push_back(
          {of + "p99.9 against sqlite-1000", medians.at("p99.9_us"), Target::Bound::kAtMost, 1.05});
    }
  }
  for (const Table* table : {&tables.figures(), &tables.ratios()}) {
    report.Print(*table);
    report.tables.push_back(*table);
  }
}

}  // namespace walmanager::bench
