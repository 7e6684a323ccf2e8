// Syncs what a checkpoint that was not complete has copied, since SQLite leaves that to the one
// that will be.
//
// After an error, which the system tells only once, what was copied may be lost while the wal-index
// counts it as moved: then the log is pinned, and all that counts as moved is copied again before
// anything else.
// Thread rules: the caller serializes (it holds the mutex of CheckpointState).
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

  // A sync failed, and what was copied before it is still to be copied again: keep the connections
  // open.
  bool owes_sync() const { return !error_.empty(); }
  const std::string& error() const { return error_; }
  // Copies again what a failed sync may have lost. True where nothing is owed any more.
  bool CopyAgainIfOwed() { return !owes_sync() || CopyAgain(); }

 private:
  void SyncFile(sqlite3_file* file);
  // A reader on mark 1, as far as other connections see: none can start the log over. It ends when
  // the connections close.
  bool PinLog();
  bool CopyAgain();

  CheckpointConnections& connections_;
  std::string error_;  // empty: all syncs succeeded, or what they were for was copied again
  std::uint64_t pinned_in_ = 0;  // times_opened() of the connections that pin the log; 0: none
};

}  // namespace walmanager
