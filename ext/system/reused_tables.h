// What the system says of a whole process or of all processes, kept for the thread that looks at
// many databases in turn: the table of locks, and the files that this process has open. Reading
// either anew for each database takes a time that grows with the number of databases.
//
// The rule that is easy to break: what is kept may be a second old, and the table of locks five
// seconds, where it takes long to read. So only regular looks use it, never a call of the user's, a
// checkpoint, or a question whose answer allows a write.
// Thread rules: one thread at a time has a ReuseOfTables; for another thread it has no effect. The
// tables belong to the thread that has it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/format/lock_table.h"

namespace walmanager {

// A file that this process has open.
struct OpenFile {
  dev_t device = 0;
  ino_t inode = 0;
  std::string name;  // as the link in /proc/self/fd names it
};

struct ReusedTables {
  std::optional<LockTable> locks;  // /proc/locks; nullopt where the system has no such table
  std::uint64_t locks_good_until_ns = 0;
  std::vector<OpenFile> open_files;  // in the order of device and inode
  std::vector<std::size_t> by_name;  // indexes of these, in the order of their names
  std::uint64_t open_files_ns = 0;
};

// nullptr: this thread has no ReuseOfTables, and reads afresh.
ReusedTables* TablesToReuse();

class ReuseOfTables {
 public:
  ReuseOfTables();
  ~ReuseOfTables();
  ReuseOfTables(const ReuseOfTables&) = delete;
  ReuseOfTables& operator=(const ReuseOfTables&) = delete;

 private:
  bool has_it_ = false;
};

}  // namespace walmanager
