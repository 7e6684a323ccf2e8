// Syncs the frames that an incomplete checkpoint has copied. SQLite itself syncs only at a complete
// checkpoint.
//
// The system reports a failed sync only once. After it, copied frames may be lost although the
// wal-index counts them as moved. So the log is then pinned, and all frames that count as moved are
// copied again before anything else is done.
// Thread rules: the caller holds the mutex of CheckpointState.
#pragma once

#include <cstdint>
#include <string>

#include "ext/checkpoint/checkpoint_connections.h"

namespace walmanager {

class CopiedFrames {
 public:
  explicit CopiedFrames(CheckpointConnections& connections) : connections_(connections) {}

  // Syncs database and log.
  void Sync();
  // Syncs the log alone, which a checkpoint must do before it copies.
  void SyncLog();
  // Syncs the database alone.
  void SyncDatabase();

  // Whether a sync has failed and the frames copied before it are not copied again yet. Until then
  // the connections must stay open.
  bool owes_sync() const { return !error_.empty(); }
  const std::string& error() const { return error_; }
  // Copies again what a failed sync may have lost. Returns whether no sync is owed any more.
  bool CopyAgainIfOwed() { return !owes_sync() || CopyAgain(); }

 private:
  void SyncFile(sqlite3_file* file);
  // Takes the lock of read mark 1: to other connections a reader is there, so none can start the
  // log over. The lock ends when the connections close.
  bool PinLog();
  bool CopyAgain();

  CheckpointConnections& connections_;
  std::string error_;            // empty where no sync is owed
  std::uint64_t pinned_in_ = 0;  // times_opened() of the connections that pin the log; 0: none
};

}  // namespace walmanager
