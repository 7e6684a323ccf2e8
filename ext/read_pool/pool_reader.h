// A reader of the pool (read_pool.h): its thread, its connection, and the statement that it runs.
//
// Thread rules: those of read_pool.h. While its thread is inside the engine it holds the registry's
// engine_mutex, and lets forks go first: between two rows, between two pieces of 1,000 steps of
// SQLite's machine, and wherever it waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <shared_mutex>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/format/file_id.h"
#include "ext/read_pool/pool_call.h"
#include "ext/read_pool/pool_statement.h"
#include "ext/system/own_processor.h"
#include "ext/system/own_thread.h"

namespace walmanager {

class ReadPool;
struct Registry;

// The options in PoolHost::options, in its order.
constexpr std::array<int, 3> kPoolOptions = {SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_ENABLE_VIEW,
                                             SQLITE_DBCONFIG_TRUSTED_SCHEMA};

// A connection of the pool: opened for a host, shown in connection_metrics while it is open.
class PoolConnection {
 public:
  ~PoolConnection() { Close(); }
  sqlite3* db() const { return db_.get(); }
  bool open() const { return db_ != nullptr; }
  // Interrupts the statement that runs, also where SQLite calls no progress handler. Any thread.
  void Interrupt();
  std::uint64_t id() const { return id_; }
  ReadGuard& guard() { return guard_; }
  KeptStatements& kept() { return kept_; }
  // Nothing is open after an error, nor where memory ends.
  Status Open(const std::string& path, const FileId& id, const PoolHost& host);
  void Close();
  // Whether it is open on the file that the host has open.
  bool Fits(const PoolHost& host) const;
  // Takes over limits and options that the host's connection has set since.
  void Follow(const PoolHost& host);
  // Runs a statement of the extension.
  Status Run(const char* sql);
  // For connection_metrics.
  void ShowStatement(std::uint64_t started_ns);
  void ShowRows(std::uint64_t rows);
  void ShowTransaction(bool reads);

 private:
  Status Configure(const PoolHost& host);
  void Reset();
  void Show(const PoolHost& host, const std::string& path);

  // Held while db_ changes, and while a thread other than the reader's uses it. Not annotated: the
  // reader's thread, which alone changes db_, reads it without.
  Mutex interrupt_mutex_;
  OwnedDb db_;
  ReadGuard guard_;
  KeptStatements kept_;                    // goes before db_
  decltype(PoolHost::limits) limits_{};    // as followed
  decltype(PoolHost::options) options_{};  // likewise
  std::uint64_t id_ = 0;
  std::shared_ptr<ControlFile> shown_in_;
  std::size_t slab_ = 0;
};

class PoolReader {
 public:
  explicit PoolReader(ReadPool& pool);
  // False where the system gives no thread.
  bool Start() noexcept;
  PoolConnection& connection() { return connection_; }
  void CloseConnection() noexcept;
  void Interrupt() { connection_.Interrupt(); }
  bool in_transaction() const;

  // --- under the pool's mutex. Not annotated: to the checker the pool of a reader of a pool is
  // another one.
  std::shared_ptr<PoolCall> call;  // that it works for
  Condition changed;
  bool is_idle = false;          // stands among the idle ones
  bool was_used = false;         // its connection was just opened: its idle time begins anew
  std::uint64_t generation = 0;  // the pool's when its connection was opened

 private:
  void Run();
  bool EndIfIdle();
  void Serve();
  // False where this reader cannot run it, and another one is to.
  bool RunStatement(std::size_t index);
  // One attempt. `number`: the rows made so far; after the first row there is no other attempt.
  Status Try(std::size_t index, std::int64_t& number);
  Status MakeOpen(const PoolHost& host);
  // Begins one, together with other readers, which then work for the same call.
  void TakeSnapshot();
  Status BeginTogether(const std::vector<PoolReader*>& readers, bool& same);
  // The first `count` of them become idle again.
  void Dismiss(std::vector<PoolReader*>& readers, std::size_t count);
  // Also where memory ends: then by closing the connection.
  void EndTransaction() noexcept;
  struct OutsideOfEngine;
  bool HandOver(PoolCall::Push push);
  void ShowRows();
  void GiveWay();
  void PauseOutside(int attempt);
  static int OnProgress(void* self);

  ReadPool& pool_;
  PoolConnection connection_;
  // While it works.
  std::shared_ptr<PoolCall> working_for_;
  bool in_snapshot_ = false;
  std::optional<OwnProcessor> processor_;
  PoolRows batch_;
  std::uint64_t unshown_rows_ = 0;  // in connection_metrics
  std::uint64_t statement_deadline_ns_ = 0;
  std::uint64_t handed_over_ns_ = 0;
  std::minstd_rand random_;  // for pauses
  // Of the registry's engine_mutex: a lock without annotations, since it is held from one function
  // to another.
  std::shared_lock<SharedTimedMutex> engine_;
  OwnThread thread_;  // the last: it ends before the others go
};

}  // namespace walmanager
