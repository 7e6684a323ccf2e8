// Values of SQL as JSON and back, exact in both directions; the form of read_pool().
//
// Integers have all 64 bits, reals as many digits as bring the same double back, infinity is 9e999
// (as SQLite's own JSON has it; NaN is no value of SQLite's). A blob is {"$blob":"hex"}, and text
// that is not UTF-8, which no JSON string can hold, is {"$text":"hex"}. Pure, no thread rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/json_reader.h"

namespace walmanager {

// `text` in quotes, escaped as RFC 8259 asks. False where it is not UTF-8: bytes that are not are
// then written unchanged.
bool AppendJsonString(std::string& out, std::string_view text);
void AppendJsonInteger(std::string& out, std::int64_t number);
void AppendJsonReal(std::string& out, double number);
void AppendJsonText(std::string& out, std::string_view text);
void AppendJsonBlob(std::string& out, std::string_view bytes);

// Names for the fields of an object, quoted and with a colon: one that stands there already gets
// ":2", ":3" and so on, whichever is free.
std::vector<std::string> JsonFieldNames(const std::vector<std::string>& columns);

// true is 1, false is 0. An error says what the JSON is instead of a value.
Result<Value> ValueOfJson(const Json& json);

}  // namespace walmanager
