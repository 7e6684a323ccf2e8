// As in hook_bench.cc: variants in turn, a block of executions each, and the median of the
// differences to the block of bare SQLite in the same turn. The database is in memory (/dev/shm)
// and in the connection's cache. Time is the CPU's; with two threads it is that of both together,
// divided by what both did, so that a cache line that they share shows as time of each.
#include "tests/bench/statement_bench.h"

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "tests/bench/process.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr int kTurnsPerRound = 30;
constexpr int kPerBlock = 20'000;
constexpr int kRows = 100'000;
constexpr int kScans = 20;  // of so many rows:
constexpr int kScannedRows = 10'000;
constexpr int kStatements = 1000;  // in query_performance, when it is read

constexpr unsigned kOlderProfile = 0x80;  // internal to SQLite

void Trace(Db& db, unsigned mask) {
  const auto read_clock = [](unsigned, void*, void*, void*) {
    (void)Now();
    return 0;
  };
  sqlite3_trace_v2(db.get(), mask, read_clock, nullptr);
}

struct Variant {
  const char* name;
  void (*prepare)(Db&);
};
constexpr Variant kVariants[] = {
    {"sqlite", [](Db&) {}},
    {"sqlite again", [](Db&) {}},
    // The floors: a callback that only reads a clock where a statement starts and ends, and what
    // SQLite does for a profile callback of its older interface, which walmanager keeps working.
    {"sqlite, traced by a clock",
     [](Db& db) { Trace(db, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE); }},
    {"sqlite, older profile kept", [](Db& db) { Trace(db, kOlderProfile); }},
    {"walmanager", [](Db& db) { db.LoadExtension(); }},
    {"walmanager, statement_metrics off",
     [](Db& db) {
       db.LoadExtension();
       db.Query("SELECT wal_set('statement_metrics', 'off')");
     }},
    {"walmanager, lock_metrics off",
     [](Db& db) {
       db.LoadExtension();
       db.Query("SELECT wal_set('lock_metrics', 'off')");
     }},
};
constexpr std::size_t kVariantCount = std::size(kVariants);
constexpr std::size_t kOn = 4, kOff = 5, kLocksOff = 6;

void MakeDatabase(const std::string& path) {
  Db db(path);
  db.Exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
      "CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB, counter INTEGER);"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < " +
      std::to_string(kRows) +
      ") INSERT INTO t SELECT i, zeroblob(79), i FROM n;"
      "PRAGMA wal_checkpoint(TRUNCATE)");
}

// One variant's connection.
class Subject {
 public:
  Subject(const Variant& variant, const std::string& path) : db_(path) {
    db_.Exec("PRAGMA cache_size=-65536");
    variant.prepare(db_);
    select_.emplace(db_.get(), "SELECT payload, counter FROM t WHERE id = ?1");
    scan_.emplace(db_.get(), "SELECT id, payload FROM t LIMIT " + std::to_string(kScannedRows));
    for (int& id : ids_) id = static_cast<int>(random_() % kRows) + 1;
    Points(kPerBlock);
  }

  void Points(int count) {
    sqlite3_stmt* stmt = select_->get();
    for (int i = 0; i < count; ++i) {
      sqlite3_bind_int(stmt, 1, ids_[static_cast<std::size_t>(i) % ids_.size()]);
      if (sqlite3_step(stmt) != SQLITE_ROW) Fail("a row is missing");
      sum_ += sqlite3_column_int(stmt, 1) + sqlite3_column_bytes(stmt, 0);
      sqlite3_step(stmt);
      sqlite3_reset(stmt);
    }
  }
  double PointNs() {
    return PerOne(kPerBlock, [&] { Points(kPerBlock); });
  }
  template <typename Work>
  double InTransaction(Work work) {
    db_.Exec("BEGIN");
    const double ns = work();
    db_.Exec("COMMIT");
    return ns;
  }
  double RowNs() {
    return PerOne(kScans * kScannedRows, [&] {
      sqlite3_stmt* stmt = scan_->get();
      for (int i = 0; i < kScans; ++i) {
        while (sqlite3_step(stmt) == SQLITE_ROW) {
          sum_ += sqlite3_column_int(stmt, 0) + sqlite3_column_bytes(stmt, 1);
        }
        sqlite3_reset(stmt);
      }
    });
  }
  template <typename Work>
  static double PerOne(int count, Work work) {
    const std::uint64_t start = CpuTime();
    work();
    return static_cast<double>(CpuTime() - start) / count;
  }

 private:
  Db db_;
  std::optional<Statement> select_, scan_;
  std::mt19937 random_{1};
  std::array<int, 1000> ids_;
  std::int64_t sum_ = 0;
};

// In transactions: outside of one SQLite's own locks of the log are what both wait for.
double TwoThreadsNs(Subject& one, Subject& other) {
  return one.InTransaction([&] {
    return other.InTransaction([&] {
      return Subject::PerOne(2 * kPerBlock, [&] {
        std::thread thread([&] { other.Points(kPerBlock); });
        one.Points(kPerBlock);
        thread.join();
      });
    });
  });
}

enum Figure { kAutocommit, kInTransaction, kRow, kTwoThreads, kFigures };
using Turn = std::array<std::array<double, kVariantCount>, kFigures>;

SharedArray<Turn> MeasureRound(const std::string& directory) {
  SharedArray<Turn> turns(kTurnsPerRound);
  RunInProcess([&] {
    std::vector<std::array<std::unique_ptr<Subject>, 2>> subjects(kVariantCount);
    for (std::size_t i = 0; i < kVariantCount; ++i) {
      const std::string path = directory + "/" + std::to_string(i) + ".db";
      MakeDatabase(path);
      for (auto& subject : subjects[i]) subject = std::make_unique<Subject>(kVariants[i], path);
    }
    for (std::size_t turn = 0; turn < turns.size(); ++turn) {
      for (std::size_t step = 0; step < kVariantCount; ++step) {
        const std::size_t i = (step + turn) % kVariantCount;
        Subject& subject = *subjects[i][0];
        turns[turn][kAutocommit][i] = subject.PointNs();
        turns[turn][kInTransaction][i] = subject.InTransaction([&] { return subject.PointNs(); });
        turns[turn][kRow][i] = subject.RowNs();
        turns[turn][kTwoThreads][i] = TwoThreadsNs(subject, *subjects[i][1]);
      }
    }
  });
  return turns;
}

// Milliseconds to read a whole table, or to export all, with so many statements known.
enum ReadTable { kQueryPerformance, kSystemHealth, kOpenMetrics, kReadTables };
constexpr const char* kReads[kReadTables] = {
    "SELECT count(query || p99_ms) > 900 FROM query_performance",
    "SELECT count(detail) > 20 FROM system_health", "SELECT length(wal_openmetrics()) > 10000"};

SharedArray<double> ReadMs(const std::string& directory) {
  SharedArray<double> ms(kReadTables);
  RunInProcess([&] {
    const std::string path = directory + "/read.db";
    MakeDatabase(path);
    Db db(path);
    db.LoadExtension();
    for (int i = 0; i < kStatements - 10; ++i) {
      db.Query("SELECT id AS c" + std::to_string(i) + " FROM t WHERE id = 1");
    }
    constexpr int kTimes = 20;
    for (std::size_t table = 0; table < kReadTables; ++table) {
      std::vector<double> times;
      for (int i = 0; i < kTimes; ++i) {
        const std::uint64_t start = Now();
        if (db.Query(kReads[table]) != "1") Fail("rows are missing");
        times.push_back(static_cast<double>(Now() - start) / 1e6);
      }
      ms[table] = Median(times).value_or(0);
    }
  });
  return ms;
}

}  // namespace

void RunStatementBench(const Options& options, Report& report) {
  const bool in_memory = std::filesystem::is_directory("/dev/shm");
  const ScratchDirectory scratch(in_memory ? "/dev/shm" : options.directory);
  std::array<std::array<std::vector<double>, kVariantCount>, kFigures> all, added;
  // What two threads cost each more than one, and of that what SQLite itself does.
  std::array<std::vector<double>, kVariantCount> second;
  std::array<std::vector<double>, kReadTables> read_ms;
  std::vector<double> row_ratio, locks;
  for (int round = 0; round < options.rounds; ++round) {
    const ScratchDirectory directory(scratch.path());
    for (const Turn& turn : MeasureRound(directory.path())) {
      for (std::size_t i = 0; i < kVariantCount; ++i) {
        for (std::size_t figure = 0; figure < kFigures; ++figure) {
          all[figure][i].push_back(turn[figure][i]);
          added[figure][i].push_back(turn[figure][i] - turn[figure][0]);
        }
        second[i].push_back((turn[kTwoThreads][i] - turn[kInTransaction][i]) -
                            (turn[kTwoThreads][0] - turn[kInTransaction][0]));
      }
      row_ratio.push_back(turn[kRow][kOn] / turn[kRow][0]);
      locks.push_back(turn[kAutocommit][kOn] - turn[kAutocommit][kLocksOff]);
    }
    const SharedArray<double> read = ReadMs(directory.path());
    for (std::size_t table = 0; table < kReadTables; ++table) read_ms[table].push_back(read[table]);
  }
  Table table{
      "statements",
      "Nanoseconds of CPU per execution of SELECT payload, counter FROM t WHERE id = ?1, and "
      "per row of a large result; what is added to bare SQLite; median of " +
          std::to_string(options.rounds * kTurnsPerRound) + " blocks of " +
          std::to_string(kPerBlock),
      {"variant"},
      {"autocommit", "added", "in_transaction", "added", "row", "added", "two_threads", "added"},
      {}};
  for (std::size_t i = 0; i < kVariantCount; ++i) {
    Table::Row row{{kVariants[i].name}, {}};
    for (std::size_t figure = 0; figure < kFigures; ++figure) {
      row.numbers.push_back(Median(all[figure][i]));
      row.numbers.push_back(Median(added[figure][i]));
    }
    table.rows.push_back(std::move(row));
  }
  using Bound = Target::Bound;
  const auto target = [&](const char* what, std::optional<double> value, double limit) {
    report.targets.push_back({"statements", what, value, Bound::kAtMost, limit});
  };
  target("point SELECT, ns added", Median(added[kAutocommit][kOn]), 100);
  target("point SELECT in a transaction, ns added", Median(added[kInTransaction][kOn]), 80);
  target("point SELECT with statement_metrics off, ns added", Median(added[kAutocommit][kOff]), 10);
  target("point SELECT, lock_metrics, ns", Median(locks), 30);
  target("row of a large result, ratio", Median(row_ratio), 1.03);
  target("two threads on one statement, ns more than one", Median(second[kOn]), 20);
  target("reading query_performance with 1000 statements, ms", Median(read_ms[kQueryPerformance]),
         5);
  target("reading system_health with 1000 statements, ms", Median(read_ms[kSystemHealth]), 10);
  target("wal_openmetrics() with 1000 statements, ms", Median(read_ms[kOpenMetrics]), 5);
  report.Add(table);
}

}  // namespace walmanager::bench
