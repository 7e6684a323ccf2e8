// A checkpoint strategy is its rules, in priority order; the first whose condition holds says what
// to do. Built-in strategies are rows like any other.
//
// Facts go in, a decision comes out. SQLite evaluates the conditions: the caller passes a function
// for that. Nothing here keeps state; all functions are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/policy/settings.h"

namespace walmanager {

// In SQLite's numbering, SQLITE_CHECKPOINT_PASSIVE.. (sqlite3_wal_checkpoint_v2).
enum class CheckpointMode : std::uint8_t { kPassive, kFull, kRestart, kTruncate };
inline constexpr std::size_t kCheckpointModes = 4;
const char* ModeName(CheckpointMode mode);
// Any case; nullopt where it is none of the four.
std::optional<CheckpointMode> ParseMode(std::string_view text);

enum class RuleRuns : std::uint8_t { kInline, kBackground };
const char* RunsName(RuleRuns runs);
std::optional<RuleRuns> ParseRuns(std::string_view text);

struct Rule {
  std::string strategy;
  std::int64_t priority = 0;  // lowest first
  std::string name;
  std::string condition;  // an SQL expression over FactSpecs() and settings
  CheckpointMode mode = CheckpointMode::kPassive;
  RuleRuns runs = RuleRuns::kInline;
  double stall_budget_ms = 0;  // the most that a commit may wait for readers
  bool builtin = false;

  bool operator==(const Rule&) const = default;
};

inline constexpr std::size_t kMaxNameBytes = 63;
inline constexpr std::size_t kMaxConditionBytes = 1023;
inline constexpr double kMaxStallBudgetMs = 10'000;
inline constexpr const char* kDefaultStrategy = "conversation_workload";

// Rules of the strategies that are built in, grouped by strategy, in priority order.
std::span<const Rule> BuiltinRules();
// In any case of letters.
bool IsBuiltinStrategy(std::string_view name);

// What a condition may ask. Unknown is nullopt, which is NULL in SQL.
struct Facts {
  std::optional<double> pending_frames;            // frames that are not in the database yet
  std::optional<double> pending_bytes;             // their size in bytes of the log
  std::optional<double> wal_frames;                // frames in the log
  std::optional<double> wal_bytes;                 // size of the -wal file
  std::optional<double> page_size;                 // in bytes
  std::optional<double> readers;                   // read marks whose lock is held
  std::optional<double> oldest_reader_lag;         // frames after the oldest mark that is held
  std::optional<double> idle_ms;                   // since the commit before this one
  std::optional<double> since_checkpoint_ms;       // or since the statistics began
  std::optional<double> last_checkpoint_ms;        // duration of the last checkpoint
  std::optional<double> commits_since_checkpoint;  // commits after the last checkpoint
  std::optional<double> commit_rate;               // commits per second, smoothed
  std::optional<double> due_frames;                // Learned::DueFrames
};

struct FactSpec {
  const char* name;
  std::optional<double> Facts::*value;
  bool real;  // bound as REAL; else as INTEGER
};
std::span<const FactSpec> FactSpecs();

// A strategy's or rule's name: 1..63 bytes of letters, digits and underscores. `what` it is, for
// the message.
Status CheckName(const char* what, std::string_view name);
// Checks one rule but for its condition, which only SQLite can.
Status CheckRule(const Rule& rule);

// What a rule's checkpoint may make a commit wait: its own budget, and of a built-in rule no more
// than the setting stall_budget_ms.
double StallBudgetMs(const Rule& rule, const SettingValues& settings);

}  // namespace walmanager
