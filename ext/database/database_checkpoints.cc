// The part of Database that its commits and its thread share: the strategy in force, the facts that
// it asks for, who is in the way, running a checkpoint and recording it.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "ext/checkpoint/rule_set.h"
#include "ext/core/base/value.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/reader_attribution.h"
#include "ext/core/control/shared_words.h"
#include "ext/database/database.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "ext/system/open_files.h"
#include "ext/system/read_marks.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr double kRateSmoothing = 0.3;

double Milliseconds(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e6 : 0;
}

constexpr std::int64_t kShrinkStepBytes = 1024 * 1024;
constexpr std::uint64_t kShrinkSpacing = 50;  // times what a step took
// How long a statement waits for one step, at most.
constexpr std::uint64_t kCutNs = 250 * kMs;

// Whether each connection of the application's shows its statements, and is in no statement and in
// no transaction. Nothing is known of a connection whose trace is displaced or off, nor of more
// connections than the file can show. Other roles write only within a statement of these.
bool IsQuiet(const std::vector<ConnectionEntry>& connections) {
  return connections.size() < layout::kConnections &&
         std::all_of(connections.begin(), connections.end(), [](const ConnectionEntry& entry) {
           return entry.role != ConnectionRole::kApplication ||
                  (entry.trace == TraceState::kActive && entry.started_ns == 0 &&
                   entry.transaction == TransactionState::kNone);
         });
}

}  // namespace

Status Database::FollowSettings() {
  FollowRoom(MonotonicNs());
  const auto current = control();
  const std::uint64_t control_now = control_generation();
  if (rules_ && compiled_control_ == control_now &&
      compiled_.generation == current->region().settings_generation() &&
      values_[Setting::kWalLimitBytes] == std::min(wal_limit_, most_wal_bytes_)) {
    return Ok{};
  }
  auto stored = current->region().ReadSettings();
  if (!stored) return Error{"the settings cannot be read: they change too fast"};
  SettingValues values = stored->Values();
  const std::int64_t wal_limit = values[Setting::kWalLimitBytes];
  values.Lower(Setting::kWalLimitBytes, most_wal_bytes_);
  auto rules = RuleSet::Compile(stored->RulesOf(stored->strategy), values);
  std::string error;
  if (!rules.ok()) {
    // Checked when it was defined, so somebody else has written it. The log must not grow for that.
    error = "strategy " + ShownText(stored->strategy) + ": " + rules.error().message;
    rules = RuleSet::Compile(stored->RulesOf(kDefaultStrategy), values);
    if (!rules.ok()) return rules.error();
  }
  {
    const std::lock_guard lock(words_mutex_);
    strategy_error_ = error;
  }
  rules_ = std::make_unique<RuleSet>(std::move(rules.value()));
  values_ = values;
  wal_limit_ = wal_limit;
  compiled_ = std::move(*stored);
  compiled_control_ = control_now;
  retry_delay_.Reset();
  next_replicator_look_ns_ = 0;
  return Ok{};
}

void Database::FollowRoom(std::uint64_t now_ns) {
  constexpr std::uint64_t kEveryNs = 50 * kMs;
  constexpr std::uint64_t kInlineAgainNs = 1'000 * kMs;
  if (now_ns < next_room_look_ns_) return;
  next_room_look_ns_ = now_ns + kEveryNs;
  most_wal_bytes_ = WalLimitInForce(std::numeric_limits<std::int64_t>::max());
  // As long as the log may get in the usual course, which a large limit is far beyond.
  constexpr std::int64_t kTimesDue = 4;
  const std::int64_t usual =
      kTimesDue * DueFrames(values_, std::max(last_index_.page_size, 4096u)) *
      (std::int64_t{std::max(last_index_.page_size, 4096u)} + kFrameHeaderBytes);
  if (most_wal_bytes_ < usual) {
    inline_.Begin(now_ns, "RLIMIT_FSIZE leaves no room for a log as long as usual", kInlineAgainNs);
  }
  const std::int64_t growth = std::min(values_[Setting::kWalLimitBytes], usual) - wal_bytes_;
  // A disk quota shows only where it is used up: where it left no room for the control file.
  is_short_of_room_ =
      control()->lacks_room() || !LeavesReserve(path_, std::max<std::int64_t>(0, growth));
  if (is_short_of_room_) {
    inline_.Begin(
        now_ns,
        "the disk has no room for a log as long as usual beside what stays free: 5 % of it, "
        "or 256 MB",
        kInlineAgainNs);
  }
}

bool Database::DelayRetry(bool moved_nothing) {
  if (moved_nothing) return retry_delay_.MovedNothing(MonotonicNs());
  retry_delay_.Reset();
  return false;
}

void Database::CloseIfIdle(std::uint64_t last_commit_ns, std::uint64_t now_ns) {
  // While a sync is owed a lock of ours keeps the log.
  if (checkpointer_.open() && !checkpointer_.owes_sync() &&
      now_ns > std::max(checkpointer_.last_used_ns(), last_commit_ns) + kIdleNs) {
    checkpointer_.Close();
  }
}

bool Database::IsOverTwiceItsTarget(const WalIndex& index, const Learned& learned) const {
  const std::int64_t multiple = commits_sync_ ? learned.Multiple() : 1;
  return index.max_frame > 2 * multiple * DueFrames(values_, index.page_size);
}

void Database::WatchReaders(const WalIndex& index, std::uint64_t now_ns) {
  const auto held = checkpointer_.TryReadMarks();
  if (!held) return;
  const auto lasted = oldest_reader_.See(*held, index, now_ns);
  if (!lasted) return;
  const auto current = control();
  Learned learned = current->region().learned();
  learned.ReaderLeft(*lasted);
  current->region().SetLearned(learned);
}

void Database::FollowReplicator() {
  const auto current = control();
  const ReplicatorState state = ReadReplicatorState(current->region().engine().replicator);
  const bool has_table = state == ReplicatorState::kThere || state == ReplicatorState::kGone;
  const auto wish = static_cast<ReplicatorWish>(values_[Setting::kReplicator]);
  replicated_.store(has_table && IsReplicators(wish, state), std::memory_order_relaxed);
}

std::vector<UnknownReader> Database::UnknownReaders(bool asked) {
  const auto index = checkpointer_.Look();
  const auto marks = FindReadMarksLocked();
  if (!index || !marks) return {};
  ReadersSeen seen;
  seen.held = marks->held;
  seen.pids = marks->pids;
  seen.knows_pids = marks->knows_pids;
  seen.checkpoint_runs = CheckpointRuns();
  seen.own_pid = ThisProcess().pid;
  seen.asking_reads = asked;
  const auto connections = control()->Connections();
  std::vector<UnknownReader> unknown;
  for (const Reader& reader : AttributeReaders(seen, connections)) {
    // Where the system hides who holds a mark, a managed connection that reads need not be the one.
    const bool named = marks->knows_pids && reader.pid;
    if (named && reader.connection) continue;
    unknown.push_back(
        {reader.mark, index->Snapshot(reader.mark), named ? reader.pid : std::nullopt});
  }
  return unknown;
}

bool Database::LookForReplicator(std::uint64_t now_ns, bool asked) {
  const auto wish = static_cast<ReplicatorWish>(values_[Setting::kReplicator]);
  if (wish == ReplicatorWish::kNever || now_ns < next_replicator_look_ns_) return replicated();
  next_replicator_look_ns_ = now_ns + sample_interval_ns_;
  const auto table = checkpointer_.FindReplicator();
  if (!table) return replicated();
  ReplicatorLook look;
  look.table = table->exists;
  look.content = table->content;
  if (look.table && wish == ReplicatorWish::kAuto) look.readers = UnknownReaders(asked);
  const auto current = control();
  ControlRegion& region = current->region();
  const auto [state, changed] =
      replicator_watch_.Look(region.engine().replicator, wish, look, now_ns);
  FollowReplicator();
  // What was prepared for a commit to finish is the replicator's to copy now.
  if (replicated()) region.SetPrepared({});
  if (changed) {
    Alerts(current->memory())
        .RecordChange("replicator",
                      state == ReplicatorState::kGone
                          ? "a replicator's table " + std::string(kReplicatorTable) +
                                " is there, and no look for 60 s found a sign of the replicator: "
                                "walmanager checkpoints until it is there again. One that returns "
                                "makes a new snapshot"
                          : "the replicator is there: it checkpoints, walmanager only looks",
                      UnixMs());
  }
  return replicated();
}

void Database::LookForReplicator(const HostConnection& host) {
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !FollowSettings().ok()) return;
  const std::uint64_t now = MonotonicNs();
  if (now < next_replicator_look_ns_) return;
  const bool was_open = checkpointer_.open();
  if (OpenFor(host)) (void)LookForReplicator(now, /*asked=*/true);
  if (!was_open) checkpointer_.Close();
}

void Database::Shrink(const WalIndex& index) {
  constexpr std::uint64_t kMostNs = 2 * kMs;
  const std::int64_t limit = values_[Setting::kWalLimitBytes];
  const std::uint64_t start = MonotonicNs();
  const std::int64_t log_bytes =
      std::int64_t{index.max_frame} * (index.page_size + kFrameHeaderBytes) + kLogHeaderBytes;
  if (log_bytes < limit / 2)
    wal_bytes_ = checkpointer_.ShrinkLog(limit, kShrinkStepBytes, start + kMostNs);
  no_shrink_before_ns_ = MonotonicNs() + kShrinkSpacing * (MonotonicNs() - start);
}

bool Database::OthersHaveItOpen() const {
  const auto marks = ReadMarksOfLockTable(shm_path_);
  return !marks || std::any_of(marks->open_by.begin(), marks->open_by.end(),
                               [](std::int64_t pid) { return pid != ThisProcess().pid; });
}

bool Database::EachIsManaged(const std::vector<ConnectionEntry>& connections,
                             std::vector<OwnedDb>& spares) {
  constexpr std::size_t kMostSpares = 16;
  struct stat file {};
  if (stat(path_.c_str(), &file) != 0) return false;
  std::size_t expected = spares.size();
  for (const ConnectionEntry& entry : connections) {
    // Two connections of the checkpointer share an entry.
    expected += entry.role == ConnectionRole::kCheckpointer ? 2 : 1;
  }
  // SQLite opens the database's file once for each connection, and keeps the descriptors of closed
  // connections for those to come. So each spare connection takes one of these, or makes one more
  // where all that are left are of connections that nobody knows. Fewer than expected share a
  // cache, and then some of them may be unmanaged.
  for (;;) {
    const auto open = CountDescriptors(file);
    if (!open || *open < static_cast<int>(expected)) return false;
    if (*open == static_cast<int>(expected)) return true;
    if (spares.size() == kMostSpares) return false;
    auto spare = checkpointer_.OpenSpare();
    if (!spare.ok()) return false;
    spares.push_back(std::move(spare.value()));
    ++expected;
    if (CountDescriptors(file) != open) return false;
  }
}

std::optional<std::uint64_t> Database::ShrinkWhileIdle(ControlFile& current, std::uint64_t now_ns) {
  constexpr std::uint64_t kRetryNs = 1000 * kMs;  // where something was in the way
  constexpr std::uint64_t kLeastSpacingNs = 20 * kMs;
  constexpr useconds_t kSettleUs = 100;
  constexpr std::uint64_t kLookNs = 20 * kMs;  // from the looks to the step
  constexpr std::uint64_t kStepNs = 1 * kMs;   // a step is begun within this
  const std::int64_t limit = values_[Setting::kWalLimitBytes];
  if (wal_stamp_.bytes <= limit || rules_->rules().empty() || replicated()) return std::nullopt;
  if (now_ns < no_shrink_before_ns_) return no_shrink_before_ns_;
  no_shrink_before_ns_ = now_ns + kRetryNs;
  std::vector<OwnedDb> spares;
  const auto is_alone = [&] {
    const std::vector<ConnectionEntry> connections = current.Connections();
    return IsQuiet(connections) && EachIsManaged(connections, spares) && !OthersHaveItOpen();
  };
  if (!IsQuiet(current.Connections()) || OthersHaveItOpen() || checkpointer_.owes_sync()) {
    return no_shrink_before_ns_;
  }
  const auto index = LookInBackground();
  if (!index || LookForReplicator(now_ns)) return no_shrink_before_ns_;
  // A commit of an unmanaged connection has told nobody: a second without one is waited for, too.
  const bool is_told = Get(current.region().header().log_position) == index->end().position();
  if (std::exchange(idle_end_, index->end()) != index->end() && !is_told) {
    return no_shrink_before_ns_;
  }
  if (!is_alone()) return no_shrink_before_ns_;
  const std::int64_t log_bytes =
      std::int64_t{index->max_frame} * (index->page_size + kFrameHeaderBytes) + kLogHeaderBytes;
  const bool must_start_over = log_bytes >= limit;
  if ((must_start_over && !index->complete()) || !current.TryLease()) return no_shrink_before_ns_;
  ControlRegion& region = current.region();
  layout::Counter& cut_until_ns = region.header().cut_until_ns;
  const auto end = [&](layout::Counter* word) {
    Put(*word, 0);
    current.EndLease();
  };
  std::unique_ptr<layout::Counter, decltype(end)> cutting(&cut_until_ns, end);
  // A statement shows itself first and looks at this word then. So after the pause, which is far
  // longer than a store takes to be seen by other processors, each one that has not seen the word
  // is seen here.
  const std::uint64_t start = MonotonicNs();
  Put(cut_until_ns, start + kCutNs);
  usleep(kSettleUs);
  if (!is_alone()) return no_shrink_before_ns_;
  const std::uint64_t began = MonotonicNs();
  // This thread did not run for a while: what it saw may no longer be so.
  if (began > start + kLookNs) return no_shrink_before_ns_;
  const std::int64_t before = wal_stamp_.bytes;
  bool done = false;
  if (must_start_over) {
    done = checkpointer_.StartLogOver();
    // What commits have told of the log before is no longer so.
    if (const auto now_there = checkpointer_.Look(); done && now_there) {
      bool reset = false;
      (void)region.AdvanceLog(now_there->salt1, now_there->max_frame, &reset);
      if (reset) region.CountLogReset();
      Keep(*now_there);
      told_position_ = Get(region.header().log_position);
      idle_end_ = now_there->end();
    }
  } else {
    done = checkpointer_.ShrinkLog(limit, kShrinkStepBytes, began + kStepNs) < before;
  }
  const std::uint64_t ended = MonotonicNs();
  cutting.reset();  // no statement waits for the sync
  if (done && must_start_over) checkpointer_.SyncNewHeader();
  wal_stamp_ = StampOf(wal_path_);
  wal_bytes_ = wal_stamp_.bytes;
  if (done) {
    no_shrink_before_ns_ = ended + std::max(kShrinkSpacing * (ended - began), kLeastSpacingNs);
  }
  return no_shrink_before_ns_;
}

void Database::WaitUntilCut(layout::Counter& until_ns) {
  constexpr useconds_t kPollUs = 50;
  for (;;) {
    const std::uint64_t until = until_ns.load(std::memory_order_relaxed);
    if (until == 0) return;
    // Also where the process that cuts was killed, or the word lies.
    if (until - MonotonicNs() > kCutNs) {
      Put(until_ns, 0);
      return;
    }
    usleep(kPollUs);
  }
}

void Database::CountFired(const Rule& rule) {
  const std::span<const Rule> all =
      rule.builtin ? BuiltinRules() : std::span<const Rule>(compiled_.rules);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].strategy == rule.strategy && all[i].name == rule.name) {
      control()->region().CountFired(rule.builtin, i, UnixMs());
    }
  }
}

CheckpointReport Database::RunLocked(const HostConnection& host, CheckpointMode mode,
                                     const WalIndex& index, std::uint64_t deadline_ns,
                                     CheckpointOrigin origin, const std::string& rule) {
  (void)WalBytes();  // its largest size may be the one before
  const std::uint64_t start = MonotonicNs();
  const CheckpointOutcome outcome =
      checkpointer_.Run({host.db, host.schema, host.log, host.own_only}, mode, deadline_ns, index);
  return Record(mode, origin, rule, outcome, start, MonotonicNs());
}

CheckpointReport Database::Record(CheckpointMode mode, CheckpointOrigin origin,
                                  const std::string& rule, const CheckpointOutcome& outcome,
                                  std::uint64_t start_ns, std::uint64_t end_ns) {
  {
    const std::lock_guard lock(words_mutex_);
    unguarded_because_ = checkpointer_.unguarded_because();
  }
  CheckpointReport report;
  report.result = outcome.result;
  report.busy = outcome.busy;
  report.pinned = outcome.pinned;
  report.wal_frames = outcome.wal_frames;
  report.checkpointed_frames = outcome.checkpointed_frames;
  report.moved_frames = outcome.moved_frames;
  report.wal_bytes = WalBytes();
  if (report.wal_bytes) wal_bytes_ = *report.wal_bytes;
  report.duration_ns = end_ns - start_ns;
  report.message = outcome.message;
  if (outcome.result == CheckpointResult::kSkipped) return report;
  report.mode = mode;
  CheckpointEntry entry;
  entry.mode = mode;
  entry.origin = origin;
  entry.wal_bytes = report.wal_bytes;
  entry.rule = rule;
  WriteRecord(std::move(entry), outcome, checkpointer_.Look(), start_ns, end_ns);
  return report;
}

void Database::RecordOfApplication(CheckpointMode mode, CheckpointOutcome outcome,
                                   const WalIndex& index, std::uint64_t start_ns,
                                   std::uint64_t end_ns) {
  CheckpointEntry entry;
  entry.mode = mode;
  entry.origin = CheckpointOrigin::kApplication;
  entry.wal_bytes = WalBytes();
  WriteRecord(std::move(entry), outcome, index, start_ns, end_ns);
}

void Database::WriteRecord(CheckpointEntry entry, const CheckpointOutcome& outcome,
                           const std::optional<WalIndex>& index, std::uint64_t start_ns,
                           std::uint64_t end_ns) {
  entry.at_ms = UnixMs();
  entry.pid = ThisProcess().pid;
  entry.pid_namespace = ThisProcess().pid_namespace;
  entry.result = outcome.result;
  entry.wal_frames = outcome.wal_frames;
  entry.checkpointed_frames = outcome.checkpointed_frames;
  entry.moved_frames = outcome.moved_frames;
  entry.duration_ns = static_cast<std::int64_t>(end_ns - start_ns);
  entry.error = outcome.message;
  if (index && !outcome.commits_went_on &&
      (outcome.pinned || outcome.busy || outcome.result == CheckpointResult::kPartial)) {
    const InTheWay who = WhoIsInTheWay(entry, outcome, *index, start_ns);
    entry.blocked_by_pid = who.pid;
    if (entry.origin == CheckpointOrigin::kApplication && who.pid) {
      entry.error = who.writes ? "others wrote, or held the write lock"
                               : "a reader holds frame " + std::to_string(who.frame) + " of " +
                                     std::to_string(index->max_frame);
    }
  }
  control()->region().RecordCheckpoint(entry, end_ns);
}

Database::InTheWay Database::WhoIsInTheWay(const CheckpointEntry& entry,
                                           const CheckpointOutcome& outcome, const WalIndex& index,
                                           std::uint64_t start_ns) const {
  InTheWay who;
  const auto marks = ReadMarksOfLockTable(shm_path_);
  if (!marks) return who;
  if (entry.mode != CheckpointMode::kPassive && marks->writer) {
    who.pid = marks->writer;
    who.writes = true;
    return who;
  }
  // What lets the log start over waits for a reader of the newest frame, too.
  const bool starts_over = outcome.pinned || entry.mode == CheckpointMode::kRestart ||
                           entry.mode == CheckpointMode::kTruncate;
  const bool in_call =
      entry.origin == CheckpointOrigin::kManual || entry.origin == CheckpointOrigin::kApplication;
  for (int mark = 0; mark < kReadMarks; ++mark) {
    const std::uint32_t frame = index.Snapshot(mark);
    if ((who.pid && frame >= who.frame) || (!starts_over && frame >= index.max_frame)) continue;
    // A commit of this process holds a mark for a moment, and is in nobody's way.
    const auto& pids = marks->pids[static_cast<std::size_t>(mark)];
    const auto holder = std::find_if(pids.begin(), pids.end(), [&](std::int64_t each) {
      return each != 0 && (each != ThisProcess().pid || ReadsHere(start_ns, in_call));
    });
    if (holder == pids.end()) continue;
    who.pid = *holder;
    who.frame = frame;
  }
  return who;
}

bool Database::ReadsHere(std::uint64_t since_ns, bool in_call) const {
  const auto connections = control()->Connections();
  return std::any_of(connections.begin(), connections.end(), [&](const ConnectionEntry& each) {
    if (each.pid != ThisProcess().pid || each.role == ConnectionRole::kCheckpointer) return false;
    if (each.transaction == TransactionState::kWrite) return false;
    const std::uint64_t began = each.transaction == TransactionState::kRead ? each.transaction_ns
                                : in_call                                   ? 0
                                                                            : each.started_ns;
    return began != 0 && began < since_ns;
  });
}

Facts Database::GatherFacts(const WalIndex& index, std::optional<std::int64_t> wal_bytes,
                            std::uint64_t now_ns) {
  const auto current = control();
  const ControlRegion& region = current->region();
  const auto load = [](const layout::Counter& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  const double page_size = index.page_size;
  Facts facts;
  facts.pending_frames = index.pending();
  facts.pending_bytes = index.pending() * (page_size + kFrameHeaderBytes);
  facts.wal_frames = index.max_frame;
  if (wal_bytes) facts.wal_bytes = static_cast<double>(*wal_bytes);
  facts.page_size = page_size;
  if (const std::uint64_t last = load(region.header().last_commit_ns)) {
    facts.idle_ms = Milliseconds(last, now_ns);
  }
  facts.since_checkpoint_ms = Milliseconds(load(region.header().last_checkpoint_ns), now_ns);
  if (const std::uint64_t last = load(region.checkpoints().last_ns)) {
    facts.last_checkpoint_ms = static_cast<double>(last) / 1e6;
  }
  if (rules_->Asks(&Facts::commits_since_checkpoint) || rules_->Asks(&Facts::commit_rate)) {
    const std::uint64_t commits = region.ReadCommits(false).commits;
    const std::uint64_t then = load(region.header().commits_at_checkpoint);
    facts.commits_since_checkpoint = commits > then ? static_cast<double>(commits - then) : 0;
    if (rate_ns_ != 0 && now_ns > rate_ns_ && commits >= rate_commits_) {
      const double rate = static_cast<double>(commits - rate_commits_) * 1e9 /
                          static_cast<double>(now_ns - rate_ns_);
      commit_rate_ = commit_rate_ ? *commit_rate_ + kRateSmoothing * (rate - *commit_rate_) : rate;
    }
    rate_ns_ = now_ns;
    rate_commits_ = commits;
    facts.commit_rate = commit_rate_;
  }
  if (rules_->Asks(&Facts::readers) || rules_->Asks(&Facts::oldest_reader_lag)) {
    if (const auto marks = FindReadMarksLocked()) {
      std::uint32_t oldest = index.max_frame;
      int readers = 0;
      for (std::size_t i = 0; i < marks->held.size(); ++i) {
        if (!marks->held[i]) continue;
        ++readers;
        oldest = std::min(oldest, index.Snapshot(static_cast<int>(i)));
      }
      facts.readers = readers;
      facts.oldest_reader_lag = index.max_frame - oldest;
    }
  }
  return facts;
}

}  // namespace walmanager
