// Reals as decimal text and back. std::to_chars() and std::from_chars() do the same with 125 KB of
// tables. Neither direction depends on the locale of the host.
//
// Text has at most 17 digits, and reading it gives the same double again. It has the fewest digits
// that do so where 15 suffice and the number has at most 15 places; elsewhere it may have one or
// two more. Pure, no thread rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace walmanager {

// 0.5, 5, 1e+22, -1.5e-07, inf, nan: without an exponent where that is not longer.
void AppendReal(std::string& out, double number);

// 0.5, 3600000: without an exponent from 1e-17 to 1e17.
std::string RealWithoutExponent(double number);

// -12, .5, 1.25e3: the whole text is a number, without spaces and without a leading plus. A number
// too large for a double is an infinity, one too small is zero.
std::optional<double> ParseReal(std::string_view text);

}  // namespace walmanager
