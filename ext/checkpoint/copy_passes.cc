#include "ext/checkpoint/copy_passes.h"

#include <algorithm>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/policy/look_plan.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kLongestFinishNs = 5 * kMs;

}  // namespace

std::optional<std::uint64_t> CopyPasses::Copy(std::size_t number, const WalIndex& index,
                                              const std::function<void()>& give_way) {
  state_.mutex.AssertHeld();
  met_another_ = false;
  Copying copying{.rule = state_.strategy.rules()[number],
                  .number = number,
                  .settings_generation = state_.strategy.generation(),
                  .index = index};
  const auto current = state_.control.Get();
  ControlRegion& region = current->region();
  state_.strategy.CountFired(copying.rule);
  (void)state_.MeasureWal();
  if (copying.rule.mode != CheckpointMode::kPassive) return RunBlocking(copying.rule);
  const std::uint64_t start = MonotonicNs();
  // The last attempt moved nothing, because a reader held the log. While that reader is there,
  // pauses of commits are in vain: the log cannot start over.
  const bool retries = state_.retry_delay.lasts();
  if (retries) state_.WatchReaders(index, start);
  const auto oldest = state_.oldest_reader.frame();
  const bool held = retries && oldest && *oldest <= index.backfill;
  if (!held) PullBrake(region);
  while (CopyOnce(region, copying)) {
    give_way();
    if (!MayGoOn(copying)) break;
  }
  // Another process checkpoints: what is shown is its brake.
  met_another_ = copying.last_pass.result == CheckpointResult::kBusy;
  if (!met_another_) Put(region.engine().brake_frame, 0);
  return Record(region, copying, start);
}

std::uint64_t CopyPasses::RunBlocking(const Rule& rule) {
  const std::uint64_t start = MonotonicNs();
  const auto budget =
      static_cast<std::uint64_t>(StallBudgetMs(rule, state_.strategy.values()) * 1e6);
  const CheckpointOutcome outcome = state_.checkpointer.RunOpen(rule.mode, start + budget);
  state_.Record(rule.mode, CheckpointOrigin::kBackground, rule.name, outcome, start, MonotonicNs());
  state_.DelayRetry(outcome.result != CheckpointResult::kComplete &&
                    outcome.moved_frames.value_or(0) == 0);
  return std::max(state_.retry_delay.not_before_ns(), MonotonicNs() + kMs);
}

void CopyPasses::PullBrake(ControlRegion& region) {
  // Commits pause from the limit on, never before it. A single writer needs no pause before, since
  // at the limit its commit waits for this pass. Several writers that commit without a gap outgrow
  // the limit several times on a busy machine where they do not pause.
  const std::uint64_t brake = state_.gate.wait_frame();
  Put(region.engine().brake_frame, brake);
  state_.gate.LookFrom(brake);
}

bool CopyPasses::CopyOnce(ControlRegion& region, Copying& copying) {
  const CheckpointConnections& connections = state_.connections;
  const std::uint64_t before_ns = MonotonicNs();
  const auto is_at_work = [&region] {
    Put(region.engine().at_work_until_ns, MonotonicNs() + LogReaders::kLongestPassNs);
  };
  is_at_work();
  copying.last_pass = state_.checkpointer.RunOpen(CheckpointMode::kPassive, 0);
  const auto moved = static_cast<std::uint32_t>(copying.last_pass.moved_frames.value_or(0));
  copying.moved_frames += moved;
  if (moved > 0) PullBrake(region);
  is_at_work();
  Learned learned = region.learned();
  // Where commits sync, a sync of this thread makes them wait: the commit that finishes syncs.
  if (moved > 0 && !state_.commits_sync) state_.copied_frames.Sync();
  const auto after = connections.Look();
  const std::uint64_t after_ns = MonotonicNs();
  if (!after) return false;
  const WalIndex& before = copying.index;
  learned.PassEnded({.moved_frames = moved,
                     .added_frames = after->salt1 == before.salt1
                                         ? after->max_frame - before.max_frame
                                         : after->max_frame,
                     .duration_ns = after_ns - before_ns});
  region.SetLearned(learned);
  // One more pass would leave as much: while it syncs, commits add what it copies. So a commit
  // finishes, in about the time that this pass took.
  const bool shrinks_no_more = moved > 0 && after->salt1 == before.salt1 &&
                               after->backfill >= before.max_frame && moved < 2 * after->pending();
  copying.index = *after;
  state_.RememberLog(*after);
  if (!after->complete()) state_.WatchReaders(*after, after_ns);
  const bool is_short = after_ns - before_ns <= kLongestFinishNs;
  const std::uint32_t usual = learned.FinishFrames(state_.strategy.values());
  const std::uint32_t finish =
      shrinks_no_more && is_short ? std::max(usual, after->pending()) : usual;
  copying.in_vain = moved == 0 && !after->complete();
  if (copying.in_vain && !state_.commits_sync) SyncGrownLog(*after);
  if (after->pending() <= finish) {
    // The next commit may add a few frames first.
    const std::uint32_t frames = std::max(finish, 2 * after->pending());
    region.SetPrepared({after->salt1, frames, copying.number + 1});
    state_.gate.LookAtNextCommit();
    return false;
  }
  return !copying.in_vain && !state_.stopping && !connections.cancelled() &&
         copying.last_pass.result != CheckpointResult::kFailed;
}

bool CopyPasses::MayGoOn(const Copying& copying) {
  return state_.connections.open() && state_.strategy.is_compiled() &&
         state_.strategy.generation() == copying.settings_generation &&
         state_.wishes.allow_copying() && !state_.LookForReplicator(MonotonicNs());
}

void CopyPasses::SyncGrownLog(const WalIndex& index) {
  // While a reader is in the way, the log grows. Frames that are synced now need no sync when the
  // reader leaves, so the log is then copied that much sooner.
  constexpr std::uint32_t kFrames = 4000;
  if (index.salt1 != synced_salt_) {
    synced_salt_ = index.salt1;
    synced_frame_ = 0;
  }
  if (index.max_frame < synced_frame_ + kFrames) return;
  state_.copied_frames.SyncLog();
  synced_frame_ = index.max_frame;
}

std::optional<std::uint64_t> CopyPasses::Record(ControlRegion& region, const Copying& copying,
                                                std::uint64_t start_ns) {
  const std::uint64_t end = MonotonicNs();
  CheckpointOutcome whole = copying.last_pass;
  whole.moved_frames = copying.moved_frames;
  // What all passes did together. The last one alone may have had nothing to do, or a reader in its
  // way.
  if (copying.moved_frames > 0 && whole.result != CheckpointResult::kFailed) {
    whole.result =
        copying.index.complete() ? CheckpointResult::kComplete : CheckpointResult::kPartial;
    whole.wal_frames = copying.index.max_frame;
    whole.checkpointed_frames = copying.index.backfill;
    if (whole.message.empty()) whole.commits_went_on = true;
  }
  // Where the host needed the database and interrupted the pass, that says nothing about readers.
  const bool in_vain = copying.in_vain && !state_.connections.cancelled();
  // A reader that is soon gone is not worth a line, and one line says as much as a line for each
  // attempt.
  const bool worth_a_line = state_.DelayRetry(in_vain) || copying.moved_frames > 0 || !in_vain;
  if (worth_a_line) {
    state_.Record(CheckpointMode::kPassive, CheckpointOrigin::kBackground, copying.rule.name, whole,
                  start_ns, end);
  } else {
    region.CountSkippedCheckpoint();
  }
  return in_vain ? std::optional(state_.retry_delay.not_before_ns()) : std::nullopt;
}

}  // namespace walmanager
