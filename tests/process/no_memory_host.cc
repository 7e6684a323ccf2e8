// For test_no_memory.py: a program that runs out of memory.
//
//   no_memory_host LIBRARY FOLDER WHAT host|library|all once|always MOST [SQL]
//
// For up to MOST numbers n the n-th allocation of WHAT fails, alone or with all that follow, in a
// process of its own; `host` and `library` count the allocations of their own threads only.
// Prints a line for each n that did harm, and at the end how many were tried. It needs glibc, and
// calls the real functions by the names that glibc provides for that.
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}

namespace {

enum class Whose : int { kAll, kHost, kLibrary };

std::atomic<bool> armed{false};
std::atomic<long> left{0};  // allocations until one fails
std::atomic<bool> has_failed{false};
Whose whose = Whose::kAll;
bool always = false;

bool CountsHere() {
  if (whose == Whose::kAll) return true;
  static thread_local Whose known = Whose::kAll;
  if (known == Whose::kAll) {
    char name[17] = {};
    prctl(PR_GET_NAME, name);
    known = std::strncmp(name, "walmanager", 10) == 0 ? Whose::kLibrary : Whose::kHost;
  }
  return known == whose;
}

bool Fails() {
  if (!armed.load(std::memory_order_relaxed) || !CountsHere()) return false;
  const long now = left.fetch_sub(1);
  if (now > 1 || (now < 1 && !always)) return false;
  has_failed = true;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) { return Fails() ? nullptr : __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) {
  return Fails() ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  return Fails() ? nullptr : __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  return Fails() ? nullptr : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return Fails() ? nullptr : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  void* made = Fails() ? nullptr : __libc_memalign(alignment, bytes);
  if (!made) return ENOMEM;
  *memory = made;
  return 0;
}
}

namespace {

constexpr long kNever = 1L << 40;
constexpr double kLongestSeconds = 10;

// What a process reports, in memory that it shares with the process that watches it.
struct Said {
  long counted = 0;
  bool failed = false;
  const char* stage = "begin";  // of the program's own text: the same in both
  int rc = 0;                   // of WHAT
  int again = 0;                // the same once more, with memory
  int commit = 0, close = 0;
  int blocked_signals = 0, descriptors = 0;
  bool log_left = false;
};

const char* library = nullptr;
std::string folder, path;
Said* said = nullptr;

int Run(sqlite3* db, const char* sql) {
  sqlite3_stmt* stmt = nullptr;
  int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, nullptr);
  if (rc != SQLITE_OK) return rc;
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    for (int i = 0; i < sqlite3_column_count(stmt); ++i) (void)sqlite3_column_text(stmt, i);
  }
  const int finalized = sqlite3_finalize(stmt);
  return finalized != SQLITE_OK ? finalized : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int Load(sqlite3* db, const char* entry = nullptr) {
  sqlite3_enable_load_extension(db, 1);
  char* message = nullptr;
  const int rc = sqlite3_load_extension(db, library, entry, &message);
  sqlite3_free(message);
  return rc;
}

sqlite3* Open() {
  sqlite3* db = nullptr;
  sqlite3_open(path.c_str(), &db);
  sqlite3_busy_timeout(db, 2000);
  return db;
}

int CountDescriptors() {
  int count = 0;
  struct stat status {};
  for (int i = 0; i < 200; ++i) count += fstat(i, &status) == 0 ? 1 : 0;
  return count;
}

void Arm(long n) {
  said->stage = "without memory";
  left = n;
  armed = true;
}

void Disarm(long n) {
  armed = false;
  said->failed = has_failed;
  said->counted = n - left;
  said->stage = "with memory again";
}

constexpr char kInsert[] = "INSERT INTO t(k) VALUES (8)";
constexpr char kProcessEntry[] = "sqlite3_walmanagerprocess_init";

// Work for the library's own threads.
void Busy(sqlite3* db) {
  for (int i = 0; i < 25; ++i) {
    Run(db, "INSERT INTO t(payload, k) VALUES (zeroblob(60000), 4)");
    usleep(3000);
  }
}

void Do(const std::string& what, const char* sql, long n) {
  sqlite3* db = Open();
  if (what == "load" || what == "process_load") {
    const char* entry = what == "load" ? nullptr : kProcessEntry;
    sqlite3_enable_load_extension(db, 1);
    Arm(n);
    said->rc = Load(db, entry);
    Disarm(n);
    said->again = Load(db, entry);
  } else if (what == "process_open") {
    Load(db, kProcessEntry);
    sqlite3* other = nullptr;
    Arm(n);
    said->rc = sqlite3_open(path.c_str(), &other);
    if (said->rc == SQLITE_OK) said->rc = Run(other, kInsert);
    Disarm(n);
    sqlite3_close(other);
    other = Open();
    said->again = Run(other, kInsert);
    sqlite3_close(other);
  } else if (what == "first_commit" || what == "second_connection") {
    Load(db);
    sqlite3* other = nullptr;
    if (what == "second_connection") {
      Run(db, kInsert);
      other = Open();
      Load(other);
    }
    sqlite3* commits = other ? other : db;
    Arm(n);
    said->rc = Run(commits, kInsert);
    Disarm(n);
    said->again = Run(commits, kInsert);
    sqlite3_close(other);
  } else if (what == "journal_mode") {
    Load(db);
    Run(db, "PRAGMA journal_mode=DELETE");
    Arm(n);
    said->rc = Run(db, "PRAGMA journal_mode=WAL");
    if (said->rc == SQLITE_OK) said->rc = Run(db, kInsert);
    Disarm(n);
    Run(db, "PRAGMA journal_mode=WAL");
    said->again = Run(db, kInsert);
  } else {
    Load(db);
    Run(db, "SELECT wal_set('checkpoint_frames', 64)");
    Run(db, "SELECT wal_set('sample_interval_ms', 100)");
    Run(db, "SELECT wal_set('alert_interval_ms', 100)");
    if (what == "close") {
      Run(db, "SELECT * FROM read_pool('[\"SELECT 1\"]')");
      Run(db, "SELECT * FROM wal_metrics");
      Busy(db);
      Arm(n);
      said->rc = sqlite3_close(db);
      Disarm(n);
      db = Open();
      said->again = Load(db);
    } else if (what == "background" || what == "looks") {
      // In its first second a process has no thread that looks.
      if (what == "looks") usleep(1'050'000);
      Arm(n);
      Busy(db);
      said->rc = Run(db, kInsert);
      Disarm(n);
      said->again = Run(db, kInsert);
    } else {
      Run(db, kInsert);
      Arm(n);
      said->rc = Run(db, sql);
      Disarm(n);
      if (!sqlite3_get_autocommit(db)) Run(db, "ROLLBACK");
      if (std::strncmp(sql, "ATTACH", 6) == 0) Run(db, "DETACH b");
      said->again = Run(db, sql);
    }
  }
  sigset_t mask;
  sigemptyset(&mask);
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int i = 1; i < SIGRTMIN; ++i) said->blocked_signals += sigismember(&mask, i) == 1 ? 1 : 0;
  said->commit = Run(db, "INSERT INTO t(k) VALUES (9)");
  if (said->commit == SQLITE_OK) said->commit = Run(db, "SELECT * FROM wal_metrics");
  said->stage = "close";
  said->close = sqlite3_close(db);
  said->log_left = access((path + "-wal").c_str(), F_OK) == 0;
  said->stage = "end";
}

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// In a process of its own, on a database of its own; how that ended, empty: as it should.
template <typename Body>
std::string InChild(Body body) {
  *said = Said{};
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // one that hangs does not outlive the test
    body();
    std::_Exit(0);
  }
  int status = 0;
  const double deadline = Now() + kLongestSeconds;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (Now() > deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return "it hangs";
    }
    usleep(200);
  }
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "exit code " + std::to_string(WEXITSTATUS(status));
  return "";
}

std::string Harm(const std::string& ended) {
  if (!ended.empty()) return ended + ", " + said->stage;
  std::string harm;
  const auto add = [&](bool is, const std::string& words) {
    if (is) (harm += harm.empty() ? "" : ", ") += words;
  };
  add(said->rc == SQLITE_INTERNAL || said->rc == SQLITE_CORRUPT || said->rc == SQLITE_NOTADB,
      "result code " + std::to_string(said->rc));
  add(said->again != 0, "again: " + std::to_string(said->again));
  add(said->commit != 0, "commit: " + std::to_string(said->commit));
  add(said->close != 0, "close: " + std::to_string(said->close));
  add(said->blocked_signals != 0, std::to_string(said->blocked_signals) + " signals blocked");
  add(said->descriptors != 0, std::to_string(said->descriptors) + " descriptors left");
  add(said->log_left, "the log is left");
  return harm;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 7) return 2;
  library = arguments[1];
  folder = arguments[2];
  const std::string what = arguments[3], whose_name = arguments[4], how = arguments[5];
  const long most = std::atol(arguments[6]);
  const char* sql = count > 7 ? arguments[7] : "";
  whose = whose_name == "host"      ? Whose::kHost
          : whose_name == "library" ? Whose::kLibrary
                                    : Whose::kAll;
  always = how == "always";
  void* shared =
      mmap(nullptr, sizeof(Said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  said = new (shared) Said;

  namespace fs = std::filesystem;
  const std::string template_path = folder + "/template.db", run = folder + "/run";
  path = template_path;
  InChild([] {
    sqlite3* db = Open();
    Run(db, "PRAGMA journal_mode=WAL");
    Run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB, k)");
    Run(db,
        "INSERT INTO t(payload, k) SELECT randomblob(300), value % 50 FROM "
        "(WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < "
        "200) "
        "SELECT value FROM c)");
    sqlite3_close(db);
  });
  path = run + "/a.db";
  const auto attempt = [&](long n) {
    fs::remove_all(run);
    fs::create_directory(run);
    fs::copy_file(template_path, path);
    return InChild([&] {
      sqlite3_initialize();
      const int before = CountDescriptors();
      Do(what, sql, n);
      said->descriptors = CountDescriptors() - before;
    });
  };
  std::string ended = attempt(kNever);
  // Where a thread was fast, a close finds nothing to do, and allocates nothing.
  for (int i = 0; i < 20 && said->counted == 0; ++i) ended = attempt(kNever);
  if (const std::string harm = Harm(ended); !harm.empty()) {
    std::printf("with memory: %s\n", harm.c_str());
  }
  const long all = said->counted;
  long tried = 0, failed = 0, last = 0;
  for (long i = 0; i < std::min(all, most); ++i) {
    // The first ones one by one, a third of them spread over the rest.
    const long dense = most * 2 / 3;
    const long n =
        all <= most || i < dense ? i + 1 : dense + 1 + (i - dense) * (all - dense) / (most - dense);
    if (n == last) continue;
    last = n;
    const std::string harm = Harm(attempt(n));
    ++tried;
    failed += said->failed ? 1 : 0;
    if (!harm.empty()) std::printf("allocation %ld of %ld: %s\n", n, all, harm.c_str());
  }
  fs::remove_all(run);
  std::printf("tried %ld, failed %ld, of %ld\n", tried, failed, all);
  return 0;
}
