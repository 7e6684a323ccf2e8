#include "ext/read_pool/pool_call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "ext/system/clock.h"

namespace walmanager {
namespace {

// What may be on its way. One row may be larger: it then goes alone.
constexpr std::size_t kMostRows = 1024;
constexpr std::size_t kMostBytes = 4 << 20;
// So much goes into one text; more is not copied once again.
constexpr std::size_t kTogetherBytes = 16 << 10;

std::chrono::steady_clock::time_point Moment(std::uint64_t deadline_ns) {
  const std::uint64_t now = MonotonicNs();
  return std::chrono::steady_clock::now() +
         std::chrono::nanoseconds(deadline_ns > now ? deadline_ns - now : 0);
}

}  // namespace

void PoolRows::Append(PoolRows& others) {
  const std::size_t before = text.size();
  text += others.text;  // first: where memory ends no row is without its text
  rows.insert(rows.end(), others.rows.begin(), others.rows.end());
  for (std::size_t i = rows.size() - others.rows.size(); i < rows.size(); ++i) {
    rows[i].begin += before;
  }
  others.rows.clear();
  others.text.clear();
}

PoolCall::PoolCall(PoolRequest request, PoolHost host, std::int64_t timeout_ms)
    : request_(std::move(request)),
      host_(std::move(host)),
      timeout_ms_(request_.timeout_ms.value_or(timeout_ms)),
      began_ns_(MonotonicNs()),
      deadline_ns_(began_ns_ + static_cast<std::uint64_t>(timeout_ms_) * 1'000'000),
      untaken_(request_.statements.size()) {}

Error PoolCall::TimedOut() const {
  return Error{"not done after " + std::to_string(timeout_ms_) + " ms (" +
               (request_.timeout_ms ? "timeout_ms" : "read_pool_timeout_ms") + ")"};
}

std::uint64_t PoolCall::StatementDeadline(std::uint64_t began_ns) const {
  if (!request_.statement_timeout_ms) return deadline_ns_;
  const auto most = static_cast<std::uint64_t>(*request_.statement_timeout_ms) * 1'000'000;
  return std::min(deadline_ns_, began_ns + most);
}

Error PoolCall::StatementTimedOut(std::size_t index) const {
  if (MonotonicNs() >= deadline_ns_) return TimedOut();
  return Error{StatementName(index) + ": not done after " +
               std::to_string(*request_.statement_timeout_ms) + " ms (statement_timeout_ms)"};
}

std::optional<std::size_t> PoolCall::TakeStatement() {
  const MutexLock lock(mutex_);
  if (stopped() || untaken_ == 0) return std::nullopt;
  --untaken_;
  if (put_back_.empty()) return next_++;
  const std::size_t statement = put_back_.back();
  put_back_.pop_back();
  return statement;
}

void PoolCall::PutBack(std::size_t statement) {
  const MutexLock lock(mutex_);
  put_back_.push_back(statement);
  ++untaken_;
}

void PoolCall::StatementEnded() {
  const MutexLock lock(mutex_);
  ++ended_;
  if (IsDone()) for_caller_.notify_one();
}

bool PoolCall::IsDone() const { return ended_ == request_.statements.size(); }

bool PoolCall::HasNews() const { return error_ || !rows_.empty() || IsDone(); }

bool PoolCall::MayHandOver() const {
  return count_ == 0 || (count_ < kMostRows && bytes_ < kMostBytes);
}

bool PoolCall::HandOver(PoolRows& rows, Push push) {
  if (rows.empty()) return !stopped();
  const MutexLock lock(mutex_);
  if (push == Push::kIfRoom && !MayHandOver()) return !stopped();
  ++waiting_for_room_;
  const auto deadline = Moment(deadline_ns_);
  while (!stopped() && !MayHandOver()) {
    if (for_readers_.WaitUntil(mutex_, deadline) == std::cv_status::timeout) break;
  }
  --waiting_for_room_;
  if (stopped() || !MayHandOver()) return false;
  const std::size_t count = rows.rows.size(), bytes = rows.text.size();
  if (!rows_.empty() && rows_.back().text.size() + rows.text.size() <= kTogetherBytes) {
    rows_.back().Append(rows);
  } else {
    rows_.push_back(std::exchange(rows, {}));
  }
  count_ += count;
  bytes_ += bytes;
  if (push != Push::kQuietly && hungry_.exchange(false)) for_caller_.notify_one();
  return true;
}

void PoolCall::WakeCaller() {
  const MutexLock lock(mutex_);
  if (hungry_.exchange(false)) for_caller_.notify_one();
}

void PoolCall::Fail(Error error) {
  const MutexLock lock(mutex_);
  if (!error_) error_ = std::move(error);
  stopped_ = true;
  for_caller_.notify_one();
  for_readers_.notify_all();
}

void PoolCall::Pause(std::uint64_t nanoseconds) {
  const MutexLock lock(mutex_);
  const auto until = Moment(std::min(deadline_ns_, MonotonicNs() + nanoseconds));
  while (!stopped()) {
    if (for_readers_.WaitUntil(mutex_, until) == std::cv_status::timeout) break;
  }
}

Result<PoolCall::State> PoolCall::Receive(std::vector<PoolRows>& rows, std::uint64_t wait_ns) {
  const MutexLock lock(mutex_);
  if (!HasNews()) {
    hungry_ = true;
    const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(wait_ns);
    while (!HasNews()) {
      if (for_caller_.WaitUntil(mutex_, until) == std::cv_status::timeout) break;
    }
    hungry_ = false;
  }
  if (error_) return *error_;
  if (MonotonicNs() >= deadline_ns_ && !(IsDone() && rows_.empty())) return TimedOut();
  if (rows_.empty()) return IsDone() ? State::kEnd : State::kNothingYet;
  rows.swap(rows_);
  rows_.clear();
  count_ = bytes_ = 0;
  for_readers_.notify_all();
  return State::kRows;
}

void PoolCall::Stop() {
  const MutexLock lock(mutex_);
  stopped_ = true;
  for_readers_.notify_all();
}

}  // namespace walmanager
