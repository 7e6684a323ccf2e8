// The part of ControlRegion that keeps checkpoints: counters, a ring of records and the state of
// the engine. The protocol is in control_region.h.
#include <bit>

#include "ext/core/base/sort_by_key.h"
#include "ext/core/control/control_region.h"
#include "ext/core/control/record_ring.h"
#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

using layout::Counter;

std::optional<std::int64_t> Known(std::int64_t stored) {
  return stored < 0 ? std::nullopt : std::optional(stored);
}

std::int64_t Stored(const std::optional<std::int64_t>& value) { return value.value_or(-1); }

}  // namespace

const char* OriginName(CheckpointOrigin origin) {
  constexpr const char* kNames[] = {"inline", "background", "manual", "close", "application"};
  return kNames[static_cast<std::size_t>(origin)];
}

const char* ResultName(CheckpointResult result) {
  constexpr const char* kNames[] = {"complete", "partial", "busy", "skipped", "failed"};
  return kNames[static_cast<std::size_t>(result)];
}

static_assert(kCheckpointOrigins ==
              std::tuple_size_v<decltype(layout::CheckpointCounters::by_origin)>);

void ControlRegion::RecordCheckpoint(const CheckpointEntry& entry, std::uint64_t monotonic_ns) {
  layout::CheckpointCounters& counters = file_->checkpoints;
  const auto duration = static_cast<std::uint64_t>(entry.duration_ns);
  Add(counters.by_mode[static_cast<std::size_t>(entry.mode)], 1);
  Add(counters.by_origin[static_cast<std::size_t>(entry.origin)], 1);
  Add(counters.by_result[static_cast<std::size_t>(entry.result)], 1);
  Add(counters.frames, static_cast<std::uint64_t>(entry.moved_frames.value_or(0)));
  Add(counters.total_ns, duration);
  Add(counters.histogram[DurationScale::Bucket(duration)], 1);
  Raise(counters.max_ns, duration);
  Put(counters.last_ns, duration);
  Put(counters.last_ms, static_cast<std::uint64_t>(entry.at_ms));
  Put(counters.last_mode, static_cast<std::uint64_t>(entry.mode) + 1);
  Put(file_->header.last_checkpoint_ns, monotonic_ns);
  Put(file_->header.commits_at_checkpoint, ReadCommits(false).commits);
  AppendToLog(entry);
}

void ControlRegion::AppendToLog(const CheckpointEntry& entry) {
  layout::CheckpointRing& ring = file_->ring;
  // Relaxed: the number alone counts. The slot's id says that the record is there.
  const std::uint64_t id = ring.next_id.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::size_t place = id % layout::kCheckpointRecords;
  // Where the file cannot grow the record is lost; the counters have it.
  if (!space_->Make(ControlSpace::Kind::kMoreCheckpoints, place)) return;
  layout::CheckpointSlot& slot = file_->checkpoint(place);
  layout::CheckpointRecord record{};
  record.at_ms = entry.at_ms;
  record.pid = entry.pid;
  record.pid_namespace = entry.pid_namespace;
  record.mode = static_cast<std::uint64_t>(entry.mode);
  record.origin = static_cast<std::uint64_t>(entry.origin);
  record.result = static_cast<std::uint64_t>(entry.result);
  record.wal_frames = Stored(entry.wal_frames);
  record.checkpointed_frames = Stored(entry.checkpointed_frames);
  record.moved_frames = Stored(entry.moved_frames);
  record.wal_bytes = Stored(entry.wal_bytes);
  record.duration_ns = entry.duration_ns;
  record.blocked_by_pid = Stored(entry.blocked_by_pid);
  SetText(record.rule, entry.rule);
  SetText(record.error, entry.error);
  WriteRecord(slot, id, record);
}

void ControlRegion::TakeOverCheckpoints(ControlRegion& from, bool with_resets) {
  layout::CheckpointCounters& before = from.file_->checkpoints;
  layout::CheckpointCounters& now = file_->checkpoints;
  const auto move = [](Counter& source, Counter& target) {
    if (const std::uint64_t count = Take(source)) Add(target, count);
  };
  for (std::size_t i = 0; i < now.by_mode.size(); ++i) move(before.by_mode[i], now.by_mode[i]);
  for (std::size_t i = 0; i < now.by_origin.size(); ++i) {
    move(before.by_origin[i], now.by_origin[i]);
  }
  for (std::size_t i = 0; i < now.by_result.size(); ++i) {
    move(before.by_result[i], now.by_result[i]);
  }
  for (std::size_t i = 0; i < now.histogram.size(); ++i) {
    move(before.histogram[i], now.histogram[i]);
  }
  move(before.frames, now.frames);
  move(before.total_ns, now.total_ns);
  const std::uint64_t resets = Take(before.wal_resets);
  if (with_resets) Add(now.wal_resets, resets);
  Raise(now.max_ns, Take(before.max_ns));
  Raise(now.wal_bytes_max, Take(before.wal_bytes_max));
  if (const std::uint64_t last = Take(before.last_ms); last > Get(now.last_ms)) {
    Put(now.last_ms, last);
    Put(now.last_ns, Get(before.last_ns));
    Put(now.last_mode, Get(before.last_mode));
  }
  const std::vector<CheckpointEntry> log = from.ReadCheckpointLog();
  Put(from.file_->ring.forgotten_id, Get(from.file_->ring.next_id));
  for (auto entry = log.rbegin(); entry != log.rend(); ++entry) AppendToLog(*entry);
  const auto fired = [](layout::RuleCounters& source, layout::RuleCounters& target) {
    Add(target.fired, Take(source.fired));
    Raise(target.last_fired_ms, Take(source.last_fired_ms));
  };
  for (std::size_t i = 0; i < file_->builtin_rules.size(); ++i) {
    fired(from.file_->builtin_rules[i], file_->builtin_rules[i]);
  }
}

void ControlRegion::CountSkippedCheckpoint() {
  Add(file_->checkpoints.by_result[static_cast<std::size_t>(CheckpointResult::kSkipped)], 1);
}

void ControlRegion::CountLogReset() { Add(file_->checkpoints.wal_resets, 1); }

void ControlRegion::RaiseWalBytesMax(std::uint64_t bytes) {
  Raise(file_->checkpoints.wal_bytes_max, bytes);
}

CheckpointTotals ControlRegion::ReadCheckpointTotals() const {
  const layout::CheckpointCounters& counters = file_->checkpoints;
  CheckpointTotals totals;
  for (std::size_t i = 0; i < 4; ++i) totals.by_mode[i] = Get(counters.by_mode[i]);
  for (std::size_t i = 0; i < kCheckpointOrigins; ++i)
    totals.by_origin[i] = Get(counters.by_origin[i]);
  for (std::size_t i = 0; i < 5; ++i) totals.by_result[i] = Get(counters.by_result[i]);
  totals.frames = Get(counters.frames);
  totals.total_ns = Get(counters.total_ns);
  totals.max_ns = Get(counters.max_ns);
  totals.last_ns = Get(counters.last_ns);
  totals.wal_resets = Get(counters.wal_resets);
  totals.wal_bytes_max = Get(counters.wal_bytes_max);
  totals.last_ms = static_cast<std::int64_t>(Get(counters.last_ms));
  const std::uint64_t mode = Get(counters.last_mode);
  if (mode >= 1 && mode <= kCheckpointModes)
    totals.last_mode = static_cast<CheckpointMode>(mode - 1);
  for (const Counter& counter : counters.histogram) totals.histogram.push_back(Get(counter));
  return totals;
}

ControlRegion::Prepared ControlRegion::prepared() const {
  const std::uint64_t word = Get(file_->engine.prepared);
  return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word),
          static_cast<std::size_t>(Get(file_->engine.prepared_rule))};
}

void ControlRegion::SetPrepared(const Prepared& prepared) {
  Put(file_->engine.prepared_rule, prepared.rule);
  Put(file_->engine.prepared, std::uint64_t{prepared.salt1} << 32 | prepared.frames);
}

static_assert(kLearnedCount <= layout::kLearned);

Learned ControlRegion::learned() const {
  Learned learned;
  for (std::size_t i = 0; i < kLearnedCount; ++i) {
    learned.Set(i, std::bit_cast<double>(Get(file_->engine.learned[i])));
  }
  return learned;
}

void ControlRegion::SetLearned(const Learned& learned) {
  for (std::size_t i = 0; i < kLearnedCount; ++i) {
    if (!learned.is_new(i)) continue;
    Put(file_->engine.learned[i], std::bit_cast<std::uint64_t>(learned.at(i).value_or(0)));
  }
}

std::vector<CheckpointEntry> ControlRegion::ReadCheckpointLog() const {
  std::vector<CheckpointEntry> log;
  const RingIds ids(file_->ring.next_id, file_->ring.forgotten_id, layout::kCheckpointRecords);
  space_->Follow();
  for (std::size_t i = 0; i < layout::kCheckpointRecords; ++i) {
    const layout::CheckpointSlot& slot = file_->checkpoint(i);
    const std::uint64_t id = ids.IdIn(slot, i);
    layout::CheckpointRecord record;
    if (id == 0 || !CopyRecord(slot, id, record)) continue;
    if (record.mode >= kCheckpointModes || record.origin >= kCheckpointOrigins ||
        record.result > 4) {
      continue;
    }
    CheckpointEntry entry;
    entry.id = id;
    entry.at_ms = record.at_ms;
    entry.pid = record.pid;
    entry.pid_namespace = record.pid_namespace;
    entry.mode = static_cast<CheckpointMode>(record.mode);
    entry.origin = static_cast<CheckpointOrigin>(record.origin);
    entry.result = static_cast<CheckpointResult>(record.result);
    entry.wal_frames = Known(record.wal_frames);
    entry.checkpointed_frames = Known(record.checkpointed_frames);
    entry.moved_frames = Known(record.moved_frames);
    entry.wal_bytes = Known(record.wal_bytes);
    entry.duration_ns = record.duration_ns;
    entry.blocked_by_pid = Known(record.blocked_by_pid);
    entry.rule = Text(record.rule);
    entry.error = Text(record.error);
    log.push_back(std::move(entry));
  }
  SortLargestFirst(log, [](const CheckpointEntry& entry) { return entry.id; });
  return log;
}

}  // namespace walmanager
