// That the log of a watched file is counted without harm: whatever other libraries do to its
// methods, in whatever order it is closed, and in a forked child.
#include "ext/engine/watched_log.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "ext/core/control/io_statistics.h"
#include "ext/engine/log_file.h"
#include "ext/engine/watched_file.h"
#include "tests/engine/wal_database.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

struct Nothing final : FileWatcher {
  void Refused(LockKind) override {}
  void Granted() override {}
  void Conflicts(std::uint64_t) override {}
  void OpenedLog() override { ++opened_logs; }
  int opened_logs = 0;
};

class WatchedLogTest : public testing::Test {
 protected:
  WatchedLogTest() {
    block_.file->header.slabs_used = 1;
    database_.Commit(1);
    db_ = database_.Open();
    WalDatabase::Run(db_.get(), "PRAGMA synchronous=OFF");
    Read(db_.get());
    original_ = Log()->pMethods;
  }
  sqlite3_file* Log() { return LogFile(db_.get()); }
  static void Read(sqlite3* db) { WalDatabase::Number(db, "SELECT count(*) FROM t"); }
  static int Write(sqlite3* db) {
    return sqlite3_exec(db, "INSERT INTO t VALUES (NULL, 1)", nullptr, nullptr, nullptr);
  }
  WatchedFile::Handle Watch() { return Watch(db_.get()); }
  WatchedFile::Handle Watch(sqlite3* db) {
    auto handle = WatchedFile::Watch(db, "main", &nothing_);
    if (handle.Get()) handle.Get()->set_io(IoPlace(&block_.space, 0));
    return handle;
  }
  std::uint64_t Writes() {
    return IoStatistics(&block_.space).ReadTraffic(IoOrigin::kApplication, IoFile::kLog).writes;
  }

  MadeBlock block_;
  WalDatabase database_;
  OwnedDb db_;
  Nothing nothing_;
  const sqlite3_io_methods* original_ = nullptr;
};

TEST_F(WatchedLogTest, CountsAndPutsTheTableBack) {
  auto handle = Watch();
  EXPECT_NE(Log()->pMethods, original_);
  EXPECT_EQ(Log()->pMethods->iVersion, original_->iVersion);
  EXPECT_EQ(Log()->pMethods->xFileControl, original_->xFileControl);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
  WatchedFile::Restore(handle);
  EXPECT_EQ(Log()->pMethods, original_);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
}

TEST_F(WatchedLogTest, IsFoundAgainAfterAChangeOfTheJournalMode) {
  // Of one connection alone.
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open((database_.path() + "2").c_str(), &raw), SQLITE_OK);
  const OwnedDb db(raw);
  WalDatabase::Run(raw, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  auto handle = Watch(raw);
  for (int i = 0; i < 2; ++i) {
    WalDatabase::Run(raw, "PRAGMA journal_mode=WAL");
    Read(raw);  // SQLite opens the log when it is first used
    const std::uint64_t before = Writes();
    EXPECT_EQ(nothing_.opened_logs, i + 1);
    handle.Get()->Enter(raw, "main", false);
    EXPECT_EQ(Write(raw), SQLITE_OK);
    EXPECT_EQ(Writes(), before + 3) << "with the head of the new log";
    WalDatabase::Run(raw, "PRAGMA journal_mode=DELETE");
    EXPECT_EQ(Write(raw), SQLITE_OK);
    EXPECT_EQ(Writes(), before + 3);
  }
  EXPECT_NE(handle.Get(), nullptr);
}

// --- another library changes the methods

sqlite3_io_methods shim;
const sqlite3_io_methods* below_shim = nullptr;
int shim_writes = 0;

int ShimWrite(sqlite3_file* file, const void* from, int n, sqlite3_int64 at) {
  ++shim_writes;
  return below_shim->xWrite(file, from, n, at);
}

void PutShimOver(sqlite3_file* file) {
  below_shim = file->pMethods;
  shim = *below_shim;
  shim.xWrite = ShimWrite;
  file->pMethods = &shim;
  shim_writes = 0;
}

TEST_F(WatchedLogTest, AShimAboveStaysAndIsCalled) {
  auto handle = Watch();
  PutShimOver(Log());
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(shim_writes, 2);
  EXPECT_EQ(Writes(), 2U);
  WatchedFile::Restore(handle);
  EXPECT_EQ(Log()->pMethods, &shim) << "not put back over the other library's";
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
  handle = Watch();
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Log()->pMethods, &shim);
  db_.reset();
  EXPECT_EQ(handle.Get(), nullptr);
}

TEST_F(WatchedLogTest, AShimOfTwoFilesHasACopyOfTheTableOfOne) {
  ASSERT_NE(Watch().Get(), nullptr);
  PutShimOver(Log());
  OwnedDb second = database_.Open();
  Read(second.get());
  LogFile(second.get())->pMethods = &shim;
  EXPECT_EQ(Write(second.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 0U);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
  db_.reset();
  EXPECT_EQ(Write(second.get()), SQLITE_OK);
  second.reset();
}

TEST_F(WatchedLogTest, AShimPutsOurTableBackAfterItWasTakenAway) {
  auto handle = Watch();
  const sqlite3_io_methods* ours = Log()->pMethods;
  WatchedFile::Restore(handle);
  Log()->pMethods = ours;
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 0U);
  db_.reset();
  EXPECT_EQ(Write(database_.db()), SQLITE_OK);
}

TEST_F(WatchedLogTest, MethodsThatAreNotTheEnginesStayAlone) {
  PutShimOver(Log());
  auto handle = Watch();
  EXPECT_NE(handle.Get(), nullptr);
  EXPECT_EQ(Log()->pMethods, &shim);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 0U);
}

// --- orders of ending

TEST_F(WatchedLogTest, IsClosedInAnotherThread) {
  auto handle = Watch();
  std::thread([&] { db_.reset(); }).join();
  EXPECT_EQ(handle.Get(), nullptr);
  EXPECT_EQ(Write(database_.db()), SQLITE_OK);
}

TEST_F(WatchedLogTest, TheWatcherIsGoneBeforeTheLog) {
  auto handle = Watch();
  WatchedFile::Leave(handle);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 0U);
  // A later load finds our table in place.
  handle = Watch();
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
  WatchedFile::Restore(handle);
  EXPECT_EQ(Log()->pMethods, original_);
}

TEST_F(WatchedLogTest, AThreadThatBeganNoStatementCountsNothing) {
  auto handle = Watch();
  std::thread([&] { EXPECT_EQ(Write(db_.get()), SQLITE_OK); }).join();
  EXPECT_EQ(Writes(), 0U);
  handle.Get()->Enter(db_.get(), "main", false);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
}

TEST_F(WatchedLogTest, AForkedChildPassesOn) {
  ASSERT_NE(Watch().Get(), nullptr);
  const pid_t child = fork();
  if (child == 0) {
    // SQLite forbids that; programs do it all the same.
    Write(db_.get());
    const bool untouched = Writes() == 0;
    sqlite3_close(db_.release());
    _exit(untouched ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(WatchedLogTest, TheOwnersDatabaseIsReadBeforeItsLog) {
  // Watched before the first read: the log is not open yet.
  OwnedDb late = database_.Open();
  auto handle = Watch(late.get());
  ASSERT_NE(handle.Get(), nullptr);
  EXPECT_EQ(LogFile(late.get()), nullptr);
  Read(late.get());
  EXPECT_EQ(nothing_.opened_logs, 1);
  handle.Get()->Enter(late.get(), "main", false);
  EXPECT_EQ(Write(late.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 2U);
  late.reset();
  EXPECT_EQ(handle.Get(), nullptr);
}

TEST_F(WatchedLogTest, NobodyAsksAConnectionWithinAMethod) {
  // Bug: with a shared page cache the other connection of it had a mutex that the thread could not
  // have twice, and hung.
  const std::string uri = "file:" + database_.path() + "3?cache=shared";
  const auto open = [&] {
    sqlite3* raw = nullptr;
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;
    EXPECT_EQ(sqlite3_open_v2(uri.c_str(), &raw, kFlags, nullptr), SQLITE_OK);
    return OwnedDb(raw);
  };
  OwnedDb one = open();
  WalDatabase::Run(one.get(), "CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  auto handle = Watch(one.get());
  ASSERT_NE(handle.Get(), nullptr) << "alone so far";
  OwnedDb two = open();
  alarm(10);  // a test that hangs shall end
  WalDatabase::Run(two.get(), "PRAGMA journal_mode=WAL");
  EXPECT_EQ(Write(two.get()), SQLITE_OK);
  EXPECT_EQ(nothing_.opened_logs, 1);
  handle.Get()->Enter(one.get(), "main", false);
  EXPECT_EQ(Write(one.get()), SQLITE_OK);
  EXPECT_EQ(Writes(), 0U) << "of a cache that is shared nothing is counted";
  alarm(0);
}

}  // namespace
}  // namespace walmanager
