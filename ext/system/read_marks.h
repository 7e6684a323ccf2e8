// Which processes hold read marks of a log, and which have it open, from the system's table of
// locks. Linux; elsewhere unknown.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/format/wal_index_format.h"

namespace walmanager {

// Which read marks of the log are held, and by which processes.
struct ReadMarks {
  std::array<bool, kReadMarks> held{};
  std::array<bool, kReadMarks> held_by_others{};  // by another process; false where unknown
  // A checkpoint or a restart of the log has it exclusively, for moments; as far as the table
  // shows.
  std::array<bool, kReadMarks> held_alone{};
  // The processes that hold each mark, and the processes that have the log open, each once. 0: a
  // process of another PID namespace.
  std::array<std::vector<std::int64_t>, kReadMarks> pids;
  std::vector<std::int64_t> open_by;
  std::optional<std::int64_t> writer;  // another process that holds the write lock
  bool written_here = false;           // this process holds it
  bool knows_pids = false;
};

// As /proc/locks says of the -shm file at `shm_path`; nullopt where it says nothing. About 15 µs.
std::optional<ReadMarks> ReadMarksOfLockTable(const std::string& shm_path);

// The processes that hold a lock on the file, each as this pid namespace names it.
std::vector<std::int64_t> LockHolders(const std::string& path);

// The process that holds a lock on one of these bytes of the file, as this PID namespace names it:
// another one, or else this one. `alone`: a lock that no other process can hold at the same time.
// nullopt: none does, the namespace does not show it, or the system does not say.
std::optional<std::int64_t> HolderOfBytes(const std::string& path, std::int64_t first,
                                          std::int64_t last, bool alone);

// The name of a process, as in /proc/<pid>/comm; empty where that cannot be read.
std::string ProcessName(std::int64_t pid);

}  // namespace walmanager
