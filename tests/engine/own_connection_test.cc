#include "ext/engine/own_connection.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ext/engine/own_vfs.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

std::atomic<bool> is_open{false}, may_go_on{false}, answered{false}, was_own{false};

// An xOpen on a disk that does not answer for a while.
int OpenOnASlowDisk(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
  was_own = OpeningOwnConnection();
  is_open = true;
  WaitUntil([] { return may_go_on.load(); });
  answered = true;
  auto* unix_vfs = static_cast<sqlite3_vfs*>(vfs->pAppData);
  return unix_vfs->xOpen(unix_vfs, name, file, flags, out);
}

TEST(OwnConnectionTest, OneThatDoesNotOpenHoldsUpNoOther) {
  sqlite3_vfs* unix_vfs = sqlite3_vfs_find("unix");
  ASSERT_NE(unix_vfs, nullptr);
  sqlite3_vfs slow = *unix_vfs;
  slow.zName = "slow";
  slow.pNext = nullptr;
  slow.pAppData = unix_vfs;
  slow.xOpen = OpenOnASlowDisk;
  ASSERT_EQ(sqlite3_vfs_register(&slow, 0), SQLITE_OK);
  const WalDatabase files;
  std::thread opens([&] {
    const auto opened =
        OpenOwnConnection(files.path(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, "slow");
    EXPECT_TRUE(opened.ok());
  });
  EXPECT_TRUE(WaitUntil([] { return is_open.load(); }));
  EXPECT_TRUE(OpenInMemory().ok());
  EXPECT_NE(OwnVfsFor(unix_vfs), nullptr);
  EXPECT_FALSE(OpeningOwnConnection());
  EXPECT_FALSE(answered.load());
  may_go_on = true;
  opens.join();
  EXPECT_TRUE(was_own);
  sqlite3_vfs_unregister(&slow);
}

}  // namespace
}  // namespace walmanager
