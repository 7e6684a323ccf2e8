#include "ext/core/base/json_writer.h"

#include <charconv>
#include <cmath>

namespace walmanager {
namespace {

void AppendQuoted(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (byte < 0x20) {
      (((out += "\\u00") += kHex[byte >> 4])) += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

void JsonObject::Name(std::string_view name) {
  if (!fields_.empty()) fields_ += ',';
  AppendQuoted(fields_, name);
  fields_ += ':';
}

JsonObject& JsonObject::Add(std::string_view name, std::string_view text) {
  Name(name);
  AppendQuoted(fields_, text);
  return *this;
}

JsonObject& JsonObject::Add(std::string_view name, std::int64_t number) {
  Name(name);
  fields_ += std::to_string(number);
  return *this;
}

JsonObject& JsonObject::Add(std::string_view name, double number) {
  if (!std::isfinite(number)) return AddNull(name);
  Name(name);
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  fields_.append(buffer, end);
  // 5.0 is written "5" by to_chars; keep it a real for those who ask json_type().
  if (fields_.find_first_of(".en", fields_.size() - static_cast<std::size_t>(end - buffer)) ==
      std::string::npos) {
    fields_ += ".0";
  }
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
