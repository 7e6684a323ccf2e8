// What follows from SQLite's version number (sqlite3_libversion_number()). Pure.
#pragma once

namespace walmanager {

inline constexpr int kOldestEngine = 3034000;

// SQLite 3.7.0 to 3.51.2 loses committed pages when a checkpoint races with a reset of the log. The
// fix was also released for the branches 3.44 and 3.50, as 3.44.6 and 3.50.7.
// Source: https://www.sqlite.org/wal.html, "The WAL-Reset Bug".
constexpr bool HasWalResetBug(int version) {
  if (version >= 3051003) return false;
  if (version >= 3050007 && version < 3051000) return false;
  if (version >= 3044006 && version < 3045000) return false;
  return version >= 3007000;
}

}  // namespace walmanager
