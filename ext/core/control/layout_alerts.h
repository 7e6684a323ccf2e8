// Alerts in the control file, and what their evaluator remembers of each check (alerts.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

struct AlertRecord {
  std::uint64_t status;    // AlertStatus
  std::int64_t raised_ms;  // Unix time
  double value;            // NaN: unknown, here and below
  double threshold;
  char check_name[48];
  char detail[320];
};
static_assert(sizeof(AlertRecord) == 400);

struct AlertSlot {
  Counter id;          // 0: empty or being written
  Counter cleared_ms;  // Unix time; 0: not cleared. Written after the record, by the evaluator
  AlertRecord record;
};

// What the evaluator of alerts remembers of a check from one evaluation to the next.
struct WatchedCheck {
  // The alert in force, as the evaluator writes it in one word: its id << 3 | 4 where lower values
  // are worse | CheckStatus; 0: nothing.
  Counter in_force;
  // Readings in a row, by severity: first warning, then critical.
  std::array<Counter, 2> bad;   // at least so severe
  std::array<Counter, 2> good;  // less severe
  Counter missing;              // evaluations in a row without this check
  char name[48];                // empty: free
};
static_assert(sizeof(WatchedCheck) == 96);

struct AlertLog {
  Counter next_id;       // the last id given out
  Counter forgotten_id;  // alerts up to this one were reset
  std::array<WatchedCheck, kWatchedChecks> watched;
  std::array<AlertSlot, kFirstAlerts> slots;
};

}  // namespace walmanager::layout
