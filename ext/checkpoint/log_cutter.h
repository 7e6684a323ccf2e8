// Cuts the -wal file of one database in steps. SQLite reduces its size only at TRUNCATE, all at
// once and under the write lock.
// Thread rules: the caller holds the mutex of CheckpointState.
#pragma once

#include <cstdint>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/checkpointer.h"

namespace walmanager {

class LogCutter {
 public:
  LogCutter(CheckpointConnections& connections, const CopiedFrames& copied_frames,
            Checkpointer& checkpointer)
      : connections_(connections), copied_frames_(copied_frames), checkpointer_(checkpointer) {}

  // Cuts the file down to `limit` bytes in steps of `step` bytes, while the log in it is shorter
  // than the limit, no reader pins it, no writer is at work, and until `deadline_ns`. Returns the
  // size in bytes that the file then has. Each step holds the write lock: call it in a committing
  // thread, or where no managed connection is in a statement.
  std::int64_t Cut(std::int64_t limit, std::int64_t step, std::uint64_t deadline_ns);
  // Starts the log over where all of its frames are moved and no connection reads it. The file
  // keeps its size for Cut(). Returns whether the log was started over; then SyncNewHeader() is due
  // before the file can be cut.
  bool StartLogOver();
  // Syncs the header that StartLogOver() has written. Holds no lock of SQLite.
  void SyncNewHeader();

 private:
  CheckpointConnections& connections_;
  const CopiedFrames& copied_frames_;
  Checkpointer& checkpointer_;
  // salt1 of the log that StartLogOver() began, once its header is synced; 0: none.
  std::uint32_t log_started_over_ = 0;
};

}  // namespace walmanager
