// That a file of the host is watched without harm: whatever other libraries do to its methods, in
// whatever order it is closed, and in a forked child.
#include "ext/engine/watched_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <thread>
#include <vector>

#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

struct Told final : FileWatcher {
  void Refused(LockKind lock) override { refused.push_back(lock); }
  void Granted() override { ++granted; }
  void Conflicts(std::uint64_t newest) override { conflicts.push_back(newest); }
  void OpenedLog() override {}
  std::vector<LockKind> refused;
  std::vector<std::uint64_t> conflicts;
  int granted = 0;
};

class WatchedFileTest : public testing::Test {
 protected:
  WatchedFileTest() {
    database_.Commit(1);
    db_ = database_.Open();
    Read(db_.get());
    original_ = File()->pMethods;
  }
  sqlite3_file* File() { return DatabaseFile(db_.get(), "main"); }
  static void Read(sqlite3* db) { WalDatabase::Number(db, "SELECT count(*) FROM t"); }
  static int Write(sqlite3* db) {
    return sqlite3_exec(db, "INSERT INTO t VALUES (NULL, 1)", nullptr, nullptr, nullptr);
  }
  WatchedFile::Handle Watch() { return WatchedFile::Watch(db_.get(), "main", &told_); }

  WalDatabase database_;
  OwnedDb db_;
  Told told_;
  const sqlite3_io_methods* original_ = nullptr;
};

TEST_F(WatchedFileTest, ReplacesAFewMethodsAndPutsTheTableBack) {
  auto handle = Watch();
  ASSERT_NE(handle.Get(), nullptr);
  const sqlite3_io_methods* now = File()->pMethods;
  EXPECT_NE(now, original_);
  EXPECT_EQ(now->iVersion, original_->iVersion);
  EXPECT_EQ(now->xTruncate, original_->xTruncate);
  EXPECT_NE(now->xRead, original_->xRead);
  EXPECT_EQ(now->xFileControl, original_->xFileControl);
  EXPECT_NE(now->xShmLock, original_->xShmLock);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  WatchedFile::Restore(handle);
  EXPECT_EQ(File()->pMethods, original_);
  EXPECT_EQ(handle.Get(), nullptr);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
}

TEST_F(WatchedFileTest, TellsOfALockThatAnotherConnectionHas) {
  auto handle = Watch();
  const OwnedDb other = database_.Open();
  WalDatabase::Run(other.get(), "BEGIN IMMEDIATE");
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  EXPECT_EQ(told_.refused, std::vector{LockKind::kWrite});
  EXPECT_FALSE(handle.Get()->SettleAtEnd());
  EXPECT_TRUE(handle.Get()->SettleAtEnd());
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  WalDatabase::Run(other.get(), "COMMIT");
  EXPECT_EQ(told_.granted, 0);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(told_.granted, 1);
  EXPECT_TRUE(handle.Get()->SettleAtEnd());
}

TEST_F(WatchedFileTest, ASnapshotIsToldFromAnEmptyTransaction) {
  auto handle = Watch();
  const OwnedDb other = database_.Open();
  WalDatabase::Run(db_.get(), "BEGIN IMMEDIATE; COMMIT");
  WalDatabase::Run(db_.get(), "UPDATE t SET v = 1 WHERE id = 77");
  EXPECT_TRUE(told_.refused.empty());
  WalDatabase::Run(db_.get(), "BEGIN");
  Read(db_.get());
  EXPECT_EQ(Write(other.get()), SQLITE_OK);
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  EXPECT_EQ(sqlite3_extended_errcode(db_.get()), SQLITE_BUSY_SNAPSHOT);
  EXPECT_TRUE(told_.refused.empty()) << "a watcher would look for a holder, with the lock held";
  EXPECT_TRUE(handle.Get()->is_conflict());
  EXPECT_EQ(told_.conflicts.size(), 1U);
  EXPECT_FALSE(handle.Get()->SettleAtEnd());
  WalDatabase::Run(db_.get(), "ROLLBACK");
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
}

TEST_F(WatchedFileTest, AConflictThatIsNotToldTakesNoCommitOver) {
  auto handle = Watch();
  layout::Counter shown{0}, committed{0};
  handle.Get()->set_shown({&shown, &committed}, 5);
  const OwnedDb other = database_.Open();
  WalDatabase::Run(db_.get(), "BEGIN");
  Read(db_.get());
  EXPECT_EQ(Write(other.get()), SQLITE_OK);
  handle.Get()->set_paused(true);
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  handle.Get()->set_paused(false);
  EXPECT_TRUE(told_.conflicts.empty());
  EXPECT_EQ(committed.load(), 0U) << "the other connection's";
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  EXPECT_EQ(told_.conflicts.size(), 1U);
  WalDatabase::Run(db_.get(), "ROLLBACK");
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_NE(committed.load(), 0U);
  handle.Get()->set_shown({}, 0);
}

// --- another library changes the methods

sqlite3_io_methods shim;
const sqlite3_io_methods* below_shim = nullptr;
int shim_locks = 0;

int ShimLock(sqlite3_file* file, int offset, int n, int flags) {
  ++shim_locks;
  return below_shim->xShmLock(file, offset, n, flags);
}

void PutShimOver(sqlite3_file* file) {
  below_shim = file->pMethods;
  shim = *below_shim;
  shim.xShmLock = ShimLock;
  file->pMethods = &shim;
  shim_locks = 0;
}

TEST_F(WatchedFileTest, AShimAboveStaysAndIsCalled) {
  auto handle = Watch();
  PutShimOver(File());
  const OwnedDb other = database_.Open();
  WalDatabase::Run(other.get(), "BEGIN IMMEDIATE");
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  EXPECT_GT(shim_locks, 0);
  EXPECT_EQ(told_.refused, std::vector{LockKind::kWrite});
  WalDatabase::Run(other.get(), "COMMIT");
  WatchedFile::Restore(handle);
  EXPECT_EQ(File()->pMethods, &shim) << "not put back over the other library's";
  EXPECT_EQ(Watch().Get(), nullptr) << "our functions would call themselves without end";
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  EXPECT_EQ(told_.granted, 0);
  db_.reset();
}

TEST_F(WatchedFileTest, AShimOfTwoFilesHasACopyOfTheTableOfOne) {
  auto handle = Watch();
  PutShimOver(File());
  OwnedDb second = database_.Open();
  Read(second.get());
  DatabaseFile(second.get(), "main")->pMethods = &shim;
  EXPECT_EQ(Write(second.get()), SQLITE_OK);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  db_.reset();
  EXPECT_EQ(handle.Get(), nullptr);
  EXPECT_EQ(Write(second.get()), SQLITE_OK);
  second.reset();
}

TEST_F(WatchedFileTest, AShimPutsOurTableBackAfterItWasTakenAway) {
  auto handle = Watch();
  const sqlite3_io_methods* ours = File()->pMethods;
  WatchedFile::Restore(handle);
  File()->pMethods = ours;
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  // Its place belongs to another file by now.
  OwnedDb second = database_.Open();
  Read(second.get());
  auto other = WatchedFile::Watch(second.get(), "main", &told_);
  ASSERT_NE(other.Get(), nullptr);
  EXPECT_EQ(Write(db_.get()), SQLITE_OK);
  db_.reset();
  EXPECT_NE(other.Get(), nullptr);
  EXPECT_EQ(Write(second.get()), SQLITE_OK);
}

TEST_F(WatchedFileTest, MethodsThatAreNotTheEnginesStayAlone) {
  PutShimOver(File());
  EXPECT_EQ(Watch().Get(), nullptr);
  EXPECT_EQ(File()->pMethods, &shim);
}

TEST_F(WatchedFileTest, AVfsThatForwardsIsLeftAlone) {
  sqlite3_vfs forwards = *sqlite3_vfs_find("unix");
  forwards.zName = "forwards";
  forwards.pNext = nullptr;
  ASSERT_EQ(sqlite3_vfs_register(&forwards, 0), SQLITE_OK);
  {
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open_v2(database_.path().c_str(), &raw, SQLITE_OPEN_READWRITE, "forwards"),
              SQLITE_OK);
    const OwnedDb db(raw);
    Read(raw);
    EXPECT_EQ(WatchedFile::Watch(raw, "main", &told_).Get(), nullptr);
  }
  sqlite3_vfs_unregister(&forwards);
}

// --- orders of ending

TEST_F(WatchedFileTest, IsClosedInAnotherThread) {
  auto handle = Watch();
  std::thread([&] { db_.reset(); }).join();
  EXPECT_EQ(handle.Get(), nullptr);
  EXPECT_EQ(Write(database_.db()), SQLITE_OK);
}

TEST_F(WatchedFileTest, TheWatcherIsGoneBeforeTheFile) {
  {
    std::optional<Told> told(std::in_place);
    auto handle = WatchedFile::Watch(db_.get(), "main", &*told);
    WatchedFile::Leave(handle);
    told.reset();
    EXPECT_EQ(handle.Get(), nullptr);
  }
  const OwnedDb other = database_.Open();
  WalDatabase::Run(other.get(), "BEGIN IMMEDIATE");
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  WalDatabase::Run(other.get(), "COMMIT");
  // A later load finds our table in place.
  auto again = Watch();
  ASSERT_NE(again.Get(), nullptr);
  WatchedFile::Restore(again);
  EXPECT_EQ(File()->pMethods, original_);
}

TEST_F(WatchedFileTest, AZombieGoesOn) {
  auto handle = Watch();
  sqlite3_stmt* stmt = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(db_.get(), "SELECT id FROM t", -1, &stmt, nullptr), SQLITE_OK);
  sqlite3_close_v2(db_.release());
  EXPECT_NE(handle.Get(), nullptr);
  EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
  sqlite3_finalize(stmt);
  EXPECT_EQ(handle.Get(), nullptr);
}

TEST_F(WatchedFileTest, ACacheThatIsSharedIsLeftAlone) {
  const std::string uri = "file:" + database_.path() + "?cache=shared";
  const auto open = [&] {
    sqlite3* raw = nullptr;
    EXPECT_EQ(sqlite3_open_v2(uri.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, nullptr),
              SQLITE_OK);
    Read(raw);
    return OwnedDb(raw);
  };
  OwnedDb one = open();
  auto handle = WatchedFile::Watch(one.get(), "main", &told_);
  ASSERT_NE(handle.Get(), nullptr) << "alone so far";
  OwnedDb two = open();
  ASSERT_EQ(DatabaseFile(one.get(), "main"), DatabaseFile(two.get(), "main"));
  EXPECT_EQ(WatchedFile::Watch(two.get(), "main", &told_).Get(), nullptr);
  handle.Get()->LookWhetherShared(one.get());
  WalDatabase::Run(db_.get(), "BEGIN IMMEDIATE");
  EXPECT_EQ(Write(one.get()), SQLITE_BUSY);
  EXPECT_EQ(Write(two.get()), SQLITE_BUSY);
  EXPECT_TRUE(told_.refused.empty());
  WalDatabase::Run(db_.get(), "COMMIT");
  one.reset();
  EXPECT_EQ(Write(two.get()), SQLITE_OK);
  EXPECT_NE(handle.Get(), nullptr);
  two.reset();
  EXPECT_EQ(handle.Get(), nullptr);
}

TEST_F(WatchedFileTest, AThreadThatBeganNoStatementTellsNothing) {
  auto handle = Watch();
  const OwnedDb other = database_.Open();
  WalDatabase::Run(other.get(), "BEGIN IMMEDIATE");
  std::thread([&] { EXPECT_EQ(Write(db_.get()), SQLITE_BUSY); }).join();
  EXPECT_TRUE(told_.refused.empty());
  handle.Get()->Enter(db_.get(), "main", false);
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  EXPECT_EQ(told_.refused.size(), 1U);
}

TEST_F(WatchedFileTest, AForkedChildPassesOn) {
  auto handle = Watch();
  layout::Counter shown{0}, committed{0};
  handle.Get()->set_shown({&shown, &committed}, 5);
  const std::uint64_t before = shown.load();
  const pid_t child = fork();
  if (child == 0) {
    // SQLite forbids that; programs do it all the same.
    Write(db_.get());
    const bool untouched = shown.load() == before && told_.refused.empty();
    sqlite3_close(db_.release());
    _exit(untouched ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_NE(handle.Get(), nullptr);
  handle.Get()->set_shown({}, 0);
}

TEST_F(WatchedFileTest, ShowsWhatItHolds) {
  constexpr std::uint64_t kId = 17;
  auto handle = Watch();
  layout::Counter shown{0}, committed{0};
  handle.Get()->set_shown({&shown, &committed}, kId);
  const auto held = [&] { return HeldLocks(shown.load(), kId); };
  EXPECT_FALSE(held().Excludes(LockKind::kWrite));
  WalDatabase::Run(db_.get(), "BEGIN IMMEDIATE");
  EXPECT_TRUE(held().Excludes(LockKind::kWrite));
  EXPECT_FALSE(HeldLocks(shown.load(), kId + 1).Excludes(LockKind::kWrite));
  WalDatabase::Run(db_.get(), "COMMIT");
  EXPECT_FALSE(held().Excludes(LockKind::kWrite));
  handle.Get()->set_shown({}, 0);
  EXPECT_EQ(shown.load(), 0U);
}

TEST_F(WatchedFileTest, AConflictNamesTheCommit) {
  const OwnedDb other = database_.Open();
  Read(other.get());
  Told others;
  auto handle = Watch(), second = WatchedFile::Watch(other.get(), "main", &others);
  layout::Counter locks[2] = {0, 0}, committed[2] = {0, 0};
  handle.Get()->set_shown({&locks[0], &committed[0]}, 1);
  second.Get()->set_shown({&locks[1], &committed[1]}, 2);
  WalDatabase::Run(db_.get(), "BEGIN");
  Read(db_.get());
  EXPECT_EQ(Write(other.get()), SQLITE_OK);
  EXPECT_EQ(Write(db_.get()), SQLITE_BUSY);
  EXPECT_EQ(told_.conflicts, std::vector{committed[1].load()});
  EXPECT_EQ(committed[0].load(), 0U) << "it has given the lock back without a commit";
  handle.Get()->set_shown({}, 0);
  second.Get()->set_shown({}, 0);
}

TEST_F(WatchedFileTest, FindsAgainWhatAnotherThreadHasGivenBack) {
  constexpr std::uint64_t kId = 17;
  auto handle = Watch();
  layout::Counter shown{0}, committed{0};
  handle.Get()->set_shown({&shown, &committed}, kId);
  WalDatabase::Run(db_.get(), "BEGIN IMMEDIATE");
  std::thread([&] { WalDatabase::Run(db_.get(), "COMMIT"); }).join();
  EXPECT_TRUE(HeldLocks(shown.load(), kId).Excludes(LockKind::kWrite));
  handle.Get()->FindLocksAgain(db_.get(), "main");
  EXPECT_FALSE(HeldLocks(shown.load(), kId).Excludes(LockKind::kWrite));
  handle.Get()->set_shown({}, 0);
}

TEST_F(WatchedFileTest, ManyFilesComeAndGo) {
  for (int round = 0; round < 3; ++round) {
    std::vector<OwnedDb> open;
    std::vector<WatchedFile::Handle> handles;
    for (int i = 0; i < 50; ++i) {
      open.push_back(database_.Open());
      Read(open.back().get());
      handles.push_back(WatchedFile::Watch(open.back().get(), "main", &told_));
      ASSERT_NE(handles.back().Get(), nullptr);
    }
    for (int i = 0; i < 50; i += 2) open[static_cast<std::size_t>(i)].reset();
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(handles[static_cast<std::size_t>(i)].Get() == nullptr, i % 2 == 0);
    }
  }
}

// --- an engine whose locks wait by themselves (SQLITE_ENABLE_SETLK_TIMEOUT)

int timeout_ms = 0, waits = 0;
const sqlite3_io_methods* real_methods = nullptr;

int WaitingControl(sqlite3_file* file, int op, void* argument) {
  if (op != SQLITE_FCNTL_LOCK_TIMEOUT) return real_methods->xFileControl(file, op, argument);
  std::swap(timeout_ms, *static_cast<int*>(argument));
  return SQLITE_OK;
}

int WaitingLock(sqlite3_file* file, int offset, int n, int flags) {
  int rc = real_methods->xShmLock(file, offset, n, flags);
  for (int left = timeout_ms; rc == SQLITE_BUSY && left > 0; --left) {
    ++waits;
    sqlite3_sleep(1);
    rc = real_methods->xShmLock(file, offset, n, flags);
  }
  return rc;
}

int HasOption(const char*) { return 1; }

TEST_F(WatchedFileTest, AWaitWithinOneCall) {
  static sqlite3_io_methods waiting;
  real_methods = original_;
  waiting = *original_;
  waiting.xFileControl = WaitingControl;
  waiting.xShmLock = WaitingLock;
  // So that this program's methods are the engine's.
  const sqlite3_api_routines* const table = sqlite3_api;
  sqlite3_api_routines changed = *table;
  changed.compileoption_used = HasOption;
  changed.libversion_number = [] { return 3040001; };
  sqlite3_api = &changed;
  File()->pMethods = &waiting;
  auto handle = Watch();
  sqlite3_api = table;
  ASSERT_NE(handle.Get(), nullptr);
  const OwnedDb other = database_.Open();
  sqlite3_file* file = File();
  const auto lock = [&] {
    return file->pMethods->xShmLock(file, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
  };
  const auto unlock = [&] {
    file->pMethods->xShmLock(file, 0, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  };
  const auto set_timeout = [&](int ms) {
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCK_TIMEOUT, &ms);
  };
  set_timeout(100);
  // Free: no wait.
  EXPECT_EQ(lock(), SQLITE_OK);
  unlock();
  EXPECT_EQ(timeout_ms, 100);
  EXPECT_TRUE(told_.refused.empty());
  // Not free, and the time is over.
  WalDatabase::Run(other.get(), "BEGIN IMMEDIATE");
  EXPECT_EQ(lock(), SQLITE_BUSY);
  EXPECT_LE(1u, told_.refused.size());
  EXPECT_EQ(waits, 100);
  EXPECT_FALSE(handle.Get()->SettleAtEnd());
  // Not free, and then free.
  told_.refused.clear();
  set_timeout(10'000);
  std::thread frees([&] {
    sqlite3_sleep(50);
    WalDatabase::Run(other.get(), "COMMIT");
  });
  EXPECT_EQ(lock(), SQLITE_OK);
  frees.join();
  EXPECT_EQ(told_.refused, std::vector{LockKind::kWrite});
  EXPECT_EQ(told_.granted, 1);
  unlock();
  set_timeout(0);
}

}  // namespace
}  // namespace walmanager
