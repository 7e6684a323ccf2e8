// Reals as text and back, beside what std::to_chars() and std::from_chars() make of them.
#include "ext/core/base/real_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace walmanager {
namespace {

std::string Text(double number) {
  std::string text;
  AppendReal(text, number);
  return text;
}

std::string StandardText(double number) {
  char buffer[400];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr};
}

double StandardReal(const std::string& text) {
  double number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  EXPECT_EQ(end.ptr, text.data() + text.size()) << text;
  return number;
}

TEST(RealText, KnownNumbers) {
  EXPECT_EQ(Text(0.0), "0");
  EXPECT_EQ(Text(-0.0), "-0");
  EXPECT_EQ(Text(5), "5");
  EXPECT_EQ(Text(-0.001), "-0.001");
  EXPECT_EQ(Text(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(Text(1e22), "1e+22");
  EXPECT_EQ(Text(1e300), "1e+300");
  EXPECT_EQ(Text(1.5e-7), "1.5e-07");
  EXPECT_EQ(Text(100000), "1e+05");
  EXPECT_EQ(Text(120000), "120000");
  EXPECT_EQ(Text(1200000), "1200000");
  EXPECT_EQ(Text(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(Text(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(Text(std::numeric_limits<double>::quiet_NaN()), "nan");
}

TEST(RealText, NumbersThatPeopleWriteAreAsToCharsHasThem) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const int places = static_cast<int>(random() % 16), digits = static_cast<int>(random() % 15);
    const auto integer =
        static_cast<double>(random() % static_cast<std::uint64_t>(std::pow(10, digits + 1)));
    const double number = integer / std::pow(10, places);
    ASSERT_EQ(Text(number), StandardText(number));
    ASSERT_EQ(Text(-number), StandardText(-number));
  }
}

// Every power of two, where the neighbours are not equally far, what is beside it, and any bits.
TEST(RealText, TheTextOfAnyNumberIsTheNumberAgain) {
  std::mt19937_64 random(2);
  int longer = 0, all = 0;
  const auto check = [&](std::uint64_t bits) {
    const auto number = std::bit_cast<double>(bits);
    if (!std::isfinite(number)) return;
    const std::string text = Text(number);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(StandardReal(text)), bits) << text;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(*ParseReal(text)), bits) << text;
    ASSERT_LE(text.size(), std::string("-1.2345678901234567e-123").size()) << text;
    longer += text.size() > StandardText(number).size();
    ++all;
  };
  for (std::uint64_t power = 0; power < 2048; ++power) {
    for (std::uint64_t beside = 0; beside < 5; ++beside) check((power << 52) + beside - 2);
  }
  for (int i = 0; i < 200'000; ++i) check(random());
  EXPECT_LT(longer, all / 100);
}

TEST(RealText, WithoutAnExponent) {
  EXPECT_EQ(RealWithoutExponent(0), "0");
  EXPECT_EQ(RealWithoutExponent(0.5), "0.5");
  EXPECT_EQ(RealWithoutExponent(3'600'000), "3600000");
  EXPECT_EQ(RealWithoutExponent(1e15), "1000000000000000");
  EXPECT_EQ(RealWithoutExponent(-1e-9), "-0.000000001");
  EXPECT_EQ(RealWithoutExponent(1e300), "1e+300");
}

TEST(RealText, ParsesWhatFromCharsDoes) {
  for (const std::string text :
       {"0", "-0", "5", "-12.25", ".5", "5.", "1e3", "1E3", "1e+3", "-1.5e-7", "0.1", "00012.50",
        "1.7976931348623157e308", "4.9e-324", "2.2250738585072011e-308", "9007199254740993",
        "123456789012345678901234567890", "0.000000000000000000000000000000000012345e34"}) {
    ASSERT_TRUE(ParseReal(text)) << text;
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*ParseReal(text)),
              std::bit_cast<std::uint64_t>(StandardReal(text)))
        << text;
  }
}

TEST(RealText, TooLargeAndTooSmall) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(*ParseReal("1e400"), infinity);
  EXPECT_EQ(*ParseReal("-1e999999999999999999999"), -infinity);
  EXPECT_EQ(*ParseReal("1" + std::string(400, '0')), infinity);
  EXPECT_EQ(*ParseReal("1e-400"), 0.0);
  EXPECT_EQ(*ParseReal("1e-999999999999999999999"), 0.0);
  EXPECT_EQ(*ParseReal("0e999999999999999999999"), 0.0);
  EXPECT_TRUE(std::signbit(*ParseReal("-1e-400")));
  EXPECT_EQ(*ParseReal("0." + std::string(5000, '0') + "1e5001"), 1.0);
}

TEST(RealText, WhatIsNoNumber) {
  for (const char* text : {"", "-", ".", "-.", "e5", "1e", "1e+", "1e-", "+1", " 1", "1 ", "1x",
                           "1.2.3", "1,5", "inf", "nan", "0x10", "1e5.0", "--1"}) {
    EXPECT_FALSE(ParseReal(text)) << text;
  }
}

// A host may have called setlocale(). The system may not have such a locale; then this is the same
// as above.
TEST(RealText, TheLocaleOfTheHostDoesNotMatter) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_ALL, name)) break;
  }
  EXPECT_EQ(Text(1234.5), "1234.5");
  EXPECT_EQ(*ParseReal("1234.5"), 1234.5);
  std::setlocale(LC_ALL, before.c_str());
}

}  // namespace
}  // namespace walmanager
