// The log of a database file that is watched (watched_file.h): counts what is read, written and
// synced there, with its time.
//
// The same rules as for the database file keep the host from harm. A log is watched from the first
// statement that begins after its connection has opened it, and again after each change of the
// journal mode; it is closed before its database file.
// Thread rules: Watch() and Restore() in the thread that uses the connection, and not within a
// method of a file.
#pragma once

#include <atomic>
#include <cstdint>

#include "ext/engine/sqlite.h"
#include "ext/engine/watched_places.h"

namespace walmanager {

class WatchedFile;

class alignas(64) WatchedLog {
 public:
  using Handle = PlaceHandle<WatchedLog>;

  constexpr WatchedLog() = default;
  WatchedLog(const WatchedLog&) = delete;
  WatchedLog& operator=(const WatchedLog&) = delete;

  // Begins to watch the log of the schema, whose file `database` is at `owner`; an empty handle
  // where that may not be. The schema is in WAL mode.
  static Handle Watch(sqlite3* db, const char* schema, const sqlite3_file* database,
                      PlaceHandle<WatchedFile> owner);
  // Puts SQLite's methods back, as WatchedFile::Restore().
  static void Restore(Handle& handle);
  // SQLite's own methods of a file that may be watched: for calls that are not counted.
  static const sqlite3_io_methods* OwnMethods(sqlite3_file* file);

 private:
  friend class PlaceHandle<WatchedLog>;
  template <typename Place, std::size_t kPlaces>
  friend class WatchedPlaces;

  static int Close(sqlite3_file* file);
  static int Read(sqlite3_file* file, void* to, int n, sqlite3_int64 at);
  [[gnu::hot]] static int Write(sqlite3_file* file, const void* from, int n, sqlite3_int64 at);
  static int Sync(sqlite3_file* file, int flags);

  // First, so that the table's address is this object's.
  sqlite3_io_methods methods_{};
  alignas(64) std::atomic<sqlite3_file*> file_{nullptr};  // nullptr: free
  std::atomic<const sqlite3_io_methods*> original_{nullptr};
  std::atomic<std::uint64_t> serial_{0};
  PlaceHandle<WatchedFile> owner_;  // whose connection uses the log
  // A frame is two writes, its header and its page. The page comes at once, so the two need one
  // look at the clock before and one after them.
  // Where the page belongs to the header that was written last; -1: to none, from Watch() on.
  std::int64_t page_at_ = 0;
  std::uint64_t frame_start_ns_ = 0;
};

}  // namespace walmanager
