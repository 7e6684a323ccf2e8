// An SQL function is data: name, arguments, sentence and body. One loop in register.cc registers
// all. To add a function, write its body in the file of its family and one line in functions.cc.
#pragma once

#include <span>
#include <string>

#include "ext/core/base/result.h"
#include "ext/core/base/value.h"

namespace walmanager {

class Connection;

// The arguments of one call. The errors of the getters name function, argument and value.
class Arguments {
 public:
  Arguments(const char* function, std::span<const Value> values)
      : function_(function), values_(values) {}

  const char* function() const { return function_; }
  std::size_t size() const { return values_.size(); }
  bool has(std::size_t index) const { return index < values_.size(); }
  const Value& at(std::size_t index) const { return values_[index]; }
  // The text of an argument that must be given and not NULL.
  Result<std::string> Text(std::size_t index, const char* argument) const;
  // The name of the schema, the optional last argument; 'main' if it is not given.
  Result<std::string> SchemaName(std::size_t index) const;
  // The error with the name of the function before its message.
  Error Prefixed(const Error& error) const;
  // The error for a wrong argument, such as "wal_set: name NULL is not text".
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
  // A function that acts is DIRECTONLY: SQLite refuses it in triggers and views stored in a
  // database.
  bool acts;
  const char* about;
  Result<Value> (*call)(Connection&, const Arguments&);
};

// All functions, in the order of sql/README.md.
std::span<const Function> AllFunctions();

// Registers all functions on a connection. The error names the function that failed.
Status RegisterFunctions(Connection* connection);

}  // namespace walmanager
