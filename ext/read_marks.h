// Who holds read marks of a log, from the system's table of locks. Linux; elsewhere unknown.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "ext/core/wal_index_format.h"

namespace walmanager {

// Which read marks of the log are held, by whomever.
struct ReadMarks {
  std::array<bool, kReadMarks> held{};
  std::array<bool, kReadMarks> held_by_others{};  // by another process; false where unknown
};

// As /proc/locks says of the -shm file at `shm_path`; nullopt where it says nothing. About 15 µs.
std::optional<ReadMarks> ReadMarksOfLockTable(const std::string& shm_path);

}  // namespace walmanager
