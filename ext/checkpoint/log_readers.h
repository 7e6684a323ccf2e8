// Which processes read the log of one database or have it open, and which of them is in the way of
// a checkpoint. The system's lock table names the holder of a lock, but shows only processes of
// this PID namespace; a try-lock on one of the checkpoint connections sees every lock, and names no
// holder.
//
// Thread rules: Find(), AddTriedMarks() and FindUnknown() use the checkpointer's connections: the
// caller holds the mutex that serializes it. The others may be called from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/checkpoint/checkpointer.h"
#include "ext/core/control/control_region.h"
#include "ext/core/control/replicator_watch.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/system/control_in_use.h"
#include "ext/system/read_marks.h"

namespace walmanager {

class LogReaders {
 public:
  // A process that copies frames says until when it does. No pass takes longer than this on a disk
  // that works: a later time is of a process that was killed, or corrupt.
  static constexpr std::uint64_t kLongestPassNs = 1'000'000'000;

  LogReaders(const std::string& database_path, const CheckpointConnections& connections,
             const Checkpointer& checkpointer, const ControlInUse& control)
      : shm_path_(database_path + "-shm"),
        connections_(connections),
        checkpointer_(checkpointer),
        control_(control) {}

  // Held read marks, as far as the lock table shows them.
  std::optional<ReadMarks> FromLockTable() const { return ReadMarksOfLockTable(shm_path_); }
  // The same, and the marks that a try-lock finds.
  std::optional<ReadMarks> Find() const;
  // Adds what a try-lock finds, where connections of the checkpointer's are open.
  void AddTriedMarks(std::optional<ReadMarks>& marks) const;
  // The held read marks that no managed connection accounts for. `asked`: within a statement of
  // the host's, which may read by itself.
  std::vector<UnknownReader> FindUnknown(bool asked) const;

  // Whether a managed process copies frames now: then its guard holds a mark.
  bool CheckpointRuns() const;
  // Whether another process has the database open. True also where the system does not say.
  bool OthersHaveItOpen() const;
  // Whether a managed connection is of a PID namespace that this process's does not show.
  bool SomeAreHidden() const;
  // Processes that have the database open and have not loaded this extension; nullopt: unknown.
  std::optional<std::int64_t> CountUnmanagedProcesses() const;

  // What kept a checkpoint from its end.
  struct Blocker {
    std::optional<std::int64_t> pid;  // nullopt: no process is in the way, or it is unknown
    bool writes = false;
    std::uint32_t frame = 0;  // where it reads
  };
  // Of a checkpoint of this mode and origin that began at `start_ns` and left the log at `index`.
  // `pinned`: it moved everything, and the log could not start over.
  Blocker FindBlocker(CheckpointMode mode, CheckpointOrigin origin, bool pinned,
                      const WalIndex& index, std::uint64_t start_ns) const;

 private:
  // Whether a connection of this process has been reading since before then. `in_call`: a statement
  // of the host's that calls this extension runs, and is not counted.
  bool ReadsHere(std::uint64_t since_ns, bool in_call) const;

  const std::string shm_path_;
  const CheckpointConnections& connections_;
  const Checkpointer& checkpointer_;
  const ControlInUse& control_;
};

}  // namespace walmanager
