// Gives back what the -wal file has beyond its limit, a step of 1 MiB at a time: in a committing
// thread while the log in the file is short and no reader pins it, and in the background thread
// while no connection commits.
//
// The rule that is easy to break: each step holds the write lock, and the host may have no busy
// handler. In the background a step is taken only where this process alone has the database open
// and each of its connections is managed and in no statement; a statement that begins meanwhile
// shows itself first and then waits in WaitWhileLogIsCut().
// Thread rules: the caller serializes (it holds the mutex of CheckpointState), but for
// WaitWhileLogIsCut().
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
  // The same of a step while no connection commits.
  std::uint64_t next_idle_step_ns() const { return std::max(not_before_ns_, idle_not_before_ns_); }

  // One step in a committing thread, with connections of the checkpointer's open. Returns the size
  // of the -wal file in bytes; nullopt where the log in it is too long.
  std::optional<std::int64_t> ShrinkInCommit(const WalIndex& index, std::int64_t limit);

  // Whether a step in the background may be due: a cheap look. Sets not_before_ns() to a second
  // later, which a step that is taken shortens.
  bool IsDueWhileIdle(ControlFile& current, std::uint64_t now_ns);
  struct IdleStep {
    bool taken = false;              // the size of the -wal file may be another now
    std::optional<WalIndex> log;     // that was begun in place of one that was too long
    std::uint64_t log_position = 0;  // what the control file says of it
  };
  // Takes a step towards `limit` after IsDueWhileIdle(), where nothing is in the way. `index`: a
  // look by this thread. `wal_bytes`: the size of the -wal file.
  IdleStep ShrinkWhileIdle(ControlFile& current, const WalIndex& index, std::int64_t limit,
                           std::int64_t wal_bytes);

  // Before a statement that shows itself already: waits while a process cuts the -wal file under
  // the write lock. A few ms; a quarter of a second at most, where that process is killed or
  // stopped. One load where no process cuts.
  static void WaitWhileLogIsCut(ControlRegion& region) {
    layout::Counter& until_ns = region.header().cut_until_ns;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (until_ns.load(std::memory_order_relaxed) != 0) [[unlikely]]
      WaitUntilCut(until_ns);
  }

 private:
  static void WaitUntilCut(layout::Counter& until_ns);
  // Whether this process alone has the database open and no connection is in a statement.
  bool IsAlone(ControlFile& current, std::vector<OwnedDb>& spares);
  // Whether `connections`, those of `spares` and the checkpointer's are all connections of this
  // process. False also where that is not known. Opens spare ones to find out;
  // where that was in vain the next try comes later each time.
  bool EachIsManaged(const std::vector<ConnectionEntry>& connections, std::vector<OwnedDb>& spares);
  // Begins the log anew; whether it did.
  bool StartOver(ControlRegion& region, IdleStep& step);

  const std::string path_;
  const CheckpointConnections& connections_;
  const CopiedFrames& copied_frames_;
  LogCutter cutter_;
  const LogReaders& readers_;
  static constexpr std::uint64_t kRetryNs = 1'000'000'000;  // where something was in the way

  std::uint64_t not_before_ns_ = 0;
  std::uint64_t idle_not_before_ns_ = 0;         // where a connection was not managed
  std::uint64_t unmanaged_retry_ns_ = kRetryNs;  // the next wait of that kind
  LogEnd idle_end_;  // of the log, at the last look while no connection committed
};

}  // namespace walmanager
