#include "ext/core/format/mount_table.h"

#include <algorithm>

namespace walmanager {
namespace {

// Takes the next word of `line`.
std::string_view Word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view found = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return found;
}

std::string_view Line(std::string_view& table) {
  const std::size_t end = std::min(table.find('\n'), table.size());
  const std::string_view line = table.substr(0, end);
  table.remove_prefix(std::min(end + 1, table.size()));
  return line;
}

// Blanks, tabs, ends of lines and backslashes of a path stand as \040 and so on.
std::string Unescaped(std::string_view text) {
  const auto is_octal = [](char c, char most = '7') { return c >= '0' && c <= most; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1], '3') &&
                        is_octal(text[i + 2]) && is_octal(text[i + 3]);
    if (!escape) {
      plain += text[i];
      continue;
    }
    plain +=
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

}  // namespace

std::optional<std::string> MountType(std::string_view table, std::uint32_t device_major,
                                     std::uint32_t device_minor) {
  // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
  const std::string wanted = std::to_string(device_major) + ':' + std::to_string(device_minor);
  while (!table.empty()) {
    std::string_view line = Line(table);
    Word(line);
    Word(line);
    if (Word(line) != wanted) continue;
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    line.remove_prefix(separator + 3);
    const std::string_view type = Word(line);
    if (!type.empty()) return std::string(type);
  }
  return std::nullopt;
}

bool IsMountPoint(std::string_view table, std::string_view path) {
  while (!table.empty()) {
    std::string_view line = Line(table);
    for (int i = 0; i < 4; ++i) Word(line);  // numbers, the device, the root of the mount
    if (const std::string_view point = Word(line); !point.empty() && Unescaped(point) == path) {
      return true;
    }
  }
  return false;
}

}  // namespace walmanager
