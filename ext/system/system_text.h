// Files of /proc and /sys as text.
// Thread rules: any thread.
#pragma once

#include <string>

namespace walmanager {

// Empty where the system has no such file.
std::string ReadSystemText(const std::string& path);
// Its first line, without the end of the line.
std::string FirstLineOf(const std::string& path);

}  // namespace walmanager
