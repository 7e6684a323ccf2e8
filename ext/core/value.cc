#include "ext/core/value.h"

#include <charconv>

namespace walmanager {
namespace {

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

void AppendShown(std::string& shown, unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (!IsControl(byte)) {
    shown += static_cast<char>(byte);
  } else if (byte == 0) {
    shown += "\\0";
  } else if (byte == '\n') {
    shown += "\\n";
  } else {
    ((shown += "\\x") += kDigits[byte >> 4]) += kDigits[byte & 15];
  }
}

}  // namespace

bool HasControlCharacters(std::string_view text) {
  unsigned char before = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsControl(byte) || (before == 0xc2 && byte >= 0x80 && byte < 0xa0)) return true;
    before = byte;
  }
  return false;
}

std::string ShownText(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string shown = "'";
  // A message ends where a NUL stands, and a terminal obeys the others.
  for (std::size_t i = 0; i < text.size() && shown.size() <= kMost + 1; ++i) {
    AppendShown(shown, static_cast<unsigned char>(text[i]));
  }
  if (shown.size() <= kMost + 1) return shown + "'";
  std::size_t end = kMost + 1;
  // Never within a character of UTF-8.
  while (end > 1 && (static_cast<unsigned char>(shown[end]) & 0xc0) == 0x80) --end;
  return shown.substr(0, end) + "…'";
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
