// By which columns a statement looks for rows of a table, and in which order it wants them, as
// SQLite's planner says.
//
// The tables are virtual tables here. The planner asks a virtual table what it can do with the
// terms of WHERE, ON, ORDER BY and GROUP BY (xBestIndex of https://www.sqlite.org/vtab.html).
// Statements are compiled and never run. Not for several threads at once.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ext/advisor/schema_copy.h"
#include "ext/engine/private_database.h"

namespace walmanager {

// One way of asking a table for rows. Only what an index with the columns' own collations can
// serve; never the rowid.
struct Scan {
  const TableShape* table = nullptr;
  std::set<std::size_t> equal;      // compared by =, IN, IS
  std::vector<std::size_t> ranges;  // by <, >, BETWEEN, in the order in which they appear
  std::vector<std::size_t> order;   // all of one direction
  bool operator==(const Scan&) const = default;
};

class ScanProbe {
 public:
  // `source` and `copy` must outlive it.
  static Result<std::unique_ptr<ScanProbe>> Make(const SchemaSource& source, SchemaCopy& copy);
  ScanProbe(const ScanProbe&) = delete;
  ScanProbe& operator=(const ScanProbe&) = delete;

  // In the order in which the planner asks, each once; empty where the statement does not compile.
  // `tables`: all that it names.
  std::vector<Scan> Ask(const std::string& sql, const std::set<std::string>& tables);

  // --- for the module

  const TableShape* Shape(const char* table) { return copy_.Shape(table); }
  void Note(Scan scan);

 private:
  ScanProbe(OwnedDb db, SchemaCopy& copy) : copy_(copy), db_(std::move(db)) {}
  void Declare(const std::string& table);

  SchemaCopy& copy_;
  std::set<std::string> declared_;
  std::vector<Scan> scans_;
  OwnedDb db_;  // the last: it closes before what its module uses goes
};

}  // namespace walmanager
