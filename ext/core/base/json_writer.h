// One JSON object, written field by field (RFC 8259). SQLite's own JSON functions are not used,
// because a SQLite before 3.38 may lack them. Text is expected to be UTF-8, as nearly all text from
// SQLite is; other bytes are written unchanged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walmanager {

class JsonObject {
 public:
  JsonObject& Add(std::string_view name, std::string_view text);
  JsonObject& Add(std::string_view name, const char* text) {
    return Add(name, std::string_view(text));
  }
  JsonObject& Add(std::string_view name, std::int64_t number);
  JsonObject& Add(std::string_view name, double number);
  JsonObject& Add(std::string_view name, bool value);
  JsonObject& AddNull(std::string_view name);
  JsonObject& Add(std::string_view name, const JsonObject& object);

  // A field that may be unknown: null where it is.
  template <typename T>
  JsonObject& Add(std::string_view name, const std::optional<T>& value) {
    return value ? Add(name, *value) : AddNull(name);
  }

  std::string text() const { return "{" + fields_ + "}"; }

 private:
  void Name(std::string_view name);
  std::string fields_;
};

}  // namespace walmanager
