// Proof that another hook has displaced a connection's WAL hook. SQLite has no call that says so
// without replacing the hook. So this looks at what the connection has done: it has written pages
// at a commit in WAL mode, and our hook was not called.
//
// Arm() remembers the counters of the connection, Proves() compares them. Nothing is proved where
// pages may have gone elsewhere (a temporary file, a database without a log, a cache that other
// connections share) or were written before the commit (a spilled cache). No SQL is run.
// Thread rules: in the thread that uses the connection.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct sqlite3;

namespace walmanager {

class HookWitness {
 public:
  explicit HookWitness(sqlite3* db) : db_(db) {}

  struct Schema {
    std::string name;
    bool log = false;  // it is in WAL mode
  };
  // Begins to watch. `schemas`: all of the connection, with temp; empty where they are not known.
  void Arm(const std::vector<Schema>& schemas);
  // Our hook was called, or the connection did what cannot be followed. What Arm() saw is void.
  void Disarm() { armed_ = false; }
  bool armed() const { return armed_; }
  // Whether the connection has committed to a log since Arm(). A commit within a statement that has
  // not ended need not have called the hook yet.
  bool Proves(const std::vector<Schema>& schemas) const;

 private:
  struct File {
    Schema schema;
    bool pages_count = false;   // pages that are written to it count as written
    std::uint32_t version = 0;  // changes with each change of the file
  };
  std::vector<File> Files(const std::vector<Schema>& schemas) const;

  sqlite3* const db_;
  bool armed_ = false;
  std::uint32_t writes_ = 0, spills_ = 0;
  std::vector<File> files_;
};

}  // namespace walmanager
