#include "ext/system/open_files.h"

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

// `each(fd)` for the descriptors that this process has of the file; false where the system does not
// say.
template <typename Each>
bool EachDescriptor(const struct stat& file, Each each) {
  const std::unique_ptr<DIR, int (*)(DIR*)> descriptors(opendir("/proc/self/fd"), closedir);
  if (!descriptors) return false;
  while (const dirent* entry = readdir(descriptors.get())) {
    int fd = -1;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, fd).ptr == end && IsFile(fd, file)) each(fd);
  }
  return true;
}

}  // namespace

OpenAs OpenInThisProcess(const struct stat& file, int except) {
  OpenAs found = OpenAs::kNothing;
  const bool known = EachDescriptor(file, [&](int fd) {
    if (fd == except || found == OpenAs::kDatabase) return;
    char begins[sizeof kDatabaseBegins] = {};
    const ssize_t got = pread(fd, begins, sizeof begins, 0);
    // One for writing only: SQLite has none such.
    if (got < 0 && errno == EBADF) return;
    // The descriptor is another owner's and may be a new file's by now: then it counts as other.
    const bool is_database = got == sizeof begins && IsFile(fd, file) &&
                             std::memcmp(begins, kDatabaseBegins, sizeof begins) == 0;
    found = is_database ? OpenAs::kDatabase : OpenAs::kOther;
  });
  return known ? found : OpenAs::kUnknown;
}

std::optional<int> CountDescriptors(const struct stat& file) {
  int count = 0;
  const bool known = EachDescriptor(file, [&](int) { ++count; });
  return known ? std::optional(count) : std::nullopt;
}

}  // namespace walmanager
