#include "ext/core/format/lock_table.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>

namespace walmanager {
namespace {

// Takes the next word of `line`; empty at its end.
std::string_view NextWord(std::string_view& line) {
  const std::size_t start = line.find_first_not_of(' ');
  if (start == std::string_view::npos) return line = {};
  line.remove_prefix(start);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <typename T>
std::optional<T> Number(std::string_view word, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// "fe:00:1234": major and minor in hex, inode in decimal.
std::optional<FileIdentity> Identity(std::string_view word) {
  const std::size_t first = word.find(':');
  const std::size_t second = word.rfind(':');
  if (first == std::string_view::npos || second == first) return std::nullopt;
  const auto device_major = Number<std::uint32_t>(word.substr(0, first), 16);
  const auto device_minor = Number<std::uint32_t>(word.substr(first + 1, second - first - 1), 16);
  const auto inode = Number<std::uint64_t>(word.substr(second + 1));
  if (!device_major || !device_minor || !inode) return std::nullopt;
  return FileIdentity{*device_major, *device_minor, *inode};
}

// "1: POSIX  ADVISORY  READ 1234 fe:00:5678 123 123"; a waiter has "->" after the number.
std::optional<FileLock> ParseLine(std::string_view line, const FileIdentity& file) {
  NextWord(line);
  const std::string_view kind = NextWord(line);
  if (kind != "POSIX" && kind != "OFDLCK") return std::nullopt;
  NextWord(line);
  const std::string_view access = NextWord(line);
  const auto pid = Number<std::int64_t>(NextWord(line));
  const auto identity = Identity(NextWord(line));
  const auto first = Number<std::int64_t>(NextWord(line));
  const std::string_view last_word = NextWord(line);
  const auto last = last_word == "EOF" ? std::numeric_limits<std::int64_t>::max()
                                       : Number<std::int64_t>(last_word);
  if (!pid || !identity || !first || !last || !(*identity == file)) return std::nullopt;
  if (access != "READ" && access != "WRITE") return std::nullopt;
  return FileLock{*pid < 0 ? 0 : *pid, access == "WRITE", *first, *last};
}

}  // namespace

std::vector<FileLock> ParseLockTable(std::string_view table, const FileIdentity& file) {
  // A process with a thousand databases has thousands of lines: only those with the inode are
  // taken apart.
  const std::string inode = ":" + std::to_string(file.inode) + " ";
  std::vector<FileLock> locks;
  for (std::size_t at = 0; (at = table.find(inode, at)) != std::string_view::npos;) {
    const std::size_t begin = table.rfind('\n', at) + 1;  // 0 where there is none before
    const std::size_t end = std::min(table.find('\n', at), table.size());
    if (const auto lock = ParseLine(table.substr(begin, end - begin), file)) locks.push_back(*lock);
    at = end;
  }
  return locks;
}

}  // namespace walmanager
