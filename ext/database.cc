#include "ext/database.h"

#include <errno.h>
#include <sys/stat.h>

#include <algorithm>

#include "ext/checkpointer.h"
#include "ext/clock.h"
#include "ext/core/value.h"
#include "ext/registry.h"
#include "ext/rule_set.h"
#include "ext/wal_index.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kFirstAttemptNs = 10 * kMs;
constexpr std::uint64_t kLongestAttemptNs = 60'000 * kMs;
constexpr std::uint64_t kIdleNs = 1000 * kMs;  // then connections of ours are closed
constexpr std::uint64_t kFirstBackoffNs = 5 * kMs;
constexpr std::uint64_t kLongestBackoffNs = 100 * kMs;
constexpr std::int64_t kMostFramesBetweenLooks = 64;
constexpr double kRateSmoothing = 0.3;
constexpr std::uint64_t kStallSpacing = 50;  // budgets between one spent in vain and the next

std::optional<std::int64_t> FileBytes(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_size;
}

double Milliseconds(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e6 : 0;
}

// Frames at which a checkpoint is due: checkpoint_frames or wal_limit_bytes, the smaller in bytes.
std::int64_t DueFrames(const SettingValues& values, std::uint32_t page_size) {
  const std::int64_t by_limit = values[Setting::kWalLimitBytes] / (page_size + kFrameHeaderBytes);
  return std::max<std::int64_t>(1, std::min(values[Setting::kCheckpointFrames], by_limit));
}

}  // namespace

ChangeMark ThisChange() {
  const ProcessIdentity& process = ThisProcess();
  return {process.name + " (pid " + std::to_string(process.pid) + ")", UnixMs()};
}

std::shared_ptr<Database> Database::ForFile(const std::string& path) {
  struct stat status {};
  if (path.empty() || stat(path.c_str(), &status) != 0) return nullptr;
  const Registry::FileKey key{status.st_dev, status.st_ino};
  Registry& registry = Registry::Get();
  const auto find = [&]() -> std::shared_ptr<Database> {
    const auto found = registry.databases.find(key);
    return found == registry.databases.end() ? nullptr : found->second.lock();
  };
  {
    const std::lock_guard lock(registry.mutex);
    if (auto database = find()) return database;
  }
  // Made without the lock: it looks for files. Who comes second takes the first one's.
  std::shared_ptr<Database> made(new Database(path));
  const std::lock_guard lock(registry.mutex);
  if (auto database = find()) return database;
  std::erase_if(registry.databases, [](const auto& entry) { return entry.second.expired(); });
  registry.databases[key] = made;
  return made;
}

Database::Database(std::string path)
    : path_(std::move(path)),
      wal_path_(path_ + "-wal"),
      shm_path_(path_ + "-shm"),
      control_(ControlFile::Open(path_, ControlFile::Wish::kAttach)),
      checkpointer_(std::make_unique<Checkpointer>()) {
  if (!control_) throw std::bad_alloc();
}

Database::~Database() {
  if (!checkpointer_->open()) return;
  // Ours may be the last connection of all: then this close moves the rest of the log and removes
  // it, as the host's would have done.
  const auto before = checkpointer_->Look();
  const std::uint64_t start = MonotonicNs();
  checkpointer_->Close();
  const std::uint64_t end = MonotonicNs();
  if (!before || before->pending() == 0 || FileBytes(wal_path_)) return;
  CheckpointEntry entry;
  entry.at_ms = UnixMs();
  entry.pid = ThisProcess().pid;
  entry.origin = CheckpointOrigin::kClose;
  entry.result = CheckpointResult::kComplete;
  entry.wal_frames = entry.checkpointed_frames = before->max_frame;
  entry.moved_frames = before->pending();
  entry.wal_bytes = 0;
  entry.duration_ns = static_cast<std::int64_t>(end - start);
  control_->region().RecordCheckpoint(entry, end);
}

std::shared_ptr<ControlFile> Database::control() const {
  const std::lock_guard lock(control_mutex_);
  return control_;
}

bool Database::MakeControl(ControlFile::Wish wish) {
  const std::lock_guard lock(control_mutex_);
  control_wanted_.store(false, std::memory_order_relaxed);
  if (control_->shared() && control_->StillThere()) return true;
  return Replace(wish);
}

void Database::LookForControl() {
  const std::lock_guard lock(control_mutex_);
  if (control_->shared() && control_->StillThere()) return;
  if (control_wanted()) {
    Replace(ControlFile::Wish::kAttach);
    return;
  }
  // To try costs the writing of a whole file where the disk is full: ever more seldom.
  const std::uint64_t now = MonotonicNs();
  if (now < next_attempt_ns_) return;
  Replace(ControlFile::Wish::kMake);
  attempt_interval_ns_ =
      control_->shared() ? 0
                         : std::clamp(2 * attempt_interval_ns_, kFirstAttemptNs, kLongestAttemptNs);
  next_attempt_ns_ = now + attempt_interval_ns_;
}

bool Database::Replace(ControlFile::Wish wish) {
  auto made = ControlFile::Open(path_, wish);
  if (!made) return true;
  if (!made->shared() && !control_->shared()) {
    control_->set_reason(made->reason());
    return !made->being_made();
  }
  // What was set while the memory was private goes along into a file that is new.
  if (made->shared() && made->made_here() && !control_->shared()) {
    const auto stored = control_->region().ReadSettings();
    const ControlFile::SettingsLock lock(made.get(), /*waits=*/false);
    if (lock.held() && stored && stored->generation > 0) {
      (void)made->region().WriteSettings(*stored);
    }
  }
  control_ = std::move(made);
  // Release: whoever sees the new generation finds the new file.
  control_generation_.fetch_add(1, std::memory_order_release);
  return true;
}

StoredSettings Database::settings() const {
  return control()->region().ReadSettings().value_or(StoredSettings{});
}

Status Database::Change(bool make_file, const std::function<Status(StoredSettings&)>& change,
                        Patience patience) {
  const bool waits = patience == Patience::kSecond;
  const auto wish = waits ? ControlFile::Wish::kMakeAndWait : ControlFile::Wish::kMake;
  if (make_file && !MakeControl(wish)) {
    return Error{"another process has been making the control file for over a second",
                 ErrorCode::kBusy};
  }
  const auto current = control();
  const ControlFile::SettingsLock lock(current.get(), waits);
  if (!lock.held()) {
    return Error{
        "another process has been changing the settings of this database for over a second",
        ErrorCode::kBusy};
  }
  auto stored = current->region().ReadSettings();
  if (!stored) return Error{"the settings cannot be read: they change too fast", ErrorCode::kBusy};
  if (Status status = change(*stored); !status.ok()) return status;
  return current->region().WriteSettings(*stored);
}

bool Database::IsDue(const WalIndex& index, std::uint64_t settings, std::uint64_t now_ns) const {
  return settings != look_settings_.load(std::memory_order_relaxed) ||
         index.salt1 != look_salt_.load(std::memory_order_relaxed) ||
         index.max_frame >= next_look_frame_.load(std::memory_order_relaxed) ||
         now_ns - last_look_ns_.load(std::memory_order_relaxed) >=
             sample_interval_ns_.load(std::memory_order_relaxed);
}

void Database::PlanNextLook(const WalIndex& index, std::uint64_t now_ns) {
  const std::int64_t due = DueFrames(values_, index.page_size);
  const std::int64_t step = std::clamp<std::int64_t>(values_[Setting::kCheckpointFrames] / 16, 1,
                                                     kMostFramesBetweenLooks);
  // No built-in rule but the one for time can hold while the log itself is shorter than what is
  // due.
  const bool nothing_before_due =
      rules_ && std::all_of(rules_->rules().begin(), rules_->rules().end(),
                            [](const Rule& rule) { return rule.builtin; });
  std::int64_t next = index.max_frame + step;
  if (nothing_before_due && index.max_frame < due) next = due;
  // Land exactly on the frame at which a threshold is reached.
  for (const std::int64_t threshold : {due, index.backfill + due}) {
    if (threshold > index.max_frame) next = std::min(next, threshold);
  }
  next_look_frame_.store(static_cast<std::uint64_t>(next), std::memory_order_relaxed);
  look_salt_.store(index.salt1, std::memory_order_relaxed);
  look_settings_.store(compiled_.generation, std::memory_order_relaxed);
  last_look_ns_.store(now_ns, std::memory_order_relaxed);
  sample_interval_ns_.store(static_cast<std::uint64_t>(values_[Setting::kSampleIntervalMs]) * kMs,
                            std::memory_order_relaxed);
}

CheckpointReport Database::AfterCommit(const HostConnection& host, const WalIndex& index,
                                       std::uint64_t now_ns) {
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return {};  // another thread looks
  if (now_ns - last_look_ns_.load(std::memory_order_relaxed) >=
      sample_interval_ns_.load(std::memory_order_relaxed)) {
    LookForControl();
    if (checkpointer_->open() && now_ns > checkpointer_->last_used_ns() + kIdleNs) {
      checkpointer_->Close();
    }
  }
  return AutoCheckpointLocked(host, index, CheckpointOrigin::kInline, /*hurried=*/true);
}

CheckpointReport Database::AutoCheckpoint(const HostConnection& host, const WalIndex& index) {
  const std::lock_guard lock(checkpoint_mutex_);
  return AutoCheckpointLocked(host, index, CheckpointOrigin::kManual, /*hurried=*/false);
}

CheckpointReport Database::ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                            const WalIndex& index, std::uint64_t deadline_ns) {
  const std::lock_guard lock(checkpoint_mutex_);
  CheckpointReport report =
      RunLocked(host, mode, index, deadline_ns, CheckpointOrigin::kManual, "");
  report.strategy = settings().strategy;
  return report;
}

Status Database::FollowSettings() {
  const auto current = control();
  const std::uint64_t control_now = control_generation();
  if (rules_ && compiled_control_ == control_now &&
      compiled_.generation == current->region().settings_generation()) {
    return Ok{};
  }
  auto stored = current->region().ReadSettings();
  if (!stored) return Error{"the settings cannot be read: they change too fast"};
  const SettingValues values = stored->Values();
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
  compiled_ = std::move(*stored);
  compiled_control_ = control_now;
  backoff_ns_ = not_before_ns_ = 0;
  return Ok{};
}

CheckpointReport Database::AutoCheckpointLocked(const HostConnection& host, const WalIndex& index,
                                                CheckpointOrigin origin, bool hurried) {
  const std::uint64_t now = MonotonicNs();
  CheckpointReport report;
  if (Status status = FollowSettings(); !status.ok()) {
    PlanNextLook(index, now);
    report.message = status.error().message;
    return report;
  }
  report.strategy = compiled_.strategy;
  report.wal_frames = index.max_frame;
  report.checkpointed_frames = index.backfill;
  // At commits a stat only where a rule wants to know.
  if (!hurried || rules_->Asks(&Facts::wal_bytes)) report.wal_bytes = WalBytes();
  PlanNextLook(index, now);
  const Facts facts = GatherFacts(index, report.wal_bytes, now);
  const auto decision = rules_->Decide(facts);
  if (!decision) {
    report.message = "no rule of the strategy holds";
    return report;
  }
  const Rule& rule = rules_->rules()[*decision];
  const bool starts_over =
      rule.mode == CheckpointMode::kRestart || rule.mode == CheckpointMode::kTruncate;
  if (index.complete() && !starts_over) {
    report.message = "nothing to move";
    return report;
  }
  const bool host_is_busy = sqlite3_txn_state(host.db, host.schema) != SQLITE_TXN_NONE;
  if (rule.mode != CheckpointMode::kPassive && host_is_busy) {
    report.message = "rule '" + rule.name + "' asks for " + ModeName(rule.mode) +
                     ", which would wait for the transaction of this very connection";
    return report;
  }
  if (hurried && now < not_before_ns_) {
    control()->region().CountSkippedCheckpoint();
    report.message = "the last attempts moved nothing: waiting before the next";
    return report;
  }
  // A commit waits for readers at most every fiftieth part of the time, and never for itself: a
  // connection with a statement open reads.
  auto budget = static_cast<std::uint64_t>(StallBudgetMs(rule, values_) * 1e6);
  if (hurried && (now < no_stall_before_ns_ || host_is_busy)) budget = 0;
  CheckpointReport ran = RunLocked(host, rule.mode, index, now + budget, origin, rule.name);
  ran.strategy = compiled_.strategy;
  ran.rule = rule.name;
  CountFired(rule);
  if (ran.pinned) no_stall_before_ns_ = MonotonicNs() + kStallSpacing * budget;
  const bool in_vain =
      ran.result != CheckpointResult::kComplete && ran.moved_frames.value_or(0) == 0;
  backoff_ns_ = !in_vain           ? 0
                : backoff_ns_ == 0 ? kFirstBackoffNs
                                   : std::min(2 * backoff_ns_, kLongestBackoffNs);
  not_before_ns_ = in_vain ? MonotonicNs() + backoff_ns_ : 0;
  WalIndex after = index;
  if (ran.wal_frames) after.max_frame = static_cast<std::uint32_t>(*ran.wal_frames);
  if (ran.checkpointed_frames)
    after.backfill = static_cast<std::uint32_t>(*ran.checkpointed_frames);
  PlanNextLook(after, MonotonicNs());
  return ran;
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
  const CheckpointOutcome outcome = checkpointer_->Run(
      {host.db, host.schema, path_.c_str(), host.own_only}, mode, deadline_ns, index);
  const std::uint64_t end = MonotonicNs();
  {
    const std::lock_guard lock(words_mutex_);
    unguarded_because_ = checkpointer_->unguarded_because();
  }
  CheckpointReport report;
  report.result = outcome.result;
  report.busy = outcome.busy;
  report.pinned = outcome.pinned;
  report.wal_frames = outcome.wal_frames;
  report.checkpointed_frames = outcome.checkpointed_frames;
  report.moved_frames = outcome.moved_frames;
  report.wal_bytes = WalBytes();
  report.duration_ns = end - start;
  report.message = outcome.message;
  if (outcome.result == CheckpointResult::kSkipped) return report;
  report.mode = mode;
  CheckpointEntry entry;
  entry.at_ms = UnixMs();
  entry.pid = ThisProcess().pid;
  entry.mode = mode;
  entry.origin = origin;
  entry.result = outcome.result;
  entry.wal_frames = outcome.wal_frames;
  entry.checkpointed_frames = outcome.checkpointed_frames;
  entry.moved_frames = outcome.moved_frames;
  entry.wal_bytes = report.wal_bytes;
  entry.duration_ns = static_cast<std::int64_t>(report.duration_ns);
  entry.rule = rule;
  entry.error = outcome.message;
  control()->region().RecordCheckpoint(entry, end);
  return report;
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

void Database::CloseOwnConnections() {
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (lock.owns_lock()) checkpointer_->Close();
}

void Database::FollowCloseBehaviour(const CloseBehaviour& behaviour) {
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (lock.owns_lock()) checkpointer_->FollowCloseBehaviour(behaviour);
}

std::string Database::UnguardedBecause() const {
  const std::lock_guard lock(words_mutex_);
  return unguarded_because_;
}

std::string Database::StrategyError() const {
  const std::lock_guard lock(words_mutex_);
  return strategy_error_;
}

std::optional<ReadMarks> Database::FindReadMarks() {
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  return lock.owns_lock() ? FindReadMarksLocked() : ReadMarksOfLockTable(shm_path_);
}

std::optional<ReadMarks> Database::FindReadMarksLocked() {
  // The system's table knows whose lock it is, but shows only processes of this pid namespace; a
  // try-lock on a connection of ours, where there is one, sees all.
  std::optional<ReadMarks> marks = ReadMarksOfLockTable(shm_path_);
  if (const auto held = checkpointer_->TryReadMarks()) {
    if (!marks) marks.emplace();
    marks->held = *held;
  }
  return marks;
}

std::optional<std::int64_t> Database::WalBytes() const {
  const auto bytes = FileBytes(wal_path_);
  if (!bytes) return errno == ENOENT ? std::optional<std::int64_t>(0) : std::nullopt;
  control()->region().RaiseWalBytesMax(static_cast<std::uint64_t>(*bytes));
  return bytes;
}
std::optional<std::int64_t> Database::DatabaseBytes() const { return FileBytes(path_); }

}  // namespace walmanager
