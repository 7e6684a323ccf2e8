#include "ext/engine/own_connection.h"

#include <thread>
#include <utility>

#include "ext/engine/own_vfs.h"
#include "ext/system/file_system.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

// This thread is in the list as long as the object lives.
class Opening {
 public:
  Opening() {
    const MutexLock lock(registry_.opening_mutex);
    self_ = {std::this_thread::get_id(), registry_.opening};
    registry_.opening = &self_;
  }
  ~Opening() {
    const MutexLock lock(registry_.opening_mutex);
    OpeningThread** at = &registry_.opening;
    while (*at != &self_) at = &(*at)->next;
    *at = self_.next;
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

 private:
  Registry& registry_ = Registry::Get();
  OpeningThread self_;
};

}  // namespace

bool OpeningOwnConnection() {
  Registry& registry = Registry::Get();
  const MutexLock lock(registry.opening_mutex);
  for (const OpeningThread* at = registry.opening; at; at = at->next) {
    if (at->thread == std::this_thread::get_id()) return true;
  }
  return false;
}

Result<OwnedDb> OpenOwnConnection(const std::string& path, int flags, const char* vfs) {
  const Opening opening;
  sqlite3* db = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &db, flags, vfs);
  OwnedDb owned(db);
  if (rc != SQLITE_OK) return EngineError(db);
  return owned;
}

Result<OwnedDb> OpenInMemory() {
  constexpr char kVfs[] = "unix";
  return OpenOwnConnection(
      ":memory:",
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
      sqlite3_vfs_find(kVfs) ? kVfs : nullptr);
}

CloseBehaviour CloseBehaviourOf(sqlite3* db, const char* schema) {
  CloseBehaviour behaviour;
  int no_checkpoint = 0, persist = -1;
  if (sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1, &no_checkpoint) == SQLITE_OK) {
    behaviour.checkpoint = no_checkpoint == 0;
  }
  if (sqlite3_file_control(db, schema, SQLITE_FCNTL_PERSIST_WAL, &persist) == SQLITE_OK) {
    behaviour.persist_wal = persist == 1;
  }
  return behaviour;
}

OwnPermission MayOpenOwn(sqlite3* host, const char* schema, const WalFile& log) {
  OwnPermission permission;
  const auto no = [&](std::string because) {
    permission.because = std::move(because);
    return permission;
  };
  if (sqlite3_db_readonly(host, schema) == 1)
    return no("this connection may not write the database");
  permission.index = MapWalIndex(log);
  if (!permission.index) return no("locking_mode is EXCLUSIVE: no other connection can write");
  int moved = 0;
  sqlite3_file_control(host, schema, SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved) return no("the database file is not to be found at its path");
  // A connection in WAL mode always has one.
  const char* file_name = sqlite3_db_filename(host, schema);
  if (!file_name || !IsThere(sqlite3_filename_wal(file_name))) {
    return no("the -wal file is not to be found at its path");
  }
  sqlite3_vfs* host_vfs = nullptr;
  sqlite3_file_control(host, schema, SQLITE_FCNTL_VFS_POINTER, &host_vfs);
  permission.vfs = OwnVfsFor(host_vfs);
  if (!permission.vfs) {
    return no(std::string("the VFS '") + (host_vfs ? host_vfs->zName : "?") +
              "' is the host's own");
  }
  return permission;
}

}  // namespace walmanager
