// What the checkpoint engine learns about a database while it works, and its conclusions. The
// values stand in the control file, where all processes share them; wal_config shows each as
// `learned.<name>`.
//
// Every value is an exponentially smoothed mean, x += (sample - x) / 4; the first sample counts
// whole. All functions are pure: durations come in as arguments, settings as bounds.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ext/core/format/wal_index_format.h"
#include "ext/core/policy/settings.h"

namespace walmanager {

enum class LearnedValue : std::size_t {
  kWriteRate,     // frames per second that commits add while the engine works
  kFrameUs,       // microseconds to copy a frame into the database, its share of the sync included
  kSyncMs,        // milliseconds of a sync of log and database after little was written
  kReaderMs,      // milliseconds for which a reader holds its mark
  kFinishMs,      // milliseconds that a committing thread takes to finish the remainder
  kReadPageUs,    // microseconds for a page of the database file that SQLite reads
  kMappedPageUs,  // microseconds for one that it maps
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
  // Whether the value was learned since this object was read. Only such a value is written to the
  // control file, where other threads and processes write the others.
  bool is_new(std::size_t index) const { return new_.test(index); }
  // For the one that reads them. Ignores a value that is not a positive number: the bytes of the
  // control file are not trusted.
  void Set(std::size_t index, double value);

  // Takes the values of `other` that are not known here.
  void Complete(const Learned& other);

  void PassEnded(const Pass& pass);
  // A committing thread finished the remainder.
  void Finished(std::uint64_t duration_ns);
  // A reader held its mark for so long. Over a second counts as a second, so that some short
  // readers make up for a long one.
  void ReaderLeft(std::uint64_t held_ns);

  // What pages of the database file cost, in microseconds; page_costs.h measures it.
  void PagesMeasured(double read_us, double mapped_us);

  // The remainder that a commit may finish: as many frames as cost half a millisecond beyond the
  // two syncs, 16 to 256, and no more than checkpoint_frames.
  std::uint32_t FinishFrames(const SettingValues& settings) const;
  // Pending frames at which the thread begins to copy: checkpoint_frames, or half of the limit
  // where that is less. Where checkpoint_frames is at its default, and something is known, the
  // thread begins later, since a page is copied once, however often it is in the log: at up to
  // eight times checkpoint_frames. But the log grows while it is copied. With g frames added for
  // each that is copied, a log of n frames ends at n / (1 - g): that stays below 7/8 of the limit.
  // Frames of `index` that are copied count as part of that length: where the log did not start
  // over, the thread begins again at checkpoint_frames.
  std::int64_t DueFrames(const SettingValues& settings, const WalIndex& index) const;
  // The least that a commit must be able to wait so that readers leave the log. A wait takes up to
  // two of their lifetimes (stall_allowance.h), but more than four readers share marks and seem to
  // last longer than they do: so one lifetime and a tenth. 0 where nothing is known.
  std::uint64_t WaitForReadersNs() const;

 private:
  void Learn(LearnedValue value, double known);
  void Smooth(LearnedValue value, double sample);
  std::array<std::optional<double>, kLearnedCount> values_;
  std::bitset<kLearnedCount> new_;
};

}  // namespace walmanager
