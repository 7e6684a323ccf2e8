#include "ext/system/system_text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>

namespace walmanager {

std::string ReadSystemText(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  // In large pieces: between two pieces the lines of the file may change.
  constexpr std::size_t kPiece = 16 * 1024;
  char piece[kPiece];
  std::string text;
  for (;;) {
    const ssize_t got = read(fd, piece, kPiece);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(piece, static_cast<std::size_t>(got));
  }
  close(fd);
  return text;
}

std::string FirstLineOf(const std::string& path) {
  const std::string text = ReadSystemText(path);
  return text.substr(0, text.find('\n'));
}

}  // namespace walmanager
