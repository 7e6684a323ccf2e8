// An SQL function as data: name, arguments, sentence and body. Registration is one loop in
// register.cc. To add a function: a body in its family's file, and one line in functions.cc.
#pragma once

#include <span>
#include <string>

#include "ext/core/base/result.h"
#include "ext/core/base/value.h"

namespace walmanager {

class Connection;

// The arguments of one call. The getters give errors that name function, argument and value.
class Arguments {
 public:
  Arguments(const char* function, std::span<const Value> values)
      : function_(function), values_(values) {}

  const char* function() const { return function_; }
  std::size_t size() const { return values_.size(); }
  bool has(std::size_t index) const { return index < values_.size(); }
  const Value& at(std::size_t index) const { return values_[index]; }
  // Text that must be there and not NULL.
  Result<std::string> Text(std::size_t index, const char* argument) const;
  // The schema, the optional last argument: 'main' where it is missing.
  Result<std::string> SchemaName(std::size_t index) const;
  // The same error with the function's name before it.
  Error Prefixed(const Error& error) const;
  // "wal_set: name NULL is not text".
  Error Wrong(std::size_t index, const char* argument, const std::string& allowed) const;

 private:
  const char* function_;
  std::span<const Value> values_;
};

struct Function {
  const char* name;
  const char* signature;  // "wal_set(name, value [, schema])"
  int least_arguments;
  int most_arguments;
  // Functions that act are DIRECTONLY: refused in triggers and views stored in the database.
  bool acts;
  const char* about;
  Result<Value> (*call)(Connection&, const Arguments&);
};

// All functions, in the order of sql/README.md.
std::span<const Function> AllFunctions();

// Makes them known to a connection; the error names the one that failed.
Status RegisterFunctions(Connection* connection);

}  // namespace walmanager
