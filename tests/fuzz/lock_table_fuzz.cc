// Any text as the system's lock table: every lock found is on the file that was asked for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ext/core/format/lock_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view table(reinterpret_cast<const char*>(data), size);
  const walmanager::FileIdentity file{0xfe, 0, 7};
  std::size_t lines = 1;
  for (const char c : table) lines += c == '\n' ? 1 : 0;
  const auto locks = walmanager::LockTable(table).On(file);
  if (locks.size() > lines) std::abort();
  // A lock is a line of at least "1: POSIX A READ 0 fe:0:7 0 0".
  if (locks.size() * 26 > size) std::abort();
  if (!locks.empty() && table.find("7 ") == std::string_view::npos) std::abort();
  for (const walmanager::FileLock& lock : locks) {
    if (lock.pid < 0) std::abort();
  }
  return 0;
}
