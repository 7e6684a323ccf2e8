// The table of the sections that were appended to the control file (section_table.h reads it).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// What a section has more records of. The numbers are in files: they stay.
enum class SectionKind : std::uint8_t {
  kMoreSettings = 1,  // all that the first part has no room for, in one section
  kMoreCheckpoints,
  kMoreSlabs,
  kHot,
  kManySlabs,
  kManyHot,
  kMoreQueries,
  kSamples,
  kMinutes,
  kHours,
  kMoreAlerts,
  kLockWaits,  // all of them in one section
  kMoreTraffic,
  kManyTraffic,
};
inline constexpr std::size_t kSectionKinds = 15;  // with 0, which is none

// The sections in the order in which they were appended. A word is a kind, its version << 8, which
// section of that kind << 16 (counted from 0), and the block of the file at which it begins << 32.
// The first word that is 0 ends the table. A word is stored with release once its section is all
// zeros on the disk, and never changes after that.
struct SectionTable {
  std::array<Counter, kSections> words;
};

}  // namespace walmanager::layout
