#include "ext/read_pool_scan.h"

#include <algorithm>
#include <thread>

#include "ext/clock.h"
#include "ext/connection.h"
#include "ext/own_vfs.h"
#include "ext/read_pool.h"
#include "ext/read_pool_statement.h"
#include "ext/wal_index.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

// In the pool.
class PooledScan final : public ReadPoolScan {
 public:
  PooledScan(sqlite3* db, std::shared_ptr<ReadPool> pool, std::shared_ptr<PoolCall> call,
             std::size_t most, bool close)
      : db_(db), pool_(std::move(pool)), call_(std::move(call)), most_(most), close_(close) {
    // As many as there are processors: short statements need no more. If they take longer, more
    // come (Next). A snapshot's first reader finds its own company.
    const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
    const std::size_t at_once = call_->request().snapshot ? 1 : std::min(cores, call_->untaken());
    for (std::size_t i = 0; i < at_once; ++i) pool_->Want(call_, most_);
  }
  ~PooledScan() override { pool_->End(call_, close_); }

  Result<bool> Next() override {
    if (++at_ < rows_.size()) return true;
    rows_.clear();
    at_ = 0;
    for (std::uint64_t wait = kFirstWaitNs;; wait = std::min(2 * wait, kLongestWaitNs)) {
      auto received = call_->Receive(rows_, wait);
      if (!received.ok()) return Failed(received.error());
      if (received.value() == PoolCall::State::kRows) return true;
      if (received.value() == PoolCall::State::kEnd) return false;
      if (IsInterrupted()) return Error{"interrupted", ErrorCode::kInterrupt};
      if (!call_->request().snapshot && call_->HasUntaken()) pool_->Want(call_, most_);
    }
  }
  const PoolRow& row() const override { return rows_[at_]; }

 private:
  static constexpr std::uint64_t kFirstWaitNs = 2 * kMs;
  static constexpr std::uint64_t kLongestWaitNs = 20 * kMs;

  Error Failed(const Error& error) {
    if (MonotonicNs() < call_->deadline_ns()) return error;
    pool_->CountTimeout();
    Error timed_out = call_->TimedOut();
    if (call_->untaken() == call_->request().statements.size()) {
      timed_out.message += ": no statement has begun, all " + std::to_string(most_) +
                           " connections of the pool (read_pool_size) are at work for others";
    }
    return timed_out;
  }

  // sqlite3_is_interrupted() is of 3.41; any statement of the connection tells the same, and lets
  // a progress handler of the host's run.
  bool IsInterrupted() {
    if (!probe_) {
      auto prepared = Prepare(db_, std::string(kOwnSql) + "SELECT 1");
      if (!prepared.ok()) return prepared.error().code == ErrorCode::kInterrupt;
      probe_ = std::move(prepared.value());
    }
    const int rc = sqlite3_step(probe_.get());
    sqlite3_reset(probe_.get());
    return rc == SQLITE_INTERRUPT;
  }

  sqlite3* const db_;
  const std::shared_ptr<ReadPool> pool_;
  const std::shared_ptr<PoolCall> call_;
  const std::size_t most_;
  const bool close_;
  std::vector<PoolRow> rows_;
  std::size_t at_ = 0;
  OwnedStmt probe_;
};

// On the caller's own connection.
class OwnScan final : public ReadPoolScan {
 public:
  OwnScan(sqlite3* db, std::uint64_t connection_id, PoolRequest request, std::int64_t timeout_ms)
      : db_(db), call_(std::move(request), {}, timeout_ms) {
    row_.connection_id = connection_id;
  }

  // Keeps its read transaction until the end: all statements see the same commit.
  Status HoldSnapshot() {
    if (!call_.request().snapshot) return Ok{};
    auto held = Prepare(db_, std::string(kOwnSql) + "PRAGMA main.schema_version");
    if (!held.ok()) return held.error();
    held_ = std::move(held.value());
    return sqlite3_step(held_.get()) == SQLITE_ROW ? Status(Ok{}) : EngineError(db_);
  }

  Result<bool> Next() override {
    for (;;) {
      const std::uint64_t deadline =
          query_ ? call_.StatementDeadline(began_ns_) : call_.deadline_ns();
      if (MonotonicNs() >= deadline) return call_.StatementTimedOut(row_.statement);
      if (!query_) {
        const auto index = call_.TakeStatement();
        if (!index) return false;
        row_.statement = *index;
        row_.number = 0;
        began_ns_ = MonotonicNs();
        auto query = PoolQuery::Prepare(db_, call_.request().statements[*index], nullptr);
        if (!query.ok()) return Named(query.error());
        query_.emplace(std::move(query.value()));
      }
      row_.data.clear();
      auto stepped = query_->Step(row_.data);
      if (!stepped.ok()) return Named(stepped.error());
      if (stepped.value()) break;
      query_.reset();
    }
    ++row_.number;
    row_.wait_ms = static_cast<double>(began_ns_ - call_.began_ns()) / 1e6;
    row_.query_ms = static_cast<double>(MonotonicNs() - began_ns_) / 1e6;
    return true;
  }
  const PoolRow& row() const override { return row_; }

 private:
  Error Named(const Error& error) const {
    return Error{StatementName(row_.statement) + ": " + error.message, error.code};
  }

  sqlite3* const db_;
  PoolCall call_;
  OwnedStmt held_;
  std::optional<PoolQuery> query_;
  std::uint64_t began_ns_ = 0;
  PoolRow row_;
};

bool EngineHasThreads() {
  static const bool threads = Connection::Engine().threads;
  return threads;
}

// nullopt where no connection of ours may be opened beside this one.
std::optional<PoolHost> HostOf(Connection& connection, const Schema& schema) {
  if (!schema.is_wal() || !EngineHasThreads()) return std::nullopt;
  (void)connection.LookAtLog(schema);  // it may not have read yet
  sqlite3* db = connection.db();
  PoolHost host;
  host.index = MapWalIndex(DatabaseFile(db, "main"));
  if (!host.index) return std::nullopt;  // locking_mode is EXCLUSIVE
  sqlite3_vfs* vfs = nullptr;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs);
  int moved = 0;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  const char* own = moved ? nullptr : OwnVfsFor(vfs);
  if (!own) return std::nullopt;
  host.vfs = own;
  host.read_only = schema.read_only;
  host.close = CloseBehaviourOf(db, "main");
  host.control = schema.database->control();
  const auto mmap = connection.Query("PRAGMA main.mmap_size");
  if (mmap.ok() && mmap.value()) host.mmap_size = std::stoll(*mmap.value());
  return host;
}

}  // namespace

Result<std::unique_ptr<ReadPoolScan>> StartReadPool(Connection& connection, const std::string& sql,
                                                    const std::optional<std::string>& parameters) {
  auto request = ParsePoolRequest(sql, parameters);
  if (!request.ok()) return request.error();
  auto schema = connection.FindSchema("read_pool", "main");
  if (!schema.ok()) return schema.error();
  Database* database = schema.value().database.get();
  const SettingValues values = (database ? database->settings() : StoredSettings{}).Values();
  const auto most = static_cast<std::size_t>(values[Setting::kReadPoolSize]);
  const std::int64_t timeout_ms = values[Setting::kReadPoolTimeoutMs];
  if (database) database->read_pool()->CountCall();
  if (auto host = most > 0 ? HostOf(connection, schema.value()) : std::nullopt) {
    const auto pool = database->read_pool();
    const auto call = std::make_shared<PoolCall>(request.value(), std::move(*host), timeout_ms);
    // Where a PRAGMA journal_mode of the host's comes unannounced nothing is left in its way.
    const bool close =
        !sqlite3_api->trace_v2 || connection.ProbeTrace(/*take=*/false) == TraceState::kDisplaced;
    if (pool->Begin(call)) {
      return std::unique_ptr<ReadPoolScan>(
          new PooledScan(connection.db(), pool, call, most, close));
    }
  }
  auto scan = std::make_unique<OwnScan>(connection.db(), connection.id(),
                                        std::move(request.value()), timeout_ms);
  if (Status held = scan->HoldSnapshot(); !held.ok()) return held.error();
  return std::unique_ptr<ReadPoolScan>(std::move(scan));
}

}  // namespace walmanager
