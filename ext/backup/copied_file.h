// The file that wal_backup() makes: a temporary one beside the target, which takes the target's
// place only when it is whole. Plain POSIX; no file here is a database that anybody has open.
//
// Its name is `<target>-walmanager-<pid>-<n>`. One that a killed process has left is removed by the
// next backup to the same target.
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
  // Removes what was not put in place, with all that SQLite has made beside it.
  ~CopiedFile();
  CopiedFile(const CopiedFile&) = delete;
  CopiedFile& operator=(const CopiedFile&) = delete;

  const std::string& temporary() const { return temporary_; }
  // Takes room for a file of this size, before anything is written: that costs half then. Only
  // where twice as much is free: who writes beside the copy shall not find the disk full before it
  // is.
  void Reserve(std::int64_t bytes);
  // Lets the system write what is there by now, while the copy goes on: less is left to the sync at
  // the end, which takes a third of the time otherwise. Does not wait.
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
