#include "ext/engine/one_copy.h"

#include "ext/engine/own_vfs.h"

namespace walmanager {

namespace {

// Holds a mutex of SQLite that all copies share, so that of two copies that load at once one comes
// second. The program may use that mutex, too, and load while it holds it, so the wait ends after
// kMostTries milliseconds.
class AmongCopies {
 public:
  AmongCopies() {
    constexpr int kMostTries = 100;
    // An engine that was built without threads has none, and not even the functions.
    if (sqlite3_threadsafe() == 0) return;
    mutex_ = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP3);
    for (int tries = 0; mutex_ && sqlite3_mutex_try(mutex_) != SQLITE_OK; ++tries) {
      if (tries == kMostTries) {
        mutex_ = nullptr;
      } else {
        sqlite3_sleep(1);
      }
    }
  }
  ~AmongCopies() {
    if (mutex_) sqlite3_mutex_leave(mutex_);
  }
  AmongCopies(const AmongCopies&) = delete;
  AmongCopies& operator=(const AmongCopies&) = delete;

 private:
  sqlite3_mutex* mutex_ = nullptr;
};

}  // namespace

Result<OtherCopy> FindOtherCopy(const char* name, EntryPoint own) {
  sqlite3_vfs* host = sqlite3_vfs_find("unix");
  if (!host) return OtherCopy{};
  sqlite3_vfs* registered = nullptr;
  // Also where memory ends the mutex is left.
  const int rc = AtCEdge([&] {
    const AmongCopies among_copies;
    registered = sqlite3_vfs_find(kOwnUnixVfs);
    if (!registered) OwnVfsFor(host);
    return SQLITE_OK;
  });
  if (rc != SQLITE_OK) return Error{"out of memory", ErrorCode::kNoMemory};
  if (!registered || IsOwnVfs(registered)) return OtherCopy{};
  const auto entry = reinterpret_cast<EntryPoint>(registered->xDlSym(registered, nullptr, name));
  // A copy that does not know of other copies asks the system, which may answer with this copy's
  // entry point.
  if (entry && entry != own) return OtherCopy{entry};
  return Error{
      "another copy of walmanager is in use in this process, and does not take over: load one of "
      "them only"};
}

}  // namespace walmanager
