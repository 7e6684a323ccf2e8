#include "ext/core/control/control_region.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "ext/core/control/alerts.h"
#include "ext/core/control/evidence.h"
#include "ext/core/control/history.h"
#include "ext/core/control/io_statistics.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/settings_entries.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/format/wal_index_format.h"

namespace walmanager {
namespace {

using layout::Counter;

constexpr std::size_t kSharedSlab = layout::kConnections;
constexpr std::uint32_t kLateLogs = 16;  // the random salt of a new log falls here once in 2^28

void ClearFired(layout::RuleCounters& counters) {
  Put(counters.fired, 0);
  Put(counters.last_fired_ms, 0);
}

void ClearSlab(layout::ConnectionSlab& slab, std::uint64_t generation) {
  for (Counter* counter : {&slab.commits, &slab.frames_written, &slab.timed_commits,
                           &slab.commit_ns, &slab.commit_max_ns, &slab.stall_ns}) {
    Put(*counter, 0);
  }
  for (Counter& counter : slab.commit_histogram) Put(counter, 0);
  // Release: a reader that sees the generation sees the counters empty.
  slab.reset_generation.store(generation, std::memory_order_release);
}

// `add`: a parameter of the template, so that an owner's is inlined.
template <void (*add)(Counter&, std::uint64_t)>
void AddCommit(layout::ConnectionSlab& slab, const ControlRegion::Commit& commit) {
  add(slab.commits, 1);
  add(slab.frames_written, commit.frames);
  add(slab.stall_ns, commit.stall_ns);
  if (!commit.duration_ns) return;
  add(slab.timed_commits, 1);
  add(slab.commit_ns, *commit.duration_ns);
  add(slab.commit_histogram[DurationScale::Bucket(*commit.duration_ns)], 1);
  Raise(slab.commit_max_ns, *commit.duration_ns);
}

template <void (*add)(Counter&, std::uint64_t)>
void MoveCommits(layout::ConnectionSlab& from, layout::ConnectionSlab& to, bool with_frames) {
  const auto move = [](Counter& source, Counter& target) {
    if (const std::uint64_t count = Take(source)) add(target, count);
  };
  const std::uint64_t frames = Take(from.frames_written);
  if (with_frames) add(to.frames_written, frames);
  move(from.commits, to.commits);
  move(from.timed_commits, to.timed_commits);
  move(from.commit_ns, to.commit_ns);
  move(from.stall_ns, to.stall_ns);
  Raise(to.commit_max_ns, Take(from.commit_max_ns));
  for (std::size_t i = 0; i < to.commit_histogram.size(); ++i) {
    move(from.commit_histogram[i], to.commit_histogram[i]);
  }
}

// The entries that are in use, as they stood at one moment if no writer came in between.
struct CopiedSettings {
  layout::SettingsBlock head;
  std::vector<layout::SettingEntry> settings;
  std::vector<layout::RuleEntry> rules;
};

void CopyUsed(layout::ControlFile& file, std::size_t copy, CopiedSettings& to) {
  CopyWords(&to.head, &file.settings[copy], offsetof(layout::SettingsBlock, settings));
  to.settings.resize(std::min<std::uint64_t>(to.head.setting_count, layout::kSettings));
  to.rules.resize(std::min<std::uint64_t>(to.head.rule_count, layout::kRules));
  for (std::size_t i = 0; i < to.settings.size(); ++i) {
    CopyWords(&to.settings[i], &file.setting(copy, i), sizeof to.settings[i]);
  }
  for (std::size_t i = 0; i < to.rules.size(); ++i) {
    CopyWords(&to.rules[i], &file.rule(copy, i), sizeof to.rules[i]);
  }
}

}  // namespace

void ControlRegion::Initialize(const Identity& identity, std::int64_t unix_ms,
                               std::uint64_t monotonic_ns) {
  layout::Header& header = file_->header;
  SetText(file_->settings[0].active_strategy, kDefaultStrategy);
  header.layout_number = layout::kLayoutNumber;
  header.file_bytes = layout::kFirstBytes;
  SetDatabase(identity.database);
  SetText(header.boot_id, identity.boot_id);
  // The rest is zeros already. Written again, every page of it would have to be there: a region in
  // private memory takes only the pages that are used.
  BeginStatistics(unix_ms, monotonic_ns);
  space_->ExpectWrites(&file_->evidence, sizeof file_->evidence);
  Put(file_->shared_slab.reset_generation, Get(header.reset_generation));
  History(space_).BeginAnew(unix_ms, monotonic_ns);
  std::memcpy(header.magic, layout::kMagic, sizeof header.magic);
  // Release: a process that sees it sees all of the above.
  header.ready.store(1, std::memory_order_release);
}

bool ControlRegion::IsOf(const FileId& database) const {
  const layout::Header& header = file_->header;
  return database.IsSame({.device = header.database_device,
                          .inode = header.database_inode,
                          .birth_ns = header.database_birth_ns,
                          .handle = header.database_handle});
}

void ControlRegion::SetDatabase(const FileId& database) {
  layout::Header& header = file_->header;
  header.database_device = database.device;
  header.database_inode = database.inode;
  header.database_birth_ns = database.birth_ns;
  header.database_handle = database.handle;
}

ControlRegion::Fit ControlRegion::Check(const Identity& identity) const {
  const layout::Header& header = file_->header;
  constexpr layout::Header kEmpty{};
  // Acquire: pairs with the release in Initialize().
  if (header.ready.load(std::memory_order_acquire) != 1) {
    // Zeros: a process was killed while it made the file. Any other file belongs to another
    // program.
    const bool empty = std::memcmp(header.magic, kEmpty.magic, sizeof header.magic) == 0;
    const bool has_magic = std::memcmp(header.magic, layout::kMagic, sizeof header.magic) == 0;
    return empty || has_magic ? Fit::kUnfinished : Fit::kForeign;
  }
  if (std::memcmp(header.magic, layout::kMagic, sizeof header.magic) != 0) return Fit::kForeign;
  // The size of this layout is known: `file_bytes` tells it to versions with another layout.
  if (header.layout_number != layout::kLayoutNumber) return Fit::kOtherLayout;
  if (!IsOf(identity.database)) return Fit::kOtherDatabase;
  return Text(header.boot_id) == identity.boot_id ? Fit::kFits : Fit::kOtherBoot;
}

void ControlRegion::Adopt(const Identity& identity, std::int64_t unix_ms,
                          std::uint64_t monotonic_ns) {
  layout::Header& header = file_->header;
  if (!IsOf(identity.database)) {
    // The identity last: if this process is killed before, the next one does all of this again.
    ClearStatistics(unix_ms, monotonic_ns);
    (void)QueryStatistics(space_).Reset();
    History history(space_);
    (void)history.Reset();
    history.Begin(unix_ms, monotonic_ns);
    Alerts(space_).StartOver();
    ForgetEvidence(file_->evidence);
    Put(header.log_position, 0);
    for (layout::RuleCounters& counters : file_->builtin_rules) ClearFired(counters);
    for (layout::RuleCounters& counters : file_->rules) ClearFired(counters);
    SetDatabase(identity.database);
  }
  // Before the boot's name, as above.
  if (Text(header.boot_id) != identity.boot_id) History(space_).ForgetMonotonicTime();
  SetText(header.boot_id, identity.boot_id);
  // Times of another boot, and what was learned from another log or disk.
  layout::EngineState& engine = file_->engine;
  for (Counter* word : {&engine.prepared, &engine.at_work_until_ns, &engine.brake_frame,
                        &engine.stall_since_ns, &header.gate_until_ns, &header.cut_until_ns}) {
    Put(*word, 0);
  }
  for (Counter& word : engine.learned) Put(word, 0);
  layout::ReplicatorWords& replicator = engine.replicator;
  for (Counter* word : {&replicator.state, &replicator.content, &replicator.sign_ns,
                        &replicator.looked_ns, &replicator.looks}) {
    Put(*word, 0);
  }
  Put(header.last_commit_ns, 0);
  Put(header.last_checkpoint_ns, monotonic_ns);
}

void ControlRegion::Repair(std::uint64_t monotonic_ns) {
  layout::Header& header = file_->header;
  header.file_bytes = layout::kFirstBytes;
  // Times in the future: with the first one the log would never be idle, with the second one no
  // checkpoint would ever be late.
  Put(header.connections_not_shown, 0);
  if (Get(header.last_commit_ns) > monotonic_ns) Put(header.last_commit_ns, 0);
  if (Get(header.last_checkpoint_ns) > monotonic_ns) Put(header.last_checkpoint_ns, monotonic_ns);
}

std::optional<StoredSettings> ControlRegion::ReadSettings() const {
  constexpr int kTries = 100;
  CopiedSettings copied;
  const Counter& generation = file_->header.settings_generation;
  for (int i = 0; i < kTries; ++i) {
    // Acquire: pairs with the writer's release, so the copy in force is seen whole.
    const std::uint64_t before = generation.load(std::memory_order_acquire);
    space_->Follow();
    CopyUsed(*file_, before & 1, copied);
    const bool has_more = copied.settings.size() > layout::kFirstSettings ||
                          copied.rules.size() > layout::kFirstRules;
    // There are more than this process can read: to write those that it can would lose the others.
    if (has_more && !space_->Has(ControlSpace::Kind::kMoreSettings, 0) &&
        NamesSection(file_->sections, ControlSpace::Kind::kMoreSettings, 0)) {
      return std::nullopt;
    }
    // Keeps the copying above before the second look.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Get(generation) != before) continue;
    return DecodeSettings(copied.head, copied.settings, copied.rules, before);
  }
  return std::nullopt;
}

Status ControlRegion::WriteSettings(const StoredSettings& settings) {
  if (settings.settings.size() > layout::kSettings || settings.rules.size() > layout::kRules) {
    return Error{"the control file has room for " + std::to_string(layout::kSettings) +
                 " settings and " + std::to_string(layout::kRules) +
                 " rules of your own, asked were " + std::to_string(settings.settings.size()) +
                 " and " + std::to_string(settings.rules.size())};
  }
  const bool needs_more = settings.settings.size() > layout::kFirstSettings ||
                          settings.rules.size() > layout::kFirstRules;
  if (needs_more && !space_->Make(ControlSpace::Kind::kMoreSettings, 0)) {
    return Error{"the control file cannot grow for more than " +
                     std::to_string(layout::kFirstSettings) + " settings and " +
                     std::to_string(layout::kFirstRules) +
                     " rules of your own: no room on the disk",
                 ErrorCode::kBusy};
  }
  const std::vector<RuleFired> fired = FiredUnder(settings.rules);
  const std::uint64_t next = Get(file_->header.settings_generation) + 1;
  // Keeps the copying below after the copy in force became the other one: a reader that still
  // copies this one sees that its generation is gone.
  std::atomic_thread_fence(std::memory_order_release);
  const std::size_t copy = next & 1;
  layout::SettingsBlock head{};
  EncodeHead(settings, head);
  CopyWords(&file_->settings[copy], &head, offsetof(layout::SettingsBlock, settings));
  for (std::size_t i = 0; i < settings.settings.size(); ++i) {
    layout::SettingEntry entry{};
    EncodeSetting(settings.settings[i], entry);
    CopyWords(&file_->setting(copy, i), &entry, sizeof entry);
  }
  for (std::size_t i = 0; i < settings.rules.size(); ++i) {
    layout::RuleEntry entry{};
    EncodeRule(settings.rules[i], entry);
    CopyWords(&file_->rule(copy, i), &entry, sizeof entry);
  }
  // Release: a thread that sees the new generation sees the copy that it names.
  file_->header.settings_generation.store(next, std::memory_order_release);
  for (std::size_t i = 0; i < fired.size(); ++i) {
    Put(file_->rules[i].fired, fired[i].fired);
    Put(file_->rules[i].last_fired_ms, static_cast<std::uint64_t>(fired[i].last_fired_ms));
  }
  return Ok{};
}

std::vector<RuleFired> ControlRegion::FiredUnder(const std::vector<Rule>& rules) const {
  std::vector<RuleFired> fired(rules.size());
  const auto current = ReadSettings();
  for (std::size_t i = 0; current && i < rules.size(); ++i) {
    for (std::size_t j = 0; j < current->rules.size(); ++j) {
      const Rule& rule = current->rules[j];
      if (rule.strategy == rules[i].strategy && rule.name == rules[i].name) {
        fired[i] = ReadFired(false, j);
      }
    }
  }
  return fired;
}

std::uint64_t ControlRegion::AdvanceLog(std::uint32_t salt1, std::uint32_t max_frame, bool* reset) {
  Counter& position = file_->header.log_position;
  const std::uint64_t now = LogEnd{salt1, max_frame}.position();
  std::uint64_t seen = Get(position);
  for (;;) {
    const auto seen_salt = static_cast<std::uint32_t>(seen >> 32);
    const auto seen_frame = static_cast<std::uint32_t>(seen);
    const bool same_log = seen_salt == salt1;
    // The salt is incremented each time the log starts over: a little less is a late look at the
    // log before, by a commit that comes to count after the first one of the log now.
    const bool log_before = seen != 0 && seen_salt - salt1 - 1 < kLateLogs;
    *reset = seen != 0 && !same_log && !log_before;
    if (log_before || (same_log && seen_frame >= max_frame)) return 0;
    // Relaxed: one word has the log and its end. The frames themselves are counted here only.
    if (position.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
      return same_log ? max_frame - seen_frame : max_frame;
    }
  }
}

void ControlRegion::RecordCommit(std::size_t index, const Commit& commit) {
  layout::ConnectionSlab& slab = OwnSlab(index);
  index == kSharedSlab ? AddCommit<Add>(slab, commit) : AddCommit<AddOwn>(slab, commit);
}

void ControlRegion::AddFrames(std::size_t index, std::uint64_t frames) {
  layout::ConnectionSlab& slab = OwnSlab(index);
  (index == kSharedSlab ? Add : AddOwn)(slab.frames_written, frames);
}

// The caller's slab, cleared if there was a reset since it was last written.
layout::ConnectionSlab& ControlRegion::OwnSlab(std::size_t index) {
  layout::ConnectionSlab& slab = space_->slab(index);
  const std::uint64_t generation = Get(file_->header.reset_generation);
  // Another process may have seen a later reset of the shared slab already: never turn it back.
  const std::uint64_t behind = generation - Get(slab.reset_generation);
  const bool clear = index == kSharedSlab ? static_cast<std::int64_t>(behind) > 0 : behind != 0;
  if (clear) ClearSlab(slab, generation);
  return slab;
}

void ControlRegion::TakeOver(std::size_t to, ControlRegion& from, std::size_t from_slab,
                             bool with_frames) {
  if (to == kSharedSlab || from_slab == kSharedSlab) return;
  IoStatistics io(space_);
  IoStatistics(from.space_).MoveTraffic(from_slab, io, to);
  layout::ConnectionSlab& before = from.OwnSlab(from_slab);
  layout::ConnectionSlab& now = OwnSlab(to);
  MoveCommits<AddOwn>(before, now, with_frames);
  const auto move = [](Counter& source, Counter& target) {
    AddOwn(target, Get(source));
    Put(source, 0);
  };
  move(before.info.statements, now.info.statements);
  move(before.info.rows, now.info.rows);
  move(before.info.commits, now.info.commits);
  move(before.info.rollbacks, now.info.rollbacks);
  move(before.info.upgraded, now.info.upgraded);
  move(before.info.upgrades_failed, now.info.upgrades_failed);
}

void ControlRegion::TakeOverLeft(ControlRegion& from, std::size_t from_slab, bool with_frames) {
  IoStatistics io(space_);
  IoStatistics(from.space_).MoveTraffic(from_slab, io, kSharedSlab);
  // Nothing is written where nothing was counted: pages of private memory stay untouched.
  const layout::ConnectionSlab& left = from.space_->slab(from_slab);
  if (Get(left.reset_generation) != Get(from.file_->header.reset_generation) ||
      (Get(left.commits) == 0 && Get(left.frames_written) == 0)) {
    return;
  }
  MoveCommits<Add>(from.OwnSlab(from_slab), OwnSlab(kSharedSlab), with_frames);
}

CommitTotals ControlRegion::ReadCommits(bool with_histogram) const {
  CommitTotals totals;
  if (with_histogram) totals.histogram.resize(DurationScale::kBuckets);
  const std::uint64_t generation = Get(file_->header.reset_generation);
  const auto sum = [&](const layout::ConnectionSlab& slab) {
    // Acquire: pairs with the release in ClearSlab().
    if (slab.reset_generation.load(std::memory_order_acquire) != generation) return;
    totals.commits += Get(slab.commits);
    totals.frames_written += Get(slab.frames_written);
    totals.timed_commits += Get(slab.timed_commits);
    totals.commit_ns += Get(slab.commit_ns);
    totals.commit_max_ns = std::max(totals.commit_max_ns, Get(slab.commit_max_ns));
    totals.stall_ns += Get(slab.stall_ns);
    for (std::size_t i = 0; i < totals.histogram.size(); ++i) {
      totals.histogram[i] += Get(slab.commit_histogram[i]);
    }
  };
  space_->Follow();
  const std::size_t used = space_->slabs();
  for (std::size_t i = 0; i < used; ++i) sum(space_->slab(i));
  sum(file_->shared_slab);
  return totals;
}

void ControlRegion::CountFired(bool builtin, std::size_t index, std::int64_t unix_ms) {
  if (index >= (builtin ? file_->builtin_rules.size() : file_->rules.size())) return;
  layout::RuleCounters& counters = builtin ? file_->builtin_rules[index] : file_->rules[index];
  Add(counters.fired, 1);
  Put(counters.last_fired_ms, static_cast<std::uint64_t>(unix_ms));
}

RuleFired ControlRegion::ReadFired(bool builtin, std::size_t index) const {
  if (index >= (builtin ? file_->builtin_rules.size() : file_->rules.size())) return {};
  const auto& counters = builtin ? file_->builtin_rules[index] : file_->rules[index];
  return {Get(counters.fired), static_cast<std::int64_t>(Get(counters.last_fired_ms))};
}

void ControlRegion::ForgetCounts(std::int64_t unix_ms, std::uint64_t monotonic_ns) {
  ClearStatistics(unix_ms, monotonic_ns);
  for (layout::RuleCounters& counters : file_->builtin_rules) ClearFired(counters);
}

std::int64_t ControlRegion::ResetWalStatistics(std::int64_t unix_ms, std::uint64_t monotonic_ns) {
  space_->Follow();
  const std::size_t forgotten = ReadCheckpointLog().size() + LockWaits(space_).ReadWaits().size();
  ClearStatistics(unix_ms, monotonic_ns);
  return static_cast<std::int64_t>(forgotten);
}

void ControlRegion::ClearStatistics(std::int64_t unix_ms, std::uint64_t monotonic_ns) {
  BeginStatistics(unix_ms, monotonic_ns);
  ClearSlab(file_->shared_slab, Get(file_->header.reset_generation));
  layout::CheckpointCounters& counters = file_->checkpoints;
  for (Counter& counter : counters.by_mode) Put(counter, 0);
  for (Counter& counter : counters.by_origin) Put(counter, 0);
  for (Counter& counter : counters.by_result) Put(counter, 0);
  for (Counter& counter : counters.histogram) Put(counter, 0);
  for (Counter* counter :
       {&counters.frames, &counters.total_ns, &counters.max_ns, &counters.last_ns,
        &counters.last_ms, &counters.last_mode, &counters.wal_resets, &counters.wal_bytes_max}) {
    Put(*counter, 0);
  }
  Put(file_->ring.forgotten_id, Get(file_->ring.next_id));
  LockWaits(space_).Reset();
  IoStatistics(space_).Reset();
}

void ControlRegion::BeginStatistics(std::int64_t unix_ms, std::uint64_t monotonic_ns) {
  layout::Header& header = file_->header;
  Add(header.reset_generation, 1);
  Put(header.statistics_since_ms, static_cast<std::uint64_t>(unix_ms));
  Put(header.last_checkpoint_ns, monotonic_ns);
  Put(header.commits_at_checkpoint, 0);
}

}  // namespace walmanager
