// wal_cancel() ends the statement that it means, and never another one.
#include "ext/engine/cancellable.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "ext/connection/connection.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/cancel_requests.h"
#include "ext/database/cancel_watch.h"
#include "ext/database/database.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

class CancellableTest : public testing::Test {
 protected:
  CancellableTest() {
    control_->MakeControl();
    database_.Commit(10);
    sqlite3* made = nullptr;
    EXPECT_EQ(sqlite3_open_v2(database_.path().c_str(), &made,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr),
              SQLITE_OK);
    db_.reset(made);
    bool is_new = false;
    auto connection = Connection::Attach(made, &is_new);
    EXPECT_TRUE(connection.ok());
    connection.value()->Start(Connection::At::kOpenConnection);
    id_ = connection.value()->id();
    // The first statement binds the control file.
    EXPECT_EQ(Run("SELECT count(*) FROM t"), SQLITE_OK);
  }
  ~CancellableTest() override { db_.reset(); }

  int Run(const char* sql) { return sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr); }
  std::shared_ptr<Cancellable> Find() const {
    Registry& registry = Registry::Get();
    const MutexLock lock(registry.mutex);
    const auto found = registry.cancellables.find(id_);
    return found == registry.cancellables.end() ? nullptr : found->second;
  }
  // When the statement that is shown began; 0: none is shown.
  std::uint64_t StartedNs() const {
    for (const ConnectionEntry& entry : control_->control()->slabs().ReadOwnConnections()) {
      if (entry.id == id_) return entry.started_ns;
    }
    return 0;
  }

  WalDatabase database_;
  std::shared_ptr<Database> control_ = Database::ForFile(database_.path());
  OwnedDb db_;
  std::uint64_t id_ = 0;
};

constexpr char kEndless[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

TEST_F(CancellableTest, EndsAStatementThatRuns) {
  std::thread other([&] {
    while (StartedNs() == 0) std::this_thread::yield();
    const std::uint64_t started = StartedNs();
    EXPECT_TRUE(Find()->Interrupt([&] { return StartedNs() == started && started != 0; }));
  });
  EXPECT_EQ(Run(kEndless), SQLITE_INTERRUPT);
  other.join();
  const Cancellable::Outcome outcome = Find()->outcome();
  EXPECT_TRUE(outcome.ended);
  EXPECT_TRUE(outcome.in_autocommit);
  EXPECT_FALSE(outcome.others_run);
  EXPECT_EQ(Run("SELECT count(*) FROM t"), SQLITE_OK);
}

TEST_F(CancellableTest, NoInterruptComesWhereNoStatementIsOpen) {
  EXPECT_FALSE(Find()->Interrupt([] { return false; }));
  // Also where what is shown is out of date.
  EXPECT_FALSE(Find()->Interrupt([] { return true; }));
  int log = 0, moved = 0;
  EXPECT_EQ(sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &log, &moved),
            SQLITE_OK);
}

TEST_F(CancellableTest, AnOpenCursorKeepsTheConnectionInterrupted) {
  auto cursor = Prepare(db_.get(), "SELECT id FROM t");
  ASSERT_TRUE(cursor.ok());
  ASSERT_EQ(sqlite3_step(cursor.value().get()), SQLITE_ROW);
  ASSERT_NE(StartedNs(), 0u);
  EXPECT_TRUE(Find()->Interrupt([] { return true; }));
  // SQLite does not even prepare the next one.
  EXPECT_EQ(Run("SELECT count(*) FROM t"), SQLITE_INTERRUPT);
  EXPECT_FALSE(Find()->outcome().ended);
  cursor.value().reset();
  EXPECT_TRUE(Find()->outcome().ended);
  EXPECT_FALSE(Find()->outcome().others_run);
  EXPECT_EQ(Run("SELECT count(*) FROM t"), SQLITE_OK);
}

TEST_F(CancellableTest, AWriteInATransactionTakesItAlong) {
  EXPECT_EQ(Run("BEGIN; INSERT INTO t(v) VALUES (1)"), SQLITE_OK);
  std::thread other([&] {
    while (StartedNs() == 0) std::this_thread::yield();
    const std::uint64_t started = StartedNs();
    (void)Find()->Interrupt([&] { return StartedNs() == started; });
  });
  EXPECT_EQ(Run("INSERT INTO t(v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                "SELECT i FROM n"),
            SQLITE_INTERRUPT);
  other.join();
  EXPECT_TRUE(Find()->outcome().in_autocommit);
}

// An interrupt is meant for the endless statement; all others must come to their end.
TEST_F(CancellableTest, NeverHitsAnotherStatement) {
  constexpr int kRounds = 300;
  std::atomic<bool> endless{false}, stop{false};
  std::atomic<int> interrupts{0};
  std::thread other([&] {
    std::mt19937 random(1);
    while (!stop) {
      const std::uint64_t started = StartedNs();
      if (started == 0) continue;
      // Whatever has been seen to run: a short one has mostly ended by now.
      const bool was_endless = endless;
      if (!was_endless && random() % 4 != 0) continue;
      const bool hit = Find()->Interrupt([&] { return StartedNs() == started && endless.load(); });
      if (hit) ++interrupts;
    }
  });
  int ended = 0;
  for (int i = 0; i < kRounds; ++i) {
    for (int j = 0; j < 20; ++j) {
      ASSERT_EQ(Run("SELECT count(*) FROM t"), SQLITE_OK) << i;
      ASSERT_EQ(Run("UPDATE t SET v = v WHERE id = 1"), SQLITE_OK) << i;
    }
    if (i % 10 != 0) continue;
    auto stmt = Prepare(db_.get(), kEndless);
    endless = true;
    EXPECT_EQ(sqlite3_step(stmt.value().get()), SQLITE_INTERRUPT);
    endless = false;
    stmt.value().reset();
    ++ended;
  }
  stop = true;
  other.join();
  EXPECT_GE(interrupts, ended);
}

// Bug: the alert of an interrupt was looked for by the address of its control file, and one that
// was made later may have the same.
TEST_F(CancellableTest, AnAlertOfALaterControlFileStaysAsItIs) {
  auto cursor = Prepare(db_.get(), "SELECT id FROM t");
  ASSERT_TRUE(cursor.ok());
  ASSERT_EQ(sqlite3_step(cursor.value().get()), SQLITE_ROW);
  CancelWatch watch(*control_);
  const std::uint64_t now = MonotonicNs();
  CancelRequests requests(control_->control()->region().cancels());
  ASSERT_TRUE(requests.Ask({ThisProcess().token, id_, StartedNs(), 1, 1}, 7, now, now + 1'000'000));
  EXPECT_NE(watch.Look(now), CancelWatch::kNever);
  EXPECT_EQ(Alerts(control_->control()->space()).Read().size(), 1u);
  cursor.value().reset();
  const void* const address = control_->control().get();
  const std::weak_ptr<ControlFile> first = control_->control();
  for (int i = 0; i < 100 && (i == 0 || control_->control().get() != address); ++i) {
    ASSERT_EQ(unlink(database_.control_path().c_str()), 0);
    control_->LookForControl();
    EXPECT_EQ(Run("SELECT count(*) FROM t"), SQLITE_OK);
  }
  ASSERT_TRUE(first.expired());
  Alerts alerts(control_->control()->space());
  alerts.RecordChange("a setting", "of another file", 1);
  watch.Look(MonotonicNs());
  ASSERT_EQ(alerts.Read().size(), 1u);
  EXPECT_EQ(alerts.Read()[0].detail, "of another file");
}

TEST_F(CancellableTest, AClosedConnectionIsNotTouched) {
  const auto connection = Find();
  db_.reset();
  EXPECT_EQ(Find(), nullptr);
  EXPECT_FALSE(connection->Interrupt([] { return true; }));
}

}  // namespace
}  // namespace walmanager
