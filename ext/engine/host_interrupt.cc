#include "ext/engine/host_interrupt.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "ext/core/base/time_units.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kAskEveryNs = 10 * kMs;

// Long enough that a host's progress handler for every thousand instructions is called.
constexpr char kQuestion[] =
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
    "SELECT max(i) FROM n";

}  // namespace

HostInterrupt::HostInterrupt(sqlite3* host, HostTurn* turn) : turn_(turn) {
  auto question = Prepare(host, std::string(kOwnSql) + kQuestion);
  if (question.ok()) question_ = std::move(question.value());
}

bool HostInterrupt::Asked() {
  if (turn_) turn_->GiveWay();
  const std::uint64_t now = MonotonicNs();
  if (asked_ || !question_ || now < next_ns_) return asked_;
  next_ns_ = now + kAskEveryNs;
  // The calling statement still runs, so an earlier interrupt is in force for this statement, too.
  int rc = SQLITE_ROW;
  while (rc == SQLITE_ROW) rc = sqlite3_step(question_.get());
  sqlite3_reset(question_.get());
  asked_ = rc == SQLITE_INTERRUPT;
  return asked_;
}

bool HostInterrupt::Pause(std::int64_t milliseconds) {
  const std::uint64_t end = MonotonicNs() + static_cast<std::uint64_t>(milliseconds) * kMs;
  for (std::uint64_t now = MonotonicNs(); now < end; now = MonotonicNs()) {
    if (Asked()) return false;
    std::optional<HostTurn::Outside> outside;
    if (turn_) outside.emplace(*turn_);
    usleep(static_cast<useconds_t>(std::min(end - now, kAskEveryNs) / 1000));
  }
  return true;
}

void HostInterrupt::Follow(sqlite3* own) {
  if (!sqlite3_api->progress_handler) return;  // SQLITE_OMIT_PROGRESS_CALLBACK
  constexpr int kInstructions = 1000;
  sqlite3_progress_handler(
      own, kInstructions,
      [](void* self) { return static_cast<HostInterrupt*>(self)->Asked() ? 1 : 0; }, this);
}

}  // namespace walmanager
