// history_writer <control file>: puts samples into the history of a database that is not open,
// so that a test gets the history of a week in a moment. It deletes the old history first.
//
// Standard input has a line per sample, in the order in which they were taken:
//
//   <unix_ms> key=value ...
//
// A counter (commits, statements, checkpoint_ms, ...) is what was counted since the line before; a
// gauge (wal_bytes, ...) is what it was then, and unknown where it is not named. `commits@12.5=30`:
// thirty commits that took 12.5 ms each; likewise statements, lock_waits and syncs. `interval_ms`:
// the sample interval, 1000 where it is not named. `after_ms`: how long after the line before it
// was, where the difference of the two unix_ms does not say it because the clock was set. The last
// sample counts as taken now.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "ext/core/base/histogram.h"
#include "ext/core/control/history.h"
#include "ext/system/mapped_control.h"

namespace walmanager {
namespace {

struct Sample {
  std::int64_t unix_ms = 0, after_ms = 0, interval_ms = 1000;
  HistoryTotals totals;
  HistoryGauges gauges;
};

[[noreturn]] void Fail(const std::string& message) {
  std::cerr << "history_writer: " << message << "\n";
  std::exit(1);
}

std::uint64_t Ns(double ms) { return static_cast<std::uint64_t>(std::llround(ms * 1e6)); }

template <typename Scale>
void Count(std::vector<std::uint64_t>& histogram, double ms, double times) {
  histogram[Scale::Bucket(Ns(ms))] += static_cast<std::uint64_t>(times);
}

void CountAt(const std::string& what, double ms, double times, HistoryTotals& totals) {
  HistoryCounters& counters = totals.counters;
  if (what == "commits") {
    counters.commits += static_cast<std::uint64_t>(times);
    counters.commit_ns += Ns(ms * times);
    Count<DurationScale>(totals.commit_histogram, ms, times);
  } else if (what == "statements") {
    counters.statements += static_cast<std::uint64_t>(times);
    Count<StatementScale>(totals.query_histogram, ms, times);
  } else if (what == "lock_waits") {
    counters.lock_waits += static_cast<std::uint64_t>(times);
    counters.lock_wait_ns += Ns(ms * times);
    Count<DurationScale>(totals.lock_wait_histogram, ms, times);
  } else if (what == "syncs") {
    counters.syncs += static_cast<std::uint64_t>(times);
    counters.sync_ns += Ns(ms * times);
    Count<HistoryWaitScale>(totals.sync_histogram, ms, times);
  } else {
    Fail("nothing is timed that is called " + what);
  }
}

void Set(const std::string& key, double value, Sample& sample) {
  static const std::map<std::string, std::uint64_t HistoryCounters::*> kCounts = {
      {"commits", &HistoryCounters::commits},
      {"statements", &HistoryCounters::statements},
      {"frames_written", &HistoryCounters::frames_written},
      {"checkpoints", &HistoryCounters::checkpoints},
      {"checkpoint_frames", &HistoryCounters::checkpoint_frames},
      {"checkpoints_in_vain", &HistoryCounters::checkpoints_in_vain},
      {"cache_hits", &HistoryCounters::cache_hits},
      {"cache_misses", &HistoryCounters::cache_misses},
      {"slow_statements", &HistoryCounters::slow_statements},
      {"transactions_upgraded", &HistoryCounters::transactions_upgraded},
      {"upgrades_failed", &HistoryCounters::upgrades_failed},
      {"busy_errors", &HistoryCounters::busy_errors},
      {"snapshot_conflicts", &HistoryCounters::snapshot_conflicts}};
  static const std::map<std::string, std::uint64_t HistoryCounters::*> kDurations = {
      {"commit_ms", &HistoryCounters::commit_ns},
      {"checkpoint_ms", &HistoryCounters::checkpoint_ns},
      {"checkpoint_stall_ms", &HistoryCounters::stall_ns}};
  static const std::map<std::string, std::optional<std::int64_t> HistoryGauges::*> kGauges = {
      {"wal_bytes", &HistoryGauges::wal_bytes},
      {"pending_frames", &HistoryGauges::pending_frames},
      {"active_readers", &HistoryGauges::active_readers},
      {"connections", &HistoryGauges::connections},
      {"database_bytes", &HistoryGauges::database_bytes},
      {"health_score", &HistoryGauges::health_score}};
  HistoryCounters& counters = sample.totals.counters;
  if (const std::size_t at = key.find('@'); at != std::string::npos) {
    CountAt(key.substr(0, at), std::stod(key.substr(at + 1)), value, sample.totals);
  } else if (const auto count = kCounts.find(key); count != kCounts.end()) {
    counters.*count->second += static_cast<std::uint64_t>(value);
  } else if (const auto duration = kDurations.find(key); duration != kDurations.end()) {
    counters.*duration->second += Ns(value);
  } else if (const auto gauge = kGauges.find(key); gauge != kGauges.end()) {
    sample.gauges.*gauge->second = static_cast<std::int64_t>(value);
  } else if (key == "interval_ms") {
    sample.interval_ms = static_cast<std::int64_t>(value);
  } else if (key == "after_ms") {
    sample.after_ms = static_cast<std::int64_t>(value);
  } else {
    Fail("no part of a sample is called " + key);
  }
}

// `each` is called for every line, with what had been counted by then.
void ReadSamples(std::istream& lines, const std::function<void(const Sample&)>& each) {
  Sample sample;
  sample.totals.commit_histogram.resize(DurationScale::kBuckets);
  sample.totals.query_histogram.resize(StatementScale::kBuckets);
  sample.totals.lock_wait_histogram.resize(DurationScale::kBuckets);
  sample.totals.sync_histogram.resize(HistoryWaitScale::kBuckets);
  std::string line;
  for (bool first = true; std::getline(lines, line); first = false) {
    std::istringstream words(line);
    const std::int64_t before_ms = sample.unix_ms;
    if (!(words >> sample.unix_ms)) Fail("a line does not begin with a time: " + line);
    sample.after_ms = first ? 0 : sample.unix_ms - before_ms;
    sample.interval_ms = 1000;
    sample.gauges = {};
    for (std::string word; words >> word;) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) Fail("neither key nor value: " + word);
      Set(word.substr(0, equals), std::stod(word.substr(equals + 1)), sample);
    }
    each(sample);
  }
}

std::unique_ptr<MappedControl> Map(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) Fail(std::string(path) + ": " + std::strerror(errno));
  layout::Header header;
  if (pread(fd, &header, sizeof header, 0) != sizeof header ||
      std::memcmp(header.magic, layout::kMagic, sizeof layout::kMagic) != 0 ||
      header.layout_number != layout::kLayoutNumber) {
    Fail("not a control file of today");
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) Fail(std::strerror(errno));
  auto mapped = MappedControl::Shared(fd, path, status);
  if (!mapped) Fail(std::strerror(errno));
  mapped->Follow();
  return mapped;
}

void Write(const char* path) {
  const auto mapped = Map(path);
  History history(mapped.get());
  const std::string all(std::istreambuf_iterator<char>(std::cin), {});
  std::int64_t length_ms = 0;
  std::istringstream once(all), again(all);
  ReadSamples(once, [&](const Sample& sample) { length_ms += sample.after_ms; });
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  // The machine may have been started after the first sample: then this wraps, and the history
  // takes that for another boot.
  std::uint64_t monotonic_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                               static_cast<std::uint64_t>(now.tv_nsec) -
                               static_cast<std::uint64_t>(length_ms) * 1'000'000;
  history.Reset();
  ReadSamples(again, [&](const Sample& sample) {
    monotonic_ns += static_cast<std::uint64_t>(sample.after_ms) * 1'000'000;
    history.Add(sample.unix_ms, monotonic_ns, sample.interval_ms, sample.totals, sample.gauges);
  });
}

}  // namespace
}  // namespace walmanager

int main(int argc, char** argv) {
  if (argc != 2) walmanager::Fail("which control file?");
  walmanager::Write(argv[1]);
  return 0;
}
