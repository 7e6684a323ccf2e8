// For test_clocks.py, preloaded: the system's wall clock, as this process sees it, is set back or
// forward from one moment to the next. To be suspended is to see it set forward: CLOCK_MONOTONIC
// stands still meanwhile.
#include <dlfcn.h>
#include <time.h>

#include <atomic>

namespace {

std::atomic<long> apart_s{0};
std::atomic<long> asked{0};  // how often the clock told another time

}  // namespace

extern "C" {

void set_wall_clock(long seconds) { apart_s = seconds; }
long times_told() { return asked; }

int clock_gettime(clockid_t clock, timespec* time) {
  using Function = int (*)(clockid_t, timespec*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = real(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME && apart_s != 0) {
    time->tv_sec += apart_s;
    ++asked;
  }
  return result;
}

}  // extern "C"
