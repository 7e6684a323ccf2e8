// For test_no_memory.py: a program that runs out of memory.
//
//   no_memory_host LIBRARY FOLDER WHAT host|library|all|mapping|thread once|always MOST [SQL]
//
// For up to MOST numbers n the n-th allocation of WHAT fails, alone or with all that follow, in a
// process of its own; `host` and `library` count the allocations of their own threads only,
// `mapping` counts calls of mmap() and `thread` those of pthread_create() instead. SQLite
// allocates with malloc(), so its allocations fail, too. A WHAT that is not named in Do() is a
// statement, SQL; `host_sql` says that it is one that SQLite alone could run.
//
// Prints a line for each n that did harm, and at the end how many were tried. Harm is also what is
// left once all is closed: an allocation, a mapping of a file, a thread or a descriptor that is
// not left after a run with memory. It needs glibc, and calls the real functions by the names that
// glibc provides for that.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* memory);
}

namespace {

enum class Whose : int { kAll, kHost, kLibrary };
enum class Kind : int { kMemory, kMapping, kThread };

std::atomic<bool> armed{false};
std::atomic<long> left{0};  // allocations until one fails
std::atomic<bool> has_failed{false};
// In the extension, of the first one that failed: where it was asked for.
std::atomic<std::uintptr_t> asked_at{0};
Whose whose = Whose::kAll;
Kind what_fails = Kind::kMemory;
bool always = false;

// The place in a shared object, as addr2line wants it; 0: it is in another one.
std::uintptr_t PlaceIn(const void* code, const char* object) {
  Dl_info info;
  if (dladdr(code, &info) == 0 || !info.dli_fname || !std::strstr(info.dli_fname, object)) return 0;
  return reinterpret_cast<std::uintptr_t>(code) - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
}

// The extension's methods of a file of the host's, which pass calls of SQLite's on to it: their
// places. In memory that processes share.
constexpr std::size_t kMethods = 24;
std::uintptr_t* passes_on = nullptr;

void FindWhatPassesOn(sqlite3* db) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) return;
  std::array<const void*, 17> methods{};  // from xClose to xShmUnmap
  std::memcpy(methods.data(), &file->pMethods->xClose, sizeof methods);
  std::size_t found = 0;
  for (const void* method : methods) {
    if (const std::uintptr_t place = PlaceIn(method, "walmanager.so")) passes_on[found++] = place;
  }
}

// Where the extension has asked for what its caller is about to allocate, itself or through SQLite;
// 0: it has not. A call of operator new is shown as one of its caller.
std::uintptr_t AskedAt() {
  std::array<void*, 64> frames{};
  const int depth = backtrace(frames.data(), static_cast<int>(frames.size()));
  std::uintptr_t innermost = 0;
  for (int i = 0; i < depth; ++i) {
    const std::uintptr_t place = PlaceIn(frames[i], "walmanager.so");
    const std::uintptr_t begin = PlaceIn(_Unwind_FindEnclosingFunction(frames[i]), "walmanager.so");
    if (std::find(passes_on, passes_on + kMethods, begin) != passes_on + kMethods) continue;
    if (place != 0 && innermost != 0) return place;
    if (place != 0) innermost = place;
  }
  return innermost;
}

// The allocations that are not freed yet, each with the code that asked for it. Each has a place
// among the few that follow from its address.
struct Living {
  std::atomic<void*> memory{nullptr};
  const void* caller = nullptr;
};
constexpr std::size_t kPlaces = 1U << 17, kNear = 64;
std::array<Living, kPlaces> living;
std::atomic<bool> is_full{false};

Living& PlaceOf(const void* memory, std::size_t i) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return living[((address >> 4) * 0x9E3779B97F4A7C15U >> 40 & (kPlaces - 1)) ^ i];
}

void* Remember(void* memory, const void* caller) {
  if (!memory) return nullptr;
  for (std::size_t i = 0; i < kNear; ++i) {
    Living& place = PlaceOf(memory, i);
    void* none = nullptr;
    if (!place.memory.compare_exchange_strong(none, memory)) continue;
    place.caller = caller;
    return memory;
  }
  is_full = true;
  return memory;
}

void Forget(void* memory) {
  if (!memory) return;
  for (std::size_t i = 0; i < kNear; ++i) {
    void* this_one = memory;
    if (PlaceOf(memory, i).memory.compare_exchange_strong(this_one, nullptr)) return;
  }
}

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

bool Fails(Kind kind = Kind::kMemory) {
  if (!armed.load(std::memory_order_relaxed) || kind != what_fails || !CountsHere()) return false;
  const long now = left.fetch_sub(1);
  if (now > 1 || (now < 1 && !always)) return false;
  if (!has_failed.exchange(true)) asked_at = AskedAt();
  errno = ENOMEM;
  return true;
}

using Begin = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
Begin begin_thread = nullptr;

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) {
  return Fails() ? nullptr : Remember(__libc_malloc(bytes), __builtin_return_address(0));
}
void* calloc(std::size_t count, std::size_t bytes) {
  return Fails() ? nullptr : Remember(__libc_calloc(count, bytes), __builtin_return_address(0));
}
void* realloc(void* memory, std::size_t bytes) {
  if (Fails()) return nullptr;
  // Forgotten before: once it is free another thread may get the same address.
  Forget(memory);
  void* made = __libc_realloc(memory, bytes);
  if (!made && bytes != 0) Remember(memory, __builtin_return_address(0));
  return Remember(made, __builtin_return_address(0));
}
void free(void* memory) {
  Forget(memory);
  __libc_free(memory);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  if (Fails()) return nullptr;
  return Remember(__libc_memalign(alignment, bytes), __builtin_return_address(0));
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  if (Fails()) return nullptr;
  return Remember(__libc_memalign(alignment, bytes), __builtin_return_address(0));
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  void* made = Fails() ? nullptr : __libc_memalign(alignment, bytes);
  if (!made) return ENOMEM;
  *memory = Remember(made, __builtin_return_address(0));
  return 0;
}
void* mmap64(void* place, std::size_t bytes, int access, int flags, int fd, off64_t at) noexcept {
  if (Fails(Kind::kMapping)) return MAP_FAILED;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is what the call returns
  return reinterpret_cast<void*>(syscall(SYS_mmap, place, bytes, access, flags, fd, at));
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) noexcept {
  return Fails(Kind::kThread) ? EAGAIN : begin_thread(thread, attributes, body, argument);
}
}

namespace {

constexpr long kNever = 1L << 40;
constexpr double kLongestSeconds = 30;

// What is there once all is closed.
struct Left {
  long extensions = 0, engines = 0;  // allocations that they have asked for
  long mappings = 0, threads = 0, descriptors = 0;
};

// Of a process with memory. Before the first one: whatever it keeps, but no thread or descriptor.
Left allowed{kNever, kNever, kNever, 0, 0};

// What a process reports, in memory that it shares with the process that watches it.
struct Said {
  long counted = 0;
  bool failed = false;
  std::uintptr_t asked_at = 0;  // of what failed first
  const char* stage = "begin";  // of the program's own text: the same in both
  int rc = 0;                   // of WHAT
  char message[200] = {};
  int again = 0;  // the same once more, with memory
  int commit = 0, close = 0;
  int blocked_signals = 0;
  bool log_left = false;
  int child = 0;  // how a forked child ended
  long child_counted = 0;
  bool child_failed = false;
  Left left;
};

const char* library = nullptr;
std::string folder, path;
long descriptors_before = 0;
Said* said = nullptr;

int Run(sqlite3* db, const char* sql) {
  sqlite3_stmt* stmt = nullptr;
  int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, nullptr);
  if (rc == SQLITE_OK) {
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
      for (int i = 0; i < sqlite3_column_count(stmt); ++i) (void)sqlite3_column_text(stmt, i);
    }
    const int finalized = sqlite3_finalize(stmt);
    rc = finalized != SQLITE_OK ? finalized : rc == SQLITE_DONE ? SQLITE_OK : rc;
  }
  if (rc != SQLITE_OK && armed) {
    std::snprintf(said->message, sizeof said->message, "%s", sqlite3_errmsg(db));
  }
  return rc;
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
  if (db) sqlite3_busy_timeout(db, 2000);
  return db;
}

long CountFiles(const char* directory) {
  long count = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

Left CountLeft() {
  Left now;
  now.threads = CountFiles("/proc/self/task") - 1;
  now.descriptors = CountFiles("/proc/self/fd") - descriptors_before;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    now.mappings += line.find(folder) != std::string::npos ? 1 : 0;
  }
  for (const Living& place : living) {
    if (!place.memory) continue;
    now.extensions += PlaceIn(place.caller, "walmanager.so") != 0 ? 1 : 0;
    now.engines += PlaceIn(place.caller, "libsqlite3") != 0 ? 1 : 0;
  }
  return now;
}

// What there is more of than after a run with memory.
std::string More(const Left& now) {
  std::string more;
  const auto add = [&](long here, long there, const char* words) {
    if (here > there) more += ", " + std::to_string(here - there) + " " + words + " left";
  };
  add(now.extensions, allowed.extensions, "allocations of the extension");
  add(now.engines, allowed.engines, "allocations of SQLite");
  add(now.mappings, allowed.mappings, "mappings");
  add(now.threads, allowed.threads, "threads");
  add(now.descriptors, allowed.descriptors, "descriptors");
  return more.empty() ? more : more.substr(2);
}

// The threads of a database end after its last close. Where WHAT has opened it twice, its control
// file stays open for 2 s.
void LookAtWhatIsLeft() {
  for (int i = 0; i < 400; ++i) {
    said->left = CountLeft();
    if (More(said->left).empty()) return;
    usleep(i < 100 ? 500 : 10'000);
  }
}

void Arm(long n) {
  said->stage = "without memory";
  left = n;
  armed = true;
}

void Disarm(long n) {
  armed = false;
  said->failed = has_failed;
  said->asked_at = asked_at;
  said->counted = n - left;
  said->stage = "with memory again";
}

constexpr char kInsert[] = "INSERT INTO t(k) VALUES (8)";
constexpr char kProcessEntry[] = "sqlite3_walmanagerprocess_init";

// Work for the library's own threads. The first result code that is an error.
int Busy(sqlite3* db) {
  int first = SQLITE_OK;
  for (int i = 0; i < 25; ++i) {
    const int rc = Run(db, "INSERT INTO t(payload, k) VALUES (zeroblob(60000), 4)");
    if (first == SQLITE_OK) first = rc;
    usleep(3000);
  }
  return first;
}

// A child that uses the database as a program of its own would, forked without memory or before.
void Fork(sqlite3* db, long n) {
  Busy(db);
  Arm(n);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sqlite3* own = Open();
    if (own && Load(own) == SQLITE_OK) (void)Run(own, kInsert);
    armed = false;
    said->child_counted = n - left;
    said->child_failed = has_failed;
    sqlite3_close(own);
    own = Open();
    const bool works = Load(own) == SQLITE_OK && Run(own, kInsert) == SQLITE_OK &&
                       Run(own, "SELECT * FROM wal_metrics") == SQLITE_OK &&
                       sqlite3_close(own) == SQLITE_OK;
    std::_Exit(works ? 0 : 1);
  }
  said->rc = child < 0 ? SQLITE_NOMEM : Run(db, kInsert);
  Disarm(n);
  if (child > 0) waitpid(child, &said->child, 0);
  said->counted = std::max(said->counted, said->child_counted);
  said->failed |= said->child_failed;
  said->again = Run(db, kInsert);
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
    // SQLite fails a statement where any call on its connection finds no memory meanwhile, and at
    // the first statement the extension asks for wal_autocheckpoint there.
    if (said->rc == SQLITE_OK) {
      const int rc = Run(other, kInsert);
      if (rc != SQLITE_NOMEM) said->rc = rc;
    }
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
      said->rc = Busy(db);
      if (said->rc == SQLITE_OK) said->rc = Run(db, kInsert);
      Disarm(n);
      said->again = Run(db, kInsert);
    } else if (what == "fork") {
      Fork(db, n);
    } else {
      if (what == "inline_commit") {
        Run(db, "SELECT wal_strategy('sqlite_default'), wal_set('checkpoint_frames', 1)");
      }
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

// What the extension makes once in a process and keeps is made now, whatever could not be before.
// Of another database: one that is opened again within seconds would keep its control file open.
void UseAll(const char* sql) {
  path += "-other";
  sqlite3* db = Open();
  Load(db);
  Run(db, "PRAGMA journal_mode=WAL");
  Run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB, k)");
  Run(db, kInsert);
  Run(db, "SELECT wal_strategy('sqlite_default'), wal_set('checkpoint_frames', 1)");
  Run(db, kInsert);
  Run(db, "SELECT wal_strategy('conversation_workload'), wal_checkpoint('PASSIVE')");
  Run(db, "SELECT * FROM wal_metrics");
  FindWhatPassesOn(db);
  if (std::strncmp(sql, "SELECT", 6) == 0) Run(db, sql);
  sqlite3_close(db);
}

// In a thread that ends: the memory of an exception's state lives as long as its thread.
void DoInThread(const std::string& what, const char* sql, long n) {
  const auto body = [&] { Do(what, sql, n); };
  pthread_t thread{};
  const auto run = [](void* it) -> void* {
    (*static_cast<decltype(body)*>(it))();
    return nullptr;
  };
  if (begin_thread(&thread, nullptr, run, const_cast<void*>(static_cast<const void*>(&body))) != 0)
    std::_Exit(2);
  pthread_join(thread, nullptr);
  UseAll(sql);
  LookAtWhatIsLeft();
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

// What a host's statement may answer to.
bool IsHosts(const std::string& what) { return what != "sql" && what.find("load") == what.npos; }

std::string Harm(const std::string& what, const std::string& ended) {
  if (!ended.empty()) return ended + ", " + said->stage;
  std::string harm;
  const auto add = [&](bool is, const std::string& words) {
    if (is) (harm += harm.empty() ? "" : ", ") += words;
  };
  const std::string message = said->message;
  const std::string result = "result code " + std::to_string(said->rc) + " (" + message + ")";
  if (said->asked_at != 0 && !always && IsHosts(what)) {
    add(said->rc != SQLITE_OK, "of the host's statement: " + result);
  }
  add(said->rc == SQLITE_ERROR && (message == "SQL logic error" || message == "not an error"),
      result);
  const bool has_memory = what_fails != Kind::kMemory;
  add(said->rc != SQLITE_OK && said->rc != SQLITE_ERROR && said->rc != SQLITE_NOMEM &&
          !(has_memory && said->rc == SQLITE_IOERR),
      result);
  add(said->again != 0, "again: " + std::to_string(said->again));
  add(said->commit != 0, "commit: " + std::to_string(said->commit));
  add(said->close != 0, "close: " + std::to_string(said->close));
  add(said->child != 0, "status of the child: " + std::to_string(said->child));
  add(said->blocked_signals != 0, std::to_string(said->blocked_signals) + " signals blocked");
  add(said->log_left, "the log is left");
  add(is_full, "too many allocations for the table of this program");
  return harm.empty() ? More(said->left) : harm;
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
  what_fails = whose_name == "mapping"  ? Kind::kMapping
               : whose_name == "thread" ? Kind::kThread
                                        : Kind::kMemory;
  always = how == "always";
  constexpr std::size_t kBytes = sizeof(Said) + kMethods * sizeof(std::uintptr_t);
  void* shared = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  said = new (shared) Said;
  passes_on = new (said + 1) std::uintptr_t[kMethods]{};
  begin_thread = reinterpret_cast<Begin>(dlsym(RTLD_NEXT, "pthread_create"));
  (void)AskedAt();  // the first backtrace loads a library

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
      descriptors_before = CountFiles("/proc/self/fd");
      DoInThread(what, sql, n);
    });
  };
  std::string ended = attempt(kNever);
  // Where a thread was fast, a close finds nothing to do, and allocates nothing.
  for (int i = 0; i < 20 && said->counted == 0; ++i) ended = attempt(kNever);
  if (const std::string harm = Harm(what, ended); !harm.empty()) {
    std::printf("with memory: %s\n", harm.c_str());
  }
  const long all = said->counted;
  // What threads make once for the process, and keep, depends on how far they got.
  const bool works_for_long = what == "background" || what == "looks" || what == "fork";
  allowed = Left{};
  const auto allow = [&] {
    allowed.extensions =
        works_for_long ? kNever : std::max(allowed.extensions, said->left.extensions);
    allowed.engines = std::max(allowed.engines, said->left.engines);
    allowed.mappings = std::max(allowed.mappings, said->left.mappings);
  };
  allow();
  long tried = 0, failed = 0, last = 0;
  for (long i = 0; i < std::min(all, most); ++i) {
    // The first ones one by one, a third of them spread over the rest.
    const long dense = most * 2 / 3;
    const long n =
        all <= most || i < dense ? i + 1 : dense + 1 + (i - dense) * (all - dense) / (most - dense);
    if (n == last) continue;
    last = n;
    std::string harm = Harm(what, attempt(n));
    // A slow process may keep what a fast one has not made.
    for (int again = 0; again < 3 && harm.ends_with(" left"); ++again) {
      const Left before = std::exchange(allowed, Left{kNever, kNever, kNever, 0, 0});
      attempt(kNever);
      allowed = before;
      allow();
      harm = Harm(what, attempt(n));
    }
    ++tried;
    failed += said->failed ? 1 : 0;
    if (harm.empty()) continue;
    std::printf("allocation %ld of %ld, in walmanager.so at 0x%lx: %s\n", n, all, said->asked_at,
                harm.c_str());
  }
  fs::remove_all(run);
  std::printf("tried %ld, failed %ld, of %ld\n", tried, failed, all);
  return 0;
}
