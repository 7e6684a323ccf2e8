#include "ext/core/value.h"

#include <charconv>

namespace walmanager {

std::string ShownText(std::string_view text) {
  constexpr std::size_t kMost = 60;
  // A message ends where a NUL stands.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return ShownText(std::string(text.substr(0, nul)) + "\\0" + std::string(text.substr(nul + 1)));
  }
  if (text.size() <= kMost) return "'" + std::string(text) + "'";
  std::size_t end = kMost;
  // Never within a character of UTF-8.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return "'" + std::string(text.substr(0, end)) + "…'";
}

std::string Value::Shown() const {
  if (is_null()) return "NULL";
  if (is_blob()) return "a blob";
  if (integer()) return std::to_string(*integer());
  if (text()) return ShownText(*text());
  char buffer[32];
  std::string shown(buffer, std::to_chars(buffer, buffer + sizeof buffer, *real()).ptr);
  // 5.0 is written "5" by to_chars.
  return shown.find_first_of(".en") == std::string::npos ? shown + ".0" : shown;
}

}  // namespace walmanager
