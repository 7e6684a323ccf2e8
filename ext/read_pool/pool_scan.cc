#include "ext/read_pool/pool_scan.h"

#include <algorithm>
#include <thread>

#include "ext/connection/connection.h"
#include "ext/core/base/time_units.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/host_interrupt.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/read_pool/pool_reader.h"
#include "ext/read_pool/pool_statement.h"
#include "ext/read_pool/read_pool.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

// In the pool.
class PooledScan final : public ReadPoolScan {
 public:
  PooledScan(sqlite3* db, std::shared_ptr<ReadPool> pool, std::shared_ptr<PoolCall> call,
             std::size_t most, bool close)
      : db_(db), pool_(std::move(pool)), call_(std::move(call)), most_(most), close_(close) {}
  ~PooledScan() override { pool_->End(call_, close_); }
  // Not in the constructor: where memory ends on the way, End() takes the call back.
  void Start() { pool_->Want(call_, most_); }

  Result<bool> Next() override {
    if (++at_ < part().rows.size()) return true;
    at_ = 0;
    if (++part_ < rows_.size()) return true;
    rows_.clear();
    part_ = 0;
    for (std::uint64_t wait = kFirstWaitNs;; wait = std::min(2 * wait, kLongestWaitNs)) {
      auto received = call_->Receive(rows_, wait);
      if (!received.ok()) return Failed(received.error());
      if (received.value() == PoolCall::State::kRows) return true;
      if (received.value() == PoolCall::State::kEnd) return false;
      if (!interrupt_) interrupt_.emplace(db_);
      if (interrupt_->Asked()) return Error{"interrupted", ErrorCode::kInterrupt};
      if (call_->HasUntaken()) pool_->Want(call_, most_);
    }
  }
  const PoolRow& row() const override { return part().rows[at_]; }
  std::string_view data() const override { return part().Data(row()); }

 private:
  const PoolRows& part() const {
    static const PoolRows kNone;
    return rows_.empty() ? kNone : rows_[part_];
  }

  static constexpr std::uint64_t kFirstWaitNs = 2 * kMs;
  static constexpr std::uint64_t kLongestWaitNs = 20 * kMs;

  Error Failed(const Error& error) {
    if (MonotonicNs() < call_->deadline_ns()) return error;
    pool_->CountTimeout();
    Error timed_out = call_->TimedOut();
    if (pool_->IsWaiting(*call_)) {
      timed_out.message +=
          ": no statement has begun, every connection of the pool (read_pool_size is " +
          std::to_string(most_) + ") is at work for other calls";
    }
    return timed_out;
  }

  sqlite3* const db_;
  const std::shared_ptr<ReadPool> pool_;
  const std::shared_ptr<PoolCall> call_;
  const std::size_t most_;
  const bool close_;
  std::vector<PoolRows> rows_;
  std::size_t part_ = 0, at_ = 0;
  std::optional<HostInterrupt> interrupt_;
};

// On the caller's own connection.
class OwnScan final : public ReadPoolScan {
 public:
  OwnScan(Connection& connection, PoolRequest request, std::int64_t timeout_ms)
      : connection_(connection), db_(connection.db()), call_(std::move(request), {}, timeout_ms) {
    row_.connection_id = connection.id();
  }

  // Keeps its read transaction until the end: all statements see the same commit.
  Status HoldSnapshot() {
    if (!call_.request().snapshot) return Ok{};
    auto held = Prepare(db_, std::string(kOwnSql) + "PRAGMA main.schema_version");
    if (!held.ok()) return held.error();
    held_ = std::move(held.value());
    return sqlite3_step(held_.get()) == SQLITE_ROW ? Status(Ok{}) : EngineError(db_);
  }

  // A statement that writes to a table which it reads here would never end, because SQLite does not
  // know which tables are behind this one. So it gets the rows that were there when it began.
  Status GatherIfSomebodyWrites() {
    constexpr std::size_t kMostBytes = 64 << 20;
    const auto writes = [&] {
      for (sqlite3_stmt* stmt = nullptr; (stmt = sqlite3_next_stmt(db_, stmt));) {
        if (sqlite3_stmt_busy(stmt) && !sqlite3_stmt_readonly(stmt)) return true;
      }
      return false;
    };
    if (!writes()) return Ok{};
    PoolRows rows;
    for (;;) {
      auto next = Step();
      if (!next.ok()) return next.error();
      if (!next.value()) break;
      row_.begin = rows.text.size();
      rows.rows.push_back(row_);
      rows.text += data_;
      if (rows.rows.size() * sizeof row_ + rows.text.size() > kMostBytes) {
        return Error{
            "more than 64 MiB of rows for a statement that writes, on its own connection: "
            "gather them in a TEMP table, or leave read_pool_size above 0"};
      }
    }
    gathered_ = std::move(rows);
    return Ok{};
  }

  Result<bool> Next() override {
    if (!gathered_) return Step();
    if (at_ == gathered_->rows.size()) return false;
    row_ = gathered_->rows[at_++];
    return true;
  }
  const PoolRow& row() const override { return row_; }
  std::string_view data() const override { return gathered_ ? gathered_->Data(row_) : data_; }

 private:
  Result<bool> Step() {
    struct Inside {
      explicit Inside(Connection& its_connection) : connection(its_connection) {
        connection.set_in_read_pool(true);
      }
      ~Inside() { connection.set_in_read_pool(false); }
      Connection& connection;
    } inside(connection_);
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
        auto query = PoolQuery::Prepare(db_, call_.request().statements[*index], {});
        if (!query.ok()) return Named(query.error());
        query_.emplace(std::move(query.value()));
      }
      auto stepped = query_->Step();
      if (!stepped.ok()) return Named(stepped.error());
      if (stepped.value()) break;
      query_.reset();
    }
    data_.clear();
    if (Status made = query_->AppendRow(data_); !made.ok()) return Named(made.error());
    ++row_.number;
    row_.size = data_.size();
    row_.wait_ms = static_cast<double>(began_ns_ - call_.began_ns()) / 1e6;
    row_.query_ms = static_cast<double>(MonotonicNs() - began_ns_) / 1e6;
    return true;
  }
  Error Named(const Error& error) const {
    return Error{StatementName(row_.statement) + ": " + error.message, error.code};
  }

  Connection& connection_;
  sqlite3* const db_;
  PoolCall call_;
  OwnedStmt held_;
  std::optional<PoolQuery> query_;
  std::uint64_t began_ns_ = 0;
  PoolRow row_;
  std::string data_;  // of row_, unless they were gathered
  std::optional<PoolRows> gathered_;
  std::size_t at_ = 0;
};

// nullopt where no own connection may be opened beside this one.
std::optional<PoolHost> HostOf(Connection& connection, const Schema& schema) {
  if (!schema.is_wal() || !EngineHasThreads()) return std::nullopt;
  (void)connection.LookAtLog(schema);  // it may not have read yet
  sqlite3* db = connection.db();
  PoolHost host;
  host.index = MapWalIndex(connection.LogOf(schema));
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
  host.connection = &connection;
  for (std::size_t limit = 0; limit < host.limits.size(); ++limit) {
    host.limits[limit] = sqlite3_limit(db, static_cast<int>(limit), -1);
  }
  for (std::size_t i = 0; i < kPoolOptions.size(); ++i) {
    if (sqlite3_db_config(db, kPoolOptions[i], -1, &host.options[i]) != SQLITE_OK)
      host.options[i] = -1;
  }
  const auto mmap = connection.Query("PRAGMA main.mmap_size");
  if (mmap.ok() && mmap.value()) host.mmap_size = std::stoll(*mmap.value());
  return host;
}

}  // namespace

Result<std::unique_ptr<ReadPoolScan>> StartReadPool(Connection& connection, const std::string& sql,
                                                    const std::optional<std::string>& parameters) {
  // On the connections of the pool there is no such table; here it could call itself without end.
  if (connection.in_read_pool()) return Error{"is not there within a statement that it runs"};
  auto request = ParsePoolRequest(sql, parameters);
  if (!request.ok()) return request.error();
  auto schema = connection.FindSchema("read_pool", "main");
  if (!schema.ok()) return schema.error();
  Database* database = schema.value().database.get();
  const SettingValues values = (database ? database->settings() : StoredSettings{}).Values();
  const auto most = static_cast<std::size_t>(values[Setting::kReadPoolSize]);
  const std::int64_t timeout_ms = values[Setting::kReadPoolTimeoutMs];
  if (database) ReadPool::Of(*database)->CountCall();
  // Without progress handlers (SQLITE_OMIT_PROGRESS_CALLBACK) a reader of a pool could not be
  // interrupted.
  const bool may_pool = most > 0 && sqlite3_api->progress_handler;
  if (auto host = may_pool ? HostOf(connection, schema.value()) : std::nullopt) {
    const auto pool = ReadPool::Of(*database);
    const auto call = std::make_shared<PoolCall>(request.value(), std::move(*host), timeout_ms);
    // Without the trace, a PRAGMA journal_mode of the host cannot be seen coming: close the
    // connections after the call, so that none is in its way.
    const bool close =
        !sqlite3_api->trace_v2 || connection.ProbeTrace(/*take=*/false) == TraceState::kDisplaced;
    if (pool->Begin(call)) {
      auto scan = std::make_unique<PooledScan>(connection.db(), pool, call, most, close);
      scan->Start();
      return std::unique_ptr<ReadPoolScan>(std::move(scan));
    }
  }
  auto scan = std::make_unique<OwnScan>(connection, std::move(request.value()), timeout_ms);
  if (Status held = scan->HoldSnapshot(); !held.ok()) return held.error();
  if (Status gathered = scan->GatherIfSomebodyWrites(); !gathered.ok()) return gathered.error();
  return std::unique_ptr<ReadPoolScan>(std::move(scan));
}

}  // namespace walmanager
