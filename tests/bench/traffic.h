// The threads of a segment: writers at their pace, readers with and without snapshots. Each has a
// connection that the segment has opened before, so that all begin at the same time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>

#include "tests/bench/measured.h"
#include "tests/bench/scenario.h"
#include "tests/bench/sqlite_db.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {

// State that the writers and readers of a segment share. Points in time are those of Now().
class Traffic {
 public:
  void StopReaders();
  // False where the readers were stopped meanwhile.
  bool SleepUntil(std::uint64_t when);

  std::atomic<int> holding = 0;            // readers that hold a snapshot now
  std::atomic<std::uint64_t> left_at = 0;  // when the last of them let go
  std::atomic<std::uint64_t> busy = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
};

// Commits operations.size() rows, `rate` a second, from `begin` on. rate 0: as fast as they go.
void Write(RowSource& rows, double rate, std::uint64_t begin, Traffic& traffic,
           std::span<Operation> operations);

// Reads until it is stopped. `number` counts the readers from 0; they begin staggered. Durations of
// the SELECTs go to `reads`, as many as there is room for.
void Read(Db& db, const Readers& readers, int number, std::uint64_t begin, Traffic& traffic,
          std::span<std::uint64_t> reads);

}  // namespace walmanager::bench
