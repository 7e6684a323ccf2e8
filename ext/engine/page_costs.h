// What SQLite pays for a page of the database file that it reads, and for one that it maps
// (PRAGMA mmap_size). A read copies the page. A mapped page costs a page fault at its first use,
// and its share of mapping and unmapping the file: SQLite drops the mapping at every commit of
// another connection. On many virtual machines a page fault costs several reads.
//
// Measured through SQLite's own file methods on the connection's own file. This library never opens
// a database file itself, because closing it would drop SQLite's locks.
//
// The rule that is easy to break: no statement runs for it on the host's connection. The host's
// authorizer would be asked about a statement that the host did not write.
#pragma once

#include "ext/core/base/result.h"

struct sqlite3;

namespace walmanager {

struct PageCosts {
  double read_us = 0;
  double mapped_us = 0;
  bool MappingPays() const { return mapped_us <= read_us; }
};

// Reads and maps 80 pages that lie apart, in a read transaction, under which no other connection
// cuts the file off. Takes about a millisecond at most, and a few where the disk has to be asked.
// An error says why it could not be measured: the database is small, is not in the system's cache,
// or shares its page cache with another connection, which may be in another thread. The connection
// has mmap_size 0, and is in WAL mode. Call it in the thread that uses the connection.
Result<PageCosts> MeasurePageCosts(sqlite3* db, const char* schema);

}  // namespace walmanager
