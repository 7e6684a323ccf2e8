// A file of the host's connection whose methods walmanager sees: a copy of SQLite's table of
// methods, with some entries replaced, stands in the place of the original
// (https://www.sqlite.org/c3ref/io_methods.html). Each entry calls the original and passes its
// result on unchanged. xClose puts the original back and calls it.
//
// The host must never be harmed, so:
// - Only files of SQLite's own `unix` family are watched, whose methods lie in the engine's own
//   object, and only where the page cache is not shared: then one connection alone uses the file.
// - The tables are in static memory, which is never freed (watched_places.h). A call through a
//   table that is out of date finds SQLite's methods all the same.
// - Another library may replace the methods after us, by a copy of our table. Then a file is found
//   by its address, and our table is not put back over the other library's.
// - Calls from another thread than the one that began the last statement, and calls in a forked
//   child, are passed on and nothing else.
// - No function of SQLite that takes a connection may be called within a method. Another connection
//   may have come to share the page cache since. Then it may be the one that calls, with a mutex of
//   the cache in its hands that the thread cannot have twice.
// A read transaction costs two calls of ShmLock(), so what they do comes before SQLite's own
// function, to which they then jump: code that runs after a system call is slow.
// Reads, writes and syncs are counted with their time. The log is a file of its own
// (watched_log.h). It is looked for when the next statement begins after it was opened.
// Thread rules: Watch(), Enter(), Restore() and set_* in the thread that uses the connection.
// Leave() too, but it touches neither the file nor the connection.
// The atomics are relaxed: a method compares thread_ with its own thread, which finds what it
// stored itself, and another thread finds another value or an old one, of which neither is its own.
// Words in the control file (shown_) are for display.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "ext/core/control/held_locks.h"
#include "ext/core/control/io_statistics.h"
#include "ext/core/control/layout_sizes.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/watched_log.h"
#include "ext/engine/watched_places.h"
#include "ext/system/registry.h"

namespace walmanager {

// What a watched file tells, within the call of SQLite that it tells of. No SQL may run there, and
// no function of SQLite may be called that takes a connection or a statement.
class FileWatcher {
 public:
  // Another connection has the lock.
  virtual void Refused(LockKind lock) = 0;
  // The lock that was refused before is had now.
  virtual void Granted() = 0;
  // The write lock was had, but is of no use: another connection has committed since the
  // transaction began to read. `newest`: the checksum of the log's header as it is now.
  virtual void Conflicts(std::uint64_t newest) = 0;
  // The log is open. Enter() finds it when the next statement begins.
  virtual void OpenedLog() = 0;

 protected:
  ~FileWatcher() = default;
};

class alignas(64) WatchedFile {
 public:
  // Names the calling thread. Two instructions.
  static std::uintptr_t ThisThread() {
#if defined(__clang__) && defined(__x86_64__)
    // Where the thread pointer points, it stands itself (System V ABI for thread-local storage).
    std::uintptr_t self = 0;
    asm("movq %%fs:0, %0" : "=r"(self));
    return self;
#elif defined(__GNUC__) && (!defined(__clang__) || defined(__aarch64__))
    return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
#else
    return reinterpret_cast<std::uintptr_t>(pthread_self());
#endif
  }

  constexpr WatchedFile() = default;
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  using Handle = PlaceHandle<WatchedFile>;

  // Begins to watch the database file of a schema; an empty handle where that may not be. Does not
  // wait, and reads nothing of the file.
  static Handle Watch(sqlite3* db, const char* schema, FileWatcher* watcher);
  // Puts SQLite's methods back. Where another library has replaced ours, they stay, and pass each
  // call on.
  static void Restore(Handle& handle);
  // Tells nothing from now on. The file need not be there any more.
  static void Leave(Handle& handle);

  // A statement of the connection begins in this thread. `may_need_all`: it may need the database
  // file for itself in WAL mode (PRAGMA journal_mode). Else a refused exclusive lock is no error:
  // SQLite asks for it at each close. `db` and `schema` as for Watch().
  void Enter(sqlite3* db, const char* schema, bool may_need_all) {
    may_need_all_ = may_need_all;
    if (!watcher_ || is_shared_) return;
    thread_.store(ThisThread(), std::memory_order_relaxed);
    if (wants_log_) FindLog(db, schema);
  }
  // Tells nothing from now on where the page cache is shared by now.
  void LookWhetherShared(sqlite3* db) {
    if (CacheIsShared(db)) PassOnForEver();
  }
  // Calls may have come in a thread in which none was told. Finds out what the connection holds, if
  // it seems to hold something.
  void FindLocksAgain(sqlite3* db, const char* schema);
  // Where the locks of the connection `id` are shown, and the checksum of the log's header as of
  // its last commit; nullptr: nowhere.
  struct Place {
    layout::Counter* locks = nullptr;
    layout::Counter* committed = nullptr;
  };
  void set_shown(const Place& shown, std::uint64_t id);
  // Where the connection counts what it reads, writes and syncs.
  void set_io(const IoPlace& io) { io_ = io; }
  // The same, for a call on its log; nullptr: the call is not counted.
  IoPlace* io() { return Counts() && io_.is_there() ? &io_ : nullptr; }
  // SQLite's own methods of a file that may be watched: for calls that are not counted.
  static const sqlite3_io_methods* OwnMethods(sqlite3_file* file);
  // A statement has ended. False where a lock that was refused was not had since: the statement
  // has failed. Then nothing is refused any more.
  bool SettleAtEnd();
  // Whether the write lock was had and given back, because another connection had committed since
  // the transaction began to read, which goes on. Ask before SettleAtEnd().
  bool is_conflict() const { return is_conflict_; }
  // Whether the lock that was refused is only wanted at the end of the transaction, which goes on:
  // SQLite had tried to write pages for which its cache has no room. Ask before SettleAtEnd().
  bool may_do_without() const {
    return is_refused_ && refused_ == LockKind::kExclusive && level_ >= SQLITE_LOCK_RESERVED;
  }
  // No refusal is told while a call of the extension's own uses the connection.
  void set_paused(bool paused) { paused_ = paused; }

 private:
  friend class PlaceHandle<WatchedFile>;
  template <typename Place, std::size_t kPlaces>
  friend class WatchedPlaces;

  static constexpr std::uintptr_t kNoThread = 0;
  static constexpr std::size_t kChecksum = 5;  // of the header: its last word
  static_assert((kChecksum + 1) * 8 == kWalIndexHeaderBytes);

  // --- the methods
  static int Close(sqlite3_file* file);
  static int Read(sqlite3_file* file, void* to, int n, sqlite3_int64 at);
  static int Write(sqlite3_file* file, const void* from, int n, sqlite3_int64 at);
  static int Sync(sqlite3_file* file, int flags);
  static int ShmMap(sqlite3_file* file, int region, int bytes, int extend, void volatile** memory);
  static int Lock(sqlite3_file* file, int level);
  static int Unlock(sqlite3_file* file, int level);
  static int FileControl(sqlite3_file* file, int op, void* argument);
  [[gnu::hot]] static int ShmLock(sqlite3_file* file, int offset, int n, int flags);
  static int ShmUnmap(sqlite3_file* file, int remove);

  void Replace(sqlite3_file* file);
  void Free();

  bool Counts() const {
    // A forked child has the thread of its parent, and another registry.
    return thread_.load(std::memory_order_relaxed) == ThisThread() &&
           Registry::current.load(std::memory_order_relaxed) == registry_;
  }
  void StopTelling() {
    thread_.store(kNoThread, std::memory_order_relaxed);
    watcher_ = nullptr;
    io_ = {};
  }
  void PassOnForEver() {
    is_shared_.store(true, std::memory_order_relaxed);
    thread_.store(kNoThread, std::memory_order_relaxed);
  }
  [[gnu::cold]] static int PassShmLock(sqlite3_file* file, int offset, int n, int flags);
  // What ShmLock() does where there is more to do than to note a read mark.
  [[gnu::noinline]] int LockAndLook(sqlite3_file* file, int offset, int n, int flags);
  [[gnu::noinline]] void AfterShmLock(sqlite3_file* file, int offset, int n, int flags, int rc);
  void AfterWriteLock(int rc);
  [[gnu::cold]] int LockBlocking(sqlite3_file* file, int offset, int n, int flags);
  [[gnu::cold]] void Refuse(LockKind lock);
  // False where no refusal is told.
  [[gnu::cold]] bool BeginRefusal(LockKind lock);
  void Grant(LockKind lock) {
    if (is_refused_ && refused_ == lock) [[unlikely]]
      EndRefusal();
  }
  [[gnu::cold]] void EndRefusal();
  void ShowLevel(int level) {
    level_ = level;
    Show((bits_ & ((1U << HeldLocks::kLevelShift) - 1)) | static_cast<std::uint64_t>(level)
                                                              << HeldLocks::kLevelShift);
  }
  void RememberHeader(sqlite3_file* file) {
    if (!index_) [[unlikely]]
      MapIndex(file);
    // SQLite has read the header, and compares it again when it has the lock. Where they differ it
    // tries again, with another call. So what is kept here last is of the header under which the
    // transaction reads. The checksum of 64 bits stands for the whole of it.
    if (index_) header_ = index_[kChecksum];
  }
  [[gnu::cold]] void MapIndex(sqlite3_file* file);
  // The log may have been opened, in a call of any connection.
  [[gnu::cold]] void WantLog();
  // Not within a method.
  [[gnu::cold]] void FindLog(sqlite3* db, const char* schema);
  bool HeaderDiffers() const { return index_ && knows_header_ && header_ != index_[kChecksum]; }
  void Show(std::uint64_t bits) {
    bits_ = bits;
    if (shown_.locks) shown_.locks->store(tag_ | bits, std::memory_order_relaxed);
  }
  // The write lock is about to be given back. With it only this connection could change the header.
  void FollowOwnCommit() {
    const bool is_others = std::exchange(header_is_others_, false);
    if (!has_mark_ | is_others || (bits_ & HeldLocks::kCheckpoint) != 0 || !HeaderDiffers()) return;
    // A cursor that is open goes on reading under the same mark, and the next write is no conflict.
    header_ = index_[kChecksum];
    if (shown_.committed) shown_.committed->store(header_, std::memory_order_relaxed);
  }
  static LockKind KindOf(int level);

  // First, so that the table's address is this object's.
  sqlite3_io_methods methods_{};
  // What every lock needs is on one cache line.
  alignas(64) std::atomic<sqlite3_file*> file_{nullptr};     // nullptr: free
  int (*shm_lock_)(sqlite3_file*, int, int, int) = nullptr;  // SQLite's own
  std::atomic<std::uintptr_t> thread_{kNoThread};            // whose calls are told
  Registry* registry_ = nullptr;
  const volatile std::uint64_t* index_ = nullptr;  // the wal-index's header, while it is mapped
  std::uint64_t header_ = 0;  // its checksum, as it was when the read mark was taken
  bool has_mark_ = false;
  bool knows_header_ = false;
  bool is_refused_ = false;
  bool is_conflict_ = false;
  bool header_is_others_ = false;    // the write lock is had, but another connection has committed
  bool may_have_recovered_ = false;  // a lock for recovery was refused, and a later read has begun
  bool uses_log_ = false;  // the connection has used shared memory since the file was opened
  bool may_need_all_ = false;
  bool paused_ = false;
  bool wants_log_ = false;  // the log is to be looked for
  std::uint64_t bits_ = 0;  // as HeldLocks has them

  std::atomic<const sqlite3_io_methods*> original_{nullptr};
  IoPlace io_;
  Place shown_;
  std::uint64_t tag_ = 0;  // the connection's id, as HeldLocks has it
  std::atomic<std::uint64_t> serial_{0};
  FileWatcher* watcher_ = nullptr;      // nullptr: calls are passed on
  int level_ = 0;                       // of the database file's lock
  int blocking_ms_ = 0;                 // how long the next locks wait by themselves
  std::atomic<bool> is_shared_{false};  // found out after the file was watched
  LockKind refused_ = LockKind::kWrite;
  WatchedLog::Handle log_;
};

}  // namespace walmanager
