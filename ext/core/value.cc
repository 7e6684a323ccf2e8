#include "ext/core/value.h"

#include <charconv>

namespace walmanager {
namespace {

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

// The bytes of the control character that begins at `at`; 0: none does.
std::size_t ControlBytes(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (IsControl(byte)) return 1;
  if (byte != 0xc2 || at + 1 == text.size()) return 0;
  const auto next = static_cast<unsigned char>(text[at + 1]);
  return next >= 0x80 && next < 0xa0 ? 2 : 0;
}

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
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (ControlBytes(text, i) != 0) return true;
  }
  return false;
}

std::string WithoutControlCharacters(std::string text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = ControlBytes(text, i);
    for (std::size_t j = 0; j < bytes; ++j) text[i + j] = '?';
    i += bytes == 0 ? 1 : bytes;
  }
  return text;
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
