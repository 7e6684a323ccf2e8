// The file that wal_backup() makes: a temporary file beside the target, which takes the target's
// place only when it is whole. Plain POSIX; no file here is a database that a program has open.
//
// Its name is `<target>-walmanager-<pid>-<n>`. The next backup to the same target removes a
// temporary file that a killed process has left.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "ext/core/base/result.h"
#include "ext/system/registry.h"

namespace walmanager {

// A path in quotes, for messages: whole, unless it is longer than any.
std::string ShownPath(const std::string& path);

// A path from the root, without links followed. `what` names it in errors: empty paths and those
// with a zero byte are none.
Result<std::string> AbsolutePath(const char* what, const std::string& path);

// Whether `path` is the database at `database`, one of the files beside it (-wal, -shm, -journal,
// -walmanager), or another name of one of them. Neither need exist.
bool IsOfDatabase(const std::string& path, const std::string& database);

class CopiedFile {
 public:
  // Makes the temporary file, empty and as readable as the database at `database`; empty: there is
  // none. Errors: the target is no place for a copy, or exists and `overwrite` is false.
  static Result<std::unique_ptr<CopiedFile>> Make(const std::string& target,
                                                  const std::string& database, bool overwrite);
  // Removes the temporary file, if it was not put in place, and all files that SQLite made beside
  // it.
  ~CopiedFile();
  CopiedFile(const CopiedFile&) = delete;
  CopiedFile& operator=(const CopiedFile&) = delete;

  const std::string& temporary() const { return temporary_; }
  // Allocates disk space for a file of this size before anything is written, which halves the cost
  // of writing. Only where twice as much is free, so that the allocation does not fill the disk for
  // other writers.
  void Reserve(std::int64_t bytes);
  // Makes the system write the copied pages while the copy goes on, so that less is left to the
  // sync at the end, which otherwise takes a third of the time. Does not wait.
  void StartWriting();
  // Gives the file, which is synced and which SQLite has closed, the target's name, and syncs the
  // directory.
  Status Place();

 private:
  CopiedFile(std::string target, bool overwrite)
      : target_(std::move(target)), overwrite_(overwrite) {}
  Status Create(mode_t mode);

  const std::string target_;
  const bool overwrite_;
  std::string temporary_;  // empty: there is none
  Registry::FileKey key_;
  int fd_ = -1;  // closed after SQLite's: a close drops the locks of the whole process
  std::uint64_t next_writing_ns_ = 0;
};

}  // namespace walmanager
