#include "ext/core/control/history.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

using layout::HistoryHead;
using layout::HistoryRecord;
using layout::HistorySlot;
using layout::HistoryState;
using layout::HistorySums;

// The rings, and what the arrays of HistoryState are in the order of.
enum Ring : std::size_t { kSamples, kMinutes, kHours, kRings };
constexpr std::array<std::int64_t, kRings> kRingMs = {0, 60'000, 3'600'000};
static_assert(std::tuple_size_v<decltype(HistoryState::last_ids)> == kRings);

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kAnotherBoot = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kMostId = std::uint64_t{1} << 62;  // none is ever that large

constexpr std::array<ControlSpace::Kind, kRings> kKinds = {
    ControlSpace::Kind::kSamples, ControlSpace::Kind::kMinutes, ControlSpace::Kind::kHours};

std::span<HistorySlot> SlotsOf(const ControlSpace& space, std::size_t ring) {
  layout::ControlFile& file = *space.file();
  if (ring == kSamples) return file.samples;
  return ring == kMinutes ? std::span<HistorySlot>(file.minutes) : file.hours;
}

// Copies from the file, made word by word.
template <typename T>
T Load(const T& shared) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);
  T value;
  CopyWords(&value, &shared, sizeof(T));
  return value;
}
template <typename T>
void Store(T& shared, const T& value) {
  CopyWords(&shared, &value, sizeof(T));
}

// --- reading

std::optional<HistoryState> ReadState(const layout::History& history) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    // Acquire: pairs with the writer's release, so the state in force is seen whole.
    const std::uint64_t generation = history.generation.load(std::memory_order_acquire);
    const HistoryState state = Load(history.states[generation & 1]);
    // Keeps the copying above before the second look.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Get(history.generation) == generation) return state;
  }
  return std::nullopt;
}

// A sample, minute or hour, and the ids of the samples that it is of.
struct Place {
  std::uint64_t id = 0;
  std::uint64_t first = 0, last = 0;
  std::int64_t at_ms = 0;
  const HistorySlot* slot = nullptr;
  const HistorySums* open = nullptr;  // not over yet: in no slot
};

Place PlaceOf(std::uint64_t id, const HistoryHead& head) {
  Place place;
  place.id = id;
  place.first = head.last_id - head.samples + 1;
  place.last = head.last_id;
  place.at_ms = head.at_ms;
  return place;
}

// What the ring has, oldest first.
std::vector<Place> PlacesOf(ControlSpace& space, const HistoryState& state, std::size_t ring) {
  std::vector<Place> places;
  space.Follow();
  const std::span<HistorySlot> slots = SlotsOf(space, ring);
  // A record's slot follows from its id, so only slots that may be in use are read.
  const std::uint64_t last = state.last_ids[ring], size = slots.size();
  const std::uint64_t gone = std::max(state.forgotten_ids[ring], last - std::min(last, size));
  for (std::uint64_t id = gone + 1; id != 0 && id <= last; ++id) {
    const std::size_t i = id % size;
    if (!space.Has(kKinds[ring], i)) continue;
    // Acquire: pairs with the writer's release of the id.
    if (slots[i].id.load(std::memory_order_acquire) != id) continue;
    Place place = PlaceOf(id, Load(slots[i].record.head));
    // Keeps the copying above before the second look.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Get(slots[i].id) != id) continue;
    place.slot = &slots[i];
    places.push_back(place);
  }
  return places;
}

// False where another sample has taken the place since. The place is one in a slot.
bool ReadRecord(const Place& place, HistoryRecord& record) {
  CopyWords(&record, &place.slot->record, sizeof record);
  // Keeps the copying above before the second look.
  std::atomic_thread_fence(std::memory_order_acquire);
  return Get(place.slot->id) == place.id;
}

// Whether a sample of the place is in one of `places`, which are in the order of their samples.
bool Overlap(const std::vector<Place>& places, const Place& place) {
  const auto first = std::partition_point(places.begin(), places.end(),
                                          [&](const Place& p) { return p.last < place.first; });
  return first != places.end() && first->first <= place.last;
}

// Whether the finer ring has all samples of the place that ended after `from_ms`. It may lack some
// between others: where the file could not grow they were lost.
bool FinerHas(const std::vector<Place>& finer, const Place& place, std::int64_t from_ms) {
  // Up to the one in which the last sample is.
  const auto end = std::partition_point(finer.begin(), finer.end(),
                                        [&](const Place& f) { return f.first <= place.last; });
  std::uint64_t next = place.last + 1;
  for (auto at = end; at != finer.begin();) {
    --at;
    if (at->last + 1 < next) return false;
    if (at->first <= place.first || at->at_ms <= from_ms) return true;
    next = at->first;
  }
  return false;
}

using PlacesOfRings = std::array<std::vector<Place>, kRings>;

// History::Merge() of one period.
std::optional<HistorySample> MergePlaces(const PlacesOfRings& places, std::int64_t from_ms,
                                         std::int64_t to_ms) {
  HistorySums merged{};
  HistoryRecord record{};
  PlacesOfRings merged_of;
  for (const std::size_t ring : {kHours, kMinutes, kSamples}) {
    for (const Place& place : places[ring]) {
      if (place.at_ms <= from_ms || place.at_ms > to_ms) continue;
      if (std::ranges::any_of(merged_of, [&](const auto& in) { return Overlap(in, place); }))
        continue;
      if (ring != kSamples && FinerHas(places[ring - 1], place, from_ms)) continue;
      merged_of[ring].push_back(place);
      if (place.open) {
        AddSample(*place.open, merged);
      } else if (ReadRecord(place, record)) {
        AddRecord(record, merged);
      }
    }
  }
  if (merged.head.samples == 0) return std::nullopt;
  return ReadSample(merged);
}

// --- writing; the caller is the only one

// Only the writer changes the state, so its own read needs no second look.
HistoryState StateInForce(const layout::History& history) {
  const HistoryState state = Load(history.states[Get(history.generation) & 1]);
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    const std::uint64_t last = state.last_ids[ring];
    // No writer left such ids: begin anew.
    if (last >= kMostId || state.forgotten_ids[ring] > last) return HistoryState{};
  }
  return state;
}

void PutInForce(layout::History& history, const HistoryState& state) {
  const std::uint64_t next = Get(history.generation) + 1;
  // Keeps the storing below after the state in force became the other one: a reader that still
  // copies this one sees that its generation is gone.
  std::atomic_thread_fence(std::memory_order_release);
  Store(history.states[next & 1], state);
  // Release: a thread that sees the new generation sees the state that it names, and the slots.
  history.generation.store(next, std::memory_order_release);
}

void Publish(ControlSpace& space, HistoryState& state, std::size_t ring, const HistorySums& sums) {
  const std::span<HistorySlot> slots = SlotsOf(space, ring);
  const std::uint64_t id = ++state.last_ids[ring];
  // Where the file cannot grow the sample is lost; a coarser ring may have it.
  if (!space.Make(kKinds[ring], id % slots.size())) return;
  HistorySlot& slot = slots[id % slots.size()];
  Put(slot.id, 0);
  // Keeps the storing below after the slot was marked empty.
  std::atomic_thread_fence(std::memory_order_release);
  Store(slot.record, PackSample(sums));
  // Release: a thread that sees the id sees the record.
  slot.id.store(id, std::memory_order_release);
}

// Adds the sample to the minute or hour that is not over, after closing it where the sample is of
// another one.
void AddToOpen(ControlSpace& space, HistoryState& state, std::size_t ring,
               const HistorySums& sample) {
  HistorySums& open = ring == kMinutes ? state.minute : state.hour;
  const std::int64_t length_ms = kRingMs[ring];
  if (open.head.samples != 0 && open.head.at_ms / length_ms != sample.head.at_ms / length_ms) {
    open.head.resolution_ms = static_cast<std::uint32_t>(length_ms);
    Publish(space, state, ring, open);
    open = HistorySums{};
  }
  AddSample(sample, open);
}

std::uint64_t CoveredMs(const layout::HistoryBaseline& baseline, std::int64_t unix_ms,
                        std::uint64_t monotonic_ns) {
  if (baseline.known != 1) return 0;
  if (monotonic_ns >= baseline.monotonic_ns) {
    return (monotonic_ns - baseline.monotonic_ns + kNsPerMs / 2) / kNsPerMs;
  }
  return unix_ms > baseline.at_ms
             ? static_cast<std::uint64_t>(unix_ms) - static_cast<std::uint64_t>(baseline.at_ms)
             : 0;
}

// One word of the baseline in force, which a thread finds whole, since it acquires the generation.
// A writer may just replace the baseline after that: then the word is of another sample.
template <typename T>
T Word(T& word) {
  return std::atomic_ref<T>(word).load(std::memory_order_relaxed);
}
layout::HistoryBaseline& BaselineOf(layout::History& history) {
  return history.states[history.generation.load(std::memory_order_acquire) & 1].baseline;
}

}  // namespace

void History::Add(std::int64_t unix_ms, std::uint64_t monotonic_ns, std::int64_t interval_ms,
                  const HistoryTotals& totals, const HistoryGauges& gauges) {
  HistoryState state = StateInForce(history_);
  HistorySums sample{};
  sample.head.at_ms = std::max<std::int64_t>(unix_ms, 0);
  sample.head.covers_ms = CoveredMs(state.baseline, unix_ms, monotonic_ns);
  sample.head.last_id = state.last_ids[kSamples] + 1;
  sample.head.resolution_ms = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(interval_ms, 0, std::numeric_limits<std::uint32_t>::max()));
  sample.head.samples = 1;
  AddCounted(totals, state.baseline, sample);
  state.baseline.at_ms = sample.head.at_ms;
  state.baseline.monotonic_ns = monotonic_ns;
  SetGauges(gauges, sample);
  for (const std::size_t ring : {kMinutes, kHours}) AddToOpen(*space_, state, ring, sample);
  Publish(*space_, state, kSamples, sample);
  PutInForce(history_, state);
}

void History::Begin(std::int64_t unix_ms, std::uint64_t monotonic_ns) {
  HistoryState state = StateInForce(history_);
  state.baseline = {};
  state.baseline.known = 1;
  state.baseline.at_ms = std::max<std::int64_t>(unix_ms, 0);
  state.baseline.monotonic_ns = monotonic_ns;
  PutInForce(history_, state);
}

void History::BeginAnew(std::int64_t unix_ms, std::uint64_t monotonic_ns) {
  layout::HistoryBaseline& baseline = history_.states[0].baseline;
  baseline.known = 1;
  baseline.at_ms = std::max<std::int64_t>(unix_ms, 0);
  baseline.monotonic_ns = monotonic_ns;
}

std::uint64_t History::DueInNs(std::uint64_t monotonic_ns, std::int64_t interval_ms) const {
  layout::HistoryBaseline& baseline = BaselineOf(history_);
  const std::uint64_t last = Word(baseline.monotonic_ns);
  if (Word(baseline.known) != 1 || monotonic_ns < last) return 0;
  const auto interval_ns =
      static_cast<std::uint64_t>(std::max<std::int64_t>(interval_ms, 0)) * kNsPerMs;
  const std::uint64_t passed = monotonic_ns - last;
  return passed < interval_ns ? interval_ns - passed : 0;
}

std::optional<std::int64_t> History::last_ms() const {
  layout::HistoryBaseline& baseline = BaselineOf(history_);
  if (Word(baseline.known) != 1) return std::nullopt;
  return Word(baseline.at_ms);
}

std::vector<HistorySample> History::Read() const {
  std::vector<HistorySample> samples;
  const auto state = ReadState(history_);
  if (!state) return samples;
  HistoryRecord record{};
  for (const std::size_t ring : {kHours, kMinutes, kSamples}) {
    for (const Place& place : PlacesOf(*space_, *state, ring)) {
      if (ReadRecord(place, record)) samples.push_back(ReadSample(UnpackSample(record)));
    }
  }
  return samples;
}

std::optional<HistorySample> History::Merge(std::int64_t from_ms, std::int64_t to_ms) const {
  const Period period{from_ms, to_ms};
  return std::move(Merge(std::span(&period, 1)).front());
}

std::vector<std::optional<HistorySample>> History::Merge(std::span<const Period> periods) const {
  std::vector<std::optional<HistorySample>> samples(periods.size());
  const auto state = ReadState(history_);
  if (!state) return samples;
  PlacesOfRings places;
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    places[ring] = PlacesOf(*space_, *state, ring);
    if (ring == kSamples) continue;
    const HistorySums& open = ring == kMinutes ? state->minute : state->hour;
    if (open.head.samples == 0) continue;
    places[ring].push_back(PlaceOf(state->last_ids[ring] + 1, open.head));
    places[ring].back().open = &open;
  }
  std::ranges::transform(periods, samples.begin(), [&](const Period& period) {
    return MergePlaces(places, period.from_ms, period.to_ms);
  });
  return samples;
}

std::int64_t History::Reset() {
  HistoryState state = StateInForce(history_);
  std::int64_t gone = 0;
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    gone += static_cast<std::int64_t>(PlacesOf(*space_, state, ring).size());
  }
  HistoryState empty{};
  empty.last_ids = empty.forgotten_ids = state.last_ids;
  PutInForce(history_, empty);
  return gone;
}

void History::ForgetMonotonicTime() {
  HistoryState state = StateInForce(history_);
  state.baseline.monotonic_ns = kAnotherBoot;
  PutInForce(history_, state);
}

}  // namespace walmanager
