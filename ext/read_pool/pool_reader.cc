#include "ext/read_pool/pool_reader.h"

#include <unistd.h>

#include <algorithm>

#include "ext/engine/wal_index.h"
#include "ext/read_pool/read_pool.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::chrono::seconds kIdle{2};
constexpr std::size_t kBatchRows = 64;
constexpr std::size_t kBatchBytes = 64 << 10;
// A statement that runs until the first such look, some 5 µs, deserves another reader. A row found
// by its key does not: compiling it in two threads would only contend for the engine's memory.
constexpr int kStepsBetweenLooks = 250;
// The caller is not woken for a row within this time if more rows are to come: waking takes longer
// than finding a row. The caller looks by itself every few milliseconds.
constexpr std::uint64_t kQuietNs = 100'000;
constexpr useconds_t kGiveWayUs = 50;

bool IsBroken(const Error& error) {
  return error.code == ErrorCode::kInputOutput || error.code == ErrorCode::kCorrupt ||
         error.code == ErrorCode::kNotADatabase;
}

}  // namespace

PoolReader::PoolReader(ReadPool& pool)
    : pool_(pool), random_(static_cast<unsigned>(MonotonicNs())) {}

bool PoolReader::Start() noexcept {
  return thread_.Start(
      "walmanager-read", [](void* self) { static_cast<PoolReader*>(self)->Run(); }, this);
}

void PoolReader::Run() {
  engine_ = std::shared_lock(Registry::Get().engine_mutex, std::defer_lock);
  MutexLock lock(pool_.mutex_);
  for (;;) {
    if (!call) {
      // A reader that was taken from the idle ones waits for its call without a limit.
      const auto until = std::chrono::steady_clock::now() + kIdle;
      while (!call && !pool_.stopping_ && !was_used) {
        if (changed.WaitUntil(pool_.mutex_, until) == std::cv_status::timeout) break;
      }
      const bool timed_out = !call && !pool_.stopping_ && !was_used;
      was_used = false;
      if (pool_.stopping_) break;
      if (call) continue;
      if (!timed_out || !is_idle) continue;
      lock.unlock();
      if (EndIfIdle()) return;
      lock.lock();
      continue;
    }
    working_for_ = call;
    lock.unlock();
    GiveWay();
    Serve();
    lock.lock();
    if (generation != pool_.generation_) CloseConnection();
    working_for_.reset();
    --std::exchange(call, nullptr)->readers;
    pool_.call_left_.notify_all();
    pool_.BecomesFree(*this);
    engine_.unlock();
  }
}

bool PoolReader::EndIfIdle() {
  GiveWay();
  const MutexLock lock(pool_.mutex_);
  const bool ends = is_idle && !call && !pool_.stopping_;
  if (ends) {
    std::erase(pool_.idle_, this);
    CloseConnection();
    const auto found = std::find_if(pool_.readers_.begin(), pool_.readers_.end(),
                                    [&](const auto& reader) { return reader.get() == this; });
    pool_.ended_.splice(pool_.ended_.end(), pool_.readers_, found);
  }
  engine_.unlock();
  return ends;
}

void PoolReader::GiveWay() {
  Registry& registry = Registry::Get();
  if (engine_.owns_lock()) engine_.unlock();
  while (registry.forks_waiting > 0) usleep(kGiveWayUs);
  engine_.lock();
}

int PoolReader::OnProgress(void* self) {
  auto* reader = static_cast<PoolReader*>(self);
  PoolCall* call = reader->working_for_.get();
  if (!call) return 0;
  return AtCEdge([&] {
    // The engine calls this between two steps, with none of its locks for all connections held.
    if (Registry::Get().forks_waiting > 0) reader->GiveWay();
    const std::uint64_t now = MonotonicNs();
    if (call->IsHungry() && !reader->batch_.empty()) {
      reader->ShowRows();
      (void)call->HandOver(reader->batch_, PoolCall::Push::kIfRoom);
      if (reader->batch_.empty()) reader->handed_over_ns_ = now;
    }
    if (reader->processor_) {
      reader->processor_->LetGoInTime(now);
    } else {
      // Before another reader is woken, which finds this statement taken.
      reader->processor_.emplace(call->processors());
      if (!reader->in_snapshot_) reader->pool_.Help(reader->working_for_);
    }
    return call->stopped() || now >= reader->statement_deadline_ns_ ? 1 : 0;
  });
}

void PoolReader::Serve() {
  PoolCall& current = *working_for_;
  const int rc = AtCEdge([&] {
    if (current.request().snapshot) TakeSnapshot();
    handed_over_ns_ = MonotonicNs();
    while (const auto index = current.TakeStatement()) {
      if (!RunStatement(*index)) break;
      current.StatementEnded();
    }
    current.WakeCaller();
    return SQLITE_OK;
  });
  if (rc != SQLITE_OK) current.Fail(Error{"out of memory", ErrorCode::kNoMemory});
  processor_.reset();
  batch_ = {};
  unshown_rows_ = 0;
  if (!in_snapshot_) return;
  in_snapshot_ = false;
  EndTransaction();
  connection_.ShowTransaction(false);
}

bool PoolReader::RunStatement(std::size_t index) {
  PoolCall& current = *working_for_;
  bool replaced = false;
  statement_deadline_ns_ = current.StatementDeadline(MonotonicNs());
  for (int attempt = 0;; ++attempt) {
    std::int64_t number = 0;
    Status ran = MakeOpen(current.host());
    if (ran.ok()) ran = Try(index, number);
    if (ran.ok()) return true;
    const Error& error = ran.error();
    // Descriptors or memory have run out: readers with an open connection can go on.
    if (!connection_.open() && error.code != ErrorCode::kBusy && pool_.HasOpen()) {
      current.PutBack(index);
      return false;
    }
    const bool again = number == 0 && !current.stopped();
    const bool broken = IsBroken(error);
    if (broken && connection_.open() && !in_snapshot_) {
      CloseConnection();
      ++pool_.replaced_;
    }
    if (again && broken && !replaced && !in_snapshot_) {
      replaced = true;
    } else if (again && error.code == ErrorCode::kBusy && MonotonicNs() < statement_deadline_ns_) {
      ++pool_.retries_;
      PauseOutside(attempt);
    } else {
      if (MonotonicNs() >= statement_deadline_ns_ && !current.stopped()) {
        if (MonotonicNs() < current.deadline_ns()) pool_.CountTimeout();
        current.Fail(current.StatementTimedOut(index));
        return true;
      }
      current.Fail(Error{StatementName(index) + ": " + error.message, error.code});
      return true;
    }
  }
}

bool PoolReader::in_transaction() const {
  return connection_.open() && sqlite3_get_autocommit(connection_.db()) == 0;
}

void PoolReader::CloseConnection() noexcept {
  if (!connection_.open()) return;
  connection_.Close();
  pool_.CountOpen(false);
}

Status PoolReader::MakeOpen(const PoolHost& host) {
  if (in_snapshot_) return Ok{};
  if (connection_.open() && !connection_.Fits(host)) {
    CloseConnection();
    ++pool_.replaced_;
  }
  if (!connection_.open()) {
    generation = pool_.generation_;
    Status opened = connection_.Open(pool_.path_, pool_.id_, host);
    if (!opened.ok()) return opened;
    pool_.CountOpen(true);
  }
  connection_.Follow(host);
  return Ok{};
}

Status PoolReader::Try(std::size_t index, std::int64_t& number) {
  PoolCall& current = *working_for_;
  const std::uint64_t began = MonotonicNs();
  const double wait_ms = static_cast<double>(began - current.began_ns()) / 1e6;
  const auto not_active = [this](PoolConnection* connection) {
    ShowRows();
    sqlite3_progress_handler(connection->db(), 0, nullptr, nullptr);
    connection->ShowStatement(0);
    pool_.CountRunning(false);
  };
  connection_.ShowStatement(began);
  pool_.CountRunning(true);
  const std::unique_ptr<PoolConnection, decltype(not_active)> active(&connection_, not_active);
  sqlite3_progress_handler(connection_.db(), kStepsBetweenLooks, OnProgress, this);
  auto query = PoolQuery::Prepare(connection_.db(), current.request().statements[index],
                                  PoolQuery::Pooled{&connection_.guard(), &connection_.kept()});
  if (!query.ok()) return query.error();
  for (;;) {
    // Hands over the rows at hand where the statement takes long.
    auto stepped = query.value().Step();
    if (!stepped.ok()) return stepped.error();
    if (!stepped.value()) break;
    PoolRow row;
    row.begin = batch_.text.size();
    if (Status made = query.value().AppendRow(batch_.text); !made.ok()) return made;
    row.size = batch_.text.size() - row.begin;
    row.statement = index;
    row.number = ++number;
    row.connection_id = connection_.id();
    row.wait_ms = wait_ms;
    const std::uint64_t now = MonotonicNs();
    row.query_ms = static_cast<double>(now - began) / 1e6;
    if (batch_.rows.empty()) batch_.rows.reserve(kBatchRows);
    batch_.rows.push_back(row);
    ++unshown_rows_;
    const bool enough = batch_.rows.size() >= kBatchRows || batch_.text.size() >= kBatchBytes;
    const bool wakes = enough || now - handed_over_ns_ > kQuietNs;
    // No row stays here while the caller waits: the next step may take long, without a look.
    if ((enough || current.IsHungry()) &&
        !HandOver(wakes ? PoolCall::Push::kWait : PoolCall::Push::kQuietly)) {
      return Error{"stopped"};
    }
  }
  query.value().End();
  const bool wakes = MonotonicNs() - handed_over_ns_ > kQuietNs || !current.HasUntaken();
  if (!HandOver(wakes ? PoolCall::Push::kWait : PoolCall::Push::kQuietly)) return Error{"stopped"};
  return Ok{};
}

void PoolReader::ShowRows() {
  if (unshown_rows_ > 0) connection_.ShowRows(std::exchange(unshown_rows_, 0));
}

// While it waits for another thread it holds no lock that a fork waits for. Also where memory ends.
struct PoolReader::OutsideOfEngine {
  explicit OutsideOfEngine(PoolReader& the_reader) : reader(the_reader) { reader.engine_.unlock(); }
  ~OutsideOfEngine() { reader.GiveWay(); }
  OutsideOfEngine(const OutsideOfEngine&) = delete;
  OutsideOfEngine& operator=(const OutsideOfEngine&) = delete;
  PoolReader& reader;
};

bool PoolReader::HandOver(PoolCall::Push push) {
  if (push == PoolCall::Push::kWait) handed_over_ns_ = MonotonicNs();
  if (batch_.empty()) return !working_for_->stopped();
  ShowRows();
  const OutsideOfEngine outside(*this);
  return working_for_->HandOver(batch_, push);
}

void PoolReader::PauseOutside(int attempt) {
  // 0.1 ms, doubled up to 50 ms, and of that a half to the whole.
  const std::uint64_t longest = std::uint64_t{100'000} << std::min(attempt, 9);
  const OutsideOfEngine outside(*this);
  working_for_->Pause(longest / 2 + random_() % (longest / 2));
}

}  // namespace walmanager
