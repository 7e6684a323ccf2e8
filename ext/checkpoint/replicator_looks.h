// Looks whether a replicator such as Litestream checkpoints this database. Then this extension only
// watches. The control file has what the looks of all processes have found (replicator_watch.h).
//
// Thread rules: the caller holds the mutex of CheckpointState, except for is_there(), which any
// thread may call.
#pragma once

#include <atomic>
#include <cstdint>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/log_readers.h"
#include "ext/core/control/replicator_watch.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class ReplicatorLooks {
 public:
  ReplicatorLooks(const CheckpointConnections& connections, const LogReaders& readers,
                  const ControlInUse& control)
      : connections_(connections), readers_(readers), control_(control) {}

  bool is_there() const { return is_there_.load(std::memory_order_relaxed); }
  // Takes from the control file what the looks of all processes found.
  void Follow(ReplicatorWish wish);
  // Looks once per `interval_ns`, with the checkpointer's connections open. Returns is_there().
  // `limit_bytes`: of the log.
  // `asked`: within a statement of the host, which may itself read.
  bool Look(ReplicatorWish wish, std::int64_t limit_bytes, std::uint64_t now_ns,
            std::uint64_t interval_ns, bool asked = false);
  bool IsDue(std::uint64_t now_ns) const { return now_ns >= next_look_ns_; }
  // The next Look() does not wait for the interval.
  void LookAtOnce() { next_look_ns_ = 0; }

 private:
  bool IsBeyond(std::int64_t limit_bytes) const;

  const CheckpointConnections& connections_;
  const LogReaders& readers_;
  const ControlInUse& control_;
  std::atomic<bool> is_there_{false};  // read relaxed: what the last look found, and no more
  std::uint64_t next_look_ns_ = 0;
  ReplicatorWatch watch_;
};

}  // namespace walmanager
