#include "ext/core/value.h"

#include <charconv>

namespace walmanager {

std::string Value::Shown() const {
  constexpr std::size_t kMost = 60;
  if (is_null()) return "NULL";
  if (is_blob()) return "a blob";
  if (integer()) return std::to_string(*integer());
  if (real()) {
    char buffer[32];
    return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, *real()).ptr);
  }
  const std::string& all = *text();
  return all.size() <= kMost ? "'" + all + "'" : "'" + all.substr(0, kMost) + "…'";
}

}  // namespace walmanager
