// Maps a control file. Before that it makes or repairs the file, and gives it the owner and
// permissions of its database.
//
// The rule that is easy to break: no part of a file that is mapped may be without its place on the
// disk (a store there would be a SIGBUS). So the file's size and holes are looked at each time, and
// only a process that is alone with it, and has not mapped it, makes it shorter.
// Thread rules: one thread at a time per file, which holds kLockMake.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "ext/core/control/control_region.h"
#include "ext/system/mapped_control.h"

namespace walmanager {

inline constexpr char kOtherDatabaseInUse[] =
    "the control file belongs to another database and is in use";
// Why there is no control file where nothing keeps it from being made.
inline constexpr char kNotMadeYet[] =
    "the first commit to the log or the first setting makes the control file";

struct TakenOver {
  std::unique_ptr<MappedControl> memory;  // nullptr: `reason` says why
  std::string reason;
  bool made_here = false;   // it was empty, or of no use
  bool lacks_room = false;  // there is no room for it on the disk, or only the reserve
};
// Maps the file behind `fd`, and leaves kLockAttached held shared. The caller holds kLockMake.
// `make`: it may be empty. `database`: the status of the database file at `database_path`.
TakenOver TakeOverControlFile(int fd, const std::string& database_path, const struct stat& database,
                              bool make, const ControlRegion::Identity& identity);

}  // namespace walmanager
