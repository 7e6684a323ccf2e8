#include "ext/system/file_system.h"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "ext/core/format/mount_table.h"
#include "ext/system/system_text.h"

namespace walmanager {
namespace {

// As fstatfs gives them, from statfs(2). In this order: ext2 to ext4, XFS, Btrfs, tmpfs, overlayfs,
// F2FS, ZFS, bcachefs.
constexpr std::array<std::uint32_t, 8> kLocalFileSystems = {
    0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0xF2F52010, 0x2FC12FC1, 0xCA451A4E};

}  // namespace

FileSystemFacts FileSystemOf(const std::string& path) {
  FileSystemFacts facts;
  struct statvfs space;
  if (statvfs(path.c_str(), &space) == 0) {
    facts.free_bytes = static_cast<std::int64_t>(space.f_bavail * space.f_frsize);
    facts.bytes = static_cast<std::int64_t>(space.f_blocks * space.f_frsize);
  }
  struct stat file;
  const std::string mounts = ReadSystemText("/proc/self/mountinfo");
  if (stat(path.c_str(), &file) == 0 && !mounts.empty()) {
    facts.type = MountType(mounts, major(file.st_dev), minor(file.st_dev));
    facts.is_mount_point = IsMountPoint(mounts, path);
  }
  return facts;
}

bool ClosesAtOnce(int fd) {
  struct statfs facts {};
  if (fstatfs(fd, &facts) != 0) return false;
  const auto type = static_cast<std::uint32_t>(facts.f_type);
  return std::find(kLocalFileSystems.begin(), kLocalFileSystems.end(), type) !=
         kLocalFileSystems.end();
}

bool IsThere(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

std::optional<std::int64_t> FileBytes(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_size;
}

FileStamp StampOf(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  return {status.st_size, std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 +
                              std::int64_t{status.st_mtim.tv_nsec}};
}

}  // namespace walmanager
