// A call is a number of statements and all their rows: through read_pool(), or on a connection of
// SQLite without the extension, one after the other. The statements have their numbers in the text,
// so that every variant prepares each anew; in two more variants they are parameters:
// read_pool()'s, and SQLite's own statements, kept prepared by the caller. And two threads with a
// connection of SQLite each, without JSON and queues, say what this machine's two processors do at
// the same time, which is less than twice as much where they are halves of a core. Ids are drawn
// anew for every call, the same for all. The file is in the system's page cache, and larger than
// any cache of SQLite's.
//
// Every segment is a process of its own, so that SQLite runs without any thread of the extension.
#include "tests/bench/pool_bench.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <optional>
#include <random>

#include "tests/bench/process.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {
namespace {

constexpr int kSegments = 4;
constexpr int kRows = 500'000;
const std::vector<std::string> kColumns = {"mean_ms", "p50_us", "p95_us", "cpu_us"};

struct Case {
  const char* name;
  int statements;
  int rows;  // that each reads: 1 is a row by its key, kRows a full scan, else a range is summed up
  int calls;         // of a segment
  double target;     // times the speed of SQLite, one after the other
  bool target_mmap;  // with mmap_size
};
constexpr Case kCases[] = {
    {"2 full scans", 2, kRows, 5, 1.8, false},
    {"2 aggregates of 2 ms", 2, 20'000, 100, 1.6, false},
    {"2 aggregates of 0.2 ms", 2, 2'000, 500, 1.6, false},
    {"100 aggregates of 100 rows", 100, 100, 200, 1, true},
    {"100 point SELECTs", 100, 1, 200, 1, true},
};

enum class Way { kAnew, kPrepared, kThreads, kPool, kPoolPrepared };
struct Variant {
  const char* name;
  Way way;
  bool mmap;
};
// The first of each five is what the others are compared with.
constexpr Variant kVariants[] = {
    {"sqlite", Way::kAnew, false},
    {"read_pool", Way::kPool, false},
    {"read_pool, parameters", Way::kPoolPrepared, false},
    {"sqlite, kept prepared", Way::kPrepared, false},
    {"sqlite, two threads", Way::kThreads, false},
    {"sqlite, mmap_size", Way::kAnew, true},
    {"read_pool, mmap_size", Way::kPool, true},
    {"read_pool, mmap_size, parameters", Way::kPoolPrepared, true},
    {"sqlite, mmap_size, kept prepared", Way::kPrepared, true},
    {"sqlite, mmap_size, two threads", Way::kThreads, true},
};
constexpr std::size_t kVariantsOfOneSize = 5, kPoolOfThem = 1;

// `first` and `last`: ids, or parameters for them.
std::string Sql(const Case& of, const std::string& first, const std::string& last) {
  if (of.rows == 1) return "SELECT number, payload FROM message WHERE id = " + first;
  std::string sql = "SELECT count(*), max(number), sum(length(payload)) FROM message";
  if (of.rows < kRows) sql += " WHERE id BETWEEN " + first + " AND " + last;
  return sql;
}

// The text of a statement with parameters for its two numbers.
std::string ParametersOf(const Case& of, int first) {
  if (of.rows == kRows) return "[]";
  const std::string last = of.rows == 1 ? "" : "," + std::to_string(first + of.rows - 1);
  return "[" + std::to_string(first) + last + "]";
}

// Runs it to its end and looks at every value; the number of rows.
int Fetch(sqlite3_stmt* stmt) {
  static thread_local volatile std::size_t seen = 0;
  int rows = 0, rc;
  for (; (rc = sqlite3_step(stmt)) == SQLITE_ROW; ++rows) {
    for (int i = 0; i < sqlite3_column_count(stmt); ++i) {
      (void)sqlite3_column_blob(stmt, i);
      seen = seen + static_cast<std::size_t>(sqlite3_column_bytes(stmt, i));
    }
  }
  if (rc != SQLITE_DONE) Fail(std::string(sqlite3_sql(stmt)) + ": an error");
  return rows;
}

bool IsPool(Way way) { return way == Way::kPool || way == Way::kPoolPrepared; }

class Subject {
 public:
  Subject(const Case& of, const Variant& variant, const std::string& path)
      : case_(of), way_(variant.way), db_(path), prepared_(db_.get(), Sql(of, "?1", "?2")) {
    if (way_ == Way::kThreads) other_.emplace(path);
    for (Db* db : {&db_, other_ ? &*other_ : nullptr}) {
      if (db && variant.mmap) db->Exec("PRAGMA mmap_size=1073741824");
    }
    if (IsPool(way_)) db_.LoadExtension();
  }

  // What the next call asks for; not in its time.
  void Draw() {
    firsts_.clear();
    texts_.clear();
    for (int i = 0; i < case_.statements; ++i) {
      const int most = kRows - case_.rows + 1;
      firsts_.push_back(std::uniform_int_distribution(1, most)(random_));
      texts_.push_back(Sql(case_, std::to_string(firsts_.back()),
                           std::to_string(firsts_.back() + case_.rows - 1)));
    }
    array_ = parameters_ = "[";
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      const bool prepared = way_ == Way::kPoolPrepared;
      array_ += (i > 0 ? ",\"" : "\"") + (prepared ? Sql(case_, "?1", "?2") : texts_[i]) + "\"";
      parameters_ += (i > 0 ? "," : "") + ParametersOf(case_, firsts_[i]);
    }
    array_ += "]";
    parameters_ += "]";
  }

  void Call() {
    const int rows = IsPool(way_)            ? ThroughThePool()
                     : way_ == Way::kThreads ? InTwoThreads()
                                             : OneAfterTheOther(db_, 0, texts_.size());
    if (rows != case_.statements) Fail(std::string(case_.name) + ": rows are missing");
  }

  void CheckThatThereIsAPool() {
    if (db_.Query("SELECT pool_connections > 0 FROM wal_metrics WHERE schema = 'main'") != "1") {
      Fail("read_pool: there is no pool");
    }
  }

 private:
  int ThroughThePool() {
    const Statement call(db_.get(), "SELECT statement, row, data FROM read_pool(?1, ?2)", 0);
    const auto bind = [&](int number, const std::string& text) {
      sqlite3_bind_text(call.get(), number, text.data(), static_cast<int>(text.size()),
                        SQLITE_STATIC);
    };
    bind(1, array_);
    if (way_ == Way::kPoolPrepared) bind(2, parameters_);
    return Fetch(call.get());
  }
  int InTwoThreads() {
    const std::size_t half = texts_.size() / 2;
    auto rows = std::async(std::launch::async, [&] { return OneAfterTheOther(*other_, 0, half); });
    const int own = OneAfterTheOther(db_, half, texts_.size());
    return own + rows.get();
  }
  int OneAfterTheOther(Db& db, std::size_t begin, std::size_t end) {
    int rows = 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (way_ != Way::kPrepared) {
        rows += Fetch(Statement(db.get(), texts_[i], 0).get());
        continue;
      }
      sqlite3_bind_int(prepared_.get(), 1, firsts_[i]);
      sqlite3_bind_int(prepared_.get(), 2, firsts_[i] + case_.rows - 1);
      rows += Fetch(prepared_.get());
      sqlite3_reset(prepared_.get());
    }
    return rows;
  }

  const Case& case_;
  const Way way_;
  Db db_;
  std::optional<Db> other_;  // for a second thread
  Statement prepared_;
  std::mt19937 random_{1};
  std::vector<int> firsts_;
  std::vector<std::string> texts_;
  std::string array_;  // the same as JSON
  std::string parameters_;
};

Measured RunSegment(const Case& of, const Variant& variant, const std::string& path, double scale) {
  const long calls = std::max(1L, std::lround(of.calls * scale));
  Measured measured(static_cast<std::size_t>(calls), 0);
  RunInProcess([&] {
    Subject subject(of, variant, path);
    for (long i = 0; i <= calls / 10; ++i) {  // warms up
      subject.Draw();
      subject.Call();
    }
    Totals& totals = measured.totals();
    for (Operation& call : measured.operations) {
      subject.Draw();
      const std::uint64_t cpu = CpuTime(), start = Now();
      subject.Call();
      call.ns = Now() - start;
      totals.elapsed_ns += call.ns;
      totals.cpu_ns += CpuTime() - cpu;
    }
    if (IsPool(variant.way)) subject.CheckThatThereIsAPool();
  });
  return measured;
}

}  // namespace

void RunPoolBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  const std::string path = scratch.path() + "/pool.db";
  RunInProcess([&] { MakeTemplate(kWorkloads[0], path, kRows); });
  Table table{"pool",
              "Calls of several statements on a table of " + std::to_string(kRows) +
                  " rows, at the same time and one after the other, and how many times as fast as "
                  "SQLite's with the same mmap_size; median of " +
                  std::to_string(options.rounds) + " rounds of " + std::to_string(kSegments) +
                  " segments",
              {"case", "variant"},
              kColumns,
              {}};
  table.number_columns.push_back("speed");
  for (const Case& of : kCases) {
    std::vector<Rounds> rounds(std::size(kVariants));
    Alternate(
        options.rounds, kSegments, rounds.size(),
        [&](std::size_t i) { return RunSegment(of, kVariants[i], path, options.scale); },
        [&](std::size_t i, const std::vector<Measured>& segments) {
          rounds[i].push_back(Summarize(segments));
        });
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      const std::size_t base = i - i % kVariantsOfOneSize;
      table.rows.push_back(RowOf({of.name, kVariants[i].name}, rounds[i], kColumns));
      const auto speed = MedianOf(Ratios(rounds[base], rounds[i], "p50_us"));
      table.rows.back().numbers.push_back(speed);
      if (i - base == kPoolOfThem && kVariants[i].mmap == of.target_mmap) {
        report.targets.push_back(
            {"pool",
             std::string(of.name) + (of.target_mmap ? " with mmap_size" : "") + ", times the speed",
             speed, Target::Bound::kAtLeast, of.target});
      }
    }
  }
  report.Add(table);
}

}  // namespace walmanager::bench
