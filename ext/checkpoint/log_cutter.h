// Cuts the -wal file of one database, whose size SQLite never reduces but at TRUNCATE, and then all
// at once under the write lock.
// Thread rules: the caller serializes (it holds the mutex of CheckpointState).
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

  // Cuts the file, by steps of `step` bytes, down to `limit`, as long as the log in it is shorter
  // than that, no reader pins it, no writer is at work, and until `deadline_ns`. Returns the size
  // in bytes then. Each step holds the write lock: call it in a committing thread, or where no
  // managed connection is in a statement.
  std::int64_t Cut(std::int64_t limit, std::int64_t step, std::uint64_t deadline_ns);
  // Makes a log start over of which all is moved and that no connection reads, and leaves the size
  // of its file to Cut(). Returns whether it did; then SyncNewHeader() is due before the file can
  // be cut.
  bool StartLogOver();
  // Syncs the header that StartLogOver() has written. Holds no lock of SQLite's.
  void SyncNewHeader();

 private:
  CheckpointConnections& connections_;
  const CopiedFrames& copied_frames_;
  Checkpointer& checkpointer_;
  // salt1 of the log that StartLogOver() began, once its header is synced; 0: none.
  std::uint32_t log_started_over_ = 0;
};

}  // namespace walmanager
