// Shrinks a -wal file that is longer than its limit, in steps of 1 MiB: in a committing thread
// while the log in the file is short and no reader pins it, and in the background thread while no
// connection commits.
//
// The rule that is easy to break: each step holds the write lock, and the host may have no busy
// handler. In the background a step is taken only where no other process has the database open, and
// each connection of this process is managed and in no statement. A statement that begins meanwhile
// publishes that first and then waits in WaitWhileLogIsCut().
// Thread rules: the caller holds the mutex of CheckpointState, except for WaitWhileLogIsCut(),
// which any thread may call.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/checkpointer.h"
#include "ext/checkpoint/copied_frames.h"
#include "ext/checkpoint/log_cutter.h"
#include "ext/checkpoint/log_readers.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/control_region.h"
#include "ext/system/control_file.h"

namespace walmanager {

class LogShrinker {
 public:
  LogShrinker(std::string database_path, CheckpointConnections& connections,
              const CopiedFrames& copied_frames, Checkpointer& checkpointer,
              const LogReaders& readers)
      : path_(std::move(database_path)),
        connections_(connections),
        copied_frames_(copied_frames),
        cutter_(connections, copied_frames, checkpointer),
        readers_(readers) {}

  // No step is due before this.
  std::uint64_t not_before_ns() const { return not_before_ns_; }
  // The same for a step while no connection commits.
  std::uint64_t next_idle_step_ns() const {
    return std::max({not_before_ns_, idle_not_before_ns_, next_look_ns_});
  }

  // Takes one step in a committing thread, with the checkpointer's connections open. Returns the
  // size of the -wal file in bytes; nullopt where the log in it is too long.
  std::optional<std::int64_t> ShrinkInCommit(const WalIndex& index, std::int64_t limit);

  // Whether a step in the background may be due: a cheap look. Sets not_before_ns() to a second
  // from now; a step that is taken sets it earlier. `in_use`: this process uses the database. If
  // not, each look that finds something in the way sets the next one later, up to a minute.
  bool IsDueWhileIdle(ControlFile& current, bool in_use, std::uint64_t now_ns);
  struct IdleStep {
    bool taken = false;              // the size of the -wal file may be another now
    std::optional<WalIndex> log;     // the new log, where the old one was too long
    std::uint64_t log_position = 0;  // where the control file has the end of the new log
  };
  // Takes a step towards `limit`, after IsDueWhileIdle() was true and where nothing is in the way.
  // `index`: the log as this thread sees it. `wal_bytes`: the size of the -wal file.
  IdleStep ShrinkWhileIdle(ControlFile& current, const WalIndex& index, std::int64_t limit,
                           std::int64_t wal_bytes);

  // Waits before a statement that is published already, while a process cuts the -wal file under
  // the write lock: a few milliseconds, and a quarter of a second at most where that process is
  // killed or stopped. One load where no process cuts.
  static void WaitWhileLogIsCut(ControlRegion& region) {
    layout::Counter& until_ns = region.header().cut_until_ns;
    // The compiler must not load it before the statement was published. A processor may: for that
    // the thread that cuts pauses between its store and its look (ShrinkWhileIdle). Relaxed:
    // SQLite's own locks keep the log whole, and this wait only keeps a statement from meeting
    // them.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (until_ns.load(std::memory_order_relaxed) != 0) [[unlikely]]
      WaitUntilCut(until_ns);
  }

 private:
  static void WaitUntilCut(layout::Counter& until_ns);
  // Whether no other process has the database open and no connection is in a statement.
  bool IsAlone(ControlFile& current, std::vector<OwnedDb>& spares);
  // Whether this process has no other connections than `connections` and `spares`, so that each is
  // managed. False also where that is not known. Opens spare connections to find out; after a vain
  // try the next one comes later each time.
  bool EachIsManaged(const std::vector<ConnectionEntry>& connections, std::vector<OwnedDb>& spares);
  // Starts the log over. Returns whether it did.
  bool StartOver(ControlRegion& region, IdleStep& step);

  const std::string path_;
  CheckpointConnections& connections_;
  const CopiedFrames& copied_frames_;
  LogCutter cutter_;
  const LogReaders& readers_;
  static constexpr std::uint64_t kRetryNs = 1'000'000'000;  // where something was in the way

  std::uint64_t not_before_ns_ = 0;
  std::uint64_t idle_not_before_ns_ = 0;         // where a connection was not managed
  std::uint64_t unmanaged_retry_ns_ = kRetryNs;  // how long the next such wait is
  // While this process does not use the database and something is in the way.
  std::uint64_t next_look_ns_ = 0;
  std::uint64_t look_again_ns_ = kRetryNs;  // how long the next wait for a look is
  LogEnd idle_end_;  // the end of the log at the last look while no connection committed
};

}  // namespace walmanager
