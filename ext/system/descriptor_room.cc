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

bool AreFree(int count, int limit) {
  // One call for all: it says of each number that no file is open there (POLLNVAL).
  std::array<pollfd, 2 * kMostLeft> numbers{};
  for (int i = 0; i < count; ++i) numbers[static_cast<std::size_t>(i)].fd = limit - count + i;
  const int error = errno;
  const int unknown = poll(numbers.data(), static_cast<nfds_t>(count), 0);
  errno = error;
  return unknown == count &&
         std::all_of(numbers.begin(), numbers.begin() + count,
                     [](const pollfd& number) { return number.revents == POLLNVAL; });
}

}  // namespace

bool HasDescriptorsToSpare() {
  const int limit = Limit();
  return AreFree(2 * LeftToProgram(limit), limit);
}

bool ProgramNeedsDescriptors() {
  const int limit = Limit();
  return !AreFree(LeftToProgram(limit), limit);
}

int MostCopiedDatabases() {
  constexpr int kPart = 16, kKept = 2;
  const int limit = Limit();
  return limit < kFewest ? 0 : limit / kPart / kKept;
}

std::string FewDescriptorsBecause() {
  return "this process may have " + std::to_string(Limit()) +
         " files open (RLIMIT_NOFILE): walmanager leaves them to the program";
}

}  // namespace walmanager
