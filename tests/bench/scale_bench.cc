#include "tests/bench/scale_bench.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "tests/bench/comparison.h"
#include "tests/bench/message_table.h"
#include "tests/bench/process.h"
#include "tests/bench/short_lives_bench.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/statistics.h"
#include "tests/bench/turns.h"

namespace walmanager::bench {
namespace {

constexpr std::size_t kCommits = 20;  // to each database, at least
constexpr std::size_t kConnections[] = {1, 100, 1000, 4000};
// Idle are databases once what their last commits left is done. No thread is left then.
constexpr std::uint64_t kIdleNs = 5'000'000'000, kSettlesWithinNs = 60'000'000'000;

double ResidentKib() {
  std::ifstream file("/proc/self/statm");
  double all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

double Entries(const char* directory) {
  const auto count = std::distance(std::filesystem::directory_iterator(directory), {});
  return static_cast<double>(count);
}

// Allocated for what SQLite alone would not have made.
double AddedDiskKib(const std::string& directory) {
  double blocks = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".db") || name.ends_with("-wal") || name.ends_with("-shm")) continue;
    struct stat status {};
    if (stat(entry.path().c_str(), &status) == 0) blocks += static_cast<double>(status.st_blocks);
  }
  return blocks * 512 / 1024;
}

// The limit, after it was raised as far as the system lets it.
std::size_t RaiseDescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::optional<std::string> TooManyDescriptors(std::size_t needed, std::size_t limit) {
  if (needed <= limit) return std::nullopt;
  return std::to_string(needed) + " descriptors needed, " + std::to_string(limit) + " allowed";
}

std::string Counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// Many databases

// In a process of its own: `directory`/1.db and so on, each with a connection that stays open.
class OpenDatabases {
 public:
  enum Step { kOpen, kCommit, kMemory, kProcessorTime, kDescriptors };

  OpenDatabases(std::string directory, bool extension)
      : directory_(std::move(directory)), extension_(extension), first_(":memory:") {
    if (extension_) first_.LoadExtension();
    resident_kib_ = ResidentKib();
    descriptors_ = Entries("/proc/self/fd");
  }

  std::vector<double> Run(int what, std::size_t argument) {
    switch (what) {
      case kOpen:
        return {OpenMs(argument)};
      case kCommit:
        return {CommitUs(), Entries("/proc/self/task")};
      case kMemory:
        return {PerDatabase(ResidentKib() - resident_kib_)};
      case kProcessorTime:
        return {static_cast<double>(Now()), static_cast<double>(CpuTime())};
      default:
        return {PerDatabase(Entries("/proc/self/fd") - descriptors_), Entries("/proc/self/task")};
    }
  }

 private:
  double PerDatabase(double all) const { return all / static_cast<double>(databases_.size()); }

  // Opens so many more, each with a table and a first commit.
  double OpenMs(std::size_t count) {
    std::vector<double> ms;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string path = directory_ + "/" + std::to_string(databases_.size() + 1) + ".db";
      const std::uint64_t start = Now();
      Db& db = databases_.emplace_back(path);
      if (extension_) db.LoadExtension();
      db.Exec("PRAGMA journal_mode=WAL");
      db.Exec(kMakeTable);
      db.Exec(kInsert);
      ms.push_back(static_cast<double>(Now() - start) / 1e6);
    }
    return Median(ms).value_or(0);
  }

  // One commit to each.
  double CommitUs() {
    std::vector<double> us;
    for (Db& db : databases_) {
      const std::uint64_t start = Now();
      db.Exec(kInsert);
      us.push_back(static_cast<double>(Now() - start) / 1e3);
    }
    return Median(us).value_or(0);
  }

  std::string directory_;
  bool extension_;
  Db first_;
  double resident_kib_ = 0, descriptors_ = 0;  // before the first database
  std::deque<Db> databases_;
};

Table DatabasesTable() {
  return Comparison::MakeTable(
      "scale", "Databases in one process, a table and " + std::to_string(kCommits) +
                   " commits each; a result of - is judged at the largest number of them");
}

void MeasureDatabases(std::size_t count, bool largest, const Options& options,
                      const std::string& directory, Report& report) {
  const std::string of = Counted(count, "database") + ": ";
  Comparison threads(of + "threads at most", {.difference = 4});
  Comparison threads_idle(of + "threads when idle", {.difference = 0});
  Comparison memory(of + "resident KiB of each", {.difference = 100, .judged = largest});
  Comparison disk(of + "KiB on disk beside each", {.difference = 256});
  Comparison processor(of + "processor, idle, % of a core", {.difference = 1, .judged = largest});
  Comparison open(of + "open, table, first commit, ms", {.ratio = 1.5});
  Comparison catching_up(of + "processor after the last commits, once, ms of each",
                         {.difference = 0, .judged = false});
  Comparison commit(of + "commit, round robin, us", {.ratio = 1.15, .judged = largest});
  Comparison descriptors(of + "descriptors of each, idle", {.difference = 1});

  const auto pairs = static_cast<std::size_t>(options.pairs);
  const std::size_t blocks = std::min(pairs, count), sessions = (pairs + blocks - 1) / blocks;
  for (std::size_t session = 1; session <= sessions; ++session) {
    const ScratchDirectory scratch(directory);
    const auto directory_of = [&](Variant variant) {
      return scratch.path() + "/" + std::to_string(variant);
    };
    for (const Variant variant : kVariants) {
      std::filesystem::create_directory(directory_of(variant));
    }
    Processes processes([&](Variant variant) -> SteppingProcess::Step {
      const auto databases =
          std::make_shared<OpenDatabases>(directory_of(variant), variant == kLoaded);
      return [databases](int what, std::size_t argument) { return databases->Run(what, argument); };
    });
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t size = count * (block + 1) / blocks - count * block / blocks;
      open.Add(processes.Run(OpenDatabases::kOpen, size)[0]);
    }
    Turn most_threads{};
    // A single commit is no measure: a pair has those of several rounds.
    const std::size_t rounds = (kCommits + blocks - 1) / blocks;
    for (std::size_t block = 0; block < blocks; ++block) {
      std::array<std::vector<double>, std::size(kVariants)> us;
      for (std::size_t round = 0; round < rounds; ++round) {
        const auto turns = processes.Run(OpenDatabases::kCommit);
        for (const Variant variant : kVariants) {
          us[variant].push_back(turns[0][variant]);
          most_threads[variant] = std::max(most_threads[variant], turns[1][variant]);
        }
      }
      Turn medians{};
      for (const Variant variant : kVariants) medians[variant] = Median(us[variant]).value_or(0);
      commit.Add(medians);
    }
    threads.Add(most_threads);
    if (session < sessions) continue;
    const Turn before = processes.Run(OpenDatabases::kProcessorTime)[1];
    const std::uint64_t last = Now() + kSettlesWithinNs;
    while (processes.Run(OpenDatabases::kDescriptors)[1][kLoaded] > 1 && Now() < last) {
      SleepUntil(Now() + kIdleNs / 10);
      memory.Add(processes.Run(OpenDatabases::kMemory)[0]);
    }
    Turn caught_up = processes.Run(OpenDatabases::kProcessorTime)[1];
    for (const Variant variant : kVariants) {
      caught_up[variant] =
          (caught_up[variant] - before[variant]) / 1e6 / static_cast<double>(count);
    }
    catching_up.Add(caught_up);
    // Windows of five seconds that overlap: work that comes once a second, or in five, is in each.
    const std::uint64_t start = Now();
    std::vector<std::vector<Turn>> clocks;
    for (std::size_t i = 0; i <= 2 * pairs; ++i) {
      SleepUntil(start + kIdleNs * i / pairs);
      clocks.push_back(processes.Run(OpenDatabases::kProcessorTime));
      memory.Add(processes.Run(OpenDatabases::kMemory)[0]);
    }
    for (std::size_t i = 0; i + pairs < clocks.size(); ++i) {
      Turn percent{};
      for (const Variant variant : kVariants) {
        const auto passed = [&](std::size_t clock) {
          return clocks[i + pairs][clock][variant] - clocks[i][clock][variant];
        };
        percent[variant] = 100 * passed(1) / passed(0);
      }
      processor.Add(percent);
    }
    const auto counts = processes.Run(OpenDatabases::kDescriptors);
    descriptors.Add(counts[0]);
    threads_idle.Add(counts[1]);
    Turn disk_kib{};
    for (const Variant variant : kVariants) {
      disk_kib[variant] = AddedDiskKib(directory_of(variant)) / static_cast<double>(count);
    }
    disk.Add(disk_kib);
  }
  Table table = DatabasesTable();
  for (const Comparison* figure : {&threads, &threads_idle, &memory, &disk, &catching_up,
                                   &processor, &open, &commit, &descriptors}) {
    table.rows.push_back(figure->Row());
  }
  report.Add(table);
}

// Many connections

// What connections of a process of their own measure.
struct ConnectionFigures {
  double resident_kib = 0, ms = 0;  // of each
  // Rows of connection_metrics, and what wal_metrics says.
  std::optional<double> rows = std::nullopt, counted = std::nullopt, not_shown = std::nullopt;
};

// nullopt where wal_metrics has no such column.
std::optional<double> OfWalMetrics(Db& db, const std::string& column) {
  const bool known = db.Query("SELECT 1 FROM pragma_table_xinfo('wal_metrics') WHERE name = '" +
                              column + "'") == "1";
  if (!known) return std::nullopt;
  return std::stod(db.Query("SELECT " + column + " FROM wal_metrics WHERE schema = 'main'"));
}

ConnectionFigures OpenConnections(const std::string& path, std::size_t count, bool extension) {
  Db first(":memory:");
  if (extension) first.LoadExtension();
  const double before = ResidentKib();
  std::deque<Db> connections;
  std::vector<double> ms;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t start = Now();
    Db& db = connections.emplace_back(path);
    if (extension) db.LoadExtension();
    db.Query(kSelect);
    db.Exec(kInsert);
    ms.push_back(static_cast<double>(Now() - start) / 1e6);
  }
  ConnectionFigures figures{(ResidentKib() - before) / static_cast<double>(count),
                            Median(ms).value_or(0)};
  if (extension) {
    Db& db = connections.back();
    figures.rows =
        std::stod(db.Query("SELECT count(*) FROM connection_metrics WHERE role = 'application'"));
    figures.counted = OfWalMetrics(db, "connections");
    figures.not_shown = OfWalMetrics(db, "connections_not_shown");
  }
  return figures;
}

void MeasureConnections(const Options& options, const std::string& directory, std::size_t limit,
                        Report& report) {
  Table table{"connections",
              "Connections of one process to one database: open, a SELECT and a commit each",
              {"connections"},
              {"bare_kib", "loaded_kib", "added_kib", "bare_ms", "loaded_ms",
               "connection_metrics_rows", "wal_metrics_connections", "connections_not_shown"},
              {}};
  for (const std::size_t unscaled : kConnections) {
    const auto count = static_cast<std::size_t>(
        std::max(1L, std::lround(static_cast<double>(unscaled) * options.scale)));
    // The database and the log have a descriptor for each connection.
    if (const auto why = TooManyDescriptors(2 * count + 100, limit)) {
      table.rows.push_back({{std::to_string(count) + " left out: " + *why},
                            std::vector<std::optional<double>>(table.number_columns.size())});
      continue;
    }
    const ScratchDirectory scratch(directory);
    SharedArray<ConnectionFigures> measured(2);
    for (const bool extension : {false, true}) {
      const std::string path = scratch.path() + (extension ? "/with.db" : "/without.db");
      MakeDatabase(path);
      RunInProcess([&] { measured[extension] = OpenConnections(path, count, extension); });
    }
    const ConnectionFigures &bare = measured[0], &loaded = measured[1];
    table.rows.push_back(
        {{std::to_string(count)},
         {bare.resident_kib, loaded.resident_kib, loaded.resident_kib - bare.resident_kib, bare.ms,
          loaded.ms, loaded.rows, loaded.counted, loaded.not_shown}});
  }
  report.Add(table);
}

}  // namespace

void RunScaleBench(const Options& options, Report& report) {
  const std::size_t limit = RaiseDescriptorLimit();
  const ScratchDirectory scratch(options.directory);
  std::vector<std::size_t> counts;
  for (const int databases : options.databases) {
    counts.push_back(
        static_cast<std::size_t>(std::max(1L, std::lround(databases * options.scale))));
  }
  // The database, the log and its index have a descriptor each, and the extension may have one.
  const auto too_many = [limit](std::size_t count) {
    return TooManyDescriptors(4 * count + 100, limit);
  };
  std::size_t largest = 0;
  for (const std::size_t count : counts) {
    if (!too_many(count)) largest = std::max(largest, count);
  }
  for (const std::size_t count : counts) {
    if (const auto why = too_many(count)) {
      Table table = DatabasesTable();
      table.rows.push_back(Comparison::LeftOut(Counted(count, "database"), *why));
      report.Add(table);
    } else {
      MeasureDatabases(count, count == largest, options, scratch.path(), report);
    }
  }
  MeasureConnections(options, scratch.path(), limit, report);
  RunShortLivesBench(options, report);
}

}  // namespace walmanager::bench
