// What this process has: its databases by file and its connections by handle. The one singleton.
//
// After a fork the child begins with an empty registry and leaves the parent's objects alone: their
// locks, connections and memory belong to the parent. An object remembers the registry that it was
// made under and does nothing under another.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

struct sqlite3;

namespace walmanager {

class Connection;
class Database;

struct Registry {
  using FileKey = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

  std::mutex mutex;  // the last in the lock order; guards all below
  std::map<FileKey, std::weak_ptr<Database>> databases;
  std::map<sqlite3*, Connection*> connections;

  static Registry& Get();
};

}  // namespace walmanager
