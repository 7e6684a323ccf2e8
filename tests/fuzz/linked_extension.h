// The extension as a part of the fuzz target: libFuzzer follows its code, and the sanitizers check
// it. Nothing here throws; what cannot be had aborts.
#pragma once

#include <sqlite3.h>

// SQLite's API table, for the parts that a target calls one by one. SQLite hands it to extensions
// alone.
void SetApiTable();

// As sqlite3_load_extension() would.
void LoadLinkedExtension(sqlite3* db);
