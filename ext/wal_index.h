// The wal-index of a live connection, read from the memory that SQLite has mapped: no I/O, no lock.
#pragma once

#include <optional>

#include "ext/core/wal_index_format.h"

struct sqlite3;
struct sqlite3_file;

namespace walmanager {

// The file object of one schema of `db`; nullptr where it has none. The caller holds the handle.
sqlite3_file* DatabaseFile(sqlite3* db, const char* schema);

// The same in a tenth of the time (2 ns), by what sqlite3_db_filename has just returned, which must
// be neither nullptr nor empty. SQLite documents it for the names of journals alone; those lead it
// to the name of the database, and that to the file. So ask it only of an engine whose answer was
// once seen to be DatabaseFile()'s.
sqlite3_file* DatabaseFileByName(const char* file_name);

// The start of the wal-index as `file`'s connection has it mapped: a value to compare, since all
// connections of a process share it. nullptr where there is none to be had without harm: asking a
// file that is not in WAL mode leaves a stray -shm behind, so this asks only while the connection
// holds its shared lock, which in WAL mode it always does and with locking_mode=EXCLUSIVE never.
// Call it only where the connection is known to be in WAL mode.
const volatile void* MapWalIndex(sqlite3_file* file);

// A consistent look. nullopt where there is no wal-index, or where writers tore every one of many
// tries. About 60 ns.
std::optional<WalIndex> ReadWalIndex(sqlite3_file* file);
// The same, of the header alone: for every commit.
std::optional<LogEnd> ReadLogEnd(sqlite3_file* file);

}  // namespace walmanager
