// Any text as the system's table of mounts.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ext/core/format/mount_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view table(reinterpret_cast<const char*>(data), size);
  const auto type = walmanager::MountType(table, 0, 36);
  if (type && (type->empty() || table.find(*type) == std::string_view::npos)) std::abort();
  if (type && table.find(" 0:36 ") == std::string_view::npos) std::abort();
  // A blank within a path stands escaped.
  if (walmanager::IsMountPoint(table, "/a b") && table.find("\\040") == std::string_view::npos) {
    std::abort();
  }
  // A line that is right is found whatever stands before it.
  std::string more(table);
  more += "\n36 35 98:7 / /mnt/x\\040y rw,noatime master:1 - ext9 /dev/root rw\n";
  if (!walmanager::IsMountPoint(more, "/mnt/x y")) std::abort();
  if (!walmanager::MountType(more, 98, 7)) std::abort();
  return 0;
}
