// Reals as decimal text and back, made of the C library's printf() and strtod(): std::to_chars()
// and std::from_chars() would bring 125 KB of tables. Neither direction depends on the locale.
//
// Text has at most 17 digits, and reading it gives the same double again. A normal number that 15
// digits tell from all others has the fewest digits that do so; any other may have one more, and a
// subnormal one 15. Any thread, as far as the C library allows it: not beside setlocale().
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
