// Reading and writing the memory of a control file, shared or private; the layout is in
// control_layout.h. This class knows no files, locks or clocks: those are
// ext/system/control_file.h.
//
// The protocol, for every thread and process that accesses this memory:
// - No access waits, and a killed process leaves nothing locked. Single words are relaxed atomics:
//   they are counters, and no decision about data rests on their order.
// - A slab is written by the one connection that owns it (load, add, store); readers sum the slabs.
//   A slab keeps its counts when its owner leaves, and the next owner adds to them, so totals
//   survive kill -9. The last slab is shared; connections add to it with read-modify-write.
// - A reset raises `reset_generation`. An owner whose slab has another generation clears the slab
//   first; readers treat such a slab as empty.
// - There are two copies of the settings; the lowest bit of `settings_generation` names the copy in
//   force. A writer (there is one at a time: the caller holds the settings lock) fills the other
//   copy and then stores the next generation with release. A reader loads the generation with
//   acquire, copies, and looks again: only two changes in between can have touched what it copied.
//   A writer killed half-way leaves the copy in force as it was.
// - A checkpoint record is claimed by adding to `next_id`; its slot's id is 0 while it is written,
//   and stored with release when it is done. A reader checks the id before and after it copies. A
//   writer killed half-way leaves an empty slot.
// - Values read are not trusted: counts are bounded, texts end at their field's end, numbers out of
//   range fall back to defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/control/control_layout.h"
#include "ext/core/control/control_space.h"
#include "ext/core/format/file_id.h"
#include "ext/core/policy/learned.h"
#include "ext/core/policy/stored_settings.h"

namespace walmanager {

enum class CheckpointOrigin : std::uint8_t { kInline, kBackground, kManual, kClose, kApplication };
inline constexpr std::size_t kCheckpointOrigins = 5;
const char* OriginName(CheckpointOrigin origin);
enum class CheckpointResult : std::uint8_t { kComplete, kPartial, kBusy, kSkipped, kFailed };
const char* ResultName(CheckpointResult result);

// One checkpoint as it happened. Unknown is nullopt.
struct CheckpointEntry {
  std::uint64_t id = 0;  // given by the region
  std::int64_t at_ms = 0;
  std::int64_t pid = 0;             // as its process itself says
  std::uint64_t pid_namespace = 0;  // of both pids; 0: unknown
  CheckpointMode mode = CheckpointMode::kPassive;
  CheckpointOrigin origin = CheckpointOrigin::kInline;
  CheckpointResult result = CheckpointResult::kSkipped;
  std::optional<std::int64_t> wal_frames, checkpointed_frames, moved_frames, wal_bytes,
      blocked_by_pid;
  std::int64_t duration_ns = 0;
  std::string rule;   // empty: none
  std::string error;  // empty: none
};

struct CommitTotals {
  std::uint64_t commits = 0, frames_written = 0, timed_commits = 0, commit_ns = 0,
                commit_max_ns = 0, stall_ns = 0;
  std::vector<std::uint64_t> histogram;  // DurationScale::kBuckets
};

struct CheckpointTotals {
  std::uint64_t by_mode[4] = {}, by_origin[kCheckpointOrigins] = {}, by_result[5] = {};
  std::uint64_t frames = 0, total_ns = 0, max_ns = 0, last_ns = 0, wal_resets = 0,
                wal_bytes_max = 0;
  std::int64_t last_ms = 0;
  std::optional<CheckpointMode> last_mode;
  std::vector<std::uint64_t> histogram;
};

struct RuleFired {
  std::uint64_t fired = 0;
  std::int64_t last_fired_ms = 0;
};

class ControlRegion {
 public:
  // `space` must outlive this object; nullptr: it is not used before it is assigned to.
  explicit ControlRegion(ControlSpace* space)
      : space_(space), file_(space ? space->file() : nullptr) {}

  struct Identity {
    FileId database;
    std::string boot_id;
  };
  // Makes zeroed memory a control file. The caller alone has it.
  void Initialize(const Identity& identity, std::int64_t unix_ms, std::uint64_t monotonic_ns);
  // Whether this is a complete control file of this layout, database and boot, or what it is
  // instead.
  enum class Fit { kFits, kForeign, kOtherLayout, kUnfinished, kOtherDatabase, kOtherBoot };
  Fit Check(const Identity& identity) const;
  // Whether it is of this database.
  bool IsOf(const FileId& database) const;
  // The caller alone has it: takes it over for another database or after another boot.
  void Adopt(const Identity& identity, std::int64_t unix_ms, std::uint64_t monotonic_ns);
  // The caller alone has it: corrects impossible values in words that nothing would correct later.
  void Repair(std::uint64_t monotonic_ns);

  layout::CancelRequests& cancels() { return file_->cancels; }

  // --- settings
  std::uint64_t settings_generation() const {
    return file_->header.settings_generation.load(std::memory_order_relaxed);
  }
  const layout::Counter& settings_generation_word() const {
    return file_->header.settings_generation;
  }
  // nullopt only where another process changed them twice during each of many tries: keep the
  // settings that you have.
  std::optional<StoredSettings> ReadSettings() const;
  // The caller holds the settings lock. Error where there is no room.
  Status WriteSettings(const StoredSettings& settings);

  // --- commits
  // Returns the frames of the log, as it is now, that no look has counted before. Each frame is
  // given to exactly one caller. `reset`: the log started over since the last look.
  std::uint64_t AdvanceLog(std::uint32_t salt1, std::uint32_t max_frame, bool* reset);
  struct Commit {
    std::uint64_t frames = 0;
    std::optional<std::uint64_t> duration_ns;  // nullopt where its start was not seen
    std::uint64_t stall_ns = 0;
  };
  void RecordCommit(std::size_t slab, const Commit& commit);
  // Frames of commits that no hook saw.
  void AddFrames(std::size_t slab, std::uint64_t frames);
  // Moves a slab's commits here, from the private memory `before` that its process used until now.
  // `with_frames`: no process has counted the log's frames here yet; otherwise the log's position
  // says that they were counted.
  void TakeOver(std::size_t slab, ControlRegion& before, std::size_t slab_before, bool with_frames);
  // Likewise the commits of a slab that has no owner any more, to the shared slab.
  void TakeOverLeft(ControlRegion& before, std::size_t slab_before, bool with_frames);
  CommitTotals ReadCommits(bool with_histogram) const;
  layout::ConnectionSlab& slab(std::size_t index) { return space_->slab(index); }
  layout::Header& header() { return file_->header; }
  const layout::Header& header() const { return file_->header; }
  const layout::CheckpointCounters& checkpoints() const { return file_->checkpoints; }

  // --- checkpoints
  void RecordCheckpoint(const CheckpointEntry& entry, std::uint64_t monotonic_ns);
  // Adds a line to the checkpoint log and counts nothing.
  void AppendToLog(const CheckpointEntry& entry);
  // Moves the counters and records of checkpoints and rules here, from private memory.
  void TakeOverCheckpoints(ControlRegion& before, bool with_resets);
  void CountSkippedCheckpoint();
  void CountLogReset();
  void RaiseWalBytesMax(std::uint64_t bytes);
  CheckpointTotals ReadCheckpointTotals() const;
  std::vector<CheckpointEntry> ReadCheckpointLog() const;  // newest first

  // --- the engine. All of these words may be out of date by a moment: look at the wal-index before
  // you act on one.

  // A commit may finish a remainder of so many frames of the log with this salt.
  struct Prepared {
    std::uint32_t salt1 = 0;
    std::uint32_t frames = 0;  // 0: nothing is prepared
    std::size_t rule = 0;      // index + 1 into the rules of the active strategy
  };
  Prepared prepared() const;
  void SetPrepared(const Prepared& prepared);
  layout::EngineState& engine() { return file_->engine; }
  Learned learned() const;
  // Writes what is new in it. Of two threads that learn the same value at once, one sample counts.
  void SetLearned(const Learned& learned);

  // --- rules: `index` into BuiltinRules() or into StoredSettings::rules
  void CountFired(bool builtin, std::size_t index, std::int64_t unix_ms);
  RuleFired ReadFired(bool builtin, std::size_t index) const;

  // Forgets commits and checkpoints, and how often built-in rules have fired. Needs no memory.
  void ForgetCounts(std::int64_t unix_ms, std::uint64_t monotonic_ns);
  // Forgets commits and checkpoints; settings and rules stay. Returns the number of checkpoint
  // records that were there.
  std::int64_t ResetWalStatistics(std::int64_t unix_ms, std::uint64_t monotonic_ns);

 private:
  void SetDatabase(const FileId& database);
  layout::ConnectionSlab& OwnSlab(std::size_t index);
  void ClearStatistics(std::int64_t unix_ms, std::uint64_t monotonic_ns);
  void BeginStatistics(std::int64_t unix_ms, std::uint64_t monotonic_ns);
  // How often each of `rules`, which are about to replace those in force, has fired until now.
  std::vector<RuleFired> FiredUnder(const std::vector<Rule>& rules) const;
  ControlSpace* space_;
  layout::ControlFile* file_;
};

}  // namespace walmanager
