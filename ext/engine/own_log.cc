#include "ext/engine/own_log.h"

#include <cerrno>

#include "ext/engine/log_file.h"
#include "ext/system/replaced_files.h"

namespace walmanager {

int OwnLog::Refuse() {
  differs = true;
  errno = 0;  // SQLite asks for the system's reason: there is none
  return SQLITE_CANTOPEN;
}

int OwnLog::Look(const WalFile& database, bool* empty) {
  *empty = false;
  if (!file || !file->pMethods) return SQLITE_OK;
  switch (MatchLog(database, file)) {
    case LogMatch::kSame:
      seen = true;
      differs = false;
      return SQLITE_OK;
    case LogMatch::kEmpty:
      *empty = true;
      differs = false;
      return SQLITE_OK;
    case LogMatch::kOther:
      return Refuse();
    case LogMatch::kUnknown:
      return SQLITE_BUSY;
    case LogMatch::kUnreadable:  // for BUSY the engine would try again for seconds
      return SQLITE_IOERR_READ;
  }
  return SQLITE_BUSY;
}

int OwnLog::BeforeReading(const WalFile& database) {
  bool empty = false;
  return Look(database, &empty);
}

int OwnLog::BeforeWriting(const WalFile& database) {
  bool empty = false;
  const int rc = Look(database, &empty);
  if (rc != SQLITE_OK || !empty || seen) return rc;
  // An empty log tells nothing, so look which file this process has open under its name.
  bool replaced = false;
  const int looked = AtCEdge([&] {
    replaced = HasReplaced(path);
    return SQLITE_OK;
  });
  if (looked != SQLITE_OK) return SQLITE_BUSY;
  return replaced ? Refuse() : SQLITE_OK;
}

}  // namespace walmanager
