#include "ext/core/control/alerts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ext/core/base/sort_by_key.h"
#include "ext/core/control/record_ring.h"
#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

using layout::Counter;

constexpr std::uint64_t kOverFactor = 2;         // times raise_after, beyond the margin
constexpr std::uint64_t kOverAnywayFactor = 20;  // times raise_after, whatever the value
constexpr int kMostRaiseAfter = 1'000'000;
constexpr double kMargin = 0.1;  // of the threshold

constexpr std::uint64_t kStatusBits = 3;
constexpr std::uint64_t kLowerIsWorse = 4;
constexpr int kIdShift = 3;

// The words of a watched check that are in the order of severity.
constexpr std::size_t kWarning = 0, kCritical = 1;

std::optional<double> Known(std::optional<double> number) {
  return number && std::isfinite(*number) ? number : std::nullopt;
}

double Stored(std::optional<double> number) {
  return Known(number).value_or(std::numeric_limits<double>::quiet_NaN());
}

// The name as it is read back from its field.
std::string NameInField(std::string_view name) {
  char field[sizeof(layout::WatchedCheck::name)];
  SetText(field, name);
  return Text(field);
}

// A page that is not written is not written back to the disk.
void PutIfOther(Counter& counter, std::uint64_t value) {
  if (Get(counter) != value) Put(counter, value);
}

bool LowerIsWorse(const Alerts::Reading& reading) {
  const auto warning = Known(reading.warning_at), critical = Known(reading.critical_at);
  if (warning && critical) return *critical < *warning;
  const auto threshold = warning ? warning : critical;
  const auto value = Known(reading.value);
  return threshold && value && *value < *threshold;
}

// Whether the value is on the good side of the threshold by the margin, as far as one can know.
bool IsBeyondMargin(std::optional<double> value, std::optional<double> threshold,
                    bool lower_is_worse) {
  value = Known(value), threshold = Known(threshold);
  if (!value || !threshold || *threshold == 0) return true;
  const double margin = kMargin * std::abs(*threshold);
  return lower_is_worse ? *value >= *threshold + margin : *value <= *threshold - margin;
}

AlertEntry EntryOf(const Alerts::Reading& reading, CheckStatus raised, std::int64_t unix_ms) {
  const bool critical = raised == CheckStatus::kCritical;
  AlertEntry entry;
  entry.check = NameInField(reading.check);
  entry.status = critical ? AlertStatus::kCritical : AlertStatus::kWarning;
  entry.value = Known(reading.value);
  entry.threshold = Known(critical ? reading.critical_at : reading.warning_at);
  entry.raised_ms = unix_ms;
  entry.detail = reading.detail;
  return entry;
}

}  // namespace

const char* AlertStatusName(AlertStatus status) {
  constexpr const char* kNames[] = {"warning", "critical", "changed"};
  return kNames[static_cast<std::size_t>(status)];
}

// A watched check as plain values.
struct Alerts::Watch {
  CheckStatus in_force = CheckStatus::kOk;
  bool lower_is_worse = false;
  std::uint64_t alert_id = 0;
  std::array<std::uint64_t, 2> bad = {}, good = {};

  // One more reading that is not unknown: counts it and says which status is in force now.
  CheckStatus Next(const Reading& reading, std::uint64_t raise_after) {
    Count(kWarning, reading.status >= CheckStatus::kWarning, raise_after);
    Count(kCritical, reading.status == CheckStatus::kCritical, raise_after);
    if (bad[kCritical] >= raise_after) return CheckStatus::kCritical;
    const auto over = [&](std::size_t severity, std::optional<double> threshold) {
      if (good[severity] >= kOverAnywayFactor * raise_after) return true;
      return good[severity] >= kOverFactor * raise_after &&
             IsBeyondMargin(reading.value, threshold, lower_is_worse);
    };
    switch (in_force) {
      case CheckStatus::kWarning:
        return over(kWarning, reading.warning_at) ? CheckStatus::kOk : in_force;
      case CheckStatus::kCritical:
        if (!over(kCritical, reading.critical_at)) return in_force;
        if (over(kWarning, reading.warning_at)) return CheckStatus::kOk;
        return bad[kWarning] > 0 ? CheckStatus::kWarning : in_force;
      default:
        return bad[kWarning] >= raise_after ? CheckStatus::kWarning : CheckStatus::kOk;
    }
  }

  // Counts end where nothing depends on them any more.
  void Count(std::size_t severity, bool is_bad, std::uint64_t raise_after) {
    std::uint64_t& more = is_bad ? bad[severity] : good[severity];
    more = std::min(more, kOverAnywayFactor * raise_after - 1) + 1;
    (is_bad ? good : bad)[severity] = 0;
  }

  void StoreTo(layout::WatchedCheck& words) const {
    std::uint64_t word = 0;
    if (in_force != CheckStatus::kOk) {
      word = alert_id << kIdShift | (lower_is_worse ? kLowerIsWorse : 0) |
             static_cast<std::uint64_t>(in_force);
    }
    PutIfOther(words.in_force, word);
    for (const std::size_t severity : {kWarning, kCritical}) {
      PutIfOther(words.bad[severity], bad[severity]);
      PutIfOther(words.good[severity], good[severity]);
    }
    PutIfOther(words.missing, 0);
  }
};

std::vector<AlertEntry> Alerts::Evaluate(std::span<const Reading> readings, std::int64_t unix_ms,
                                         int raise_after) {
  const auto after = static_cast<std::uint64_t>(std::clamp(raise_after, 1, kMostRaiseAfter));
  std::vector<AlertEntry> worse;
  std::vector<bool> seen(log_.watched.size());
  for (const Reading& reading : readings) {
    const std::string name = NameInField(reading.check);
    if (name.empty()) continue;
    layout::WatchedCheck* words = FindOrMake(name);
    if (!words) continue;
    const auto index = static_cast<std::size_t>(words - log_.watched.data());
    if (seen[index]) continue;
    seen[index] = true;
    Watch watch = Load(*words);
    const CheckStatus before = watch.in_force;
    if (reading.status != CheckStatus::kUnknown) watch.in_force = watch.Next(reading, after);
    if (watch.in_force != before && watch.in_force != CheckStatus::kOk) {
      AlertEntry entry = EntryOf(reading, watch.in_force, unix_ms);
      entry.id = watch.alert_id = Publish(entry);
      watch.lower_is_worse = LowerIsWorse(reading);
      if (watch.in_force > before) worse.push_back(std::move(entry));
    }
    watch.StoreTo(*words);
  }
  ForgetMissing(seen, kOverFactor * after);
  ClearAllNotInForce(unix_ms);
  return worse;
}

std::uint64_t Alerts::Record(AlertStatus status, std::string_view what, std::string_view detail,
                             std::int64_t unix_ms) {
  AlertEntry entry;
  entry.status = status;
  entry.check = what;
  entry.raised_ms = unix_ms;
  entry.detail = detail;
  return Publish(entry);
}

void Alerts::MakeRoom() {
  (void)space_->Make(ControlSpace::Kind::kMoreAlerts, (Get(log_.next_id) + 1) % layout::kAlerts);
}

void Alerts::Amend(std::uint64_t id, std::string_view detail) {
  const std::size_t place = id % layout::kAlerts;
  space_->Follow();
  if (!space_->Has(ControlSpace::Kind::kMoreAlerts, place)) return;
  layout::AlertSlot& slot = space_->file()->alert(place);
  // Acquire: pairs with the writer's release of the id.
  if (slot.id.load(std::memory_order_acquire) != id) return;
  layout::AlertRecord record;
  CopyWords(&record, &slot.record, sizeof record);
  SetText(record.detail, detail);
  Write(slot, id, record);
}

std::vector<AlertEntry> Alerts::Read() const {
  std::vector<AlertEntry> alerts;
  const RingIds ids(log_.next_id, log_.forgotten_id, layout::kAlerts);
  space_->Follow();
  for (std::size_t i = 0; i < layout::kAlerts; ++i) {
    const layout::AlertSlot& slot = space_->file()->alert(i);
    const std::uint64_t id = ids.IdIn(slot, i);
    const auto cleared_ms = static_cast<std::int64_t>(Get(slot.cleared_ms));
    layout::AlertRecord record;
    if (id == 0 || !CopyRecord(slot, id, record)) continue;
    if (record.status > static_cast<std::uint64_t>(AlertStatus::kChanged)) continue;
    AlertEntry entry;
    entry.id = id;
    entry.check = Text(record.check_name);
    entry.status = static_cast<AlertStatus>(record.status);
    entry.value = Known(record.value);
    entry.threshold = Known(record.threshold);
    entry.raised_ms = record.raised_ms;
    if (entry.status == AlertStatus::kChanged) {
      entry.cleared_ms = record.raised_ms;
    } else if (cleared_ms != 0) {
      // Never earlier than it was raised, also where the clock was set back.
      entry.cleared_ms = std::max(cleared_ms, record.raised_ms);
    }
    entry.detail = Text(record.detail);
    alerts.push_back(std::move(entry));
  }
  SortLargestFirst(alerts, [](const AlertEntry& alert) { return alert.id; });
  return alerts;
}

std::int64_t Alerts::Reset() {
  const auto forgotten = static_cast<std::int64_t>(Read().size());
  Put(log_.forgotten_id, Get(log_.next_id));
  return forgotten;
}

void Alerts::StartOver() {
  (void)Reset();
  for (layout::WatchedCheck& words : log_.watched) PutText(words.name, "");
}

// nullptr where all places are taken.
layout::WatchedCheck* Alerts::FindOrMake(const std::string& name) {
  layout::WatchedCheck* free = nullptr;
  for (layout::WatchedCheck& words : log_.watched) {
    const std::string known = GetText(words.name);
    if (known == name) return &words;
    if (known.empty() && !free) free = &words;
  }
  if (!free) return nullptr;
  Watch().StoreTo(*free);
  PutText(free->name, name);
  return free;
}

// A check whose alert was reset begins anew.
Alerts::Watch Alerts::Load(const layout::WatchedCheck& words) const {
  Watch watch;
  const std::uint64_t word = Get(words.in_force);
  if (word != 0 && !InForce(word)) return watch;
  watch.in_force = static_cast<CheckStatus>(word & kStatusBits);
  watch.lower_is_worse = (word & kLowerIsWorse) != 0;
  watch.alert_id = word >> kIdShift;
  for (const std::size_t severity : {kWarning, kCritical}) {
    watch.bad[severity] = Get(words.bad[severity]);
    watch.good[severity] = Get(words.good[severity]);
  }
  return watch;
}

// Whether a check's word names an alert that is there, or was until newer ones took its place.
bool Alerts::InForce(std::uint64_t word) const {
  const auto status = static_cast<CheckStatus>(word & kStatusBits);
  const std::uint64_t id = word >> kIdShift, last = Get(log_.next_id);
  return (status == CheckStatus::kWarning || status == CheckStatus::kCritical) && id <= last &&
         id > std::min(Get(log_.forgotten_id), last);
}

std::uint64_t Alerts::Publish(const AlertEntry& entry) {
  layout::AlertRecord record{};
  record.status = static_cast<std::uint64_t>(entry.status);
  record.raised_ms = entry.raised_ms;
  record.value = Stored(entry.value);
  record.threshold = Stored(entry.threshold);
  SetText(record.check_name, entry.check);
  SetText(record.detail, entry.detail);
  // Relaxed: the number alone counts. The slot's id says that the record is there.
  const std::uint64_t id = log_.next_id.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::size_t place = id % layout::kAlerts;
  // Where the file cannot grow the alert is in force, and not listed.
  if (!space_->Make(ControlSpace::Kind::kMoreAlerts, place)) return id;
  Write(space_->file()->alert(place), id, record);
  return id;
}

void Alerts::Write(layout::AlertSlot& slot, std::uint64_t id, const layout::AlertRecord& record) {
  WriteRecord(slot, id, record, [&] { Put(slot.cleared_ms, 0); });
}

void Alerts::ForgetMissing(const std::vector<bool>& seen, std::uint64_t after) {
  for (std::size_t i = 0; i < log_.watched.size(); ++i) {
    layout::WatchedCheck& words = log_.watched[i];
    if (seen[i] || GetText(words.name).empty()) continue;
    const std::uint64_t missing = Get(words.missing);
    if (missing < after - 1) {
      Put(words.missing, missing + 1);
    } else {
      PutText(words.name, "");
    }
  }
}

void Alerts::ClearAllNotInForce(std::int64_t unix_ms) {
  std::vector<std::uint64_t> in_force;
  for (const layout::WatchedCheck& words : log_.watched) {
    const std::uint64_t word = Get(words.in_force);
    if (InForce(word) && !GetText(words.name).empty()) in_force.push_back(word >> kIdShift);
  }
  space_->Follow();
  for (std::size_t i = 0; i < layout::kAlerts; ++i) {
    if (!space_->Has(ControlSpace::Kind::kMoreAlerts, i)) continue;
    layout::AlertSlot& slot = space_->file()->alert(i);
    // Acquire: pairs with the writer's release of the id. A change that takes this slot meanwhile
    // is not harmed: its own cleared_ms is not read.
    const std::uint64_t id = slot.id.load(std::memory_order_acquire);
    if (id == 0 || Get(slot.cleared_ms) != 0) continue;
    std::uint64_t status = 0;
    CopyWords(&status, &slot.record.status, sizeof status);
    if (status >= static_cast<std::uint64_t>(AlertStatus::kChanged)) continue;
    if (std::find(in_force.begin(), in_force.end(), id) != in_force.end()) continue;
    Put(slot.cleared_ms, static_cast<std::uint64_t>(unix_ms));
  }
}

}  // namespace walmanager
