#include "ext/core/mount_table.h"

#include <algorithm>

namespace walmanager {

std::optional<std::string> MountType(std::string_view table, std::uint32_t device_major,
                                     std::uint32_t device_minor) {
  // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
  const std::string wanted = std::to_string(device_major) + ':' + std::to_string(device_minor);
  const auto word = [](std::string_view& line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view found = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return found;
  };
  while (!table.empty()) {
    const std::size_t end = std::min(table.find('\n'), table.size());
    std::string_view line = table.substr(0, end);
    table.remove_prefix(std::min(end + 1, table.size()));
    word(line);
    word(line);
    if (word(line) != wanted) continue;
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    line.remove_prefix(separator + 3);
    const std::string_view type = word(line);
    if (!type.empty()) return std::string(type);
  }
  return std::nullopt;
}

}  // namespace walmanager
