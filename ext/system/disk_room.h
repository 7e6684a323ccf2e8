// How much disk space a file of the extension may take: a reserve of the file system stays free for
// the host's own writes, and no file grows beyond the limit that the system sets for this process.
// Thread rules: none; two system calls at most.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace walmanager {

// RLIMIT_FSIZE: the size in bytes beyond which this process may not write; nullopt: there is none.
std::optional<std::int64_t> FileSizeLimit();

// The size that the log of this process may reach: `wal_limit_bytes`, or half of RLIMIT_FSIZE where
// that is less.
std::int64_t WalLimitInForce(std::int64_t wal_limit_bytes);

// The bytes of a file system of this size that stay free: the smaller of 5 % and 256 MB.
std::int64_t ReservedBytes(std::int64_t file_system_bytes);

// Whether `more_bytes` can be taken where `path` is and the reserve stays free; true where the
// system does not tell.
bool LeavesReserve(const std::string& path, std::int64_t more_bytes);

// Empty where a file on the file system of `path` may take `more_bytes` and become `bytes` long;
// else why not.
std::string NoRoomBecause(const std::string& path, std::int64_t more_bytes, std::int64_t bytes);

}  // namespace walmanager
