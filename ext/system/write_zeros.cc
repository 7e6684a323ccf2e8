#include "ext/system/write_zeros.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

namespace walmanager {

bool WriteZeros(int fd, std::int64_t from, std::int64_t to) {
  static char zeros[64 * 1024];  // not const, so that the library has no zeros in its file
  while (from < to) {
    const std::int64_t chunk = std::min<std::int64_t>(sizeof zeros, to - from);
    const ssize_t wrote = pwrite(fd, zeros, static_cast<std::size_t>(chunk), from);
    if (wrote <= 0) {
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote == 0) errno = ENOSPC;
      return false;
    }
    from += wrote;
  }
  return true;
}

}  // namespace walmanager
