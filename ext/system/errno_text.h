// What a system call's errno says.
// Thread rules: none.
#pragma once

#include <cstring>
#include <string>

namespace walmanager {

// `what`: what was tried.
inline std::string ErrnoText(const std::string& what, int error) {
  return what + ": " + strerror(error);
}

}  // namespace walmanager
