#include "ext/one_copy.h"

#include "ext/own_vfs.h"

namespace walmanager {

Result<OtherCopy> FindOtherCopy(const char* name) {
  sqlite3_vfs* host = sqlite3_vfs_find("unix");
  if (!host) return OtherCopy{};
  // Of all copies; nullptr where SQLite is single-threaded. Built without threads it has not even
  // the functions.
  const bool has_mutexes = sqlite3_threadsafe() != 0;
  sqlite3_mutex* mutex = has_mutexes ? sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP3) : nullptr;
  if (mutex) sqlite3_mutex_enter(mutex);
  sqlite3_vfs* registered = sqlite3_vfs_find(kOwnUnixVfs);
  // Also where memory ends the mutex is left.
  const int rc = AtCEdge([&] {
    if (!registered) OwnVfsFor(host);
    return SQLITE_OK;
  });
  if (mutex) sqlite3_mutex_leave(mutex);
  if (rc != SQLITE_OK) return Error{"out of memory", ErrorCode::kNoMemory};
  if (!registered || IsOwnVfs(registered)) return OtherCopy{};
  const auto entry = reinterpret_cast<EntryPoint>(registered->xDlSym(registered, nullptr, name));
  if (entry) return OtherCopy{entry};
  return Error{
      "another copy of walmanager is in use in this process, and does not take over: load one of "
      "them only"};
}

}  // namespace walmanager
