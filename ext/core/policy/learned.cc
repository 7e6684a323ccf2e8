#include "ext/core/policy/learned.h"

#include <algorithm>
#include <cmath>

namespace walmanager {
namespace {

constexpr double kSmoothing = 0.25;
// A pass of fewer frames says what a sync costs, one of more what a frame costs.
constexpr std::uint32_t kFewFrames = 64;
constexpr std::uint32_t kManyFrames = 512;
constexpr std::uint32_t kManyAtFirst = 128;
constexpr double kFinishTargetUs = 500;
constexpr double kLongReaderMs = 1000;
constexpr double kLeastFinishFrames = 16;
constexpr double kMostFinishFrames = 256;
constexpr double kFinishFramesAtFirst = 48;

constexpr std::array<LearnedSpec, kLearnedCount> kSpecs = {{
    {"write_rate", "frames/s",
     "Frames per second that commits add to the log while a background checkpoint runs."},
    {"frame_us", "us",
     "Time to copy one frame into the database in the background, with its share of the sync."},
    {"sync_ms", "ms",
     "Time to sync log and database in the background after few frames were written."},
    {"reader_ms", "ms",
     "Time for which a reader that is in the way of a checkpoint holds its read mark."},
    {"finish_ms", "ms",
     "Time that a commit takes to copy the last frames, so that the log can start over."},
    {"read_page_us", "us",
     "Time to read a page of the database file from the system's cache; wal_configure() measures "
     "it."},
    {"mapped_page_us", "us",
     "Time to map, use and unmap a page of the database file (PRAGMA mmap_size); wal_configure() "
     "measures it."},
}};

}  // namespace

std::span<const LearnedSpec> LearnedSpecs() { return kSpecs; }

void Learned::Set(std::size_t index, double value) {
  if (index >= values_.size() || !std::isfinite(value) || value <= 0) return;
  values_[index] = value;
}

void Learned::Complete(const Learned& other) {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i] || !other.values_[i]) continue;
    Learn(static_cast<LearnedValue>(i), *other.values_[i]);
  }
}

void Learned::Learn(LearnedValue value, double known) {
  values_[static_cast<std::size_t>(value)] = known;
  new_.set(static_cast<std::size_t>(value));
}

void Learned::Smooth(LearnedValue value, double sample) {
  const auto known = (*this)[value];
  Learn(value, known ? *known + kSmoothing * (sample - *known) : sample);
}

void Learned::PassEnded(const Pass& pass) {
  if (pass.duration_ns == 0 || pass.moved_frames == 0) return;
  const auto ns = static_cast<double>(pass.duration_ns);
  // Never 0, which is unknown.
  Smooth(LearnedValue::kWriteRate, std::max(1.0, pass.added_frames * 1e9 / ns));
  if (pass.moved_frames <= kFewFrames) Smooth(LearnedValue::kSyncMs, ns / 1e6);
  const bool is_first = !(*this)[LearnedValue::kFrameUs];
  if (pass.moved_frames >= (is_first ? kManyAtFirst : kManyFrames)) {
    Smooth(LearnedValue::kFrameUs, ns / 1e3 / pass.moved_frames);
  }
}

void Learned::Finished(std::uint64_t duration_ns) {
  Smooth(LearnedValue::kFinishMs, static_cast<double>(duration_ns) / 1e6);
}

void Learned::ReaderLeft(std::uint64_t held_ns) {
  Smooth(LearnedValue::kReaderMs, std::min(static_cast<double>(held_ns) / 1e6, kLongReaderMs));
}

void Learned::PagesMeasured(double read_us, double mapped_us) {
  Smooth(LearnedValue::kReadPageUs, read_us);
  Smooth(LearnedValue::kMappedPageUs, mapped_us);
}

std::uint32_t Learned::FinishFrames(const SettingValues& settings) const {
  const auto frame_us = (*this)[LearnedValue::kFrameUs];
  const double wanted = frame_us ? kFinishTargetUs / *frame_us : kFinishFramesAtFirst;
  const double frames = std::clamp(wanted, kLeastFinishFrames, kMostFinishFrames);
  const auto most = static_cast<double>(settings[Setting::kCheckpointFrames]);
  return static_cast<std::uint32_t>(std::min(frames, most));
}

std::int64_t Learned::DueFrames(const SettingValues& settings, const WalIndex& index) const {
  constexpr std::int64_t kMostTimes = 8;
  constexpr double kMostGrowth = 0.95;
  const std::int64_t frames = settings[Setting::kCheckpointFrames];
  const std::int64_t limit =
      settings[Setting::kWalLimitBytes] / (index.page_size + kFrameHeaderBytes);
  const std::int64_t least = std::max<std::int64_t>(1, std::min(frames, limit / 2));
  const auto rate = (*this)[LearnedValue::kWriteRate], frame_us = (*this)[LearnedValue::kFrameUs];
  if (frames != DefaultOf(Setting::kCheckpointFrames) || !rate || !frame_us) return least;
  const double growth = *rate * *frame_us / 1e6;
  const std::int64_t most = limit - limit / 8;
  const auto fitting =
      static_cast<std::int64_t>(static_cast<double>(most) * (1 - std::min(growth, kMostGrowth)));
  return std::max(least, std::min({kMostTimes * frames, limit / 2, fitting}) - index.backfill);
}

std::uint64_t Learned::WaitForReadersNs() const {
  constexpr double kLifetimes = 1.1;
  const double reader_ms = (*this)[LearnedValue::kReaderMs].value_or(0);
  return static_cast<std::uint64_t>(kLifetimes * std::min(reader_ms, kLongReaderMs) * 1e6);
}

}  // namespace walmanager
