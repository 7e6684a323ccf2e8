// Readings of checks and a log of alerts in a block of this process, with a clock of its own.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "ext/core/control/alerts.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {

using enum CheckStatus;
using Reading = Alerts::Reading;

inline constexpr int kAfter = 3;

// A check whose warning is at 100 and whose critical is at 200.
inline Reading Of(double value, const char* check = "latency") {
  const CheckStatus status = value >= 200 ? kCritical : value >= 100 ? kWarning : kOk;
  return {check, status, value, 100, 200, "slow"};
}

// A share that should not fall below 0.5, and not at all below 0.25.
inline Reading Share(double value) {
  const CheckStatus status = value <= 0.25 ? kCritical : value <= 0.5 ? kWarning : kOk;
  return {"share", status, value, 0.5, 0.25, "few hits"};
}

inline Reading Bare(CheckStatus status) { return {"bare", status, {}, {}, {}, ""}; }
inline Reading Unknown() { return {"latency", CheckStatus::kUnknown, {}, 100, 200, ""}; }

class AlertsTest : public testing::Test {
 protected:
  // One evaluation a second. The alerts that were raised, as "id status"; "" for none.
  std::string Evaluate(std::initializer_list<Reading> readings) {
    now_ms_ += 1000;
    std::string raised;
    for (const AlertEntry& entry :
         alerts_.Evaluate({readings.begin(), readings.end()}, now_ms_, kAfter)) {
      raised += (raised.empty() ? "" : ", ") + std::to_string(entry.id) + " " +
                AlertStatusName(entry.status);
    }
    return raised;
  }
  // The same readings several times; all alerts that were raised.
  std::string Evaluate(int times, const Reading& reading) {
    std::string raised;
    for (int i = 0; i < times; ++i) raised += Evaluate({reading});
    return raised;
  }
  // All alerts that are kept, oldest first: "1 latency warning 3000-9000, 2 latency critical
  // 9000-".
  std::string Log() const {
    std::string log;
    const auto alerts = alerts_.Read();
    for (auto entry = alerts.rbegin(); entry != alerts.rend(); ++entry) {
      log += (log.empty() ? "" : ", ") + std::to_string(entry->id) + " " + entry->check + " " +
             AlertStatusName(entry->status) + " " + std::to_string(entry->raised_ms) + "-" +
             (entry->cleared_ms ? std::to_string(*entry->cleared_ms) : "");
    }
    return log;
  }

  MadeBlock block_;
  Alerts alerts_{&block_.space};
  std::int64_t now_ms_ = 0;
};

}  // namespace walmanager
