// A small VFS over the host's, through which the extension's own connections open the database.
//
// It passes everything on, with these exceptions.
// - It refuses the exclusive write lock except where the caller has allowed it: the engine takes
//   that lock for a moment when it sees a torn header, and a lone writer of the host without a busy
//   handler would then see SQLITE_BUSY (https://www.sqlite.org/walformat.html, section 2.3.4).
// - It remembers which locks the connection holds, so that the guard knows the read mark that it
//   sits on, and keeps the one that Pin() took when a reader on the same mark ends.
// - It makes no -wal file where there is none, and with each lock under which the connection reads,
//   copies, writes or deletes the log it first compares that log with the wal-index (own_log.h).
//   Where they differ the lock is refused, so nothing of the kind begins.
// - It counts what the connection reads, writes and syncs, also of its log (own_io.h).
// - For a copy it moves pages in large pieces (LargePieces). A call that looks at the file's
//   content or size writes them out first.
// Thread rules: a file belongs to its connection; registering is guarded.
#pragma once

#include <cstdint>
#include <optional>

#include "ext/core/base/large_pieces.h"
#include "ext/core/control/held_locks.h"
#include "ext/core/control/layout_sizes.h"
#include "ext/engine/own_io.h"
#include "ext/engine/own_log.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

// The name to open with, for a host's VFS that is one of SQLite's own `unix` family with shared
// memory; nullptr for any other VFS, on which no own connection may be opened. Registered once per
// process and never taken back.
const char* OwnVfsFor(sqlite3_vfs* host);
// Whether a VFS is one of SQLite's own with shared memory in the file system. Another program's VFS
// may bear such a name without being the engine's.
bool IsUnixFamily(sqlite3_vfs* vfs);
// Over SQLite's VFS `unix`.
inline constexpr char kOwnUnixVfs[] = "walmanager-unix";
// Whether this copy of the library has registered it. Another copy's xDlSym(vfs, nullptr, name)
// gives its entry points (one_copy.h).
bool IsOwnVfs(const sqlite3_vfs* vfs);

// The main database file of a connection opened through OwnVfsFor().
struct OwnFile {
  sqlite3_file base;
  sqlite3_io_methods methods;
  sqlite3_file* real;
  LargePieces* pieces;  // nullptr: page by page
  OwnIo* io;
  OwnLog log;
  bool makes_log;  // the connection may make a -wal file: no other one has the database
  bool may_write_lock;
  bool index_mapped;              // the connection uses a wal-index, in shared memory
  std::uint32_t shared_locks;     // bit i: holds lock i of the -shm file shared
  std::uint32_t exclusive_locks;  // likewise, exclusive
  std::uint32_t pinned_locks;     // of shared_locks: those that Pin() keeps
  // Where the exclusive locks are shown, as HeldLocks has them; nullptr: nowhere.
  layout::Counter* shown;
  std::uint64_t shown_id;

  // The read mark on which the connection's transaction sits; nullopt outside of one.
  std::optional<int> ReadMark() const;
  bool HoldsWriteLock() const { return (exclusive_locks & 1u) != 0; }
  // Takes `lock` of the -shm file shared and keeps it, whatever the connection reads meanwhile,
  // until Unpin() or until it closes. Returns whether it got the lock.
  bool Pin(int lock);
  void Unpin(int lock);
  // From now on, until the next call. `id`: of the connection.
  void ShowLocksIn(layout::Counter* where, std::uint64_t id);
  void ShowLocks() const;
  // From now until the connection closes. LargePieces says for which files that is allowed.
  void UseLargePieces();
  // Writes all that was gathered to the real file. Returns a result code.
  int Flush() { return pieces ? pieces->Flush() : SQLITE_OK; }
};
OwnFile* OwnFileOf(sqlite3* own_connection);
// To look at the wal-index of one: what the engine itself has mapped.
WalFile OwnWalFile(sqlite3* own_connection);

}  // namespace walmanager
