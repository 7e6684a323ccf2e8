#include "ext/engine/needed_functions.h"

namespace walmanager {
namespace {

using Api = sqlite3_api_routines;

struct Needed {
  const char* name;
  const char* option;  // that leaves it out
  bool (*exists)(const Api& api);
};

constexpr Needed kNeeded[] = {
    {"sqlite3_wal_hook", "SQLITE_OMIT_WAL", [](const Api& api) { return api.wal_hook != nullptr; }},
    {"sqlite3_create_module_v2", "SQLITE_OMIT_VIRTUALTABLE",
     [](const Api& api) { return api.create_module_v2 != nullptr; }},
    {"sqlite3_set_authorizer", "SQLITE_OMIT_AUTHORIZATION",
     [](const Api& api) { return api.set_authorizer != nullptr; }},
};

}  // namespace

std::string MissingFunction(const Api& api) {
  for (const Needed& needed : kNeeded) {
    if (needed.exists(api)) continue;
    return std::string(needed.name) + "() is needed, and this SQLite was built with " +
           needed.option;
  }
  return {};
}

}  // namespace walmanager
