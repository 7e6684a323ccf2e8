// Every sample of a first load is a process of its own that opens a database and loads the
// extension on several connections one after the other.
#include "tests/bench/load_bench.h"

#include "tests/bench/process.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr int kProcessesPerRound = 20;
constexpr int kLaterConnections = 8;
constexpr double kTargetMs = 5;

struct Sample {
  double open_ms, load_ms, commit_ms;
};

double Milliseconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

Sample Measure(const std::string& path, bool extension) {
  Sample sample{};
  const std::uint64_t start = Now();
  Db db(path);
  sample.open_ms = Milliseconds(Now() - start);
  if (extension) sample.load_ms = Milliseconds(db.LoadExtension());
  const std::uint64_t before_commit = Now();
  db.Exec("INSERT INTO message(text) VALUES ('one row')");
  sample.commit_ms = Milliseconds(Now() - before_commit);
  return sample;
}

// What `kLaterConnections + 1` connections of a new process measure.
SharedArray<Sample> MeasureInProcess(const std::string& path, bool extension) {
  SharedArray<Sample> samples(kLaterConnections + 1);
  RunInProcess([&] {
    for (Sample& sample : samples) sample = Measure(path, extension);
  });
  return samples;
}

class Rows {
 public:
  explicit Rows(std::string name) : name_(std::move(name)) {}
  void Take(const Sample& sample) {
    open_.push_back(sample.open_ms);
    load_.push_back(sample.load_ms);
    commit_.push_back(sample.commit_ms);
  }
  Table::Row Row(bool extension) const {
    return {{name_},
            {Median(open_), extension ? Median(load_) : std::nullopt,
             extension ? std::optional(*Median(load_) / *Median(open_)) : std::nullopt,
             Median(commit_)}};
  }

 private:
  std::string name_;
  std::vector<double> open_, load_, commit_;
};

}  // namespace

void RunLoadBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  Rows first_without("sqlite, first in the process"), later_without("sqlite, later");
  Rows first_with("walmanager, first in the process"), later_with("walmanager, later");
  for (int i = 0; i < options.rounds * kProcessesPerRound; ++i) {
    // Anew for every pair, so that each first commit with the extension makes the control file.
    const ScratchDirectory directory(scratch.path());
    for (const bool extension : {false, true}) {
      const std::string path = directory.path() + (extension ? "/with.db" : "/without.db");
      RunInProcess([&] {
        Db(path).Exec(
            "PRAGMA journal_mode=WAL; CREATE TABLE message(id INTEGER PRIMARY KEY, text TEXT)");
      });
      const auto samples = MeasureInProcess(path, extension);
      for (std::size_t k = 0; k < samples.size(); ++k) {
        Rows& first = extension ? first_with : first_without;
        Rows& later = extension ? later_with : later_without;
        (k == 0 ? first : later).Take(samples[k]);
      }
    }
  }
  Table table{"load",
              "Opening a database up to its first statement, loading the extension, and the first "
              "commit after it; median of " +
                  std::to_string(options.rounds * kProcessesPerRound) + " processes",
              {"connection"},
              {"open_ms", "load_ms", "load_per_open", "first_commit_ms"},
              {}};
  table.rows = {first_without.Row(false), later_without.Row(false), first_with.Row(true),
                later_with.Row(true)};
  report.targets.push_back({"load", "first in the process, ms", table.rows[2].numbers[1],
                            Target::Bound::kAtMost, kTargetMs});
  report.Add(table);
}

}  // namespace walmanager::bench
