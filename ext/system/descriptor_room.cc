#include "ext/system/descriptor_room.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <climits>

namespace walmanager {
namespace {

// The limit that Linux gives a process.
constexpr int kFewest = 1024;
constexpr int kMostLeft = 32;

int Limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
  return static_cast<int>(limit.rlim_cur);
}

// So many are left to the program: it opens three files for a database, and then walmanager looks
// again.
int LeftToProgram(int limit) { return std::min(limit / 4, kMostLeft); }

// From the last number on, since a new descriptor has the lowest that is free.
bool AreLeft(int count, int limit) {
  constexpr int kAtOnce = 64;
  const int error = errno;
  int left = 0;
  for (int end = limit; end > 0 && left < count; end -= kAtOnce) {
    std::array<pollfd, kAtOnce> numbers{};
    const int some = std::min(kAtOnce, end);
    for (int i = 0; i < some; ++i) numbers[static_cast<std::size_t>(i)].fd = end - 1 - i;
    // It says of each number that no file is open there.
    (void)poll(numbers.data(), static_cast<nfds_t>(some), 0);
    for (const pollfd& number : numbers) left += number.revents == POLLNVAL ? 1 : 0;
  }
  errno = error;
  return left >= count;
}

}  // namespace

bool HasDescriptorsToSpare() {
  const int limit = Limit();
  return AreLeft(2 * LeftToProgram(limit), limit);
}

bool ProgramNeedsDescriptors() {
  const int limit = Limit();
  return !AreLeft(LeftToProgram(limit), limit);
}

int MostCopiedDatabases() {
  constexpr int kPart = 16, kKept = 2;
  const int limit = Limit();
  return limit < kFewest ? 1 : limit / kPart / kKept;
}

std::string FewDescriptorsBecause() {
  return "this process may have " + std::to_string(Limit()) +
         " files open (RLIMIT_NOFILE): walmanager leaves them to the program";
}

}  // namespace walmanager
