// The table of mounted file systems, /proc/self/mountinfo (format: proc_pid_mountinfo(5)), searched
// for the type of the file system that a file is on, and for files that are mounted by themselves.
// Text in, a fact out; ext/system reads the file. Lines that do not parse are skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walmanager {

// "ext4", "nfs4", "fuse.sshfs"; nullopt where the device is not in the table.
std::optional<std::string> MountType(std::string_view table, std::uint32_t device_major,
                                     std::uint32_t device_minor);
// Whether something is mounted at exactly this absolute path.
bool IsMountPoint(std::string_view table, std::string_view path);

}  // namespace walmanager
