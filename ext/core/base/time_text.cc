#include "ext/core/base/time_text.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace walmanager {

std::string UtcText(std::int64_t unix_ms) {
  using namespace std::chrono;
  // The years that SQLite's date functions read; far beyond them chrono overflows.
  constexpr std::int64_t kYear0 = -62'167'219'200'000, kYear9999 = 253'402'300'799'999;
  const sys_time<milliseconds> time{milliseconds{std::clamp(unix_ms, kYear0, kYear9999)}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  char text[48];
  std::snprintf(
      text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d.%03d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

}  // namespace walmanager
