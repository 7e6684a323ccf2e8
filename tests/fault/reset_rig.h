// The rig that reaches the moment of the WAL-reset bug on the stock engine, every time.
//
// A checkpoint takes the CKPT lock, reads the wal-index header, and only then reads nBackfill. When
// the header changed since the connection last looked, the engine calls xUnfetch(file, 0, NULL) on
// the database file between those two reads, with or without mmap. The rig runs the test's code
// there.
//
// It patches SQLite's own "unix" VFS in place, because walmanager opens connections of its own only
// over that family. The rule that is easy to break: every connection the test opens is Own()ed
// before a checkpoint is armed, because the rig takes every other one for the extension's. Moments
// may run in any thread that checkpoints, so connections they use need a busy timeout.
#ifndef WALMANAGER_TESTS_FAULT_RESET_RIG_H_
#define WALMANAGER_TESTS_FAULT_RESET_RIG_H_

#include <sqlite3.h>

#include <functional>
#include <mutex>
#include <set>
#include <utility>

// Whether the SQLite that runs has the bug: from 3.7.0 on, fixed in 3.51.3, 3.50.7 and 3.44.6.
inline bool EngineHasResetBug() {
  const int version = sqlite3_libversion_number();
  const bool fixed = version >= 3051003 || (version >= 3050007 && version < 3051000) ||
                     (version >= 3044006 && version < 3045000);
  return version >= 3007000 && !fixed;
}

class ResetRig {
 public:
  // Each runs once, in the thread of the checkpoint, on its first one after Arm*().
  struct Moments {
    std::function<void()> before_lock;    // about to ask for the CKPT lock
    std::function<void()> between_reads;  // header read, nBackfill not yet; after before_lock
  };

  ResetRig() {
    sqlite3_vfs* unix_vfs = sqlite3_vfs_find("unix");
    State().original_open = std::exchange(unix_vfs->xOpen, &Open);
  }
  ~ResetRig() {
    Disarm();
    State().owned.clear();
    sqlite3_vfs_find("unix")->xOpen = State().original_open;
  }
  ResetRig(const ResetRig&) = delete;
  ResetRig& operator=(const ResetRig&) = delete;

  void Own(sqlite3* db) {
    std::lock_guard lock(State().mutex);
    State().owned.insert(FileOf(db));
  }
  // The next checkpoint that `db` itself runs.
  void ArmFor(sqlite3* db, Moments moments) { Arm(FileOf(db), std::move(moments)); }
  // The next checkpoint on a connection that the test does not own.
  void ArmForExtension(Moments moments) { Arm(nullptr, std::move(moments)); }
  // Returns whether `between_reads` was reached since the rig was armed.
  bool Disarm() {
    std::lock_guard lock(State().mutex);
    State().moments = {};
    return std::exchange(State().reached, false);
  }

 private:
  static constexpr int kCkptLock = 1;  // WAL_CKPT_LOCK in SQLite's wal.c

  // Outlives every rig: a file keeps the patched methods until it is closed.
  struct Shared {
    int (*original_open)(sqlite3_vfs*, const char*, sqlite3_file*, int, int*) = nullptr;
    const sqlite3_io_methods* original = nullptr;
    sqlite3_io_methods patched{};
    std::mutex mutex;  // guards all below; never held while a moment runs
    std::set<sqlite3_file*> owned;
    sqlite3_file* target = nullptr;        // nullptr: any file that is not owned
    sqlite3_file* checkpointer = nullptr;  // the file that holds the CKPT lock
    Moments moments;
    bool reached = false;

    bool Aimed(sqlite3_file* file) const {
      return target != nullptr ? file == target : !owned.contains(file);
    }
  };
  static Shared& State() {
    static Shared shared;
    return shared;
  }

  static sqlite3_file* FileOf(sqlite3* db) {
    sqlite3_file* file = nullptr;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return file;
  }

  static void Arm(sqlite3_file* target, Moments moments) {
    std::lock_guard lock(State().mutex);
    State().target = target;
    State().moments = std::move(moments);
    State().reached = false;
  }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    Shared& state = State();
    const int rc = state.original_open(vfs, name, file, flags, out);
    if (rc != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0) return rc;
    std::lock_guard lock(state.mutex);
    if (state.original == nullptr) {
      state.original = file->pMethods;
      state.patched = *file->pMethods;
      state.patched.xShmLock = &ShmLock;
      state.patched.xUnfetch = &Unfetch;
    }
    // Files with other methods (nolock=1) cannot be in WAL mode and are left alone.
    if (file->pMethods == state.original) file->pMethods = &state.patched;
    return rc;
  }

  static int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
    Shared& state = State();
    const bool is_ckpt = offset == kCkptLock && n == 1 && (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    const bool takes = is_ckpt && (flags & SQLITE_SHM_LOCK) != 0;
    if (takes) {
      std::unique_lock lock(state.mutex);
      // Taken out before it runs: it calls this same hook on the test's own connections.
      std::function<void()> moment;
      if (state.Aimed(file)) moment = std::exchange(state.moments.before_lock, nullptr);
      lock.unlock();
      if (moment) moment();
    }
    const int rc = state.original->xShmLock(file, offset, n, flags);
    if (is_ckpt && rc == SQLITE_OK) {
      std::lock_guard lock(state.mutex);
      if (takes) {
        state.checkpointer = file;
      } else if (state.checkpointer == file) {
        // Not if, since it let go, another connection already became the checkpointer.
        state.checkpointer = nullptr;
      }
    }
    return rc;
  }

  static int Unfetch(sqlite3_file* file, sqlite3_int64 offset, void* page) {
    Shared& state = State();
    if (offset == 0 && page == nullptr) {
      std::unique_lock lock(state.mutex);
      std::function<void()> moment;
      if (file == state.checkpointer && state.Aimed(file) && !state.moments.before_lock) {
        moment = std::exchange(state.moments.between_reads, nullptr);
      }
      if (moment) state.reached = true;
      lock.unlock();
      if (moment) moment();
    }
    return state.original->xUnfetch(file, offset, page);
  }
};

#endif  // WALMANAGER_TESTS_FAULT_RESET_RIG_H_
