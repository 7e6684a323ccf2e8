#include "tests/bench/segment.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "tests/bench/autocheckpoint.h"
#include "tests/bench/disk.h"
#include "tests/bench/traffic.h"
#include "tests/bench/wal_log.h"

namespace walmanager::bench {
namespace {

constexpr std::size_t kMostReads = 1 << 20;
constexpr std::uint64_t kBeforeBeginNs = 20'000'000;  // for all threads to have started
constexpr char kBusyTimeout[] = "PRAGMA busy_timeout=5000";

std::vector<std::unique_ptr<Db>> OpenAll(int count, const std::string& path, const Variant& variant,
                                         const std::string& pragmas) {
  std::vector<std::unique_ptr<Db>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(std::make_unique<Db>(path));
    all.back()->Exec(pragmas);
    if (variant.extension()) all.back()->LoadExtension();
  }
  return all;
}

// From the extension's own log, which has the last 512 checkpoints, and its counters, which have
// all.
void CopyCheckpoints(Db& db, Totals& totals) {
  Statement log(db.get(),
                "SELECT mode, origin, count(*), sum(result NOT IN ('complete', 'partial')),"
                " sum(moved_frames), sum(duration_ms), max(duration_ms)"
                " FROM wal_checkpoints WHERE schema = 'main' GROUP BY mode, origin"
                " UNION ALL SELECT 'all', 'all', checkpoints, checkpoints_busy, checkpoint_frames,"
                " checkpoints * checkpoint_mean_ms, checkpoint_max_ms"
                " FROM wal_metrics WHERE schema = 'main'");
  for (CheckpointGroup& group : totals.checkpoints) {
    if (sqlite3_step(log.get()) != SQLITE_ROW) break;
    const auto text = [&](int column) {
      return reinterpret_cast<const char*>(sqlite3_column_text(log.get(), column));
    };
    const auto number = [&](int column) {
      return static_cast<std::uint64_t>(sqlite3_column_int64(log.get(), column));
    };
    const auto ns = [&](int column) {
      return static_cast<std::uint64_t>(sqlite3_column_double(log.get(), column) * 1e6);
    };
    std::strncpy(group.mode, text(0), sizeof group.mode - 1);
    std::strncpy(group.origin, text(1), sizeof group.origin - 1);
    group.count = number(2);
    group.busy = number(3);
    group.pages = number(4);
    group.total_ns = ns(5);
    group.max_ns = ns(6);
  }
}

class Segment {
 public:
  Segment(const Scenario& scenario, const Variant& variant, const std::string& path)
      : scenario_(scenario),
        writers_(OpenAll(scenario.writers, path, variant,
                         std::string(kBusyTimeout) +
                             "; PRAGMA cache_size=-20000; "
                             "PRAGMA synchronous=" +
                             scenario.synchronous)),
        readers_(OpenAll(scenario.readers.count, path, variant, kBusyTimeout)),
        observer_(*writers_[0], path) {
    if (variant.extension()) {
      writers_[0]->Query("SELECT wal_strategy('" + variant.name + "')");
    } else {
      autocheckpoint_.emplace(*writers_[0], variant.autocheckpoint);
      for (const auto& writer : writers_) autocheckpoint_->Attach(*writer);
    }
    for (const auto& writer : writers_) rows_.emplace_back(*writer, rows_.size() + 1);
    for (int i = 0; i < scenario.warm_up; ++i) {
      rows_[0].BindNext();
      rows_[0].Insert();
    }
  }

  void Run(const Measured& measured);

 private:
  const Scenario& scenario_;
  // Ends from the last to the first: statements before their connections.
  std::vector<std::unique_ptr<Db>> writers_, readers_;
  std::optional<Autocheckpoint> autocheckpoint_;
  std::vector<RowSource> rows_;
  LogObserver observer_;
};

void Segment::Run(const Measured& measured) {
  Traffic traffic;
  std::vector<std::future<void>> reading, writing;
  // Goes first, also where something fails: the futures wait for their threads.
  struct Stop {
    Traffic& traffic;
    ~Stop() { traffic.StopReaders(); }
  } stop{traffic};
  const std::uint64_t cpu_begin = CpuTime();
  const std::uint64_t begin = Now() + kBeforeBeginNs;
  const auto start = [](auto work) { return std::async(std::launch::async, work); };
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    reading.push_back(start([&, i] {
      Read(*readers_[i], scenario_.readers, static_cast<int>(i), begin, traffic,
           measured.reads.Part(i, readers_.size()));
    }));
  }
  const double rate = static_cast<double>(scenario_.rate) / scenario_.writers;
  // Paced writers take turns.
  const std::uint64_t between_ns =
      scenario_.rate > 0 ? 1'000'000'000 / static_cast<std::uint64_t>(scenario_.rate) : 0;
  for (std::size_t i = 0; i < writers_.size(); ++i) {
    writing.push_back(start([&, i] {
      Write(rows_[i], rate, begin + i * between_ns, traffic,
            measured.operations.Part(i, writers_.size()));
    }));
  }
  for (auto& writer : writing) writer.get();
  Totals& totals = measured.totals();
  totals.elapsed_ns = Now() - begin;
  totals.cpu_ns = CpuTime() - cpu_begin;
  traffic.StopReaders();
  for (auto& reader : reading) reader.get();
  totals.busy = traffic.busy;

  const LogObserver::Seen& seen = observer_.Stop();
  totals.log_bytes = seen.bytes;
  totals.log_frames = seen.frames;
  totals.log_resets = seen.resets;
  if (scenario_.readers.once) {
    const std::uint64_t left_at = traffic.left_at;
    const auto reset = std::upper_bound(seen.reset_times.begin(), seen.reset_times.end(), left_at);
    totals.reset_after_ns = reset == seen.reset_times.end() ? Totals::kNever : *reset - left_at;
  }
  if (autocheckpoint_) {
    totals.checkpoints[0] = autocheckpoint_->group();
    totals.hook_ns = totals.checkpoints[0].total_ns;
  } else {
    CopyCheckpoints(*writers_[0], totals);
    totals.hook_ns = static_cast<std::uint64_t>(
        1e6 * std::stod(writers_[0]->Query(
                  "SELECT checkpoint_stall_ms FROM wal_metrics WHERE schema = 'main'")));
  }
  totals.use = UseOfThisProcess();
}

}  // namespace

Measured RunSegment(const Scenario& scenario, const Variant& variant,
                    const std::string& template_path, const std::string& directory) {
  Measured measured(static_cast<std::size_t>(scenario.commits),
                    scenario.readers.count > 0 ? kMostReads : 0);
  const ScratchDirectory scratch(directory);
  const std::string path = scratch.path() + "/bench.db";
  CopyAndSync(template_path, path);
  RunInProcess([&] {
    const std::uint64_t written = BytesOnDisk(directory);
    Segment(scenario, variant, path).Run(measured);
    measured.totals().written_bytes = BytesOnDisk(directory) - written;
  });
  return measured;
}

}  // namespace walmanager::bench
