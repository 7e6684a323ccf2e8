// Preloaded: SQLite says that it was built with SQLITE_THREADSAFE=0. Connections still get a mutex
// when they ask for one, as such a build hands out a pointer that looks like one.
extern "C" int sqlite3_threadsafe(void) { return 0; }
