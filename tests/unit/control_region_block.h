// A control file's memory as a plain block of this process, and values for the tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ext/core/control/control_region.h"

namespace walmanager {

inline constexpr std::size_t kShared = layout::kConnections;
inline constexpr std::size_t kRing = layout::kCheckpointRecords;
inline const ControlRegion::Identity kIdentity{{7, 42, 1'000'000'000, 99},
                                               "b0075a5e-0000-4000-8000-000000000001"};

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// All of a control file, with all of its sections: zeros.
struct Block {
  std::unique_ptr<void, Free> memory{
      std::aligned_alloc(alignof(layout::ControlFile), sizeof(layout::ControlFile))};
  layout::ControlFile* file = static_cast<layout::ControlFile*>(memory.get());
  WholeControlSpace space{file};
  ControlRegion region{&space};
  Block() { std::memset(memory.get(), 0, sizeof(layout::ControlFile)); }
};

struct MadeBlock : Block {
  MadeBlock() { region.Initialize(kIdentity, 1'000, 2'000); }
};

inline void RunThreads(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

inline Rule RuleOf(const std::string& strategy, std::int64_t priority, const std::string& name) {
  Rule rule;
  rule.strategy = strategy;
  rule.priority = priority;
  rule.name = name;
  rule.condition = "pending_frames > 1";
  return rule;
}

inline CheckpointEntry EntryOf(std::int64_t number) {
  CheckpointEntry entry;
  entry.at_ms = number;
  entry.pid = number;
  entry.wal_frames = number;
  entry.duration_ns = number;
  entry.rule = "rule_" + std::to_string(number);
  return entry;
}

inline void ExpectEqual(const CommitTotals& a, const CommitTotals& b) {
  EXPECT_EQ(a.commits, b.commits);
  EXPECT_EQ(a.frames_written, b.frames_written);
  EXPECT_EQ(a.timed_commits, b.timed_commits);
  EXPECT_EQ(a.commit_ns, b.commit_ns);
  EXPECT_EQ(a.commit_max_ns, b.commit_max_ns);
  EXPECT_EQ(a.stall_ns, b.stall_ns);
  EXPECT_EQ(a.histogram, b.histogram);
}

inline StoredSettings FullSettings() {
  StoredSettings settings;
  settings.strategy = "mine";
  settings.strategy_changed = {"ann (pid 1)", 11};
  settings.Set(SettingSpecs()[1], 64, {"bob (pid 2)", 12});
  settings.AdoptCheckpointFrames(64, {});
  settings.Set(SettingSpecs()[3], 5, {"ann (pid 1)", -13});
  settings.settings.back().adopted = true;
  Rule rule = RuleOf("mine", -4, "first");
  rule.mode = CheckpointMode::kTruncate;
  rule.runs = RuleRuns::kBackground;
  rule.stall_budget_ms = 12.25;
  rule.condition = std::string(kMaxConditionBytes, '1');
  settings.rules = {rule, RuleOf("mine", 5, std::string(kMaxNameBytes, 'n'))};
  return settings;
}

inline void ExpectEqual(const StoredSettings& a, const StoredSettings& b) {
  EXPECT_EQ(a.strategy, b.strategy);
  EXPECT_EQ(a.strategy_changed.by, b.strategy_changed.by);
  EXPECT_EQ(a.strategy_changed.at_ms, b.strategy_changed.at_ms);
  ASSERT_EQ(a.settings.size(), b.settings.size());
  for (std::size_t i = 0; i < a.settings.size(); ++i) {
    EXPECT_EQ(a.settings[i].name, b.settings[i].name);
    EXPECT_EQ(a.settings[i].value, b.settings[i].value);
    EXPECT_EQ(a.settings[i].changed_at_ms, b.settings[i].changed_at_ms);
    EXPECT_EQ(a.settings[i].changed_by, b.settings[i].changed_by);
    EXPECT_EQ(a.settings[i].adopted, b.settings[i].adopted);
  }
  ASSERT_EQ(a.rules.size(), b.rules.size());
  for (std::size_t i = 0; i < a.rules.size(); ++i) {
    EXPECT_EQ(a.rules[i].strategy, b.rules[i].strategy);
    EXPECT_EQ(a.rules[i].name, b.rules[i].name);
    EXPECT_EQ(a.rules[i].condition, b.rules[i].condition);
    EXPECT_EQ(a.rules[i].priority, b.rules[i].priority);
    EXPECT_EQ(a.rules[i].mode, b.rules[i].mode);
    EXPECT_EQ(a.rules[i].runs, b.rules[i].runs);
    EXPECT_EQ(a.rules[i].stall_budget_ms, b.rules[i].stall_budget_ms);
    EXPECT_EQ(a.rules[i].builtin, b.rules[i].builtin);
  }
}

}  // namespace walmanager
