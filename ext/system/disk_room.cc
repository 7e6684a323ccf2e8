#include "ext/system/disk_room.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdio>
#include <limits>

namespace walmanager {
namespace {

constexpr std::int64_t kMostReserved = 256 * 1024 * 1024;
constexpr std::int64_t kReservedPart = 20;  // 5 %

struct Space {
  std::int64_t bytes = 0, free_bytes = 0;  // free: for users other than root
};

std::int64_t Product(std::uint64_t blocks, std::uint64_t block_bytes) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (block_bytes != 0 && blocks > kMost / block_bytes) return static_cast<std::int64_t>(kMost);
  return static_cast<std::int64_t>(blocks * block_bytes);
}

std::optional<Space> SpaceOf(const std::string& path) {
  struct statvfs facts;
  if (statvfs(path.c_str(), &facts) != 0 || facts.f_blocks == 0) return std::nullopt;
  return Space{Product(facts.f_blocks, facts.f_frsize), Product(facts.f_bavail, facts.f_frsize)};
}

bool Leaves(const Space& space, std::int64_t more_bytes) {
  const std::int64_t reserved = ReservedBytes(space.bytes);
  return space.free_bytes >= reserved && space.free_bytes - reserved >= more_bytes;
}

std::string Megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

}  // namespace

std::optional<std::int64_t> FileSizeLimit() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return Product(limit.rlim_cur, 1);
}

std::int64_t ReservedBytes(std::int64_t file_system_bytes) {
  return std::min(file_system_bytes / kReservedPart, kMostReserved);
}

bool LeavesReserve(const std::string& path, std::int64_t more_bytes) {
  const auto space = SpaceOf(path);
  return !space || Leaves(*space, more_bytes);
}

std::int64_t WalLimitInForce(std::int64_t wal_limit_bytes) {
  const auto limit = FileSizeLimit();
  return limit ? std::min(wal_limit_bytes, *limit / 2) : wal_limit_bytes;
}

std::string NoRoomBecause(const std::string& path, std::int64_t more_bytes, std::int64_t bytes) {
  if (const auto limit = FileSizeLimit(); limit && bytes > *limit) {
    return "the control file needs " + Megabytes(bytes) + ", and this process may write files of " +
           Megabytes(*limit) + " (RLIMIT_FSIZE)";
  }
  const auto space = SpaceOf(path);
  if (!space || more_bytes <= 0) return "";
  if (Leaves(*space, more_bytes)) return "";
  return "the control file needs " + Megabytes(more_bytes) + " more on the disk, of which " +
         Megabytes(space->free_bytes) + " are free and " + Megabytes(ReservedBytes(space->bytes)) +
         " stay free";
}

}  // namespace walmanager
