// Which queries are offered to the thread that ends those which pin the log, and that no interrupt
// ever comes to another statement.
#include "ext/connection/query_lease.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <thread>

#include "ext/connection/connection.h"
#include "ext/database/database.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr char kCount[] = "SELECT count(probe()) FROM t";

std::shared_ptr<Interruptible> Find(sqlite3* db) {
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.mutex);
  const auto found = registry.interruptibles.find(db);
  return found == registry.interruptibles.end() ? nullptr : found->second;
}

// As the thread of the extension does it.
bool InterruptInAnotherThread(sqlite3* db) {
  bool done = false;
  std::thread([&] {
    const auto connection = Find(db);
    const auto offered = connection ? connection->Look() : std::nullopt;
    done = offered && connection->Interrupt(offered->number);
  }).join();
  return done;
}

class QueryLeaseTest : public testing::Test {
 protected:
  QueryLeaseTest() {
    control_->MakeControl();
    Set(Setting::kReaderLeaseMs, kHourMs);
    Set(Setting::kSampleIntervalMs, 60'000);
    database_.Commit(10);
    db_ = Open();
  }
  ~QueryLeaseTest() override { db_.reset(); }

  void Set(Setting setting, std::int64_t value) {
    ChangeSetting(control_->control()->region(), setting, value);
  }
  // A managed connection with a function probe(), which calls probe_ and returns 1.
  OwnedDb Open(int flags = SQLITE_OPEN_FULLMUTEX, bool manage = true) {
    sqlite3* made = nullptr;
    EXPECT_EQ(
        sqlite3_open_v2(database_.path().c_str(), &made, SQLITE_OPEN_READWRITE | flags, nullptr),
        SQLITE_OK);
    OwnedDb db(made);
    sqlite3_busy_timeout(made, 20'000);
    sqlite3_create_function_v2(
        made, "probe", 0, SQLITE_UTF8, this,
        [](sqlite3_context* context, int, sqlite3_value**) {
          auto* self = static_cast<QueryLeaseTest*>(sqlite3_user_data(context));
          if (self->probe_) self->probe_(sqlite3_context_db_handle(context));
          sqlite3_result_int(context, 1);
        },
        nullptr, nullptr, nullptr);
    if (manage) Manage(made);
    return db;
  }
  static void Manage(sqlite3* db) {
    bool is_new = false;
    auto connection = Connection::Attach(db, &is_new);
    ASSERT_TRUE(connection.ok());
    connection.value()->Start(Connection::At::kOpenConnection);
  }
  static int Run(sqlite3* db, const std::string& sql) {
    return sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
  }
  // What stands against the query at its first call of probe().
  LeaseObstacle ObstacleOf(const std::string& sql) { return ObstacleOf(db_.get(), sql); }
  LeaseObstacle ObstacleOf(sqlite3* db, const std::string& sql) {
    std::optional<LeaseObstacle> found;
    probe_ = [&](sqlite3* at) {
      if (found) return;
      const auto connection = Find(at);
      found = connection ? connection->obstacle() : LeaseObstacle::kCount;
      EXPECT_EQ(connection && connection->Look(), found == LeaseObstacle::kNone);
    };
    EXPECT_EQ(Run(db, sql), SQLITE_OK) << sql << ": " << sqlite3_errmsg(db);
    probe_ = nullptr;
    return found.value_or(LeaseObstacle::kCount);
  }

  WalDatabase database_;
  std::shared_ptr<Database> control_ = Database::ForFile(database_.path());
  std::function<void(sqlite3*)> probe_;
  OwnedDb db_;
};

TEST_F(QueryLeaseTest, AQueryIsInterruptedAndNothingAfterIt) {
  int calls = 0;
  probe_ = [&](sqlite3* db) {
    ++calls;
    EXPECT_EQ(calls == 3 && InterruptInAnotherThread(db), calls == 3);
  };
  EXPECT_EQ(Run(db_.get(), kCount), SQLITE_INTERRUPT);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(Find(db_.get())->interrupts(), 1U);
  probe_ = nullptr;
  EXPECT_EQ(Run(db_.get(), kCount), SQLITE_OK);
  EXPECT_FALSE(InterruptInAnotherThread(db_.get()));
}

// The query ends with its last row, or none: the interrupt came too late for it.
TEST_F(QueryLeaseTest, AnInterruptThatComesTooLateIsForgotten) {
  probe_ = [&](sqlite3* db) { EXPECT_TRUE(InterruptInAnotherThread(db)); };
  (void)Run(db_.get(), "SELECT 1 FROM t WHERE id = 1 AND probe() = 2");
  probe_ = nullptr;
  EXPECT_EQ(
      sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr),
      SQLITE_OK);
  EXPECT_EQ(Run(db_.get(), "INSERT INTO t DEFAULT VALUES"), SQLITE_OK);
}

TEST_F(QueryLeaseTest, OnlyQueriesThatReadTheMainDatabaseAreOffered) {
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kNone);
  EXPECT_EQ(ObstacleOf(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + probe() FROM n WHERE i < 9) "
                "SELECT count(*) FROM n"),
            LeaseObstacle::kOtherDatabase);
  ASSERT_EQ(Run(db_.get(),
                "CREATE TEMP TABLE mine AS SELECT 1 AS x; "
                "CREATE TEMP VIEW both AS SELECT x FROM mine, t"),
            SQLITE_OK);
  EXPECT_EQ(ObstacleOf("SELECT count(probe()) FROM mine"), LeaseObstacle::kOtherDatabase);
  EXPECT_EQ(ObstacleOf("SELECT count(probe()) FROM both"), LeaseObstacle::kNone);
  ASSERT_EQ(Run(db_.get(), "ATTACH ':memory:' AS other; CREATE TABLE other.o AS SELECT 1 AS x"),
            SQLITE_OK);
  EXPECT_EQ(ObstacleOf("SELECT count(probe()) FROM o"), LeaseObstacle::kOtherDatabase);
  // Another table takes the name.
  ASSERT_EQ(Run(db_.get(), "CREATE TEMP TABLE t AS SELECT 1 AS x"), SQLITE_OK);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kOtherDatabase);
}

TEST_F(QueryLeaseTest, NoWriteIsOffered) {
  EXPECT_EQ(ObstacleOf("INSERT INTO t(id) SELECT 1000 + probe() FROM t LIMIT 1"),
            LeaseObstacle::kWrites);
  ASSERT_EQ(Run(db_.get(), "BEGIN IMMEDIATE"), SQLITE_OK);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kWrites);
  ASSERT_EQ(Run(db_.get(), "COMMIT; BEGIN; INSERT INTO t DEFAULT VALUES"), SQLITE_OK);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kWrites);
  ASSERT_EQ(Run(db_.get(), "ROLLBACK"), SQLITE_OK);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kNone);
}

TEST_F(QueryLeaseTest, TheLeaseBeginsWithTheTransactionThatReads) {
  ASSERT_EQ(Run(db_.get(), "BEGIN; SELECT count(*) FROM t"), SQLITE_OK);
  std::uint64_t first = 0, second = 0;
  probe_ = [&](sqlite3* db) {
    auto& since = first == 0 ? first : second;
    since = Find(db)->Look().value().query.held_since_ns;
  };
  // These read no table.
  ASSERT_EQ(Run(db_.get(), "SELECT probe()"), SQLITE_OK);
  ASSERT_EQ(Run(db_.get(), "SELECT 1 + probe()"), SQLITE_OK);
  EXPECT_NE(first, 0U);
  EXPECT_EQ(first, second);
  ASSERT_EQ(Run(db_.get(), "COMMIT"), SQLITE_OK);
}

TEST_F(QueryLeaseTest, AnOpenStatementKeepsOthersFromBeingOffered) {
  const auto stepped = [](sqlite3* db) {
    sqlite3_stmt* made = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT id FROM t", -1, &made, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(made), SQLITE_ROW);
    return OwnedStmt(made);
  };
  {
    const OwnedStmt cursor = stepped(db_.get());
    EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kOtherStatement);
  }
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kNone);
  // The trace shows neither a cursor from before the load nor a blob handle.
  {
    const OwnedDb late = Open(SQLITE_OPEN_FULLMUTEX, /*manage=*/false);
    const OwnedStmt cursor = stepped(late.get());
    Manage(late.get());
    EXPECT_EQ(ObstacleOf(late.get(), kCount), LeaseObstacle::kOtherStatement);
  }
  ASSERT_EQ(Run(db_.get(), "UPDATE t SET v = zeroblob(9)"), SQLITE_OK);
  sqlite3_blob* blob = nullptr;
  ASSERT_EQ(sqlite3_blob_open(db_.get(), "main", "t", "v", 1, 0, &blob), SQLITE_OK)
      << sqlite3_errmsg(db_.get());
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kOtherStatement);
  sqlite3_blob_close(blob);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kNone);
}

// Where an interrupt comes with the first row, SQLite ends the statements beside it, too.
TEST_F(QueryLeaseTest, AQueryBesideWhoseRowsOthersHaveRunIsNotOfferedAgain) {
  constexpr char kCursor[] = "SELECT probe() FROM t", kOther[] = "SELECT 1 + probe() FROM t";
  for (const char* beside : {"INSERT INTO t DEFAULT VALUES", "SELECT count(*) FROM t"}) {
    db_ = Open();
    EXPECT_EQ(ObstacleOf(kCursor), LeaseObstacle::kNone);
    sqlite3_stmt* made = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(db_.get(), kCursor, -1, &made, nullptr), SQLITE_OK);
    ASSERT_EQ(sqlite3_step(made), SQLITE_ROW);
    ASSERT_EQ(Run(db_.get(), beside), SQLITE_OK);
    sqlite3_finalize(made);
    EXPECT_EQ(ObstacleOf(kCursor), LeaseObstacle::kBesideOthers);
    EXPECT_EQ(ObstacleOf(kOther), LeaseObstacle::kNone);
  }
}

TEST_F(QueryLeaseTest, AQueryIsOfferedUntilItsFirstRow) {
  std::vector<LeaseObstacle> seen;
  probe_ = [&](sqlite3* db) { seen.push_back(Find(db)->obstacle()); };
  ASSERT_EQ(Run(db_.get(), "SELECT probe() FROM t LIMIT 3"), SQLITE_OK);
  EXPECT_EQ(seen, (std::vector{LeaseObstacle::kNone, LeaseObstacle::kReturnsRows,
                               LeaseObstacle::kReturnsRows}));
}

TEST_F(QueryLeaseTest, AQueryIsOfferedUntilAnotherStatementRunsInIt) {
  std::vector<LeaseObstacle> seen;
  probe_ = [&](sqlite3* db) {
    EXPECT_EQ(Run(db, "INSERT INTO t DEFAULT VALUES"), SQLITE_OK);
    seen.push_back(Find(db)->obstacle());
    EXPECT_FALSE(InterruptInAnotherThread(db));
  };
  EXPECT_EQ(Run(db_.get(), "SELECT count(probe()) FROM t WHERE id < 3"), SQLITE_OK);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.front(), LeaseObstacle::kOtherStatement);
}

TEST_F(QueryLeaseTest, NothingIsOfferedWithoutTheSettingOrAMutex) {
  const OwnedDb bare = Open(SQLITE_OPEN_NOMUTEX);
  EXPECT_EQ(ObstacleOf(bare.get(), kCount), LeaseObstacle::kNoMutex);
  EXPECT_EQ(ObstacleOf(bare.get(), "SELECT probe()"), LeaseObstacle::kOtherDatabase);
  Set(Setting::kReaderLeaseMs, 0);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kCount);
  EXPECT_EQ(Find(db_.get()), nullptr);
  Set(Setting::kReaderLeaseMs, kHourMs);
  Set(Setting::kStatementMetrics, 0);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kCount);
  Set(Setting::kStatementMetrics, 1);
  EXPECT_EQ(ObstacleOf(kCount), LeaseObstacle::kNone);
}

// Then nobody sees the end of the query.
TEST_F(QueryLeaseTest, NothingIsInterruptedAfterAQueryThatHasTakenTheTraceAway) {
  probe_ = [](sqlite3* db) { sqlite3_trace_v2(db, 0, nullptr, nullptr); };
  ASSERT_EQ(Run(db_.get(), kCount), SQLITE_OK);
  probe_ = nullptr;
  EXPECT_TRUE(Find(db_.get())->Look());
  EXPECT_FALSE(InterruptInAnotherThread(db_.get()));
  EXPECT_EQ(Run(db_.get(), kCount), SQLITE_OK);
}

TEST_F(QueryLeaseTest, AClosedConnectionIsNotInterrupted) {
  ASSERT_EQ(Run(db_.get(), kCount), SQLITE_OK);
  const auto shown = Find(db_.get());
  ASSERT_NE(shown, nullptr);
  sqlite3* const db = db_.get();
  db_.reset();
  EXPECT_EQ(Find(db), nullptr);
  EXPECT_FALSE(shown->Look());
  EXPECT_FALSE(shown->Interrupt(1));
}

// --- a thread interrupts whatever is offered, at once and without a pause, while programs work

class Program {
 public:
  using Opener = std::function<OwnedDb()>;
  explicit Program(const Opener& open, unsigned seed) : open_(open), random_(seed) {}

  void Work(std::chrono::steady_clock::time_point until) {
    while (std::chrono::steady_clock::now() < until) {
      if (!db_ || Chance(200)) {
        db_.reset();
        db_ = open_();
      }
      switch (random_() % 7) {
        case 0:
        case 1:
          Leased("SELECT count(*), sum(length(v)) FROM t");
          break;
        case 2:
          Never("INSERT INTO t(v) VALUES (1)");
          Never("DELETE FROM t WHERE id > 300");
          break;
        case 3:
          Never("BEGIN IMMEDIATE");
          Never("UPDATE t SET v = v WHERE id = 5");
          Never("SELECT count(*) FROM t");
          Never("COMMIT");
          break;
        case 4:
          Cursor();
          break;
        case 5:
          Never(
              "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) "
              "SELECT count(*) FROM n");
          Never(sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr,
                                          nullptr));
          break;
        case 6:
          Never("PRAGMA user_version");
          Leased("SELECT id FROM t WHERE v = 'none'");
          break;
        default:
          break;
      }
    }
    db_.reset();
  }

  std::uint64_t statements = 0, interrupted = 0, wrong = 0, rows_too_late = 0;

 private:
  bool Chance(unsigned one_in) { return random_() % one_in == 0; }
  int Run(const char* sql) { return sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr); }
  void Leased(const char* sql) {
    ++statements;
    interrupted += Run(sql) == SQLITE_INTERRUPT;
  }
  void Never(int rc) {
    ++statements;
    wrong += rc == SQLITE_INTERRUPT;
  }
  void Never(const char* sql) { Never(Run(sql)); }
  // Fetches a row, does other work, and goes on. Only the first step may be interrupted.
  void Cursor() {
    sqlite3_stmt* made = nullptr;
    Never(sqlite3_prepare_v2(db_.get(), "SELECT id FROM t", -1, &made, nullptr));
    const OwnedStmt cursor(made);
    if (!made) return;
    const std::uint64_t before = Interrupts();
    const int rc = sqlite3_step(made);
    interrupted += rc == SQLITE_INTERRUPT;
    if (rc == SQLITE_ROW && Interrupts() != before) {
      // SQLite had no time to obey before the first row. It does at the next step.
      ++rows_too_late;
      const int next = sqlite3_step(made);
      interrupted += next == SQLITE_INTERRUPT;
    } else if (rc == SQLITE_ROW) {
      Never("INSERT INTO t(v) VALUES (2)");
      Never("SELECT count(*) FROM t");
      for (int i = 0; i < 5; ++i) Never(sqlite3_step(made));
      Never("SELECT max(id) FROM t");
    }
    if (Chance(2)) sqlite3_reset(made);
  }
  std::uint64_t Interrupts() const {
    const auto connection = Find(db_.get());
    return connection ? connection->interrupts() : 0;
  }

  const Opener open_;
  std::mt19937 random_;
  OwnedDb db_;
};

TEST_F(QueryLeaseTest, NoOtherStatementIsEverInterrupted) {
  constexpr int kPrograms = 3;
  db_.reset();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::vector<std::unique_ptr<Program>> programs;
  std::vector<std::thread> threads;
  for (int i = 0; i < kPrograms; ++i) {
    programs.push_back(std::make_unique<Program>([this] { return Open(); }, 17 + i));
    threads.emplace_back([&, i] { programs[static_cast<std::size_t>(i)]->Work(until); });
  }
  std::atomic<bool> ends{false};
  std::uint64_t sent = 0;
  std::thread lease([&] {
    while (!ends) {
      std::vector<std::shared_ptr<Interruptible>> all;
      {
        Registry& registry = Registry::Get();
        const MutexLock lock(registry.mutex);
        for (const auto& [db, connection] : registry.interruptibles) all.push_back(connection);
      }
      for (const auto& connection : all) {
        const auto offered = connection->Look();
        sent += offered && connection->Interrupt(offered->number);
      }
    }
  });
  for (std::thread& thread : threads) thread.join();
  ends = true;
  lease.join();
  std::uint64_t interrupted = 0, statements = 0, late = 0;
  for (const auto& program : programs) {
    EXPECT_EQ(program->wrong, 0U);
    interrupted += program->interrupted;
    statements += program->statements;
    late += program->rows_too_late;
  }
  EXPECT_GT(interrupted, 0U);
  EXPECT_LE(interrupted, sent);
  std::printf("%llu statements, %llu interrupts, %llu obeyed, %llu came with the first row\n",
              static_cast<unsigned long long>(statements), static_cast<unsigned long long>(sent),
              static_cast<unsigned long long>(interrupted), static_cast<unsigned long long>(late));
}

}  // namespace
}  // namespace walmanager
