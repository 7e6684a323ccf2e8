// A number of 64 bits as text that every host can hold: some know no integers beyond 2^53.
#pragma once

#include <cstdint>
#include <string>

namespace walmanager {

// Sixteen digits, in lower case.
inline std::string HexText(std::uint64_t number) {
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; number >>= 4)
    text[i] = "0123456789abcdef"[number & 15];
  return text;
}

}  // namespace walmanager
