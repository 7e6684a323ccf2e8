#include "ext/core/policy/look_plan.h"

#include <algorithm>
#include <string>
#include <utility>

namespace walmanager {
namespace {

constexpr std::int64_t kMostFramesBetweenLooks = 64;

// Calls `each(number)` for the whole numbers in the conditions of the user's rules.
template <typename Each>
void EachNumber(std::span<const Rule> rules, Each each) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  for (const Rule& rule : rules) {
    if (rule.builtin) continue;
    std::int64_t number = -1;  // none
    for (std::size_t i = 0; i <= rule.condition.size(); ++i) {
      const char c = rule.condition.c_str()[i];  // its NUL at the end
      if (c >= '0' && c <= '9') {
        number = std::min(kMost, std::max<std::int64_t>(number, 0) * 10 + (c - '0'));
      } else if (number >= 0) {
        each(std::exchange(number, -1));
      }
    }
  }
}

bool Names(const Rule& rule, const char* name) {
  return rule.condition.find(name) != std::string::npos;
}

std::int64_t NextLookFrame(const WalIndex& index, const SettingValues& values,
                           std::span<const Rule> rules, std::int64_t due_frames, std::int64_t limit,
                           std::int64_t near_limit) {
  const bool begins_late = std::none_of(rules.begin(), rules.end(), [](const Rule& rule) {
    return Names(rule, "checkpoint_frames") && !Names(rule, "due_frames");
  });
  const std::int64_t due = begins_late ? due_frames : LeastDueFrames(values, index.page_size);
  const std::int64_t step =
      std::clamp<std::int64_t>(values[Setting::kCheckpointFrames] / 16, 1, kMostFramesBetweenLooks);
  // No built-in rule but the one for time can hold while the log itself is shorter than what is
  // due.
  const bool nothing_before_due =
      !rules.empty() &&
      std::all_of(rules.begin(), rules.end(), [](const Rule& rule) { return rule.builtin; });
  std::int64_t next = index.max_frame + step;
  if (nothing_before_due && index.max_frame < due) next = due;
  // Land exactly on the frame at which a threshold is reached.
  const auto land_on = [&](std::int64_t frames) {
    for (const std::int64_t threshold : {frames, index.backfill + frames}) {
      if (threshold > index.max_frame) next = std::min(next, threshold);
    }
  };
  for (const std::int64_t frames : {due, values[Setting::kCheckpointFrames], near_limit, limit})
    land_on(frames);
  // A rule may compare frames with a number, or bytes, and by > as well as by >=.
  const std::int64_t frame_bytes = index.page_size + kFrameHeaderBytes;
  EachNumber(rules, [&](std::int64_t number) {
    const std::int64_t of_bytes = (number + frame_bytes - 1) / frame_bytes;
    for (const std::int64_t frames : {number, number + 1, of_bytes, of_bytes + 1}) land_on(frames);
  });
  return next;
}

}  // namespace

std::int64_t LeastDueFrames(const SettingValues& values, std::uint32_t page_size) {
  const std::int64_t by_limit =
      values[Setting::kWalLimitBytes] / 4 / (page_size + kFrameHeaderBytes);
  return std::max<std::int64_t>(1, std::min(values[Setting::kCheckpointFrames], by_limit));
}

std::int64_t SyncedDueFrames(const SettingValues& values, std::uint32_t page_size) {
  constexpr std::int64_t kTimes = 4;
  const std::int64_t least = LeastDueFrames(values, page_size);
  if (values[Setting::kCheckpointFrames] != DefaultOf(Setting::kCheckpointFrames)) return least;
  const std::int64_t limit = values[Setting::kWalLimitBytes] / (page_size + kFrameHeaderBytes);
  return std::max(least, std::min(kTimes * least, limit / 2));
}

bool AsksForTime(const Rule& rule) {
  return Names(rule, "since_checkpoint_ms") || Names(rule, "idle_ms");
}

LookPlan PlanLook(const WalIndex& index, const SettingValues& values, std::span<const Rule> rules,
                  std::uint64_t brake_frame, std::int64_t due_frames) {
  const std::int64_t limit =
      values[Setting::kWalLimitBytes] / (index.page_size + kFrameHeaderBytes);
  const std::int64_t near_limit = limit - limit / 16;
  const bool slows = values[Setting::kBackpressure] != 0;
  LookPlan plan;
  // Where commits pause or are slowed, each of them looks.
  const bool each_looks =
      (slows && index.max_frame >= limit) || (brake_frame != 0 && index.max_frame >= brake_frame);
  plan.look_frame = each_looks ? 0
                               : static_cast<std::uint64_t>(NextLookFrame(
                                     index, values, rules, due_frames, limit, near_limit));
  // Near the limit a commit waits for the thread, where the strategy lets it wait at all.
  double budget_ms = 0;
  for (const Rule& rule : rules) {
    if (rule.builtin && rule.runs == RuleRuns::kInline)
      budget_ms = std::max(budget_ms, StallBudgetMs(rule, values));
  }
  plan.wait_frame = static_cast<std::uint64_t>(near_limit);
  plan.wait_ns = static_cast<std::uint64_t>(budget_ms * 1e6);
  plan.pressure_frame = slows ? static_cast<std::uint64_t>(limit) : ~std::uint64_t{0};
  return plan;
}

}  // namespace walmanager
