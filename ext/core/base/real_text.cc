#include "ext/core/base/real_text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace walmanager {
namespace {

// The number is `digits` as an integer times 10 to the power of `exponent`.
struct Decimal {
  std::string digits;
  int exponent = 0;

  int before_point() const { return static_cast<int>(digits.size()) + exponent; }
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Of text without a point, whose bytes are the locale's. The errno of the host's thread stays.
double Number(const std::string& text) {
  const int error = errno;
  const double number = std::strtod(text.c_str(), nullptr);
  errno = error;
  return number;
}

double NumberOf(const Decimal& decimal) {
  return Number(decimal.digits + 'e' + std::to_string(decimal.exponent));
}

// Rounded to so many digits.
Decimal Rounded(double positive, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*e", digits - 1, positive);
  Decimal decimal;
  const char* at = text.data();
  // Between the digits is the point, whose bytes are the locale's.
  for (; *at != 'e' && *at != 0; ++at) {
    if (IsDigit(*at)) decimal.digits += *at;
  }
  if (*at == 'e') decimal.exponent = std::atoi(at + 1) - (digits - 1);
  while (decimal.digits.size() > 1 && decimal.digits.back() == '0') {
    decimal.digits.pop_back();
    ++decimal.exponent;
  }
  return decimal;
}

// A number that is an integer below 2^52 divided by a power of ten, as most are. Both are exact as
// doubles, so one division tells whether it is the number, and printf() is not needed.
std::optional<Decimal> Divided(double positive) {
  constexpr double kMost = std::uint64_t{1} << 52;
  double tens = 1;
  for (int places = 0; places <= 15; ++places, tens *= 10) {
    const double shifted = positive * tens;
    if (shifted >= kMost) return std::nullopt;
    auto integer = static_cast<std::uint64_t>(std::llround(shifted));
    if (integer == 0 || static_cast<double>(integer) / tens != positive) continue;
    int exponent = -places;
    for (; integer % 10 == 0; integer /= 10) ++exponent;
    return Decimal{std::to_string(integer), exponent};
  }
  return std::nullopt;
}

// 15 digits are exact for what people write, and 17 for all doubles (IEEE 754-2019, 5.12.2).
Decimal DecimalOf(double positive) {
  if (auto decimal = Divided(positive)) return std::move(*decimal);
  for (int digits = 15;; ++digits) {
    Decimal decimal = Rounded(positive, digits);
    if (digits == 17 || NumberOf(decimal) == positive) return decimal;
  }
}

void AppendFixed(std::string& out, const Decimal& decimal) {
  const int before_point = decimal.before_point();
  if (before_point <= 0) {
    (out += "0.").append(static_cast<std::size_t>(-before_point), '0') += decimal.digits;
  } else if (decimal.exponent >= 0) {
    (out += decimal.digits).append(static_cast<std::size_t>(decimal.exponent), '0');
  } else {
    const auto whole = static_cast<std::size_t>(before_point);
    ((out += decimal.digits.substr(0, whole)) += '.') += decimal.digits.substr(whole);
  }
}

// Adds all that is no digits. False where they are wanted.
bool AppendSpecial(std::string& out, double number) {
  if (std::signbit(number) && !std::isnan(number)) out += '-';
  if (number != 0 && std::isfinite(number)) return false;
  out += number == 0 ? "0" : std::isnan(number) ? "nan" : "inf";
  return true;
}

}  // namespace

void AppendReal(std::string& out, double number) {
  if (AppendSpecial(out, number)) return;
  const Decimal decimal = DecimalOf(std::abs(number));
  const int count = static_cast<int>(decimal.digits.size()), before_point = decimal.before_point();
  const int power = before_point - 1;
  const int fixed_length = decimal.exponent >= 0 ? before_point
                           : before_point > 0    ? count + 1
                                                 : 2 - before_point + count;
  const int point = count > 1 ? 1 : 0;
  const int length = count + point + (std::abs(power) > 99 ? 5 : 4);
  if (fixed_length <= length && before_point <= 17) return AppendFixed(out, decimal);
  out += decimal.digits[0];
  if (point) (out += '.') += decimal.digits.substr(1);
  (out += 'e') += power < 0 ? '-' : '+';
  if (std::abs(power) < 10) out += '0';
  out += std::to_string(std::abs(power));
}

std::string RealWithoutExponent(double number) {
  std::string text;
  const double size = std::abs(number);
  if (size != 0 && !(size >= 1e-17 && size < 1e17)) {
    AppendReal(text, number);
  } else if (!AppendSpecial(text, number)) {
    AppendFixed(text, DecimalOf(size));
  }
  return text;
}

std::optional<double> ParseReal(std::string_view text) {
  // The same number without a point, whose character is the locale's for strtod().
  std::string plain;
  std::size_t at = 0;
  if (at < text.size() && text[at] == '-') plain += text[at++];
  std::int64_t places = 0;
  bool point = false, digits = false;
  for (; at < text.size() && (IsDigit(text[at]) || (text[at] == '.' && !point)); ++at) {
    if (text[at] == '.') {
      point = true;
      continue;
    }
    digits = true;
    plain += text[at];
    places += point;
  }
  if (!digits) return std::nullopt;
  std::int64_t exponent = 0;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    const bool negative = at < text.size() && text[at] == '-';
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (at == text.size()) return std::nullopt;
    constexpr std::int64_t kMost = 1'000'000'000'000;  // more than any text has places
    for (; at < text.size() && IsDigit(text[at]); ++at) {
      exponent = std::min(kMost, exponent * 10 + (text[at] - '0'));
    }
    if (negative) exponent = -exponent;
  }
  if (at != text.size()) return std::nullopt;
  // A double has no power of ten beyond these, whatever the digits are.
  return Number(plain + 'e' + std::to_string(exponent - places));
}

}  // namespace walmanager
