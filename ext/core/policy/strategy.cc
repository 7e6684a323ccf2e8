#include "ext/core/policy/strategy.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ext/core/base/ascii_case.h"
#include "ext/core/base/value.h"

namespace walmanager {
namespace {

constexpr std::array<const char*, kCheckpointModes> kModeNames = {"PASSIVE", "FULL", "RESTART",
                                                                  "TRUNCATE"};

Rule Builtin(const char* strategy, std::int64_t priority, const char* name, RuleRuns runs,
             const char* condition, double stall_budget_ms = 0) {
  return {strategy,        priority,        name, condition, CheckpointMode::kPassive, runs,
          stall_budget_ms, /*builtin=*/true};
}

constexpr std::array<FactSpec, 13> kFacts = {{
    {"pending_frames", &Facts::pending_frames, false},
    {"pending_bytes", &Facts::pending_bytes, false},
    {"wal_frames", &Facts::wal_frames, false},
    {"wal_bytes", &Facts::wal_bytes, false},
    {"page_size", &Facts::page_size, false},
    {"readers", &Facts::readers, false},
    {"oldest_reader_lag", &Facts::oldest_reader_lag, false},
    {"idle_ms", &Facts::idle_ms, true},
    {"since_checkpoint_ms", &Facts::since_checkpoint_ms, true},
    {"last_checkpoint_ms", &Facts::last_checkpoint_ms, true},
    {"commits_since_checkpoint", &Facts::commits_since_checkpoint, false},
    {"commit_rate", &Facts::commit_rate, true},
    {"due_frames", &Facts::due_frames, false},
}};

}  // namespace

const char* ModeName(CheckpointMode mode) { return kModeNames[static_cast<std::size_t>(mode)]; }

std::optional<CheckpointMode> ParseMode(std::string_view text) {
  for (std::size_t i = 0; i < kModeNames.size(); ++i) {
    if (EqualIgnoringCase(text, kModeNames[i])) return static_cast<CheckpointMode>(i);
  }
  return std::nullopt;
}

const char* RunsName(RuleRuns runs) { return runs == RuleRuns::kInline ? "inline" : "background"; }

std::optional<RuleRuns> ParseRuns(std::string_view text) {
  if (EqualIgnoringCase(text, "inline")) return RuleRuns::kInline;
  if (EqualIgnoringCase(text, "background")) return RuleRuns::kBackground;
  return std::nullopt;
}

std::span<const Rule> BuiltinRules() {
  // `limit`: frames were copied, and still the log is near its limit, because at no commit all
  // frames were moved and no reader was there. A wait finds such a moment, and the next commit
  // starts the log over. Until it has, the log grows: so the wait begins at 15/16.
  constexpr auto kInline = RuleRuns::kInline;
  constexpr auto kBackground = RuleRuns::kBackground;
  constexpr char kNearLimit[] =
      "pending_frames > 0 AND wal_frames * (page_size + 24) >= wal_limit_bytes / 16 * 15";
  constexpr char kInterval[] =
      "pending_frames > 0 AND since_checkpoint_ms >= checkpoint_interval_ms";
  static const auto* const kRules = new std::vector<Rule>{
      Builtin("conversation_workload", 10, "limit", kInline, kNearLimit, 300),
      Builtin("conversation_workload", 20, "frames", kBackground, "pending_frames >= due_frames"),
      Builtin("conversation_workload", 30, "interval", kBackground, kInterval),
      // Readers come without a gap: begin to wait for a moment of rest at half of the limit.
      Builtin("high_concurrency", 10, "limit", kInline,
              "pending_frames > 0 AND wal_frames * (page_size + 24) >= wal_limit_bytes / 2", 300),
      Builtin("high_concurrency", 20, "frames", kBackground,
              "pending_frames >= checkpoint_frames OR pending_bytes >= wal_limit_bytes / 4"),
      Builtin("high_concurrency", 30, "interval", kBackground, kInterval),
      // A finish costs a commit two syncs, so it must be so seldom that it is beyond the 99.9th
      // percentile.
      Builtin("low_latency", 10, "limit", kInline, kNearLimit, 10),
      Builtin("low_latency", 20, "frames", kBackground,
              "pending_frames >= due_frames AND (pending_frames >= 4 * checkpoint_frames OR "
              "pending_bytes >= wal_limit_bytes / 4)"),
      Builtin("low_latency", 30, "interval", kBackground, kInterval),
      Builtin("off", 10, "never", kInline, "0"),
      Builtin("sqlite_default", 10, "autocheckpoint", kInline, "wal_frames >= checkpoint_frames"),
  };
  return *kRules;
}

bool IsBuiltinStrategy(std::string_view name) {
  const auto rules = BuiltinRules();
  return std::any_of(rules.begin(), rules.end(),
                     [&](const Rule& rule) { return EqualIgnoringCase(rule.strategy, name); });
}

std::span<const FactSpec> FactSpecs() { return kFacts; }

Status CheckName(const char* what, std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kMaxNameBytes &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                              (c >= 'A' && c <= 'Z');
                     });
  if (valid) return Ok{};
  return Error{std::string(what) + " " + ShownText(name) +
               " is not 1 to 63 letters, digits or underscores"};
}

Status CheckRule(const Rule& rule) {
  if (Status status = CheckName("rule", rule.name); !status.ok()) return status;
  const std::string where = "rule '" + rule.name + "': ";
  if (rule.condition.empty() || rule.condition.size() > kMaxConditionBytes) {
    return Error{where + "condition has " + std::to_string(rule.condition.size()) +
                 " bytes, allowed are 1 to " + std::to_string(kMaxConditionBytes)};
  }
  if (rule.condition.find('\0') != std::string::npos) {
    return Error{where + "condition " + ShownText(rule.condition) + " holds a NUL"};
  }
  if (!(rule.stall_budget_ms >= 0 && rule.stall_budget_ms <= kMaxStallBudgetMs)) {
    return Error{where + "stall_budget_ms " + Value(rule.stall_budget_ms).Shown() +
                 " is not a number from 0 to 10000"};
  }
  return Ok{};
}

double StallBudgetMs(const Rule& rule, const SettingValues& settings) {
  if (!rule.builtin) return rule.stall_budget_ms;
  return std::min(rule.stall_budget_ms, static_cast<double>(settings[Setting::kStallBudgetMs]));
}

}  // namespace walmanager
