// UTF-8 (RFC 3629) in text that has not been checked. Pure, no thread rules.
#pragma once

#include <cstddef>
#include <string_view>

namespace walmanager {

// The bytes, 1 to 4, of the character that begins at `text[at]`; 0 where none does: an incomplete
// sequence, a longer one than need be, half of a surrogate pair, or beyond the last character.
std::size_t Utf8Bytes(std::string_view text, std::size_t at);

bool IsUtf8(std::string_view text);

}  // namespace walmanager
