#include "ext/core/base/json_writer.h"

#include <cmath>

#include "ext/core/base/value_json.h"

namespace walmanager {
void JsonObject::Name(std::string_view name) {
  if (!fields_.empty()) fields_ += ',';
  AppendJsonString(fields_, name);
  fields_ += ':';
}

JsonObject& JsonObject::Add(std::string_view name, std::string_view text) {
  Name(name);
  AppendJsonString(fields_, text);
  return *this;
}

JsonObject& JsonObject::Add(std::string_view name, std::int64_t number) {
  Name(name);
  AppendJsonInteger(fields_, number);
  return *this;
}

JsonObject& JsonObject::Add(std::string_view name, double number) {
  if (!std::isfinite(number)) return AddNull(name);
  Name(name);
  AppendJsonReal(fields_, number);
  return *this;
}

JsonObject& JsonObject::Add(std::string_view name, bool value) {
  Name(name);
  fields_ += value ? "true" : "false";
  return *this;
}

JsonObject& JsonObject::AddNull(std::string_view name) {
  Name(name);
  fields_ += "null";
  return *this;
}

JsonObject& JsonObject::Add(std::string_view name, const JsonObject& object) {
  Name(name);
  fields_ += object.text();
  return *this;
}

}  // namespace walmanager
