// A writer that is killed between two stores of SQLite's walRestartHdr, a state that tests/model
// has found: the header of the wal-index says that the log is empty, and nBackfill still has the
// length of the old log. Later commits are then in frames that count as copied. Other connections
// do not see them, and the last close deletes them.
//
// The two stores are a few machine instructions apart, so the test steps the writer there by
// ptrace.
#include <gtest/gtest.h>
#include <sqlite3.h>

#ifdef __x86_64__

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

namespace {

struct CloseDb {
  void operator()(sqlite3* db) const { EXPECT_EQ(SQLITE_OK, sqlite3_close(db)); }
};
using Db = std::unique_ptr<sqlite3, CloseDb>;

Db Open(const std::string& path) {
  sqlite3* db = nullptr;
  EXPECT_EQ(SQLITE_OK, sqlite3_open(path.c_str(), &db));
  sqlite3_wal_autocheckpoint(db, 0);
  return Db(db);
}

std::string Ask(const Db& db, const std::string& sql) {
  sqlite3_stmt* stmt = nullptr;
  std::string answer;
  if (sqlite3_prepare_v2(db.get(), sql.c_str(), -1, &stmt, nullptr) == SQLITE_OK &&
      sqlite3_step(stmt) == SQLITE_ROW) {
    answer = reinterpret_cast<const char*>(sqlite3_column_text(stmt, 0));
  }
  if (sqlite3_finalize(stmt) != SQLITE_OK) answer = sqlite3_errmsg(db.get());
  return answer;
}

// The wal-index as `db` has mapped it (https://www.sqlite.org/walformat.html).
class WalIndexWords {
 public:
  explicit WalIndexWords(const Db& db) {
    sqlite3_file* file = nullptr;
    sqlite3_file_control(db.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
    void volatile* memory = nullptr;
    file->pMethods->xShmMap(file, 0, 32768, 0, &memory);
    words_ = static_cast<const volatile std::uint32_t*>(memory);
  }
  std::uint32_t max_frame() const { return words_[4]; }
  std::uint32_t backfill() const { return words_[24]; }
  // Whether both copies of the header are the same: it is written.
  bool header_is_whole() const {
    for (int word = 0; word < 12; ++word) {
      if (words_[word] != words_[12 + word]) return false;
    }
    return true;
  }

 private:
  const volatile std::uint32_t* words_ = nullptr;
};

// In the child: waits for the tracer, then commits once.
[[noreturn]] void CommitTraced(const std::string& path) {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(2);
  raise(SIGSTOP);
  sqlite3* db = nullptr;
  sqlite3_open(path.c_str(), &db);
  sqlite3_wal_autocheckpoint(db, 0);
  sqlite3_exec(db, "INSERT INTO t VALUES (2, 'killed')", nullptr, nullptr, nullptr);
  _exit(0);
}

// Whether the stopped child asks for all read marks at once, as it does before the log starts over.
bool LocksAllReadMarks(pid_t child) {
  constexpr int kFirstReadMark = 124, kReadMarks = 4;
  user_regs_struct registers{};
  ptrace(PTRACE_GETREGS, child, nullptr, &registers);
  if (registers.orig_rax != SYS_fcntl || registers.rsi != F_SETLK) return false;
  union {
    long words[sizeof(struct flock) / sizeof(long)];
    struct flock lock;
  } asked{};
  for (std::size_t word = 0; word < std::size(asked.words); ++word) {
    asked.words[word] =
        ptrace(PTRACE_PEEKDATA, child, reinterpret_cast<void*>(registers.rdx + word * sizeof(long)),
               nullptr);
  }
  return asked.lock.l_type == F_WRLCK && asked.lock.l_start == kFirstReadMark &&
         asked.lock.l_len == kReadMarks;
}

// Lets the child run until it is between the two stores. False where it never was.
bool RunToMoment(pid_t child, const WalIndexWords& index) {
  bool steps = false;
  for (;;) {
    ptrace(steps ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, child, nullptr, nullptr);
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return false;
    if (!steps) {
      steps = LocksAllReadMarks(child);
    } else if (index.max_frame() == 0 && index.header_is_whole()) {
      return index.backfill() != 0;
    }
  }
}

TEST(KilledWriter, BareEngineLosesLaterCommits) {
  std::string directory = std::filesystem::temp_directory_path() / "killed_writer_XXXXXX";
  ASSERT_NE(nullptr, mkdtemp(directory.data()));
  const std::string path = directory + "/test.db";
  // Before any connection is open, so that the child inherits none.
  const pid_t child = fork();
  if (child == 0) CommitTraced(path);
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  if (!WIFSTOPPED(status)) GTEST_SKIP() << "ptrace is not permitted here";

  Db db = Open(path);
  ASSERT_EQ("wal", Ask(db, "PRAGMA journal_mode=WAL"));
  Ask(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)");
  Ask(db, "INSERT INTO t VALUES (1, zeroblob(20000))");
  ASSERT_EQ("0", Ask(db, "PRAGMA wal_checkpoint"));
  const WalIndexWords index(db);
  ASSERT_EQ(index.max_frame(), index.backfill());

  const bool stopped = RunToMoment(child, index);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  if (!stopped) {
    db.reset();
    std::filesystem::remove_all(directory);
    GTEST_SKIP() << "this SQLite has no such moment";
  }
  // Reported as committed.
  EXPECT_EQ("", Ask(db, "INSERT INTO t VALUES (3, 'acknowledged')"));
  EXPECT_GT(index.backfill(), index.max_frame());
  EXPECT_EQ("0", Ask(Open(path), "SELECT count(*) FROM t WHERE a = 3"));
  db.reset();
  EXPECT_EQ("0", Ask(Open(path), "SELECT count(*) FROM t WHERE a = 3"));
  std::filesystem::remove_all(directory);
}

}  // namespace

#endif  // __x86_64__
