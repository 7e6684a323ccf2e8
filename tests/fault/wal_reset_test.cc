// The WAL-reset bug (SQLite 3.7.0 to 3.51.2, without 3.44.6+ and 3.50.7+): a checkpoint reads the
// log's header, another connection starts the log over, and committed pages are never copied.
// Shown first on the bare engine, then that a managed connection survives the same interleavings.
//
// The cast: A runs the checkpoint. B and C are bare connections; B commits, C completes the log.
// Every step of B and C inside A's checkpoint is made by ResetRig at the exact moment, in A's
// thread, so nothing here depends on timing.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "tests/fault/reset_rig.h"

namespace {

// Rows of a commit.
constexpr int kTable = 3000;
constexpr int kSmall = 1;
constexpr int kLarge = 1500;
constexpr int kRounds = 6;

// When B makes its large commit: before A's checkpoint goes on, or after it ended.
enum class Large { kInside, kAfter };

// Rows of the log that is started over, chosen so that a part of the large commit is lost: losing
// all of it would only be an older state, which integrity_check does not see. kAfter loses the
// frames up to the old log's length: few, so that some changed pages of the index still arrive.
// kInside loses, of those frames, the pages beyond the database's old size: many, so that there are
// such pages.
constexpr int FillFor(Large large) { return large == Large::kInside ? 600 : 5; }

struct CloseDb {
  void operator()(sqlite3* db) const { EXPECT_EQ(SQLITE_OK, sqlite3_close(db)); }
};
using Db = std::unique_ptr<sqlite3, CloseDb>;

// The first column of the first row, '' where there is none, or the error's text.
std::string Ask(const Db& db, const std::string& sql) {
  sqlite3_stmt* stmt = nullptr;
  std::string answer;
  if (sqlite3_prepare_v2(db.get(), sql.c_str(), -1, &stmt, nullptr) == SQLITE_OK &&
      sqlite3_step(stmt) == SQLITE_ROW) {
    const unsigned char* text = sqlite3_column_text(stmt, 0);
    if (text != nullptr) answer = reinterpret_cast<const char*>(text);
  }
  if (sqlite3_finalize(stmt) != SQLITE_OK || stmt == nullptr) answer = sqlite3_errmsg(db.get());
  return answer;
}

void Exec(const Db& db, const std::string& sql) {
  ASSERT_EQ(SQLITE_OK, sqlite3_exec(db.get(), sql.c_str(), nullptr, nullptr, nullptr))
      << sql << ": " << sqlite3_errmsg(db.get());
}

class WalReset : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "wal_reset_XXXXXX";
    ASSERT_NE(nullptr, mkdtemp(pattern.data()));
    directory_ = pattern;
    b_ = Open();
    ASSERT_EQ("wal", Ask(b_, "PRAGMA journal_mode=WAL"));
    Exec(b_, "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v BLOB); CREATE INDEX t_k ON t(k)");
    sqlite3_wal_hook(b_.get(), &RecordFrames, &log_frames_);
    Commit(kTable);
    ASSERT_TRUE(Passive(b_));
    // A and C look at the log before B fills it: without a first read a connection does not know
    // that there is one, and without a change since then the engine does not call xUnfetch.
    for (Db* db : {&a_, &c_}) {
      *db = Open();
      ASSERT_EQ(std::to_string(kTable), Ask(*db, "SELECT count(*) FROM t"));
    }
  }

  void TearDown() override {
    CloseAll();
    std::filesystem::remove_all(directory_);
  }

  // A bare connection that never checkpoints by itself.
  Db Open() {
    sqlite3* db = nullptr;
    EXPECT_EQ(SQLITE_OK, sqlite3_open_v2((directory_ / "test.db").c_str(), &db,
                                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"));
    sqlite3_busy_timeout(db, 5000);
    sqlite3_wal_autocheckpoint(db, 0);
    rig_.Own(db);
    return Db(db);
  }

  // From here on A is managed, by `strategy`.
  void ManageA(const std::string& strategy) {
    char* error = nullptr;
    sqlite3_wal_autocheckpoint(a_.get(), 1000);  // what an application has by default
    sqlite3_enable_load_extension(a_.get(), 1);
    ASSERT_EQ(SQLITE_OK, sqlite3_load_extension(a_.get(), WALMANAGER_SO, nullptr, &error)) << error;
    ASSERT_EQ(strategy, Ask(a_, "SELECT wal_strategy('" + strategy + "')"));
  }

  // B commits `rows` rows whose keys are scattered over the index.
  void Commit(int rows) {
    const std::string first = std::to_string(b_rows_ + 1);
    const std::string last = std::to_string(b_rows_ + rows);
    Exec(b_, "WITH RECURSIVE n(i) AS (SELECT " + first + " UNION ALL SELECT i+1 FROM n WHERE i<" +
                 last + ") INSERT INTO t SELECT i, " + "printf('%08x', (i*2654435761)&0xffffffff)" +
                 ", zeroblob(200) FROM n");
    b_rows_ += rows;
  }

  // A bare PASSIVE on the engine; returns whether it left nothing pending.
  bool Passive(const Db& db) {
    int log = -1;
    int checkpointed = -2;
    EXPECT_EQ(SQLITE_OK, sqlite3_wal_checkpoint_v2(db.get(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                                   &log, &checkpointed));
    log_frames_ = log;
    return log == checkpointed;
  }

  // A's wal_checkpoint: "1" where complete, "0" where not, or the error's text.
  std::string ManagedCheckpoint(const std::string& mode) {
    return Ask(a_, "SELECT json_extract(wal_checkpoint('" + mode + "'), '$.complete')");
  }

  // Leaves the extension's checkpointer open and all moved: whatever B commits next is a change
  // since the checkpointer last looked.
  void CommitAndCheckpoint() {
    Commit(kSmall);
    EXPECT_EQ("1", ManagedCheckpoint("PASSIVE"));
  }

  // B commits while A checkpoints: this starts the log over, or it does not.
  void CommitInsideCheckpoint() {
    checkpoint_thread_ = std::this_thread::get_id();
    const int before = log_frames_;
    Commit(kSmall);
    if (log_frames_ < before) ++log_started_over_;
  }

  // C completes the log after A saw frames to move; between A's two reads B tries to start it over.
  ResetRig::Moments ThirdConnectionCompletes(Large large) {
    return {.before_lock = [this] { EXPECT_TRUE(Passive(c_)); },
            .between_reads =
                [this, large] {
                  CommitInsideCheckpoint();
                  if (large == Large::kInside) Commit(kLarge);
                }};
  }

  // Nothing is pending and B is inside a write transaction, which it commits between A's two reads:
  // a TRUNCATE goes that far, as it falls back to PASSIVE where the write lock is taken.
  ResetRig::Moments WriterCommitsDuringTruncate() {
    Commit(FillFor(Large::kAfter));
    EXPECT_TRUE(Passive(c_));
    Exec(b_, "BEGIN IMMEDIATE");
    Commit(kSmall);
    sqlite3_busy_timeout(a_.get(), 0);
    return {.before_lock = nullptr, .between_reads = [this] { Exec(b_, "COMMIT"); }};
  }

  void ExpectBareEngineLosesPages(const ResetRig::Moments& moments, Large large) {
    rig_.ArmFor(a_.get(), moments);
    Passive(a_);
    ASSERT_TRUE(rig_.Disarm());
    ASSERT_EQ(1, log_started_over_);
    if (large == Large::kAfter) Commit(kLarge);
    Passive(a_);
    ExpectBugOfThisEngine();
  }

  void CloseAll() {
    a_.reset();
    c_.reset();
    b_.reset();
  }

  // Integrity as a new connection sees it.
  std::string IntegrityAfterClose() {
    CloseAll();
    return Ask(Open(), "PRAGMA integrity_check(1)");
  }

  void ExpectIntact(int rows) {
    EXPECT_EQ("ok", IntegrityAfterClose());
    EXPECT_EQ(std::to_string(rows), Ask(Open(), "SELECT count(*) FROM t NOT INDEXED"));
    EXPECT_EQ(std::to_string(rows), Ask(Open(), "SELECT count(*) FROM t INDEXED BY t_k"));
  }

  void ExpectBugOfThisEngine() {
    if (EngineHasResetBug()) {
      EXPECT_NE("ok", IntegrityAfterClose());
    } else {
      ExpectIntact(b_rows_);
    }
  }

  ResetRig rig_;
  std::filesystem::path directory_;
  Db a_, b_, c_;
  int b_rows_ = 0;
  int log_frames_ = 0;  // of the log at B's last commit or the last bare checkpoint
  std::thread::id checkpoint_thread_;
  int log_started_over_ = 0;  // how often B's commit inside a checkpoint reset the log

 private:
  static int RecordFrames(void* frames, sqlite3*, const char*, int n) {
    *static_cast<int*>(frames) = n;
    return SQLITE_OK;
  }
};

TEST_F(WalReset, BareEngineLosesCommittedPages) {
  c_.reset();
  Commit(FillFor(Large::kAfter));
  ASSERT_TRUE(Passive(b_));
  ExpectBareEngineLosesPages(
      {.before_lock = nullptr, .between_reads = [this] { CommitInsideCheckpoint(); }},
      Large::kAfter);
}

// A check for frames to move, made before the checkpoint, is no guard.
TEST_F(WalReset, BareEngineLosesPagesWhenThirdConnectionCompletesTheLog) {
  Commit(FillFor(Large::kAfter));
  ExpectBareEngineLosesPages(ThirdConnectionCompletes(Large::kAfter), Large::kAfter);
}

TEST_F(WalReset, BareEngineLosesNewPagesOfCommitInsideTheCheckpoint) {
  Commit(FillFor(Large::kInside));
  ExpectBareEngineLosesPages(ThirdConnectionCompletes(Large::kInside), Large::kInside);
}

TEST_F(WalReset, BareEngineLosesPagesWhenTruncateFallsBackToPassive) {
  rig_.ArmFor(a_.get(), WriterCommitsDuringTruncate());
  EXPECT_EQ(SQLITE_BUSY, sqlite3_wal_checkpoint_v2(a_.get(), "main", SQLITE_CHECKPOINT_TRUNCATE,
                                                   nullptr, nullptr));
  ASSERT_TRUE(rig_.Disarm());
  Commit(kLarge);
  Passive(a_);
  ExpectBugOfThisEngine();
}

// Frames are pending throughout, so here even an unguarded checkpoint would survive; the three
// tests after this one fail without the guard.
TEST_F(WalReset, ManagedConnectionSurvives) {
  ASSERT_NO_FATAL_FAILURE(ManageA("off"));
  for (int round = 0; round < kRounds; ++round) {
    Commit(kSmall);
    rig_.ArmForExtension({.before_lock = [this] { CommitInsideCheckpoint(); },
                          .between_reads =
                              [this] {
                                CommitInsideCheckpoint();
                                Commit(kLarge);
                              }});
    ManagedCheckpoint("PASSIVE");
    ASSERT_TRUE(rig_.Disarm());
    Commit(kLarge);
    // Every other round begins with a log that is to be started over.
    if (round % 2 == 0) CommitAndCheckpoint();
  }
  EXPECT_EQ(0, log_started_over_);
  CommitAndCheckpoint();
  ExpectIntact(b_rows_);
}

TEST_F(WalReset, ManagedSurvivesThirdConnectionCompletingTheLog) {
  ASSERT_NO_FATAL_FAILURE(ManageA("off"));
  CommitAndCheckpoint();
  for (int round = 0; round < kRounds; ++round) {
    const Large large = round % 2 == 0 ? Large::kAfter : Large::kInside;
    Commit(FillFor(large));
    ResetRig::Moments moments = ThirdConnectionCompletes(large);
    if (round % 3 == 2) {  // B also commits before the checkpoint has its lock
      moments.before_lock = [this] {
        EXPECT_TRUE(Passive(c_));
        CommitInsideCheckpoint();
      };
    }
    rig_.ArmForExtension(moments);
    ManagedCheckpoint("PASSIVE");
    ASSERT_TRUE(rig_.Disarm());
    if (large == Large::kAfter) Commit(kLarge);
    CommitAndCheckpoint();
  }
  EXPECT_EQ(0, log_started_over_);  // the pin held it
  ExpectIntact(b_rows_);
}

TEST_F(WalReset, ManagedSurvivesTruncateThatFallsBackToPassive) {
  ASSERT_NO_FATAL_FAILURE(ManageA("off"));
  CommitAndCheckpoint();
  rig_.ArmForExtension(WriterCommitsDuringTruncate());
  ManagedCheckpoint("TRUNCATE");
  // Not to begin at all, while a writer is there and nothing is pending, is as good an answer.
  if (!rig_.Disarm()) Exec(b_, "COMMIT");
  Commit(kLarge);
  CommitAndCheckpoint();
  ExpectIntact(b_rows_);
}

TEST_F(WalReset, InlineCheckpointsSurvive) {
  constexpr int kMostCommits = 1200;
  ASSERT_NO_FATAL_FAILURE(ManageA("sqlite_default"));  // checkpoints in the committing thread
  ASSERT_EQ("100", Ask(a_, "SELECT wal_set('checkpoint_frames', 100)"));
  Exec(a_, "CREATE TABLE a(id INTEGER PRIMARY KEY, v BLOB)");
  int commits = 0;
  int interleaved = 0;
  for (; interleaved < kRounds && commits < kMostCommits; ++commits) {
    const Large large = interleaved % 2 == 0 ? Large::kAfter : Large::kInside;
    rig_.ArmForExtension(ThirdConnectionCompletes(large));
    Exec(a_, "INSERT INTO a(v) VALUES(zeroblob(200))");
    if (!rig_.Disarm()) continue;
    ++interleaved;
    EXPECT_EQ(std::this_thread::get_id(), checkpoint_thread_);
    if (large == Large::kAfter) Commit(kLarge);
    // The next checkpoint is due only after A's own commits have filled the log again.
    CommitAndCheckpoint();
  }
  EXPECT_EQ(kRounds, interleaved);
  EXPECT_EQ(0, log_started_over_);
  ExpectIntact(b_rows_);
  EXPECT_EQ(std::to_string(commits), Ask(Open(), "SELECT count(*) FROM a"));
}

}  // namespace
