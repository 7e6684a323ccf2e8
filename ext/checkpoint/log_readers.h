// Which processes read the log of one database or have it open, and which of them blocks a
// checkpoint. The system's lock table names the holder of a lock, but shows only processes of this
// PID namespace. A try-lock on one of the checkpointer's connections finds every lock, but names no
// holder.
//
// Thread rules: Find(), AddTriedMarks() and FindUnknown() use the checkpointer's connections, so
// their caller holds the mutex of CheckpointState. Any thread may call the others.
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
  // A process that copies frames publishes until when a step of its pass may last: a copy or two
  // syncs. On a disk that works none takes longer than this, so a later time is corrupt.
  static constexpr std::uint64_t kLongestPassNs = 3'000'000'000;

  LogReaders(const std::string& database_path, const CheckpointConnections& connections,
             const Checkpointer& checkpointer, const ControlInUse& control)
      : shm_path_(database_path + "-shm"),
        connections_(connections),
        checkpointer_(checkpointer),
        control_(control) {}

  // The read marks that are held, as far as the lock table shows them.
  std::optional<ReadMarks> FromLockTable() const { return ReadMarksOfLockTable(shm_path_); }
  // The same, with the marks that a try-lock finds.
  std::optional<ReadMarks> Find() const;
  // Adds the marks that a try-lock finds, where the checkpointer's connections are open.
  void AddTriedMarks(std::optional<ReadMarks>& marks) const;
  // The held read marks that no managed connection accounts for. `asked`: within a statement of the
  // host, which may itself read.
  std::vector<UnknownReader> FindUnknown(bool asked) const;

  // Whether a managed process copies frames now. Then its guard holds a mark.
  bool CheckpointRuns() const;
  // Whether another process has the database open. True also where the system does not show that.
  bool OthersHaveItOpen() const;
  // Whether it is certain that each process that has the database open has this extension.
  bool OnlyManagedHaveItOpen() const;
  // Whether a managed connection belongs to a process in a PID namespace that is hidden from this
  // one.
  bool SomeAreHidden() const;
  // Processes that have the database open and have not loaded this extension; nullopt: unknown.
  std::optional<std::int64_t> CountUnmanagedProcesses() const;

  // What blocked a checkpoint.
  struct Blocker {
    std::optional<std::int64_t> pid;  // nullopt: no process did, or it is unknown
    bool writes = false;
    std::uint32_t frame = 0;  // where it reads
  };
  // Of a checkpoint of this mode and origin that began at `start_ns` and left the log at `index`.
  // `pinned`: it moved all frames, but the log could not start over.
  Blocker FindBlocker(CheckpointMode mode, CheckpointOrigin origin, bool pinned,
                      const WalIndex& index, std::uint64_t start_ns) const;

 private:
  // Whether a connection of this process has been reading since before `since_ns`. `in_call`: a
  // statement of the host that calls this extension runs, and does not count.
  bool ReadsHere(std::uint64_t since_ns, bool in_call) const;

  const std::string shm_path_;
  const CheckpointConnections& connections_;
  const Checkpointer& checkpointer_;
  const ControlInUse& control_;
};

}  // namespace walmanager
