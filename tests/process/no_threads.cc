// Preloaded: makes SQLite look as if it was built with SQLITE_THREADSAFE=0. It says so, and the API
// table that an extension gets has no mutex functions. Its connections still get a mutex when they
// ask for one, as such a build hands out a pointer that looks like one.
#include <dlfcn.h>
#include <sqlite3ext.h>

#include <string>

// sqlite3ext.h turns calls into calls through the table. This file defines the functions
// themselves.
#undef sqlite3_load_extension
#undef sqlite3_threadsafe

using EntryPoint = int (*)(sqlite3*, char**, const sqlite3_api_routines*);

extern "C" int sqlite3_threadsafe(void) { return 0; }

namespace {
std::string wanted;  // the extension that is being loaded
}

// Loaded in place of the extension, which it then loads with its own table.
extern "C" int no_threads_init(sqlite3* db, char** message, const sqlite3_api_routines* table) {
  static sqlite3_api_routines without;
  without = *table;
  without.mutex_alloc = nullptr;
  without.mutex_enter = nullptr;
  without.mutex_free = nullptr;
  without.mutex_leave = nullptr;
  without.mutex_try = nullptr;
  void* library = dlopen((wanted + ".so").c_str(), RTLD_NOW);
  const auto entry =
      library ? reinterpret_cast<EntryPoint>(dlsym(library, "sqlite3_walmanager_init")) : nullptr;
  return entry ? entry(db, message, &without) : SQLITE_ERROR;
}

extern "C" int sqlite3_load_extension(sqlite3* db, const char* file, const char*, char** message) {
  static const auto load = reinterpret_cast<int (*)(sqlite3*, const char*, const char*, char**)>(
      dlsym(dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_NOLOAD), "sqlite3_load_extension"));
  Dl_info here;
  if (dladdr(reinterpret_cast<void*>(no_threads_init), &here) == 0) return SQLITE_ERROR;
  wanted = file;
  return load(db, here.dli_fname, "no_threads_init", message);
}
