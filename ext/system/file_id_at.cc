#include "ext/system/file_id_at.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace walmanager {
namespace {

// File systems with handles that stay the same as long as the file is there, and that have a
// generation which the next file with the same inode number does not share (statfs(2)).
constexpr auto kWithLastingHandles = std::to_array<unsigned long>({
    0xEF53,      // ext2, ext3, ext4
    0x58465342,  // xfs
    0x9123683E,  // btrfs
    0xF2F52010,  // f2fs
    0x01021994,  // tmpfs
});

// FNV-1a; never 0.
std::uint64_t Hash(const unsigned char* bytes, std::size_t count) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash == 0 ? 1 : hash;
}

std::uint64_t BirthAt([[maybe_unused]] const char* path) {
#ifdef STATX_BTIME
  struct statx status {};
  // Not statx(), which musl has since 1.2.5 only: the library must load with 1.2.0, too.
  if (syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BTIME, &status) != 0) return 0;
  if ((status.stx_mask & STATX_BTIME) == 0) return 0;
  return static_cast<std::uint64_t>(status.stx_btime.tv_sec) * 1'000'000'000 +
         status.stx_btime.tv_nsec;
#else
  return 0;
#endif
}

std::uint64_t HandleAt([[maybe_unused]] const char* path) {
#ifdef MAX_HANDLE_SZ
  struct statfs system {};
  if (statfs(path, &system) != 0) return 0;
  const auto type = static_cast<unsigned long>(system.f_type) & 0xffffffff;
  if (std::ranges::find(kWithLastingHandles, type) == kWithLastingHandles.end()) return 0;
  alignas(file_handle) unsigned char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (name_to_handle_at(AT_FDCWD, path, handle, &mount, AT_SYMLINK_FOLLOW) != 0) return 0;
  if (handle->handle_bytes > MAX_HANDLE_SZ) return 0;
  return Hash(memory + offsetof(file_handle, f_handle), handle->handle_bytes);
#else
  return 0;
#endif
}

}  // namespace

std::optional<FileId> FileIdAt(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileId{.device = status.st_dev,
                .inode = status.st_ino,
                .birth_ns = BirthAt(path.c_str()),
                .handle = HandleAt(path.c_str())};
}

AtPath IsAtPath(const std::string& path, const FileId& file) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return AtPath::kUnknown;
  const bool same = status.st_dev == file.device && status.st_ino == file.inode;
  return same ? AtPath::kSame : AtPath::kOther;
}

}  // namespace walmanager
