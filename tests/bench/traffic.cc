#include "tests/bench/traffic.h"

#include <chrono>
#include <random>

namespace walmanager::bench {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr int kRowsPerRead = 50;
constexpr char kSelect[] =
    "SELECT sum(length(payload)) FROM message WHERE id BETWEEN ?1 AND ?1 + ?2 - 1";

}  // namespace

void Traffic::StopReaders() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

bool Traffic::SleepUntil(std::uint64_t when) {
  // steady_clock is CLOCK_MONOTONIC, as Now() is.
  const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(when)};
  std::unique_lock lock(mutex_);
  return !changed_.wait_until(lock, until, [&] { return stopped_; });
}

void Write(RowSource& rows, double rate, std::uint64_t begin, Traffic& traffic,
           std::span<Operation> operations) {
  const double gap_ns = rate > 0 ? 1e9 / rate : 0;
  SleepUntil(begin);
  for (std::size_t i = 0; i < operations.size(); ++i) {
    rows.BindNext();
    if (gap_ns > 0) {
      SleepUntil(begin + static_cast<std::uint64_t>(static_cast<double>(i) * gap_ns));
    }
    const bool held = traffic.holding.load(std::memory_order_relaxed) > 0;
    const std::uint64_t start = Now();
    while (!rows.InsertUnlessBusy()) ++traffic.busy;
    operations[i] = {Now() - start, held};
  }
}

void Read(Db& db, const Readers& readers, int number, std::uint64_t begin, Traffic& traffic,
          std::span<std::uint64_t> reads) {
  Statement start_transaction(db.get(), "BEGIN"), end_transaction(db.get(), "COMMIT");
  Statement select(db.get(), kSelect);
  sqlite3_bind_int(select.get(), 2, kRowsPerRead);
  std::mt19937_64 random(static_cast<std::uint64_t>(number));
  const auto ns = [](int ms) { return static_cast<std::uint64_t>(ms) * kNsPerMs; };
  const std::uint64_t cycle_ns = ns(readers.hold_ms + readers.gap_ms);
  std::uint64_t next =
      begin + ns(readers.first_after_ms) +
      cycle_ns * static_cast<std::uint64_t>(number) / static_cast<std::uint64_t>(readers.count);
  auto read = reads.begin();
  bool going = traffic.SleepUntil(next);
  while (going) {
    if (readers.hold_ms > 0) start_transaction.Run();
    sqlite3_bind_int64(select.get(), 1, static_cast<sqlite3_int64>(random() % kRowsAtStart) + 1);
    const std::uint64_t start = Now();
    select.Run();
    const std::uint64_t end = Now();
    if (read != reads.end()) *read++ = end - start;
    if (readers.hold_ms > 0) {
      ++traffic.holding;
      going = traffic.SleepUntil(start + ns(readers.hold_ms));
      end_transaction.Run();
      --traffic.holding;
      traffic.left_at = Now();
    }
    if (readers.once) break;
    if (readers.gap_ms > 0) going = traffic.SleepUntil(end + ns(readers.gap_ms));
  }
}

}  // namespace walmanager::bench
