#include "ext/core/base/value.h"

#include <algorithm>
#include <array>

#include "ext/core/base/real_text.h"
#include "ext/core/base/utf8.h"

namespace walmanager {
namespace {

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

// The bytes of a character that a terminal obeys instead of showing it, which begins at `at`; 0:
// none does. These are the control characters of ASCII and Latin-1, and those of Unicode that end a
// line or turn the direction of the text (https://www.unicode.org/reports/tr9/, section 2).
std::size_t ControlBytes(std::string_view text, std::size_t at) {
  constexpr std::array<std::string_view, 15> kTurn = {
      "\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202b", "\u202c",
      "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\ufeff"};
  const auto byte = static_cast<unsigned char>(text[at]);
  if (IsControl(byte)) return 1;
  if (byte < 0x80) return 0;
  const std::string_view rest = text.substr(at);
  if (byte == 0xc2 && rest.size() > 1) {
    const auto next = static_cast<unsigned char>(rest[1]);
    return next >= 0x80 && next < 0xa0 ? 2 : 0;
  }
  for (const std::string_view character : kTurn) {
    if (rest.starts_with(character)) return character.size();
  }
  return 0;
}

void AppendEscaped(std::string& shown, unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (byte == 0) {
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
  // A NUL would end the message, a terminal obeys the others, and SQLite's text is UTF-8.
  for (std::size_t i = 0; i < text.size() && shown.size() <= kMost + 1;) {
    const std::size_t control = ControlBytes(text, i);
    const std::size_t bytes = control == 0 ? Utf8Bytes(text, i) : 0;
    if (bytes != 0) {
      shown += text.substr(i, bytes);
      i += bytes;
      continue;
    }
    for (const std::size_t end = i + std::max<std::size_t>(control, 1); i < end; ++i) {
      AppendEscaped(shown, static_cast<unsigned char>(text[i]));
    }
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
  std::string shown;
  AppendReal(shown, *real());
  // 5.0 is written "5".
  return shown.find_first_of(".en") == std::string::npos ? shown + ".0" : shown;
}

}  // namespace walmanager
