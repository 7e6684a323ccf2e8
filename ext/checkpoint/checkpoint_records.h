// Writes what checkpoints did to the checkpoint log of the control file, with the process that
// blocked them.
// Thread rules: any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "ext/checkpoint/checkpointer.h"
#include "ext/checkpoint/log_readers.h"
#include "ext/core/control/control_region.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class CheckpointRecords {
 public:
  CheckpointRecords(const ControlInUse& control, const LogReaders& readers)
      : control_(control), readers_(readers) {}

  // `entry` has mode, origin, rule and size of the -wal file. `index`: the log after the
  // checkpoint, where that is known. Returns the process that blocked it, where there is one and
  // the system names it.
  std::optional<std::int64_t> Write(CheckpointEntry entry, const CheckpointOutcome& outcome,
                                    const std::optional<WalIndex>& index, std::uint64_t start_ns,
                                    std::uint64_t end_ns);
  // At the last close of the database, SQLite itself moved what was pending of the log at `index`,
  // and removed the log.
  void WriteLastClose(const WalIndex& index, std::uint64_t start_ns, std::uint64_t end_ns);

 private:
  const ControlInUse& control_;
  const LogReaders& readers_;
};

}  // namespace walmanager
