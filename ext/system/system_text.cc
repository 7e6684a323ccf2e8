#include "ext/system/system_text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>

namespace walmanager {
namespace {

// Closed also where memory runs out.
struct OpenFile {
  explicit OpenFile(const std::string& path) : fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd >= 0) close(fd);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const int fd;  // -1: it cannot be opened
};

}  // namespace

std::string ReadSystemText(const std::string& path) {
  // In large pieces: between two pieces the lines of the file may change.
  constexpr std::size_t kPiece = 16 * 1024;
  char piece[kPiece];
  std::string text;
  const OpenFile file(path);
  for (;;) {
    const ssize_t got = read(file.fd, piece, kPiece);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(piece, static_cast<std::size_t>(got));
  }
}

std::string FirstLineOf(const std::string& path) {
  const std::string text = ReadSystemText(path);
  return text.substr(0, text.find('\n'));
}

}  // namespace walmanager
