// One call of read_pool() as its caller and the readers of the pool share it: the statements that
// are still to be run, and a few rows on their way from the readers to the caller.
//
// Thread rules: any thread. Its mutex is the innermost of all: no other lock is taken under it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/text/pool_request.h"
#include "ext/engine/own_connection.h"
#include "ext/system/control_file.h"

namespace walmanager {

struct PoolRow {
  std::size_t statement = 0;  // from 0
  std::int64_t number = 0;    // of its statement's rows, from 1
  std::uint64_t connection_id = 0;
  double wait_ms = 0;               // from the call to the start of the statement
  double query_ms = 0;              // from there to this row
  std::size_t begin = 0, size = 0;  // of its data in the text of its rows
};

// A batch of rows. Their data is one text: if one thread allocated memory for each row and another
// freed it, both would wait for each other in the allocator.
struct PoolRows {
  std::vector<PoolRow> rows;
  std::string text;

  bool empty() const { return rows.empty(); }
  // Moves the other batch to the end of this one.
  void Append(PoolRows& others);
  // A JSON object.
  std::string_view Data(const PoolRow& row) const {
    return std::string_view(text).substr(row.begin, row.size);
  }
};

// How a reader opens the caller's database: as the caller's connection has it now.
struct PoolHost {
  const void* connection = nullptr;      // the caller's; one thread fetches rows of all its calls
  std::string vfs;                       // of own_vfs.h
  const volatile void* index = nullptr;  // MapWalIndex() of the caller's file
  bool read_only = false;
  std::int64_t mmap_size = 0;
  CloseBehaviour close;
  std::array<int, 11> limits{};  // by SQLITE_LIMIT_*, but that of threads
  // Of the options that change what a SELECT means or may do: kPoolOptions of read_pool_reader.h.
  std::array<int, 3> options{};
  std::shared_ptr<ControlFile> control;  // where connections are described
};

class PoolCall {
 public:
  // `timeout_ms`: where the request has none of its own.
  PoolCall(PoolRequest request, PoolHost host, std::int64_t timeout_ms);

  const PoolRequest& request() const { return request_; }
  const PoolHost& host() const { return host_; }
  std::uint64_t began_ns() const { return began_ns_; }
  std::uint64_t deadline_ns() const { return deadline_ns_; }  // MonotonicNs
  // An error or the caller has ended it: its readers stop.
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  bool HasUntaken() const { return untaken_.load() > 0; }
  std::size_t untaken() const { return untaken_.load(); }
  Error TimedOut() const;
  // The deadline of a statement that began at `began_ns`: MonotonicNs.
  std::uint64_t StatementDeadline(std::uint64_t began_ns) const;
  // The error after that deadline: names the call's timeout or the statement's.
  Error StatementTimedOut(std::size_t index) const;

  // --- readers

  // The next statement to run; nullopt: none, or it was stopped.
  std::optional<std::size_t> TakeStatement();
  void StatementEnded();  // all its rows are handed over
  void WakeCaller();      // after the last of its rows
  // Gives back a statement that a reader took and cannot run: another reader takes it.
  void PutBack(std::size_t statement);
  // Hands rows over and leaves `rows` empty. Waits while too many are on their way, except for
  // `Push::kIfRoom`; wakes the caller, except for `Push::kQuietly`. False where the call was
  // stopped or its time is over.
  enum class Push { kWait, kQuietly, kIfRoom };
  bool HandOver(PoolRows& rows, Push push);
  // So many readers wait for the caller to take rows.
  int waiting_for_room() const { return waiting_for_room_.load(std::memory_order_relaxed); }
  // The processors on which its readers began, a bit for each of the first 64.
  std::atomic<std::uint64_t>& processors() { return processors_; }
  // The caller waits for a row just now.
  bool IsHungry() const { return hungry_.load(std::memory_order_relaxed); }
  void Fail(Error error);  // the first one counts
  // Sleeps, but not beyond the end of the call.
  void Pause(std::uint64_t nanoseconds);

  // --- the caller

  enum class State { kRows, kNothingYet, kEnd };
  // Moves all batches to `rows`, each with a row at least; waits so long for the first one at most.
  Result<State> Receive(std::vector<PoolRows>& rows, std::uint64_t wait_ns);
  void Stop();

  // --- the pool, under its mutex. Not annotated: a call does not know its pool.
  int readers = 0;       // that work for it
  bool waiting = false;  // for a reader

 private:
  bool MayHandOver() const REQUIRES(mutex_);
  bool IsDone() const REQUIRES(mutex_);
  bool HasNews() const REQUIRES(mutex_);  // for the caller: rows, an error, the end

  const PoolRequest request_;
  const PoolHost host_;
  const std::int64_t timeout_ms_;
  const std::uint64_t began_ns_, deadline_ns_;
  // stopped_, hungry_ and waiting_for_room_ are read relaxed where they are hints: what must be
  // exact is read under mutex_.
  std::atomic<bool> stopped_{false}, hungry_{false};
  std::atomic<std::size_t> untaken_;
  std::atomic<int> waiting_for_room_{0};
  std::atomic<std::uint64_t> processors_{0};

  Mutex mutex_;
  Condition for_caller_, for_readers_;
  std::size_t next_ GUARDED_BY(mutex_) = 0, ended_ GUARDED_BY(mutex_) = 0;  // statements
  std::vector<std::size_t> put_back_ GUARDED_BY(mutex_);
  std::vector<PoolRows> rows_ GUARDED_BY(mutex_);
  std::size_t count_ GUARDED_BY(mutex_) = 0, bytes_ GUARDED_BY(mutex_) = 0;  // of rows_
  std::optional<Error> error_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
