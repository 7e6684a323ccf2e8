// The library walmanagerprocess.so: a second file name for hosts that cannot name an entry point.
// It finds walmanager.so beside itself and hands over to its entry for process-wide loads.
//
// A link to walmanager.so would not do: a host that follows it (PHP does) derives the entry point
// from the name of the link's target, and archives make two whole libraries of a hard link.
#include <dlfcn.h>
#include <limits.h>
#include <sqlite3ext.h>
#include <stdlib.h>
#include <string.h>

namespace {

using EntryPoint = int (*)(sqlite3*, char**, const sqlite3_api_routines*);

constexpr char kLibrary[] = "walmanager.so";
constexpr char kEntry[] = "sqlite3_walmanagerprocess_init";

// Opens the library in the directory of the file at `path`. Never closed: it stays in the process.
void* OpenBeside(const char* path) {
  char library[PATH_MAX + sizeof kLibrary];
  const char* slash = strrchr(path, '/');
  const size_t directory = slash ? static_cast<size_t>(slash - path) + 1 : 0;
  if (directory >= PATH_MAX) return nullptr;
  memcpy(library, path, directory);
  memcpy(library + directory, kLibrary, sizeof kLibrary);
  return dlopen(library, RTLD_NOW);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int sqlite3_walmanagerprocess_init(
    sqlite3* db, char** message, const sqlite3_api_routines* api) {
  Dl_info self{};
  char real[PATH_MAX];
  void* library = nullptr;
  // The entry point's own address may be that of walmanager.so, which exports the same name.
  if (dladdr(reinterpret_cast<void*>(OpenBeside), &self) != 0) {
    library = OpenBeside(self.dli_fname);
    // Where this file is a link, look beside the file that it leads to.
    if (!library && realpath(self.dli_fname, real)) library = OpenBeside(real);
  }
  const auto entry = library ? reinterpret_cast<EntryPoint>(dlsym(library, kEntry)) : nullptr;
  if (entry) return entry(db, message, api);
  const char* why = dlerror();
  if (message) {
    *message = api->mprintf("walmanager: walmanagerprocess.so needs %s beside it: %s", kLibrary,
                            why ? why : "it has no entry for that");
  }
  return SQLITE_ERROR;
}
