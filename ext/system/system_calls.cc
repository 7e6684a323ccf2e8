#include "ext/system/system_calls.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace walmanager {

// prctl(PR_GET_SECCOMP) would be quicker, but is a call that a filter may forbid; SQLite itself
// needs those used here. https://man7.org/linux/man-pages/man5/proc_pid_status.5.html, Seccomp.
bool SystemCallsAreFiltered() noexcept {
  constexpr std::string_view kLine = "\nSeccomp:\t";
  const int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  char mode = '?';
  char buffer[4096];
  std::size_t kept = 0;  // of the piece before: the line may begin there
  for (;;) {
    const ssize_t got = read(fd, buffer + kept, sizeof buffer - kept);
    if (got <= 0) break;
    const std::string_view text(buffer, kept + static_cast<std::size_t>(got));
    const std::size_t found = text.find(kLine);
    if (found != text.npos && found + kLine.size() < text.size()) {
      mode = text[found + kLine.size()];
      break;
    }
    kept = text.size() < kLine.size() ? text.size() : kLine.size();
    std::memmove(buffer, text.data() + text.size() - kept, kept);
  }
  close(fd);
  return mode != '0';
}

}  // namespace walmanager
