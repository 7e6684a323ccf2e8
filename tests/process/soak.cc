// Many databases in WAL mode, opened, used and closed at random by several threads of one process,
// while two other processes, one with the extension and one without, use some of them. At the end
// it says what is not as it should be: rows, indexes, files, errors of calls, and what is left in
// this process. tests/process/test_soak.py runs it for seconds. By hand:
//   soak EXTENSION DIRECTORY SECONDS DATABASES
// EXTENSION `-`: the same without the extension, to see what SQLite alone does.
#include <malloc.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kThreads = 4, kWriters = kThreads + 2;  // the last two are processes
constexpr int kBusyTimeoutMs = 20'000;
// What the C library keeps of threads that have ended, the caches of SQLite, and the tables that
// the looks last read (reused_tables.h): 1.2 MB after 10,000 descriptors.
constexpr double kMostHeapLeftKib = 2000, kMostResidentLeftMib = 64;

// Kinds of calls, and how long they took.
constexpr const char* kCalls[] = {"open",     "load",
                                  "close",    "INSERT",
                                  "BEGIN",    "COMMIT",
                                  "ROLLBACK", "PRAGMA wal_checkpoint",
                                  "PRAGMA",   "SELECT count(*), max(n)",
                                  "SELECT n", "SELECT"};
struct Calls {
  std::atomic<std::uint64_t> count{0}, us{0}, most_us{0};
};

struct Shared {
  Calls calls[std::size(kCalls)];
  std::atomic<bool> go{false}, stop{false};
  std::atomic<int> problems{0};
  std::atomic<std::uint64_t> opened{0}, busy{0}, log_messages{0};
  // Rows that each writer has committed to each database.
  std::atomic<std::uint64_t>& rows(int writer, std::size_t database) {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(
        this + 1)[database * kWriters + static_cast<std::size_t>(writer)];
  }
};

struct Run {
  std::string extension, directory;
  int seconds = 0;
  std::size_t databases = 0;
  Shared* shared = nullptr;

  std::string Path(std::size_t database) const {
    return directory + "/" + std::to_string(database) + ".db";
  }
};

Run run;

__attribute__((format(printf, 1, 2))) void Problem(const char* format, ...) {
  constexpr int kMostShown = 40;
  if (run.shared->problems++ >= kMostShown) return;
  char line[600];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  std::printf("problem: %s\n", line);
  std::fflush(stdout);
}

double Seconds(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void Log(void*, int code, const char* message) {
  ++run.shared->log_messages;
  // What the engine tells of a log that it recovers is no error, nor is what wal_alerts has. An own
  // look that gives way to a close is interrupted.
  if ((code & 0xff) != SQLITE_NOTICE && (code & 0xff) != SQLITE_WARNING &&
      (code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_SCHEMA &&
      (code & 0xff) != SQLITE_INTERRUPT) {
    Problem("the engine's log: (%d) %s", code, message);
  }
}

void CountCall(const std::string& what, std::uint64_t us) {
  const auto* const kind =
      std::find_if(std::begin(kCalls), std::end(kCalls),
                   [&](const char* beginning) { return what.starts_with(beginning); });
  if (kind == std::end(kCalls)) return;
  Calls& calls = run.shared->calls[kind - std::begin(kCalls)];
  ++calls.count;
  calls.us += us;
  std::uint64_t most = calls.most_us;
  while (us > most && !calls.most_us.compare_exchange_weak(most, us)) {
  }
}

void PrintCalls() {
  for (std::size_t i = 0; i < std::size(kCalls); ++i) {
    const Calls& calls = run.shared->calls[i];
    if (calls.count == 0) continue;
    std::printf("%8llu calls, %9.3f ms each, %9.1f ms at most: %s\n",
                static_cast<unsigned long long>(calls.count),
                static_cast<double>(calls.us) / 1e3 / static_cast<double>(calls.count),
                static_cast<double>(calls.most_us) / 1e3, kCalls[i]);
  }
}

// A connection on which calls that fail are problems.
class Connection {
 public:
  Connection(std::size_t database, bool managed, int flags = SQLITE_OPEN_READWRITE)
      : database_(database) {
    ++run.shared->opened;
    double start = Seconds();
    Check("open", sqlite3_open_v2(run.Path(database).c_str(), &db_, flags, nullptr), start);
    sqlite3_busy_timeout(db_, kBusyTimeoutMs);
    if (managed && run.extension != "-") {
      sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, nullptr);
      start = Seconds();
      Check("load", sqlite3_load_extension(db_, run.extension.c_str(), nullptr, nullptr), start);
    }
    Do("PRAGMA synchronous=NORMAL");
  }
  ~Connection() {
    const double start = Seconds();
    Check("close", sqlite3_close(db_), start);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Do(const std::string& sql) {
    const double start = Seconds();
    return Check(sql.c_str(), sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), start);
  }
  // The integers of the first row.
  std::vector<std::int64_t> Ask(const std::string& sql) {
    std::vector<std::int64_t> values;
    const double start = Seconds();
    sqlite3_stmt* const statement = Begin(sql);
    if (!statement) return values;
    for (int i = 0; i < sqlite3_data_count(statement); ++i) {
      values.push_back(sqlite3_column_int64(statement, i));
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
    }
    Check(sql.c_str(), sqlite3_finalize(statement), start);
    return values;
  }
  // A statement that has given its first row and goes on; finalized by the caller.
  sqlite3_stmt* Begin(const std::string& sql) {
    const double start = Seconds();
    sqlite3_stmt* statement = nullptr;
    int rc = sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) return statement;
    sqlite3_finalize(statement);
    Check(sql.c_str(), rc, start);
    return nullptr;
  }
  bool is_in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

 private:
  bool Check(const char* what, int rc, double start) {
    const double ms = (Seconds() - start) * 1000;
    CountCall(what, static_cast<std::uint64_t>(ms * 1000));
    if (rc == SQLITE_OK) return true;
    // The engine's handler counts the time that it meant to sleep.
    if ((rc & 0xff) == SQLITE_BUSY && ms >= kBusyTimeoutMs * 0.9) {
      ++run.shared->busy;
    } else {
      Problem("database %zu, pid %d, %s: (%d) %s, after %.0f ms", database_, getpid(), what, rc,
              sqlite3_errmsg(db_), ms);
    }
    return false;
  }

  const std::size_t database_;
  sqlite3* db_ = nullptr;
};

// One thread with connections of its own to the first `databases`.
class User {
 public:
  User(int writer, bool managed, std::size_t databases)
      : writer_(writer),
        managed_(managed),
        open_(databases),
        random_(static_cast<unsigned>(writer + 1)) {}

  void Work() {
    while (!run.shared->stop) {
      EndReaders();
      Visit();
    }
    readers_.clear();
    for (auto& connection : open_) connection.reset();
  }

 private:
  struct Reader {
    Reader(std::size_t database, bool managed, double end)
        : connection(database, managed), until(end) {}
    ~Reader() { sqlite3_finalize(statement); }
    Connection connection;
    sqlite3_stmt* statement = nullptr;
    double until;
  };

  int Random(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  void EndReaders() {
    while (!readers_.empty() && readers_.front()->until < Seconds()) readers_.pop_front();
  }

  void Visit() {
    // A few are busier than the others.
    const auto all = static_cast<int>(open_.size());
    const auto database =
        static_cast<std::size_t>(Random(3) == 0 ? Random(all / 50 + 1) : Random(all));
    auto& connection = open_[database];
    if (connection && Random(2) == 0) {
      connection.reset();
      return;
    }
    if (!connection) connection = std::make_unique<Connection>(database, managed_);
    Use(database, *connection);
  }

  void Use(std::size_t database, Connection& connection) {
    const int what = Random(1000);
    if (what < 500) {
      for (int i = Random(4); i >= 0; --i) Commit(database, connection);
    } else if (what < 600) {
      CommitMany(database, connection);
    } else if (what < 900) {
      Read(database, connection);
    } else if (what < 930) {
      connection.Do("PRAGMA wal_checkpoint");
    } else if (what < 935) {
      // It keeps writers waiting while it waits for readers, which the threads that wait may have.
      connection.Do("PRAGMA busy_timeout=50");
      connection.Do("PRAGMA wal_checkpoint(TRUNCATE)");
      connection.Do("PRAGMA busy_timeout=" + std::to_string(kBusyTimeoutMs));
    } else if (what < 980) {
      StartReader(database);
    } else if (managed_ && run.extension != "-") {
      AskExtension(connection, what);
    }
  }

  std::string Insert(std::uint64_t number) {
    return "INSERT INTO t VALUES (" + std::to_string(writer_) + ", " + std::to_string(number) +
           ", zeroblob(" + std::to_string(Random(1000)) + "))";
  }

  void Commit(std::size_t database, Connection& connection) {
    auto& rows = run.shared->rows(writer_, database);
    if (connection.Do(Insert(rows + 1))) ++rows;
  }

  void CommitMany(std::size_t database, Connection& connection) {
    auto& rows = run.shared->rows(writer_, database);
    if (!connection.Do("BEGIN IMMEDIATE")) return;
    std::uint64_t number = rows;
    for (int i = Random(100); i >= 0; --i) {
      if (connection.Do(Insert(number + 1))) ++number;
    }
    if (Random(5) == 0) {
      connection.Do("ROLLBACK");
    } else if (connection.Do("COMMIT")) {
      rows = number;
    }
    if (connection.is_in_transaction()) connection.Do("ROLLBACK");
  }

  void Read(std::size_t database, Connection& connection) {
    const auto seen =
        connection.Ask("SELECT count(*), max(n) FROM t WHERE writer = " + std::to_string(writer_));
    const auto rows = static_cast<std::int64_t>(run.shared->rows(writer_, database).load());
    if (seen.size() == 2 && (seen[0] != rows || seen[1] != rows)) {
      Problem("database %zu: writer %d reads %lld rows up to %lld, and has committed %lld",
              database, writer_, static_cast<long long>(seen[0]), static_cast<long long>(seen[1]),
              static_cast<long long>(rows));
    }
  }

  void StartReader(std::size_t database) {
    auto reader = std::make_unique<Reader>(database, managed_,
                                           Seconds() + static_cast<double>(Random(1000)) / 1000);
    reader->statement = reader->connection.Begin("SELECT n FROM t UNION ALL SELECT 1");
    readers_.push_back(std::move(reader));
  }

  void AskExtension(Connection& connection, int what) {
    if (what < 990) {
      connection.Ask("SELECT wal_set('checkpoint_frames', " + std::to_string(500 + Random(1000)) +
                     ")");
    } else if (what < 995) {
      connection.Ask("SELECT count(*), sum(commits) FROM wal_metrics");
    } else if (what < 999) {
      connection.Ask("SELECT count(*) FROM query_performance");
    } else {
      connection.Ask("SELECT count(*) FROM system_health");
    }
  }

  const int writer_;
  const bool managed_;
  std::vector<std::unique_ptr<Connection>> open_;
  std::deque<std::unique_ptr<Reader>> readers_;
  std::mt19937 random_;
};

// What this process has.
struct Facts {
  double resident_mib = 0, heap_kib = 0, cpu_s = 0;
  std::int64_t descriptors = 0, threads = 0, mappings = 0, control_files = 0, locks = 0;
};

Facts ReadFacts() {
  Facts facts;
  const auto entries = [](const char* directory) {
    return std::distance(std::filesystem::directory_iterator(directory), {});
  };
  std::ifstream memory("/proc/self/statm");
  double all = 0, resident = 0;
  memory >> all >> resident;
  facts.resident_mib = resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
  const struct mallinfo2 heap = mallinfo2();
  facts.heap_kib = static_cast<double>(heap.uordblks + heap.hblkhd) / 1024;
  facts.cpu_s = Seconds(CLOCK_PROCESS_CPUTIME_ID);
  facts.descriptors = entries("/proc/self/fd");
  facts.threads = entries("/proc/self/task");
  std::ifstream maps("/proc/self/maps"), locks("/proc/locks");
  for (std::string line; std::getline(maps, line);) {
    ++facts.mappings;
    if (line.find("-walmanager") != std::string::npos) ++facts.control_files;
  }
  const std::string self = " " + std::to_string(getpid()) + " ";
  for (std::string line; std::getline(locks, line);) {
    if (line.find(self) != std::string::npos) ++facts.locks;
  }
  return facts;
}

void Print(const char* when, const Facts& facts) {
  std::uint64_t rows = 0;
  for (std::size_t i = 0; i < run.databases; ++i) {
    for (int writer = 0; writer < kWriters; ++writer) rows += run.shared->rows(writer, i);
  }
  std::printf(
      "%s: resident %.1f MiB, heap %.0f KiB, CPU %.2f s, %lld descriptors, %lld threads, "
      "%lld mappings, %lld of control files, %lld locks; %llu rows, %llu opened\n",
      when, facts.resident_mib, facts.heap_kib, facts.cpu_s,
      static_cast<long long>(facts.descriptors), static_cast<long long>(facts.threads),
      static_cast<long long>(facts.mappings), static_cast<long long>(facts.control_files),
      static_cast<long long>(facts.locks), static_cast<unsigned long long>(rows),
      static_cast<unsigned long long>(run.shared->opened));
  std::fflush(stdout);
}

// The first so many databases are used by all processes.
std::size_t OfAllProcesses() { return run.databases / 10 + 1; }

std::int64_t FileBytes(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? status.st_size : -1;
}

// Waits until nothing of the databases is left here, or for as long as that may take.
Facts Quiet() {
  const double end = Seconds() + 30;
  for (;;) {
    Facts facts = ReadFacts();
    if ((facts.threads == 1 && facts.control_files == 0) || Seconds() > end) break;
    usleep(100'000);
  }
  malloc_trim(0);
  return ReadFacts();
}

void InProcess(pid_t* child, void (*work)()) {
  std::fflush(stdout);
  *child = fork();
  if (*child != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // should the first process be killed
  work();
  std::fflush(stdout);
  _exit(0);
}

void Await(pid_t child, const char* what) {
  int status = 0;
  if (waitpid(child, &status, 0) < 0 || status != 0) Problem("%s ended with %d", what, status);
}

void MakeDatabases() {
  for (std::size_t i = 0; i < run.databases; ++i) {
    Connection connection(i, false, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    connection.Do("PRAGMA synchronous=OFF");
    connection.Do("PRAGMA journal_mode=WAL");
    connection.Do("CREATE TABLE t(writer, n, payload)");
    connection.Do("CREATE INDEX by_writer ON t(writer, n)");
  }
}

// Where connections close a database at the same time, SQLite alone may leave these files, too: of
// 3000 databases that two threads closed at once, 7 and 15. The next close removes them.
void CheckFilesLeft() {
  std::size_t left = 0;
  for (std::size_t i = OfAllProcesses(); i < run.databases; ++i) {
    if (FileBytes(run.Path(i) + "-wal") >= 0) ++left;
  }
  if (left > run.databases / 20 + 1) Problem("the logs of %zu databases are left", left);
}

void CheckDatabase(std::size_t i) {
  {
    Connection connection(i, false);
    if (connection.Ask(
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") !=
        std::vector<std::int64_t>{1}) {
      Problem("database %zu is not sound", i);
    }
    for (int writer = 0; writer < kWriters; ++writer) {
      const auto rows = static_cast<std::int64_t>(run.shared->rows(writer, i).load());
      const auto found = connection.Ask(
          "SELECT count(*), count(DISTINCT n), coalesce(max(n), 0) FROM t WHERE writer = " +
          std::to_string(writer));
      if (found != std::vector<std::int64_t>{rows, rows, rows}) {
        Problem("database %zu: of the %lld rows of writer %d there are %lld", i,
                static_cast<long long>(rows), writer,
                static_cast<long long>(found.empty() ? -1 : found[0]));
      }
    }
  }
  for (const char* ending : {"-wal", "-shm"}) {
    if (FileBytes(run.Path(i) + ending) >= 0) Problem("%s%s is left", run.Path(i).c_str(), ending);
  }
}

void CheckDatabases() {
  CheckFilesLeft();
  for (std::size_t i = 0; i < run.databases; ++i) CheckDatabase(i);
}

// The other processes begin when this one has what it compares with.
void UseSome(int writer, bool managed) {
  while (!run.shared->go) usleep(1000);
  User(writer, managed, OfAllProcesses()).Work();
}

void Soak() {
  sqlite3* first = nullptr;  // keeps the extension loaded
  sqlite3_open(":memory:", &first);
  if (run.extension != "-") {
    sqlite3_db_config(first, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, nullptr);
    if (sqlite3_load_extension(first, run.extension.c_str(), nullptr, nullptr) != SQLITE_OK)
      Problem("%s cannot be loaded", run.extension.c_str());
  }
  // Once each, so that what a process allocates but once is there.
  for (std::size_t i = 0; i < run.databases; ++i) Connection(i, true).Ask("SELECT count(*) FROM t");
  const Facts before = Quiet();
  Print("before", before);
  run.shared->go = true;
  std::deque<User> users;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&user = users.emplace_back(i, true, run.databases)] { user.Work(); });
  }
  const double start = Seconds();
  std::int64_t largest = 0, most_threads = 0;
  for (int second = 1; second <= run.seconds; ++second) {
    while (Seconds() < start + second) usleep(10'000);
    for (std::size_t i = 0; i < run.databases; ++i) {
      largest = std::max(largest, FileBytes(run.Path(i) + "-wal"));
    }
    const Facts facts = ReadFacts();
    most_threads = std::max(most_threads, facts.threads);
    if (second % std::max(1, run.seconds / 20) == 0)
      Print(("after " + std::to_string(second) + " s").c_str(), facts);
  }
  run.shared->stop = true;
  for (std::thread& thread : threads) thread.join();
  const Facts after = Quiet();
  Print("closed", after);
  std::printf("largest log %.1f MB; %lld threads at most\n", static_cast<double>(largest) / 1e6,
              static_cast<long long>(most_threads));
  if (most_threads > 1 + kThreads + 4)
    Problem("%lld threads", static_cast<long long>(most_threads));
  if (after.threads > before.threads) Problem("threads are left");
  if (after.descriptors > before.descriptors) Problem("descriptors are left");
  if (after.control_files > before.control_files) Problem("mappings of control files are left");
  if (after.locks > before.locks) Problem("locks are left");
  if (after.heap_kib > before.heap_kib + kMostHeapLeftKib) Problem("memory is left in the heap");
  if (after.resident_mib > before.resident_mib + kMostResidentLeftMib)
    Problem("more memory is resident");
  sqlite3_close(first);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "soak EXTENSION|- DIRECTORY SECONDS DATABASES\n");
    return 2;
  }
  run = {argv[1], argv[2], std::atoi(argv[3]), static_cast<std::size_t>(std::atoi(argv[4])),
         nullptr};
  void* const memory =
      mmap(nullptr, sizeof(Shared) + run.databases * kWriters * sizeof(std::atomic<std::uint64_t>),
           PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  run.shared = new (memory) Shared;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  sqlite3_config(SQLITE_CONFIG_LOG, Log, nullptr);
  // SQLite's files are this process's own: no other has used them before it.
  pid_t maker = 0, managed = 0, unmanaged = 0, checker = 0;
  InProcess(&maker, MakeDatabases);
  Await(maker, "making the databases");
  InProcess(&managed, [] { UseSome(kThreads, true); });
  InProcess(&unmanaged, [] { UseSome(kThreads + 1, false); });
  Soak();
  Await(managed, "the process with the extension");
  Await(unmanaged, "the process without it");
  PrintCalls();
  InProcess(&checker, CheckDatabases);
  Await(checker, "checking the databases");
  const int problems = run.shared->problems;
  std::printf(
      "%d problems, %llu calls were busy for longer than the timeout, %llu messages in the "
      "engine's log\n",
      problems, static_cast<unsigned long long>(run.shared->busy),
      static_cast<unsigned long long>(run.shared->log_messages));
  return problems == 0 ? 0 : 1;
}
