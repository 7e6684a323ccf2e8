#include "ext/core/base/real_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "ext/core/base/wide.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kHiddenBit = std::uint64_t{1} << 52;

constexpr std::array<std::uint64_t, 20> kTens = [] {
  std::array<std::uint64_t, 20> tens{1};
  for (std::size_t i = 1; i < tens.size(); ++i) tens[i] = tens[i - 1] * 10;
  return tens;
}();

// The number is `digits` as an integer times 10 to the power of `exponent`.
struct Decimal {
  std::array<char, 24> digits{};
  int count = 0;
  int exponent = 0;

  void Push(std::uint64_t digit) { digits[count++] = static_cast<char>('0' + digit); }
};

// A number that is an integer of up to 52 bits divided by a power of ten: most numbers that
// people write are. Both are exact as doubles, so one division tells whether it gives the number.
bool FindShort(double number, Decimal& decimal) {
  constexpr int kMostPlaces = 15;
  constexpr double kMost = std::uint64_t{1} << 52;  // up to here half of 1 is no less exact
  for (int places = 0; places <= kMostPlaces; ++places) {
    const double tens = static_cast<double>(kTens[places]);
    const double shifted = number * tens;
    if (shifted >= kMost) return false;
    auto integer = static_cast<std::uint64_t>(shifted + 0.5);
    if (integer == 0 || static_cast<double>(integer) / tens != number) continue;
    decimal.exponent = -places;
    for (; integer % 10 == 0; integer /= 10) ++decimal.exponent;
    while (kTens[decimal.count] <= integer) ++decimal.count;
    for (int i = decimal.count; i-- > 0; integer /= 10) {
      decimal.digits[i] = static_cast<char>('0' + integer % 10);
    }
    return true;
  }
  return false;
}

// `significand` times 2 to the power of `exponent`.
struct Binary {
  std::uint64_t significand;
  int exponent;

  Binary Normalized() const {
    const int shift = std::countl_zero(significand);
    return {significand << shift, exponent - shift};
  }

  // Rounded to 64 bits.
  Binary Times(const Binary& other) const {
    const UInt128 product = static_cast<UInt128>(significand) * other.significand;
    const auto half = static_cast<std::uint64_t>(product) >> 63;
    return {static_cast<std::uint64_t>(product >> 64) + half, exponent + other.exponent + 64};
  }
};

// The first 64 bits of 10 to the powers of -348, -340 and so on to 340.
constexpr int kFirstPower = -348, kPowerStep = 8;
constexpr std::uint64_t kPowers[] = {
    0xfa8fd5a0081c0288, 0xbaaee17fa23ebf76, 0x8b16fb203055ac76, 0xcf42894a5dce35ea,
    0x9a6bb0aa55653b2d, 0xe61acf033d1a45df, 0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f,
    0xbe5691ef416bd60c, 0x8dd01fad907ffc3c, 0xd3515c2831559a83, 0x9d71ac8fada6c9b5,
    0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57, 0xc21094364dfb5637,
    0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5,
    0xb23867fb2a35b28e, 0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996,
    0xdbac6c247d62a584, 0xa3ab66580d5fdaf6, 0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8,
    0x87625f056c7c4a8b, 0xc9bcff6034c13053, 0x964e858c91ba2655, 0xdff9772470297ebd,
    0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf, 0x8a08f0f8bf0f156b,
    0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3,
    0xfd87b5f28300ca0e, 0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c,
    0x9c40000000000000, 0xe8d4a51000000000, 0xad78ebc5ac620000, 0x813f3978f8940984,
    0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70, 0xd5d238a4abe98068, 0x9f4f2726179a2245,
    0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db, 0xc45d1df942711d9a,
    0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85,
    0xb454e4a179dd1877, 0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3,
    0xde469fbd99a05fe3, 0xa59bc234db398c25, 0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece,
    0x88fcf317f22241e2, 0xcc20ce9bd35c78a5, 0x98165af37b2153df, 0xe2a0b5dc971f303a,
    0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410, 0x8bab8eefb6409c1a,
    0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429,
    0x80444b5e7aa7cf85, 0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841,
    0x9e19db92b4e31ba9, 0xeb96bf6ebadf77d9, 0xaf87023b9bf0ee6b,
};

// The power of ten that brings a number with this exponent to one from -60 to -32.
Binary PowerFor(int exponent, int& decimal_exponent) {
  // 78913 / 2^18 and 217706 / 2^16 are close enough to log10(2) and log2(10) for all these powers.
  const int index = ((((-61 - exponent) * 78913) >> 18) + 1 + 347) / kPowerStep + 1;
  const int power = kFirstPower + kPowerStep * index;
  decimal_exponent = -power;
  return {kPowers[index], ((power * 217706) >> 16) - 63};
}

// Moves the last digit towards the number, while the text stays within the interval.
void Round(Decimal& decimal, std::uint64_t interval, std::uint64_t rest, std::uint64_t unit,
           std::uint64_t distance) {
  while (rest < distance && interval - rest >= unit &&
         (rest + unit < distance || distance - rest > rest + unit - distance)) {
    --decimal.digits[decimal.count - 1];
    rest += unit;
  }
}

// Digits of `upper` until they tell it from all that is more than `interval` below it.
void Generate(const Binary& number, const Binary& upper, std::uint64_t interval, Decimal& decimal) {
  const int shift = -upper.exponent;
  const std::uint64_t one = std::uint64_t{1} << shift;
  const std::uint64_t distance = upper.significand - number.significand;
  std::uint64_t whole = upper.significand >> shift, part = upper.significand & (one - 1);
  int places = 0;
  while (kTens[places] <= whole) ++places;
  while (places > 0) {
    const std::uint64_t unit = kTens[--places];
    if (whole / unit != 0 || decimal.count != 0) decimal.Push(whole / unit);
    whole %= unit;
    const std::uint64_t rest = (whole << shift) + part;
    if (rest <= interval) {
      decimal.exponent += places;
      return Round(decimal, interval, rest, unit << shift, distance);
    }
  }
  for (std::uint64_t scale = 10;; scale *= 10) {
    part *= 10;
    interval *= 10;
    --decimal.exponent;
    if (part >> shift != 0 || decimal.count != 0) decimal.Push(part >> shift);
    part &= one - 1;
    if (part < interval) return Round(decimal, interval, part, one, distance * scale);
  }
}

// Grisu2: Florian Loitsch, Printing Floating-Point Numbers Quickly and Accurately with Integers
// (PLDI 2010). Any text between the two neighbours' middles reads as the number; the algorithm
// computes them with 64 bits, and takes one unit off at both ends since that is not exact.
void FindAny(double number, Decimal& decimal) {
  const auto bits = std::bit_cast<std::uint64_t>(number);
  const auto biased = static_cast<int>(bits >> 52);
  const std::uint64_t fraction = bits & (kHiddenBit - 1);
  const Binary exact{biased ? fraction | kHiddenBit : fraction, (biased ? biased : 1) - 1075};
  const Binary upper = Binary{2 * exact.significand + 1, exact.exponent - 1}.Normalized();
  // Below a power of two the neighbour is half as far away.
  const bool nearer = fraction == 0 && biased > 1;
  Binary lower = nearer ? Binary{4 * exact.significand - 1, exact.exponent - 2}
                        : Binary{2 * exact.significand - 1, exact.exponent - 1};
  lower = {lower.significand << (lower.exponent - upper.exponent), upper.exponent};
  const Binary power = PowerFor(upper.exponent, decimal.exponent);
  const Binary most = upper.Times(power);
  const std::uint64_t high = most.significand - 1, low = lower.Times(power).significand + 1;
  Generate(exact.Normalized().Times(power), {high, most.exponent}, high - low, decimal);
}

Decimal DecimalOf(double positive) {
  Decimal decimal;
  if (!FindShort(positive, decimal)) FindAny(positive, decimal);
  return decimal;
}

std::string_view Digits(const Decimal& decimal) {
  return {decimal.digits.data(), static_cast<std::size_t>(decimal.count)};
}

void AppendFixed(std::string& out, const Decimal& decimal) {
  const std::string_view digits = Digits(decimal);
  const int before_point = decimal.count + decimal.exponent;
  if (before_point <= 0) {
    (out += "0.").append(static_cast<std::size_t>(-before_point), '0') += digits;
  } else if (decimal.exponent >= 0) {
    (out += digits).append(static_cast<std::size_t>(decimal.exponent), '0');
  } else {
    const auto whole = static_cast<std::size_t>(before_point);
    ((out += digits.substr(0, whole)) += '.') += digits.substr(whole);
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
  const int before_point = decimal.count + decimal.exponent;
  const int power = before_point - 1;
  const int fixed_length = decimal.exponent >= 0 ? before_point
                           : before_point > 0    ? decimal.count + 1
                                                 : 2 - before_point + decimal.count;
  const int point = decimal.count > 1 ? 1 : 0;
  const int length = decimal.count + point + (std::abs(power) > 99 ? 5 : 4);
  if (fixed_length <= length && before_point <= 17) return AppendFixed(out, decimal);
  out += decimal.digits[0];
  if (point) (out += '.') += Digits(decimal).substr(1);
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
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  // The same number without a point, whose character is the locale's for strtod().
  std::string plain;
  std::size_t at = 0;
  if (at < text.size() && text[at] == '-') plain += text[at++];
  std::int64_t places = 0;
  bool point = false, digits = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !point)); ++at) {
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
    for (; at < text.size() && is_digit(text[at]); ++at) {
      exponent = std::min(kMost, exponent * 10 + (text[at] - '0'));
    }
    if (negative) exponent = -exponent;
  }
  if (at != text.size()) return std::nullopt;
  // A double has no power of ten beyond these, whatever the digits are.
  (plain += 'e') += std::to_string(exponent - places);
  return std::strtod(plain.c_str(), nullptr);
}

}  // namespace walmanager
