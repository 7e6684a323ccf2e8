// The wal-index of a live connection, read from the memory that SQLite has mapped: no I/O, no lock.
#pragma once

#include <cstdint>
#include <optional>

#include "ext/core/format/wal_index_format.h"

struct sqlite3;
struct sqlite3_file;

namespace walmanager {

// The file object of one schema of `db`; nullptr where it has none. The caller holds the handle.
sqlite3_file* DatabaseFile(sqlite3* db, const char* schema);

// The same in a tenth of the time (2 ns), from the name that sqlite3_db_filename has just returned,
// which must be neither nullptr nor empty. SQLite documents this only for the names of journals. So
// use it only with an engine whose answer was once seen to be the same as DatabaseFile()'s.
sqlite3_file* DatabaseFileByName(const char* file_name);

// The database file of a connection that is in WAL mode, as the engine says. Every function that
// looks at a wal-index takes this type, because asking a file for shared memory that its connection
// does not use creates it: a stray -shm file stays, and descriptor and memory are never freed. The
// lock that a connection holds does not tell its mode: in rollback mode it, too, holds SHARED
// between its statements under locking_mode=EXCLUSIVE, and while another connection of its shared
// cache reads. Valid for the call, in the thread that uses the connection.
class WalFile {
 public:
  WalFile() = default;  // none: there is nothing to look at
  // The engine has just said that this schema is in WAL mode: it calls the WAL hook, or PRAGMA
  // journal_mode answered so in this call. No cost.
  static WalFile InWalMode(sqlite3_file* file) { return WalFile(file); }
  // Asks the engine without SQL, so also in a trace callback: which file is the journal of this
  // schema's pager, and is that a log? None where it is not. One read of 4 bytes, about 1 µs.
  static WalFile Ask(sqlite3* db, const char* schema);

  sqlite3_file* file() const { return file_; }

 private:
  explicit WalFile(sqlite3_file* file) : file_(file) {}
  sqlite3_file* file_ = nullptr;
};

// Whether the database file's header says WAL: so it does also before the connection that has set
// the mode reads for the first time, where WalFile::Ask() finds no log yet. One read of 2 bytes.
bool HeaderSaysWal(sqlite3* db, const char* schema);

// The page size in the database file's header; 0 where it cannot be read. One read of 2 bytes.
std::uint32_t PageBytesInHeader(sqlite3* db, const char* schema);

// The start of the wal-index as the connection has it mapped: a value to compare, since all
// connections of a process share it. nullptr where it is not in shared memory: a connection that
// was in locking_mode=EXCLUSIVE before it was in WAL mode keeps it in its own memory, and holds the
// database file locked exclusively.
const volatile void* MapWalIndex(const WalFile& log);

// A consistent look. nullopt where there is no wal-index, or where writers tore every one of many
// tries. About 60 ns.
std::optional<WalIndex> ReadWalIndex(const WalFile& log);
// The same, of the header alone: for every commit.
std::optional<LogEnd> ReadLogEnd(const WalFile& log);

}  // namespace walmanager
