// What was found out about the database, in the control file (evidence.h).
#pragma once

#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// Results of the last checks and backups of the database, and of PRAGMAs that programs set.
struct Evidence {
  // The times are written last: 0, unknown.
  Counter integrity_ms;    // Unix time at its end, of the last wal_integrity_check()
  Counter integrity_full;  // 1: 'full', 0: 'quick'
  Counter integrity_findings;
  Counter integrity_ns;       // how long it took
  char integrity_first[256];  // the first finding
  Counter backup_ms;          // Unix time at its end, of the last wal_backup()
  Counter backup_bytes;
  char backup_path[256];
  Counter storage_ms;  // Unix time, when the next two were asked for
  Counter page_count, freelist_pages;
  // The values that a program last set with PRAGMA page_size and auto_vacuum, + 1; 0: none was set.
  Counter page_size_wished, auto_vacuum_wished;
  Counter auto_vacuum;  // as a connection last found it, + 1; 0: no connection has looked
  Counter attached_ms;  // Unix time, when a connection was last seen to have it attached
};

}  // namespace walmanager::layout
