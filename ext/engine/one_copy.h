// One copy of this library serves a process, also where a host loads two files of it: another
// version, or the same under two names. Two copies would not know of each other's descriptors of
// the control file: POSIX drops all locks of the process when one of them closes its own.
//
// The first copy registers a VFS with SQLite (own_vfs.h). A later copy finds that VFS by its name,
// and hands over to the copy that registered it.
#pragma once

#include "ext/core/base/result.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

using EntryPoint = int (*)(sqlite3*, char**, const sqlite3_api_routines*);

struct OtherCopy {
  EntryPoint entry = nullptr;  // nullptr: there is none, this copy is the one from now on
};
// The copy that this process uses, with its entry point `name`, which is `own` here. Errors: it has
// no such entry.
Result<OtherCopy> FindOtherCopy(const char* name, EntryPoint own);

}  // namespace walmanager
