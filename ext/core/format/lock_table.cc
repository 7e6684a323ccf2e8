#include "ext/core/format/lock_table.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

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
std::optional<std::pair<FileIdentity, FileLock>> ParseLine(std::string_view line) {
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
  if (!pid || !identity || !first || !last) return std::nullopt;
  if (access != "READ" && access != "WRITE") return std::nullopt;
  return std::pair(*identity, FileLock{*pid < 0 ? 0 : *pid, access == "WRITE", *first, *last});
}

}  // namespace

LockTable::LockTable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto found = ParseLine(text.substr(0, end))) {
      locks_[found->first].push_back(found->second);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

const std::vector<FileLock>& LockTable::On(const FileIdentity& file) const {
  static const auto& kNone = *new std::vector<FileLock>;
  const auto found = locks_.find(file);
  return found == locks_.end() ? kNone : found->second;
}

}  // namespace walmanager
