// The pool of connections of one database file and process on which read_pool() runs statements at
// the same time: opened when they are needed, closed after two seconds without use, and at once
// when the host needs the database for itself.
//
// A reader is a thread with an own connection, which only reads. It works for one call at a time,
// until no statement of that call is left. The reader that became idle last is used first, so that
// few readers stay warm and the others may close.
//
// Thread rules: any thread. Lock order: the registry's engine_mutex (readers alone), mutex_, the
// mutex of a call; never back. A reader's thread uses its connection while it works; any thread
// that holds mutex_ may use it while the reader is idle.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/format/file_id.h"
#include "ext/database/database.h"
#include "ext/read_pool/pool_call.h"

namespace walmanager {

class PoolReader;

class ReadPool final : public KeptConnections {
 public:
  // Since the process began to use the database.
  struct Figures {
    std::uint64_t connections = 0;  // open now
    // Of the time that they have been open, the part in which statements ran: 0 to 1; nullopt: none
    // has been.
    std::optional<double> utilization;
    std::uint64_t calls = 0, waits = 0, timeouts = 0, retries = 0, replaced = 0;
  };

  // This process's pool for the database.
  static std::shared_ptr<ReadPool> Of(Database& database);

  // `id`: of the file at `path`.
  ReadPool(std::string path, const FileId& id);
  ~ReadPool() override;
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;

  // Makes sure that there is a reader, whose connection is opened here and now where there is none
  // yet. False where there can be none: a key is needed, the file is another one, no thread.
  bool Begin(const std::shared_ptr<PoolCall>& call);
  // One more reader for the call, of `most` in all; the next that is free where none is. Those that
  // may soon help it are there then, too.
  void Want(const std::shared_ptr<PoolCall>& call, std::size_t most);
  // One more reader for a call, while there are idle readers and processors. Called by a reader
  // that has begun: the scheduler would place two readers that the caller wakes on the same CPU,
  // and leave them there for milliseconds.
  void Help(const std::shared_ptr<PoolCall>& call);
  // Whether the call has no reader because all work for other calls.
  bool IsWaiting(const PoolCall& call) const;
  // Stops the call. No reader works for it when this returns; `close`: idle connections are closed,
  // too.
  void End(const std::shared_ptr<PoolCall>& call, bool close);
  // Closes idle connections now, and the others when they have done their work.
  void CloseConnections() override;

  Figures figures() const;
  void CountCall() { ++calls_; }
  void CountTimeout() { ++timeouts_; }
  // Called by a reader: its connection was opened or closed, a statement begins or ends.
  void CountOpen(bool open) { open_.Count(open); }
  bool HasOpen() const { return open_.now() != 0; }
  void CountRunning(bool runs) { running_.Count(runs); }

 private:
  friend class PoolReader;

  // How many are so now, and for how long altogether: the sum of all ends, those not yet there
  // being now, less the sum of all beginnings. A reading beside a change is off by a moment.
  class Spans {
   public:
    void Count(bool begins);
    std::uint64_t now() const { return static_cast<std::uint64_t>(count_); }
    std::int64_t TotalNs() const;

   private:
    std::atomic<std::int64_t> count_{0}, balance_ns_{0};
  };

  PoolReader* TakeIdle() REQUIRES(mutex_);
  // Whether every reader waits for the thread that now waits for a reader. Nothing would move, so
  // that thread gets one reader more than the setting allows.
  bool WaitsForItself(const PoolCall& call) const REQUIRES(mutex_);
  // nullptr where there is no thread or no memory for it.
  PoolReader* MakeReader() noexcept REQUIRES(mutex_);
  void Assign(PoolReader& reader, const std::shared_ptr<PoolCall>& call) REQUIRES(mutex_);
  // The next call for a reader that has nothing to do; nullptr: none.
  std::shared_ptr<PoolCall> NextWaiting() REQUIRES(mutex_);
  void CloseIdle() REQUIRES(mutex_);
  // It works for another call, or is idle.
  void BecomesFree(PoolReader& reader) REQUIRES(mutex_);
  // More readers for a snapshot, idle ones and new ones, `count` at most. They wait until one of
  // the next two functions is called.
  std::vector<PoolReader*> Recruit(std::size_t count) EXCLUDES(mutex_);
  void AssignAll(const std::vector<PoolReader*>& readers, const std::shared_ptr<PoolCall>& call)
      EXCLUDES(mutex_);
  void GiveBack(std::span<PoolReader* const> readers) EXCLUDES(mutex_);
  void JoinEnded() EXCLUDES(mutex_);

  const std::string path_;
  const FileId id_;
  std::atomic<std::uint64_t> calls_{0}, waits_{0}, timeouts_{0}, retries_{0}, replaced_{0};
  Spans open_, running_;
  std::atomic<std::uint64_t> generation_{0};  // older connections are to be closed

  mutable Mutex mutex_;
  Condition call_left_;
  std::list<std::unique_ptr<PoolReader>> readers_ GUARDED_BY(mutex_);
  std::list<std::unique_ptr<PoolReader>> ended_ GUARDED_BY(mutex_);  // threads to be joined
  std::vector<PoolReader*> idle_ GUARDED_BY(mutex_);                 // the last one is used first
  std::deque<std::shared_ptr<PoolCall>> waiting_ GUARDED_BY(mutex_);
  std::size_t most_ GUARDED_BY(mutex_) = 0;  // read_pool_size, as last asked for
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace walmanager
