#include "ext/system/open_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "ext/system/clock.h"

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

// False where the system does not say.
bool ReadOpenFiles(ReusedTables& tables) {
  const std::unique_ptr<DIR, int (*)(DIR*)> descriptors(opendir("/proc/self/fd"), closedir);
  if (!descriptors) return false;
  tables.open_files.clear();
  char name[PATH_MAX];
  while (const dirent* entry = readdir(descriptors.get())) {
    struct stat status {};
    const ssize_t length = readlinkat(dirfd(descriptors.get()), entry->d_name, name, sizeof name);
    if (length <= 0 || fstatat(dirfd(descriptors.get()), entry->d_name, &status, 0) != 0) continue;
    tables.open_files.push_back(
        {status.st_dev, status.st_ino, std::string(name, static_cast<std::size_t>(length))});
  }
  std::ranges::sort(tables.open_files, {},
                    [](const OpenFile& open) { return std::pair(open.device, open.inode); });
  tables.by_name.resize(tables.open_files.size());
  std::iota(tables.by_name.begin(), tables.by_name.end(), std::size_t{0});
  std::ranges::sort(tables.by_name, {},
                    [&](std::size_t i) { return std::string_view(tables.open_files[i].name); });
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

const ReusedTables* OpenFilesToReuse() {
  constexpr std::uint64_t kReuseNs = 1'000'000'000;
  ReusedTables* const reused = TablesToReuse();
  if (!reused) return nullptr;
  const std::uint64_t now = MonotonicNs();
  if (reused->open_files_ns != 0 && now < reused->open_files_ns + kReuseNs) return reused;
  reused->open_files_ns = 0;  // until it is whole
  return ReadOpenFiles(*reused) ? (reused->open_files_ns = now, reused) : nullptr;
}

std::optional<int> CountDescriptors(const struct stat& file) {
  int count = 0;
  const bool known = EachDescriptor(file, [&](int) { ++count; });
  return known ? std::optional(count) : std::nullopt;
}

std::optional<int> CountDescriptorsForLook(const struct stat& file) {
  if (const ReusedTables* reused = OpenFilesToReuse()) {
    // Not std::ranges::equal_range(): Clang 14, which builds the fuzz targets, does not take the
    // subrange of libstdc++ 12.
    const auto& files = reused->open_files;
    const auto key = [](const OpenFile& open) { return std::pair(open.device, open.inode); };
    const std::pair wanted(file.st_dev, file.st_ino);
    return static_cast<int>(std::ranges::upper_bound(files, wanted, {}, key) -
                            std::ranges::lower_bound(files, wanted, {}, key));
  }
  return CountDescriptors(file);
}

}  // namespace walmanager
