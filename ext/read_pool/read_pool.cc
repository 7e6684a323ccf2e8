#include "ext/read_pool/read_pool.h"

#include <algorithm>

#include "ext/read_pool/pool_reader.h"
#include "ext/system/clock.h"

namespace walmanager {

namespace {

std::size_t Processors() {
  static const std::size_t processors = std::max(1u, std::thread::hardware_concurrency());
  return processors;
}

}  // namespace

std::shared_ptr<ReadPool> ReadPool::Of(Database& database) {
  const auto kept = database.Kept([](const std::string& path, const FileId& id) {
    return std::static_pointer_cast<KeptConnections>(std::make_shared<ReadPool>(path, id));
  });
  return std::static_pointer_cast<ReadPool>(kept);
}

ReadPool::ReadPool(std::string path, const FileId& id) : path_(std::move(path)), id_(id) {}

ReadPool::~ReadPool() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    CloseIdle();
    for (const auto& reader : readers_) reader->changed.notify_one();
  }
  // The destructor of each reader waits for its thread.
  readers_.clear();
  ended_.clear();
}

bool ReadPool::Begin(const std::shared_ptr<PoolCall>& call) {
  JoinEnded();
  const MutexLock lock(mutex_);
  if (idle_.empty() && !readers_.empty()) return true;  // they work, so connections can be opened
  if (idle_.empty()) {
    PoolReader* made = MakeReader();
    if (!made) return false;
    BecomesFree(*made);
    if (idle_.empty()) return true;  // another call has waited for it
  }
  PoolReader& reader = *idle_.back();
  if (reader.connection().open()) return true;
  if (!reader.connection().Open(path_, id_, call->host()).ok()) return false;
  reader.generation = generation_;
  CountOpen(true);
  reader.was_used = true;
  reader.changed.notify_one();
  return true;
}

PoolReader* ReadPool::TakeIdle() {
  if (idle_.empty()) return nullptr;
  PoolReader* reader = idle_.back();
  idle_.pop_back();
  reader->is_idle = false;
  return reader;
}

PoolReader* ReadPool::MakeReader() noexcept {
  PoolReader* started = nullptr;
  (void)AtCEdge([&] {
    mutex_.AssertHeld();  // to the checker a lambda is a function of its own
    std::list<std::unique_ptr<PoolReader>> made;
    made.push_back(std::make_unique<PoolReader>(*this));
    idle_.reserve(readers_.size() + 1);  // that it becomes idle does not fail
    if (!made.back()->Start()) return SQLITE_NOMEM;
    started = made.back().get();
    readers_.splice(readers_.end(), made);
    return SQLITE_OK;
  });
  return started;
}

void ReadPool::Assign(PoolReader& reader, const std::shared_ptr<PoolCall>& call) {
  ++call->readers;
  reader.call = call;
  reader.changed.notify_one();
}

void ReadPool::Want(const std::shared_ptr<PoolCall>& call, std::size_t most) {
  const MutexLock lock(mutex_);
  most_ = most;
  // The first reader of a snapshot asks for the others itself.
  if (call->request().snapshot && call->readers != 0) return;
  if (!call->HasUntaken() || (call->waiting && !WaitsForItself(*call))) return;
  PoolReader* reader = TakeIdle();
  if (!reader && (readers_.size() < most || WaitsForItself(*call))) reader = MakeReader();
  if (reader && call->waiting) {
    std::erase(waiting_, call);
    call->waiting = false;
  }
  if (reader) {
    Assign(*reader, call);
    if (call->request().snapshot) return;
    const std::size_t together = std::min(Processors(), call->untaken());
    while (readers_.size() < std::min(together, most)) {
      reader = MakeReader();
      if (!reader) break;
      BecomesFree(*reader);
    }
    return;
  }
  if (call->waiting) return;
  // A call with a reader is served by it; it counts as waiting where no reader works for it.
  if (call->readers == 0) ++waits_;
  waiting_.push_back(call);
  call->waiting = true;
}

void ReadPool::Help(const std::shared_ptr<PoolCall>& call) {
  if (!call->HasUntaken()) return;
  const MutexLock lock(mutex_);
  if (static_cast<std::size_t>(call->readers) >= Processors()) return;
  // No thread is made here: a new thread inherits the CPUs of its maker, and this one has bound
  // itself.
  if (PoolReader* reader = TakeIdle()) Assign(*reader, call);
}

bool ReadPool::WaitsForItself(const PoolCall& call) const {
  if (call.readers != 0) return false;
  return std::all_of(readers_.begin(), readers_.end(), [&](const auto& reader) {
    const PoolCall* other = reader->call.get();
    return other && other->host().connection == call.host().connection &&
           other->waiting_for_room() == other->readers;
  });
}

bool ReadPool::IsWaiting(const PoolCall& call) const {
  const MutexLock lock(mutex_);
  return call.waiting && call.readers == 0;
}

std::shared_ptr<PoolCall> ReadPool::NextWaiting() {
  while (!waiting_.empty()) {
    auto call = std::move(waiting_.front());
    waiting_.pop_front();
    call->waiting = false;
    if (!call->stopped() && call->HasUntaken()) return call;
  }
  return nullptr;
}

std::vector<PoolReader*> ReadPool::Recruit(std::size_t count) {
  const MutexLock lock(mutex_);
  std::vector<PoolReader*> recruits;
  recruits.reserve(count);
  while (recruits.size() < count) {
    PoolReader* reader = TakeIdle();
    if (!reader && readers_.size() < most_) reader = MakeReader();
    if (!reader) break;
    recruits.push_back(reader);
  }
  return recruits;
}

void ReadPool::AssignAll(const std::vector<PoolReader*>& readers,
                         const std::shared_ptr<PoolCall>& call) {
  const MutexLock lock(mutex_);
  for (PoolReader* reader : readers) Assign(*reader, call);
}

void ReadPool::GiveBack(std::span<PoolReader* const> readers) {
  const MutexLock lock(mutex_);
  for (PoolReader* reader : readers) {
    if (reader->generation != generation_ || reader->in_transaction()) reader->CloseConnection();
    BecomesFree(*reader);
  }
}

void ReadPool::BecomesFree(PoolReader& reader) {
  if (auto next = NextWaiting()) {
    Assign(reader, next);
  } else {
    reader.is_idle = true;
    // A reader that could not open its connection is the last to be tried again.
    idle_.insert(reader.connection().open() ? idle_.end() : idle_.begin(), &reader);
    reader.was_used = true;
    reader.changed.notify_one();
  }
}

void ReadPool::End(const std::shared_ptr<PoolCall>& call, bool close) {
  call->Stop();
  {
    const MutexLock lock(mutex_);
    std::erase(waiting_, call);
    // Again and again: a reader that is about to begin has missed the first interrupt.
    constexpr std::chrono::milliseconds kAgain{5};
    auto again = std::chrono::steady_clock::now() + kAgain;
    while (call->readers != 0) {
      if (call_left_.WaitUntil(mutex_, again) != std::cv_status::timeout) continue;
      for (const auto& reader : readers_) {
        if (reader->call == call) reader->Interrupt();
      }
      again = std::chrono::steady_clock::now() + kAgain;
    }
    if (close) CloseIdle();
  }
  JoinEnded();
}

void ReadPool::CloseIdle() {
  ++generation_;
  for (PoolReader* reader : idle_) {
    reader->CloseConnection();
  }
}

void ReadPool::CloseConnections() {
  if (!HasOpen()) return;
  const MutexLock lock(mutex_);
  CloseIdle();
}

void ReadPool::JoinEnded() {
  std::list<std::unique_ptr<PoolReader>> ended;
  {
    const MutexLock lock(mutex_);
    ended.swap(ended_);
  }
}

void ReadPool::Spans::Count(bool begins) {
  const auto now = static_cast<std::int64_t>(MonotonicNs());
  balance_ns_ += begins ? -now : now;
  count_ += begins ? 1 : -1;
}

std::int64_t ReadPool::Spans::TotalNs() const {
  return balance_ns_ + count_ * static_cast<std::int64_t>(MonotonicNs());
}

ReadPool::Figures ReadPool::figures() const {
  std::optional<double> utilization;
  if (const std::int64_t open_ns = open_.TotalNs(); open_ns > 0) {
    const double part = static_cast<double>(running_.TotalNs()) / static_cast<double>(open_ns);
    utilization = std::clamp(part, 0.0, 1.0);
  }
  return {open_.now(), utilization, calls_, waits_, timeouts_, retries_, replaced_};
}

}  // namespace walmanager
