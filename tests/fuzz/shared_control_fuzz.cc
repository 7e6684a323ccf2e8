// Another process writes any bytes into the control file while connections of this one use it:
// each statement of the program works, within seconds, and each row is there.
//
// Two bytes choose what this process looks at. The rest is a list of patches that the other process
// makes again and again: a place (4 bytes), a length (1) and the bytes. Some places mean that the
// file is deleted, or replaced by the one that was there before.
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/linked_extension.h"

namespace {

constexpr std::size_t kMostBytes = 4096;
constexpr double kPatienceSeconds = 10;  // the machine may be busy

// What the two processes share.
struct Orders {
  std::atomic<std::uint32_t> running{0};  // the number of the input that is tried; 0: none
  std::atomic<std::uint32_t> passed{0};   // how often the other process has been through it
  std::uint32_t size = 0;
  std::uint8_t bytes[kMostBytes] = {};
};

void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void Pause(long ns) {
  const timespec pause{0, ns};
  nanosleep(&pause, nullptr);
}

const std::string& Folder() {
  // Never destroyed, since it is used at the exit.
  static const std::string& folder = *[] {
    std::string name = "/dev/shm/walmanager-fuzz-XXXXXX";
    if (!mkdtemp(name.data())) std::abort();
    return new std::string(name);
  }();
  return folder;
}
std::string Database() { return Folder() + "/shared.db"; }
std::string ControlFile() { return Database() + "-walmanager"; }

void Write(const std::string& path, const std::string& bytes) {
  const std::string made = path + ".new";
  std::ofstream(made, std::ios::binary) << bytes;
  if (rename(made.c_str(), path.c_str()) != 0) std::abort();
}

std::string BytesOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// --- the other process

class Liar {
 public:
  explicit Liar(Orders* orders) : orders_(orders) {}

  [[noreturn]] void Run() {
    for (;;) {
      const std::uint32_t input = orders_->running.load(std::memory_order_acquire);
      if (input == 0) {
        Pause(50'000);
        continue;
      }
      while (orders_->running.load(std::memory_order_acquire) == input) {
        PatchAll();
        orders_->passed.fetch_add(1, std::memory_order_release);
        Pause(20'000);
      }
    }
  }

 private:
  void PatchAll() {
    const int fd = open(ControlFile().c_str(), O_RDWR | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size == 0) {
      if (fd >= 0) close(fd);
      return;
    }
    const auto length = static_cast<std::size_t>(status.st_size);
    void* const mapped = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) return;
    const std::uint8_t* data = orders_->bytes;
    std::size_t size = orders_->size;
    while (size >= 5) {
      std::uint32_t place = 0;
      std::memcpy(&place, data, sizeof place);
      const std::size_t bytes = std::min<std::size_t>(data[4], size - 5);
      PatchOne(static_cast<char*>(mapped), length, place, data + 5, bytes);
      data += 5 + bytes;
      size -= 5 + bytes;
    }
    munmap(mapped, length);
  }

  static void PatchOne(char* mapped, std::size_t length, std::uint32_t place,
                       const std::uint8_t* data, std::size_t bytes) {
    const std::uint32_t kind = place >> 28;
    place &= 0x0fffffff;
    if (kind == 15) {
      (void)unlink(ControlFile().c_str());
    } else if (kind == 14) {
      Write(ControlFile(), std::string(mapped, length));
    } else {
      // Half of the patches are in the header, the settings and the first records.
      const std::size_t at = place % (kind < 7 ? std::min<std::size_t>(length, 8192) : length);
      std::memcpy(mapped + at, data, std::min(bytes, length - at));
    }
  }

  Orders* const orders_;
};

Orders* StartLiar() {
  void* const memory =
      mmap(nullptr, sizeof(Orders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  auto* const orders = new (memory) Orders;
  const pid_t parent = getpid();
  (void)Folder();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    Liar(orders).Run();
  }
  return orders;
}

// --- this process

// Steps a statement to its end. Its number of rows, or -1 for an error.
int Steps(sqlite3* db, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  int rows = 0;
  int rc = sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr);
  if (rc == SQLITE_OK) {
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) ++rows;
  }
  sqlite3_finalize(statement);
  return rc == SQLITE_DONE ? rows : -1;
}

// A statement of the program's: it works, and does not wait for long.
int Host(sqlite3* db, const std::string& sql) {
  const double began = Now();
  const int rows = Steps(db, sql);
  if (rows < 0) Fail(sql + ": " + sqlite3_errmsg(db));
  if (Now() - began > kPatienceSeconds) Fail(sql + " took " + std::to_string(Now() - began) + " s");
  return rows;
}

sqlite3* Open(bool load) {
  sqlite3* db = nullptr;
  if (sqlite3_open(Database().c_str(), &db) != SQLITE_OK) std::abort();
  if (load) LoadLinkedExtension(db);
  return db;
}

// The extension's tables that need no argument; its functions that change the file.
std::vector<std::string> Looks() {
  std::vector<std::string> looks = {
      "SELECT wal_set('checkpoint_frames', 50)",
      "SELECT wal_set('checkpoint_frames', NULL)",
      "SELECT wal_strategy('high_concurrency')",
      "SELECT wal_strategy('conversation_workload')",
      "SELECT wal_checkpoint('PASSIVE')",
      "SELECT wal_openmetrics()",
      "SELECT wal_metrics_reset()",
  };
  sqlite3* const db = Open(true);
  sqlite3_stmt* statement = nullptr;
  sqlite3* bare = nullptr;
  if (sqlite3_open(":memory:", &bare) != SQLITE_OK) std::abort();
  const char* const names = "SELECT name FROM pragma_module_list ORDER BY name";
  sqlite3_prepare_v2(bare, names, -1, &statement, nullptr);
  std::vector<std::string> known;
  const auto name = [&] {
    return std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  };
  while (sqlite3_step(statement) == SQLITE_ROW) known.push_back(name());
  sqlite3_finalize(statement);
  sqlite3_prepare_v2(db, names, -1, &statement, nullptr);
  while (sqlite3_step(statement) == SQLITE_ROW) {
    if (std::find(known.begin(), known.end(), name()) == known.end()) {
      looks.push_back("SELECT * FROM " + name() + " LIMIT 200");
    }
  }
  sqlite3_finalize(statement);
  sqlite3_close(bare);
  sqlite3_close(db);
  if (looks.size() < 20) Fail("the extension's tables are not there");
  return looks;
}

// A control file that has something of everything.
std::string GoodControlFile(const std::vector<std::string>& looks) {
  sqlite3* const db = Open(true);
  for (int i = 0; i < 30; ++i) Host(db, "INSERT INTO t(b) VALUES(zeroblob(100))");
  for (const std::string& look : looks) (void)Steps(db, look);
  Host(db, "DELETE FROM t");
  if (sqlite3_close(db) != SQLITE_OK) std::abort();
  std::string bytes = BytesOf(ControlFile());
  if (bytes.empty()) Fail("there is no control file");
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Orders* const orders = StartLiar();  // before there are threads
  static const std::vector<std::string>& looks = *[] {
    std::atexit([] { (void)std::system(("rm -rf " + Folder()).c_str()); });
    sqlite3* const db = Open(false);
    Host(db, "PRAGMA journal_mode=WAL");
    Host(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    if (sqlite3_close(db) != SQLITE_OK) std::abort();
    return new std::vector<std::string>(Looks());
  }();
  static const std::string& good = *new std::string(GoodControlFile(looks));
  static std::uint32_t input = 0;
  if (size < 2) return 0;

  Write(ControlFile(), good);
  const unsigned first = data[0], step = data[1] | 1u;
  orders->size = static_cast<std::uint32_t>(std::min(size - 2, kMostBytes));
  std::memcpy(orders->bytes, data + 2, orders->size);
  sqlite3* const dbs[] = {Open(true), Open(true)};
  for (sqlite3* db : dbs) Host(db, "SELECT count(*) FROM t");
  orders->running.store(++input, std::memory_order_release);
  const std::uint32_t before = orders->passed.load(std::memory_order_acquire);
  for (int i = 0; orders->passed.load(std::memory_order_acquire) < before + 2 && i < 1000; ++i) {
    Pause(10'000);
  }
  int inserted = 0;
  for (unsigned round = 0; round < 4; ++round) {
    for (sqlite3* db : dbs) {
      Host(db, "INSERT INTO t(b) VALUES(zeroblob(3000))");
      ++inserted;
      (void)Steps(db, looks[(first + step * round) % looks.size()]);
      Host(db, "BEGIN");
      Host(db, "UPDATE t SET b=zeroblob(200) WHERE a%5=1");
      Host(db, "COMMIT");
      if (Host(db, "SELECT a FROM t") != inserted) Fail("another number of rows");
    }
  }
  orders->running.store(0, std::memory_order_release);
  Host(dbs[0], "DELETE FROM t");
  for (sqlite3* db : dbs) {
    if (sqlite3_close(db) != SQLITE_OK) Fail("a connection cannot be closed");
  }
  if (input % 64 == 0) {
    sqlite3* const bare = Open(false);
    Host(bare,
         "INSERT INTO t(b) SELECT 'ok' FROM pragma_integrity_check WHERE integrity_check='ok'");
    if (Host(bare, "SELECT a FROM t") != 1) Fail("the database is damaged");
    Host(bare, "DELETE FROM t");
    sqlite3_close(bare);
  }
  return 0;
}
