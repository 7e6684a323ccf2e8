// Points in time as the SQL surface shows them.
#pragma once

#include <cstdint>
#include <string>

namespace walmanager {

// Milliseconds since 1970-01-01 UTC as `YYYY-MM-DD HH:MM:SS.SSS`, which SQLite's own date functions
// read (https://www.sqlite.org/lang_datefunc.html, section 2).
std::string UtcText(std::int64_t unix_ms);

}  // namespace walmanager
