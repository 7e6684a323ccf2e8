// A call of read_pool() as its caller sees it: rows in the order in which they come, from the pool
// or, where there can be none, from the caller's own connection, one statement after the other.
//
// Thread rules: those of the caller's connection.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ext/read_pool/pool_call.h"

namespace walmanager {

class Connection;

class ReadPoolScan {
 public:
  virtual ~ReadPoolScan() = default;
  // Moves to the next row; false after the last one.
  virtual Result<bool> Next() = 0;
  virtual const PoolRow& row() const = 0;
  // Of the row at hand: a JSON object, until the next one.
  virtual std::string_view data() const = 0;
};

// Inside a statement of the connection. The pool is used where its main database is in WAL mode, on
// one of SQLite's unix VFSes, without a key, where SQLite has threads, and read_pool_size is not 0.
// What it ended by (an error, the last row, a LIMIT): nothing runs any more when the scan is gone.
Result<std::unique_ptr<ReadPoolScan>> StartReadPool(Connection& connection, const std::string& sql,
                                                    const std::optional<std::string>& parameters);

}  // namespace walmanager
