// Some hundred nanoseconds on top of a commit of some microseconds: below what the disk lets one
// see, so the databases are in memory (/dev/shm), synchronous is OFF, and the commit is the
// smallest there is, an UPDATE of one row in a table of one page. All variants run in turn, a block
// of commits each, in an order that turns; each block is compared with the block of bare SQLite in
// the same turn, and the median of the differences counts. Time is the CPU's: one thread works, it
// waits for nothing, and what else runs on the machine takes time but not this thread's.
// Connections and files are new in every round, since where memory happens to lie makes tens of
// nanoseconds.
//
// The log is started over between blocks, outside the time taken; the looks at the strategy that
// the extension takes every so many frames are in it.
#include "tests/bench/hook_bench.h"

#include <array>
#include <filesystem>
#include <memory>
#include <optional>

#include "tests/bench/process.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr int kTurnsPerRound = 40;
constexpr int kCommitsPerBlock = 2000;
constexpr double kTargetNs = 300;
constexpr double kLocksTargetNs = 60;

int NoWalHook(void*, sqlite3*, const char*, int) { return SQLITE_OK; }
int NoTrace(unsigned, void*, void*, void*) { return 0; }

void LoadWithNothingDue(Db& db) {
  db.LoadExtension();
  db.Query("SELECT wal_set('checkpoint_frames', 100000000)");
  db.Query("SELECT wal_set('wal_limit_bytes', 1099511627776)");
  db.Query("SELECT wal_set('checkpoint_interval_ms', 86400000)");
}

struct Variant {
  const char* name;
  void (*prepare)(Db&);
};

// Before the extension is loaded the autocheckpoint must not be 0: it would leave the connection
// alone.
void SwitchOff(Db& db) { db.Exec("PRAGMA wal_autocheckpoint=0"); }

constexpr Variant kVariants[] = {
    {"sqlite", SwitchOff},
    {"sqlite again", SwitchOff},
    {"empty hook and trace by SQLite's API",
     [](Db& db) {
       sqlite3_wal_hook(db.get(), NoWalHook, nullptr);
       sqlite3_trace_v2(db.get(), SQLITE_TRACE_STMT, NoTrace, nullptr);
     }},
    {"walmanager", LoadWithNothingDue},
    // One of the two callbacks is taken away again. Without the trace the hook does a little more,
    // so the parts need not add up.
    {"walmanager, trace alone",
     [](Db& db) {
       LoadWithNothingDue(db);
       sqlite3_wal_hook(db.get(), nullptr, nullptr);
     }},
    {"walmanager, hook alone",
     [](Db& db) {
       LoadWithNothingDue(db);
       sqlite3_trace_v2(db.get(), 0, nullptr, nullptr);
     }},
    {"walmanager, lock_metrics off",
     [](Db& db) {
       LoadWithNothingDue(db);
       db.Query("SELECT wal_set('lock_metrics', 'off')");
     }},
};
constexpr std::size_t kVariantCount = std::size(kVariants);
constexpr std::size_t kWalmanager = 3, kLocksOff = 6;

// One variant's connection in one round.
class Subject {
 public:
  Subject(const Variant& variant, const std::string& path) : db_(path) {
    db_.Exec(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
        "CREATE TABLE counter(id INTEGER PRIMARY KEY, value INTEGER);"
        "INSERT INTO counter VALUES (1, 0)");
    variant.prepare(db_);
    update_.emplace(db_.get(), "UPDATE counter SET value = value + 1 WHERE id = 1");
  }

  double NanosecondsPerCommit() {
    const std::uint64_t start = CpuTime();
    for (int i = 0; i < kCommitsPerBlock; ++i) update_->Run();
    const std::uint64_t end = CpuTime();
    db_.Exec("PRAGMA wal_checkpoint(RESTART)");
    update_->Run();
    return static_cast<double>(end - start) / kCommitsPerBlock;
  }

 private:
  Db db_;
  std::optional<Statement> update_;
};

using Blocks = std::array<double, kVariantCount>;

// The nanoseconds per commit of a block of each variant, turn by turn.
SharedArray<Blocks> MeasureRound(const std::string& directory) {
  SharedArray<Blocks> turns(kTurnsPerRound);
  RunInProcess([&] {
    std::vector<std::unique_ptr<Subject>> subjects;
    for (std::size_t i = 0; i < kVariantCount; ++i) {
      const std::string path = directory + "/" + std::to_string(i) + ".db";
      subjects.push_back(std::make_unique<Subject>(kVariants[i], path));
      subjects.back()->NanosecondsPerCommit();  // warms up
    }
    for (std::size_t turn = 0; turn < turns.size(); ++turn) {
      for (std::size_t step = 0; step < kVariantCount; ++step) {
        const std::size_t i = (step + turn) % kVariantCount;
        turns[turn][i] = subjects[i]->NanosecondsPerCommit();
      }
    }
  });
  return turns;
}

}  // namespace

void RunHookBench(const Options& options, Report& report) {
  const bool in_memory = std::filesystem::is_directory("/dev/shm");
  const ScratchDirectory scratch(in_memory ? "/dev/shm" : options.directory);
  std::array<std::vector<double>, kVariantCount> commit_ns, added_ns;
  std::vector<double> locks_ns;
  for (int round = 0; round < options.rounds; ++round) {
    const ScratchDirectory directory(scratch.path());
    for (const Blocks& ns : MeasureRound(directory.path())) {
      for (std::size_t i = 0; i < kVariantCount; ++i) {
        commit_ns[i].push_back(ns[i]);
        added_ns[i].push_back(ns[i] - ns[0]);
      }
      locks_ns.push_back(ns[kWalmanager] - ns[kLocksOff]);
    }
  }
  Table table{"hook",
              "Nanoseconds per commit when nothing is due, synchronous=OFF, " +
                  std::string(in_memory ? "in /dev/shm" : "on disk: /dev/shm is not there") +
                  "; median of " + std::to_string(options.rounds * kTurnsPerRound) + " blocks of " +
                  std::to_string(kCommitsPerBlock) + " commits",
              {"variant"},
              {"commit_ns", "added_ns"},
              {}};
  for (std::size_t i = 0; i < kVariantCount; ++i) {
    table.rows.push_back({{kVariants[i].name}, {Median(commit_ns[i]), Median(added_ns[i])}});
  }
  report.targets.push_back({"hook", "when nothing is due, ns per commit",
                            table.rows[kWalmanager].numbers[1], Target::Bound::kAtMost, kTargetNs});
  report.targets.push_back({"hook", "lock_metrics, ns per commit", Median(locks_ns),
                            Target::Bound::kAtMost, kLocksTargetNs});
  report.Add(table);
}

}  // namespace walmanager::bench
