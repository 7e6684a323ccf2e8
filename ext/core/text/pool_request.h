// What a call of read_pool() asks for, from its two arguments; and what may run there at all.
//
// `sql` is one statement, or a JSON array of statements. `parameters_json`:
//   one statement        [1,"x"]                    by number
//                        {"id":1}                   by name, with or without its : @ or $
//   several statements   [[1],{"id":2},null]        one for each
//                        {"id":1}                   the same for all: each takes what it names
//   any                  {"snapshot":true,"timeout_ms":2000,"statement_timeout_ms":500,
//                         "parameters":...}            with one of the above
// These four are reserved: a parameter of such a name is given with its prefix.
// A whole number stays one, {"$blob":"hex"} is a blob (value_json.h). Pure, no thread rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/base/value.h"

namespace walmanager {

struct PoolParameters {
  bool by_name = false;
  std::vector<Value> values;           // by number
  std::map<std::string, Value> names;  // as given
  // The value for a parameter as SQLite names it (":id"); nullptr: there is none.
  const Value* Find(std::string_view parameter) const;
};

struct PoolStatement {
  std::string sql;
  std::shared_ptr<const PoolParameters> parameters;  // never nullptr
};

struct PoolRequest {
  std::vector<PoolStatement> statements;  // at least one
  bool snapshot = false;
  // 1 to 3,600,000 ms: of the whole call, where it is not read_pool_timeout_ms; and of each
  // statement from its start, the time included that its rows wait for the caller.
  std::optional<std::int64_t> timeout_ms, statement_timeout_ms;
};

// The error names the statement, counted from 1, and the parameter. A parameter name that no
// statement has is an error, and so is a statement whose first word is not that of a read.
Result<PoolRequest> ParsePoolRequest(const std::string& sql,
                                     const std::optional<std::string>& parameters_json);

// Whether the PRAGMA only reads. Lower case.
bool PragmaOnlyReads(std::string_view name, bool has_argument);

// An error where the statement, by its words alone, is not one that only reads; the engine says
// what it really does. A statement after EXPLAIN is judged, too: SQLite runs many a PRAGMA while it
// compiles it.
Status LooksLikeReading(std::string_view sql);

// Whether there is nothing but comments and semicolons.
bool IsEmptySql(std::string_view sql);

// "statement 2".
std::string StatementName(std::size_t index);

}  // namespace walmanager
