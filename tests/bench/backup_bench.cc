// A database of 200 MB, a fresh and synced copy for every segment, is copied once: by hand, by
// SQLite's backup interface in one step with quick_check after it, or by wal_backup(), while no
// other thread works or while one writer commits as fast as it can, in a thread and on a connection
// of its own. What the writer does without a backup is a variant of its own. The extension is
// loaded on the writer's connection and on wal_backup()'s; the plain copy knows nothing of SQLite,
// and beside a writer it is torn: it says what the writer costs a copy by taking processor, memory
// and disk. All of them read from the system's page cache, and what they wrote is on the disk when
// the clock stops.
#include "tests/bench/backup_bench.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <optional>

#include "tests/bench/process.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/statistics.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {
namespace {

constexpr int kSegments = 3;
constexpr int kRows = 980'000;  // 200 MB
constexpr std::size_t kMostCommits = 1 << 22;
constexpr std::uint64_t kWarmUpNs = 500'000'000, kAloneNs = 2'000'000'000;
constexpr double kDurationTarget = 1.5, kThroughputTarget = 0.5;
const std::vector<std::string> kColumns = {"duration_ms", "commits_per_s", "commit_p99_us",
                                           "commit_max_ms", "wal_growth_mb"};

enum class Copy { kNone, kPlain, kSqlite, kBackup, kUnverified };
struct Variant {
  const char* name;
  Copy copy;
  bool writer;
};
constexpr Variant kVariants[] = {
    {"plain copy, idle", Copy::kPlain, false},
    {"sqlite's backup and quick_check, idle", Copy::kSqlite, false},
    {"wal_backup, idle", Copy::kBackup, false},
    {"no backup, a writer", Copy::kNone, true},
    {"plain copy, a writer", Copy::kPlain, true},
    {"sqlite's backup and quick_check, a writer", Copy::kSqlite, true},
    {"wal_backup, a writer", Copy::kBackup, true},
    {"wal_backup without verify, a writer", Copy::kUnverified, true},
};
bool IsBackup(const Variant& variant) {
  return variant.copy == Copy::kBackup || variant.copy == Copy::kUnverified;
}
constexpr std::size_t kPlain = 0, kAlone = 3, kBackup = 6;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    Check(fd_ >= 0);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void Check(bool went_well) const {
    if (!went_well) Fail(path_ + ": cannot be copied");
  }

 private:
  const std::string path_;
  const int fd_;
};

// As `cp` does where the file system shares no blocks, and fsync.
void CopyPlainly(const std::string& from, const std::string& to) {
  const Descriptor source(from, O_RDONLY), target(to, O_WRONLY | O_CREAT | O_EXCL);
  std::vector<char> bytes(128 * 1024);
  for (ssize_t got; (got = read(source.get(), bytes.data(), bytes.size())) != 0;) {
    source.Check(got > 0);
    target.Check(write(target.get(), bytes.data(), static_cast<std::size_t>(got)) == got);
  }
  target.Check(fsync(target.get()) == 0);
}

// As `.backup` of the sqlite3 shell, but in one step, which no writer makes start over; and what
// `verify` does. SQLite syncs the copy as it commits it.
void CopyBySqlite(const std::string& from, const std::string& to) {
  Db source(from), target(to);
  sqlite3_backup* backup = sqlite3_backup_init(target.get(), "main", source.get(), "main");
  sqlite3_backup_step(backup, -1);
  if (sqlite3_backup_finish(backup) != SQLITE_OK) Fail(to + ": " + sqlite3_errmsg(target.get()));
  if (target.Query("PRAGMA quick_check(1)") != "ok") Fail(to + ": is damaged");
}

// Commits one row after the other from its construction on.
class Writer {
 public:
  explicit Writer(const std::string& path) : db_(path) {
    db_.Exec("PRAGMA busy_timeout=5000; PRAGMA cache_size=-20000; PRAGMA synchronous=NORMAL");
    db_.LoadExtension();
    working_ = std::async(std::launch::async, [this] { Work(); });
  }
  ~Writer() { stopped_ = true; }
  std::size_t commits() const { return commits_.load(std::memory_order_relaxed); }
  // Nanoseconds of the commits `first` up to, but not with, `last`; it writes no more.
  std::vector<std::uint64_t> Stop(std::size_t first, std::size_t last) {
    stopped_ = true;
    working_.get();
    return {ns_.begin() + first, ns_.begin() + last};
  }

 private:
  void Work() {
    RowSource rows(db_, 1);
    for (std::size_t i = 0; i < ns_.size() && !stopped_; ++i) {
      rows.BindNext();
      const std::uint64_t start = Now();
      rows.Insert();
      ns_[i] = Now() - start;
      commits_.store(i + 1, std::memory_order_relaxed);
    }
    if (!stopped_) Fail("the writer committed more rows than there is room for");
  }

  Db db_;
  SharedArray<std::uint64_t> ns_{kMostCommits};
  std::atomic<std::size_t> commits_ = 0;
  std::atomic<bool> stopped_ = false;
  std::future<void> working_;  // ends first
};

// Bytes that the log grew by.
double Backup(Db& db, const std::string& to, bool verify) {
  return std::stod(db.Query("SELECT json_extract(wal_backup('" + to + "', '{\"verify\":" +
                            (verify ? "true" : "false") + "}'), '$.wal_growth_bytes')"));
}

struct Seen {
  double duration_ns, wal_growth_bytes;
  double commits, commit_p99_ns, commit_max_ns;  // of the writer meanwhile
};

Seen Observe(const Variant& variant, const std::string& path) {
  const std::string to = path + ".copy";
  Seen seen{};
  std::optional<Db> db;  // that is backed up from
  if (IsBackup(variant)) db.emplace(path).LoadExtension();
  std::optional<Writer> writer;
  if (variant.writer) {
    writer.emplace(path);
    SleepUntil(Now() + kWarmUpNs);
  }
  const std::size_t first = writer ? writer->commits() : 0;
  const std::uint64_t start = Now();
  if (variant.copy == Copy::kNone) {
    SleepUntil(start + kAloneNs);
  } else if (variant.copy == Copy::kPlain) {
    CopyPlainly(path, to);
  } else if (variant.copy == Copy::kSqlite) {
    CopyBySqlite(path, to);
  } else {
    seen.wal_growth_bytes = Backup(*db, to, variant.copy == Copy::kBackup);
  }
  seen.duration_ns = static_cast<double>(Now() - start);
  if (writer) {
    auto ns = writer->Stop(first, writer->commits());
    std::sort(ns.begin(), ns.end());
    seen.commits = static_cast<double>(ns.size());
    seen.commit_p99_ns = Quantile(ns, 0.99);
    seen.commit_max_ns = Quantile(ns, 1);
  }
  return seen;
}

Figures RunSegment(const Variant& variant, const std::string& template_path,
                   const std::string& directory) {
  const ScratchDirectory scratch(directory);
  const std::string path = scratch.path() + "/backup.db";
  CopyAndSync(template_path, path);
  const SharedArray<Seen> result(1);
  RunInProcess([&] { result[0] = Observe(variant, path); });
  const Seen& seen = result[0];
  const double seconds = seen.duration_ns / 1e9;
  Figures figures;
  if (variant.copy != Copy::kNone) figures["duration_ms"] = seconds * 1e3;
  if (variant.writer) {
    figures["commits_per_s"] = seen.commits / seconds;
    figures["commit_p99_us"] = seen.commit_p99_ns / 1e3;
    figures["commit_max_ms"] = seen.commit_max_ns / 1e6;
  }
  if (IsBackup(variant)) figures["wal_growth_mb"] = seen.wal_growth_bytes / 1e6;
  return figures;
}

// The segments of a round have the same figures: of each the median, since some syncs take long.
Figures MedianOfEach(const std::vector<Figures>& segments) {
  Figures medians;
  for (const auto& [figure, value] : segments[0]) medians[figure] = *MedianOf(segments, figure);
  return medians;
}

}  // namespace

void RunBackupBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::string path = scratch.path() + "/backup.template";
  RunInProcess([&] { MakeTemplate(kWorkloads[0], path, kRows); });
  std::vector<Rounds> rounds(std::size(kVariants));
  Alternate(
      options.rounds, kSegments, rounds.size(),
      [&](std::size_t i) { return RunSegment(kVariants[i], path, scratch.path()); },
      [&](std::size_t i, const std::vector<Figures>& segments) {
        rounds[i].push_back(MedianOfEach(segments));
      });
  const std::uintmax_t mb = std::filesystem::file_size(path) / 1'000'000;
  Table table{"backup",
              "Copies of a database of " + std::to_string(mb) +
                  " MB, and a writer that commits one row after the other, synchronous=NORMAL; "
                  "ratios to the plain copy and to the writer without a backup; median of " +
                  std::to_string(options.rounds) + " rounds of " + std::to_string(kSegments) +
                  " segments",
              {"variant"},
              kColumns,
              {}};
  table.number_columns.insert(table.number_columns.end(), {"duration_ratio", "commits_ratio"});
  const auto ratio = [&](std::size_t of, std::size_t to, const char* figure) {
    return MedianOf(Ratios(rounds[of], rounds[to], figure));
  };
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    table.rows.push_back(RowOf({kVariants[i].name}, rounds[i], kColumns));
    auto& numbers = table.rows.back().numbers;
    numbers.push_back(ratio(i, kPlain, "duration_ms"));
    numbers.push_back(ratio(i, kAlone, "commits_per_s"));
  }
  using Bound = Target::Bound;
  report.targets.push_back({"backup", "under a saturating writer, duration / plain copy, idle",
                            ratio(kBackup, kPlain, "duration_ms"), Bound::kAtMost,
                            kDurationTarget});
  report.targets.push_back({"backup", "the writer's commits per second / without a backup",
                            ratio(kBackup, kAlone, "commits_per_s"), Bound::kAtLeast,
                            kThroughputTarget});
  report.Add(table);
}

}  // namespace walmanager::bench
