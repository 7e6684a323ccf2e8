// JSON text (RFC 8259) as a tree. SQLite's own JSON functions are not used: a SQLite before 3.38
// may lack them, and they do not tell an integer of 64 bits from a longer one.
//
// Pure, no thread rules.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/base/value.h"

namespace walmanager {

struct Json {
  enum class Kind { kValue, kArray, kObject };
  Kind kind = Kind::kValue;
  Value value;                     // null, true (1), false (0), numbers and strings
  std::vector<Json> items;         // of an array, or the values of an object
  std::vector<std::string> names;  // of an object, in order
  // As it stands in the parsed text, which must outlive it: tells true from 1.
  std::string_view source = {};
  // The value under that name, the last one where it stands twice; nullptr: none.
  const Json* Find(std::string_view name) const;
  // As SQLite's json_type names them: null, true, false, integer, real, text, array, object.
  const char* Type() const;
  // A string's content; anything else as it stands in the parsed text.
  std::string Text() const;
  // As it stands in the parsed text, so a string with its quotes, cut after 60 bytes: for messages.
  std::string Shown() const;
};

// Numbers are exact: a whole one that needs more than 64 bits is an error, any other is the nearest
// double, infinite where it is too large (9e999). An error names the position, in bytes from 1.
// Deeper than 64 levels is an error.
Result<Json> ParseJson(std::string_view text);

}  // namespace walmanager
