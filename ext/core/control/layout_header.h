// The beginning of the control file: what it is, the database that it belongs to, and words that
// every statement or commit reads.
#pragma once

#include <cstdint>

#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// Each layout has a magic of its own: a version that knows only older ones takes this file for a
// foreign one and leaves it. Else it would make the file anew, and the user's settings were lost.
inline constexpr char kMagic[16] = "walmanager lay8";
inline constexpr std::uint64_t kLayoutNumber = 8;
// From this layout on, the settings and the table of sections are at the same places.
inline constexpr std::uint64_t kFirstLayoutWithSections = 7;
inline constexpr char kFirstMagicWithSections[16] = "walmanager sect";

// Layouts 5 and 6 are read for their settings: the same entries, as many, in two blocks after a
// page of header that begins in the same way.
inline constexpr char kOldMagic[16] = "walmanager ctrl";

struct Header {
  char magic[16];
  std::uint64_t layout_number;
  std::uint64_t file_bytes;
  Counter ready;  // 1 once everything else is in place
  std::uint64_t database_device;
  std::uint64_t database_inode;
  char boot_id[40];
  Counter statistics_since_ms;      // Unix time
  std::uint64_t database_birth_ns;  // Unix time; 0: not known
  std::uint64_t database_handle;    // likewise; FileId has the words
  // On a cache line of their own: every statement reads them, and they change seldom.
  alignas(64) Counter settings_generation;  // its lowest bit names the copy in force
  Counter reset_generation;                 // slabs of another generation count as zero
  Counter query_generation;                 // likewise counters of statements
  Counter cut_until_ns;  // CLOCK_MONOTONIC: the log's file is being cut, statements wait
  alignas(64) Counter log_position;  // salt1 << 32 | mxFrame, as of the last counted commit
  Counter last_commit_ns;            // CLOCK_MONOTONIC
  Counter last_checkpoint_ns;        // CLOCK_MONOTONIC; at first the time of creation
  Counter commits_at_checkpoint;     // all commits counted when the last checkpoint ended
  Counter slabs_used;                // slabs from this one on were never owned
  Counter gate_until_ns;  // CLOCK_MONOTONIC: a commit finishes the remainder, others wait
  // On a line of their own: few write them.
  alignas(64) Counter connections_not_shown;  // that found no slab, and have not closed
};
static_assert(sizeof(Header) <= 4096);

}  // namespace walmanager::layout
