#include "ext/system/process_life.h"

#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

#include "ext/system/clock.h"
#include "ext/system/system_text.h"

namespace walmanager {
namespace {

// How long ago it began; -1: not known. `fields`: of proc(5), /proc/pid/stat, from the fourth on.
std::int64_t AgeMs(std::string_view fields) {
  constexpr int kFourthToStart = 18;
  for (int i = 0; i < kFourthToStart; ++i) {
    fields.remove_prefix(std::min(fields.find(' '), fields.size() - 1) + 1);
    if (fields.empty()) return -1;
  }
  std::int64_t ticks = 0;  // since the boot
  const std::int64_t per_second = sysconf(_SC_CLK_TCK);
  const auto parsed = std::from_chars(fields.data(), fields.data() + fields.size(), ticks);
  if (parsed.ec != std::errc() || per_second <= 0) return -1;
  return ClockNs(CLOCK_BOOTTIME) / 1'000'000 - ticks * 1000 / per_second;
}

constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::min();

// When the process began (Unix, in ms); nullopt: it has ended.
std::optional<std::int64_t> BeganMs(std::int64_t pid) {
  // kill() takes a number that does not fit for another one: -1 are all processes.
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return std::nullopt;
  if (kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return std::nullopt;
  // "pid (name) state ...", where the name may have parentheses, too.
  const std::string text = FirstLineOf("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = text.rfind(") ");
  if (end == std::string::npos || end + 4 > text.size()) return kUnknown;
  const char state = text[end + 2];
  if (state == 'Z' || state == 'X') return std::nullopt;
  const std::int64_t age_ms = AgeMs(std::string_view(text).substr(end + 4));
  return age_ms < 0 ? kUnknown : UnixMs() - age_ms;
}

}  // namespace

bool ProcessLives::IsStillThere(std::int64_t pid, std::int64_t at_ms) {
  constexpr std::int64_t kClocksDifferMs = 1000;
  const auto [found, is_new] = began_.try_emplace(pid);
  if (is_new) found->second = BeganMs(pid);
  const std::optional<std::int64_t>& began = found->second;
  return began && (*began == kUnknown || *began - kClocksDifferMs <= at_ms);
}

}  // namespace walmanager
