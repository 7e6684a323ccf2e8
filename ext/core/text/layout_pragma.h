// PRAGMA page_size and PRAGMA auto_vacuum, as a program sets them. SQLite ignores them silently
// once the database has pages, until VACUUM makes it anew, and page_size also then in WAL mode
// (https://www.sqlite.org/pragma.html#pragma_page_size). So the wished values are kept for
// system_health. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walmanager {

struct LayoutPragma {
  std::string schema = "main";
  // The value that the program sets, in SQLite's numbers; nullopt: SQLite would ignore it.
  std::optional<std::int64_t> page_size;    // 512 to 65536, a power of two
  std::optional<std::int64_t> auto_vacuum;  // 0 none, 1 full, 2 incremental
};

// nullopt where `sql` is another statement.
std::optional<LayoutPragma> ParseLayoutPragma(std::string_view sql);

}  // namespace walmanager
