#include "ext/open_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace walmanager {
namespace {

// https://www.sqlite.org/fileformat.html, section 1.3.1.
constexpr char kDatabaseBegins[] = "SQLite format 3";

bool IsFile(int fd, const struct stat& file) {
  struct stat status {};
  return fstat(fd, &status) == 0 && status.st_dev == file.st_dev && status.st_ino == file.st_ino;
}

}  // namespace

OpenAs OpenInThisProcess(const struct stat& file, int except) {
  const std::unique_ptr<DIR, int (*)(DIR*)> descriptors(opendir("/proc/self/fd"), closedir);
  if (!descriptors) return OpenAs::kUnknown;
  OpenAs found = OpenAs::kNothing;
  while (const dirent* entry = readdir(descriptors.get())) {
    int fd = -1;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, fd).ptr != end || fd == except) continue;
    if (!IsFile(fd, file)) continue;
    char begins[sizeof kDatabaseBegins] = {};
    const ssize_t got = pread(fd, begins, sizeof begins, 0);
    // One for writing only: SQLite has none such.
    if (got < 0 && errno == EBADF) continue;
    // The descriptor is another owner's and may be a new file's by now: then it counts as other.
    if (got == sizeof begins && IsFile(fd, file) &&
        std::memcmp(begins, kDatabaseBegins, sizeof begins) == 0) {
      return OpenAs::kDatabase;
    }
    found = OpenAs::kOther;
  }
  return found;
}

}  // namespace walmanager
