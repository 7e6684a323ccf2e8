// How long the log of one database may become under the system's limit of file sizes and with a
// reserve of the disk left free. Where that is less than the log's usual length, committing threads
// copy for a second, as SQLite's own autocheckpoint does.
//
// Thread rules: the caller holds the mutex of CheckpointState.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "ext/core/policy/inline_period.h"
#include "ext/core/policy/settings.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class RoomWatch {
 public:
  RoomWatch(std::string database_path, const ControlInUse& control, InlinePeriod& inline_period)
      : path_(std::move(database_path)), control_(control), inline_(inline_period) {}

  // Looks at the limit, and at the disk at most every 50 ms. `page_size`: 0 where it is not known;
  // `wal_bytes`: the size of the -wal file.
  void Look(const SettingValues& values, std::uint32_t page_size, std::int64_t wal_bytes,
            std::uint64_t now_ns);

  // As the last look found: the longest log that RLIMIT_FSIZE allows, in bytes, and whether a log
  // of the usual length would leave too little of the disk free.
  std::int64_t most_wal_bytes() const { return most_wal_bytes_; }
  bool is_short() const { return is_short_; }

 private:
  // `growth`: by how many bytes the log may still grow.
  void LookAtDisk(std::int64_t growth, std::uint64_t now_ns);

  const std::string path_;
  const ControlInUse& control_;
  InlinePeriod& inline_;
  std::uint64_t next_look_ns_ = 0;
  std::int64_t most_wal_bytes_ = 0;
  bool disk_is_short_ = false, is_short_ = false;
};

}  // namespace walmanager
