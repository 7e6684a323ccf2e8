// Whether a process has a -wal or -shm file of a database open that is no longer the one at its
// path: deleted, or replaced, while a connection had it. Such a process and the others no longer
// see each other's commits and locks.
//
// By the system's lock table and the links in /proc/<pid>/fd: nothing is opened. Linux; elsewhere
// unknown. Thread rules: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/base/mutex.h"

namespace walmanager {

// One file that a process has open under a name, at which there is another file now, or none.
struct ReplacedFile {
  std::string path;
  bool gone = false;  // there is no file at that path now
};
// Those of the files at `paths` that process `pid` has open and that are no longer there; nullopt
// where that cannot be seen. A microsecond or two for each descriptor of the process.
std::optional<std::vector<ReplacedFile>> ReplacedFilesOf(std::int64_t pid,
                                                         const std::vector<std::string>& paths);
// Whether this process has a file open that is no longer the one at `path`. False where that cannot
// be seen.
bool HasReplaced(const char* path);

struct ReplacedFiles {
  std::int64_t processes = 0;  // that have such a file open
  std::string detail;          // which process has which; empty where there is none
};
// Of all processes that this one can see; nullopt where it cannot even see itself.
std::optional<ReplacedFiles> FindReplacedFiles(const std::string& database_path);

// The same for repeated questions. While the same two files are at the paths as when no process had
// other files, still no process has, and two stat calls answer.
class ReplacedFilesWatch {
 public:
  explicit ReplacedFilesWatch(std::string database_path) : path_(std::move(database_path)) {}
  std::optional<ReplacedFiles> Find();

 private:
  using FileNumbers = std::array<std::uint64_t, 4>;  // device and inode of -wal and -shm
  FileNumbers AtPaths() const;

  const std::string path_;
  Mutex mutex_;
  FileNumbers good_ GUARDED_BY(mutex_){};  // zeros: not known
};

}  // namespace walmanager
