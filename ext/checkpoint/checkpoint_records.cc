#include "ext/checkpoint/checkpoint_records.h"

#include <string>
#include <utility>

#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

void Sign(CheckpointEntry& entry, std::uint64_t start_ns, std::uint64_t end_ns) {
  entry.at_ms = UnixMs();
  entry.pid = ThisProcess().pid;
  entry.pid_namespace = ThisProcess().pid_namespace;
  entry.duration_ns = static_cast<std::int64_t>(end_ns - start_ns);
}

}  // namespace

std::optional<std::int64_t> CheckpointRecords::Write(CheckpointEntry entry,
                                                     const CheckpointOutcome& outcome,
                                                     const std::optional<WalIndex>& index,
                                                     std::uint64_t start_ns, std::uint64_t end_ns) {
  Sign(entry, start_ns, end_ns);
  entry.result = outcome.result;
  entry.wal_frames = outcome.wal_frames;
  entry.checkpointed_frames = outcome.checkpointed_frames;
  entry.moved_frames = outcome.moved_frames;
  entry.error = outcome.message;
  if (outcome.busy && outcome.result == CheckpointResult::kFailed) {
    // SQLITE_LOCKED: the connection that asked for the checkpoint was itself in the way.
    entry.blocked_by_pid = entry.pid;
  } else if (index && !outcome.commits_went_on &&
             (outcome.pinned || outcome.busy || outcome.result == CheckpointResult::kPartial)) {
    const LogReaders::Blocker blocker =
        readers_.FindBlocker(entry.mode, entry.origin, outcome.pinned, *index, start_ns);
    entry.blocked_by_pid = blocker.pid;
    if (entry.origin == CheckpointOrigin::kApplication && blocker.pid) {
      entry.error = blocker.writes ? "other connections wrote, or held the write lock"
                                   : "a reader holds frame " + std::to_string(blocker.frame) +
                                         " of " + std::to_string(index->max_frame);
    }
  }
  control_.Get()->region().RecordCheckpoint(entry, end_ns);
  return entry.blocked_by_pid;
}

void CheckpointRecords::WriteLastClose(const WalIndex& index, std::uint64_t start_ns,
                                       std::uint64_t end_ns) {
  CheckpointEntry entry;
  Sign(entry, start_ns, end_ns);
  entry.origin = CheckpointOrigin::kClose;
  entry.result = CheckpointResult::kComplete;
  entry.wal_frames = entry.checkpointed_frames = index.max_frame;
  entry.moved_frames = index.pending();
  entry.wal_bytes = 0;
  control_.Get()->region().RecordCheckpoint(entry, end_ns);
}

}  // namespace walmanager
