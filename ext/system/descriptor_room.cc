#include "ext/system/descriptor_room.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <climits>

namespace walmanager {
namespace {

// The limit that Linux gives a process.
constexpr int kFewest = 1024;

int Limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
  return static_cast<int>(limit.rlim_cur);
}

// So many are left to the program: it opens three files for a database, and then walmanager looks
// again.
int LeftToProgram(int limit) { return std::min(limit / 4, 32); }

bool AreFree(int count, int limit) {
  const int error = errno;
  const bool free = [&] {
    for (int fd = limit - count; fd < limit; ++fd) {
      if (fcntl(fd, F_GETFD) >= 0) return false;
    }
    return true;
  }();
  errno = error;
  return free;
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
