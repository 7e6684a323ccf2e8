// What the checkpoint engine learns about a database while it works, and what follows from it. The
// values stand in the control file, where all processes share them; wal_config shows each as
// `learned.<name>`.
//
// Every value is an exponentially smoothed mean, x += (sample - x) / 4; the first sample counts
// whole. All functions are pure: durations come in as arguments, settings as bounds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ext/core/policy/settings.h"

namespace walmanager {

enum class LearnedValue : std::size_t {
  kWriteRate,  // frames per second that commits add while the engine works
  kFrameUs,    // microseconds to copy a frame into the database, its share of the sync included
  kSyncMs,     // milliseconds of a sync of log and database after little was written
  kReaderMs,   // milliseconds for which a reader holds its mark
  kFinishMs,   // milliseconds that a committing thread takes to finish the remainder
  kMultiple,   // where commits sync: times checkpoint_frames at which the log starts over, 1 or 4
  kCount
};

inline constexpr std::size_t kLearnedCount = static_cast<std::size_t>(LearnedValue::kCount);

struct LearnedSpec {
  const char* name;  // after "learned."
  const char* unit;
  const char* description;
};
std::span<const LearnedSpec> LearnedSpecs();

// One pass of the background thread.
struct Pass {
  std::uint32_t moved_frames = 0;  // copied into the database
  std::uint32_t added_frames = 0;  // committed meanwhile
  std::uint64_t duration_ns = 0;   // with both syncs
};

class Learned {
 public:
  std::optional<double> operator[](LearnedValue value) const {
    return values_[static_cast<std::size_t>(value)];
  }
  std::optional<double> at(std::size_t index) const { return values_[index]; }
  // Ignores what is no positive number: the bytes of the control file are not trusted.
  void Set(std::size_t index, double value);

  void PassEnded(const Pass& pass);
  // A committing thread finished the remainder.
  void Finished(std::uint64_t duration_ns);
  // Where commits sync by themselves they wait for whatever else is being synced. Where a frame
  // costs over seven microseconds, since pages lie apart or the disk is slow, nothing more is
  // synced beside them: the database is left to the commit that finishes, at four times the frames,
  // when a page that was written often is synced once. Until that takes under three milliseconds: a
  // short log is written faster. After a pass beside them that synced, and after such a finish.
  void SyncedBeside();
  void FinishedWithSync(std::uint64_t duration_ns);
  // A reader was seen to hold its mark for so long; one of over a second counts as a second, so
  // that it is forgotten after some that are short.
  void ReaderLeft(std::uint64_t held_ns);

  // The remainder that a commit may finish: as many frames as cost half a millisecond beyond the
  // two syncs, 16 to 256, and no more than checkpoint_frames.
  std::uint32_t FinishFrames(const SettingValues& settings) const;
  // Where commits sync: the length of the log at which it starts over.
  std::uint32_t Multiple() const;
  // Whether it pays that a commit waits for readers for up to `budget_ns`: they last no longer than
  // that, or nothing is known of them.
  bool WaitPays(std::uint64_t budget_ns) const;

 private:
  void Smooth(LearnedValue value, double sample);
  std::array<std::optional<double>, kLearnedCount> values_;
};

}  // namespace walmanager
