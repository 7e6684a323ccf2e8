// wal_restore(): puts the content of a backup in the place of a database's while other connections
// have it open.
//
// One write transaction of an own connection, which goes through the log as any commit does.
// Readers keep their snapshot, writers wait or see SQLITE_BUSY, and a process that is killed
// half-way leaves the old content, whole. So the log must have room for the whole backup.
// Thread rules: in the thread of the host's statement.
#pragma once

#include <string>

#include "ext/backup/backup.h"
#include "ext/connection/connection.h"
#include "ext/core/base/result.h"

namespace walmanager {

// Checks the backup at `path`, as far as that needs no collation or function of the host's, and
// copies it over `schema`, which is in WAL mode. After an error the database is as it was. Waits
// for a writer as long as the connection's busy timeout says. Errors name no function.
Result<CopyReport> Restore(Connection& connection, const Schema& schema, const std::string& path);

}  // namespace walmanager
