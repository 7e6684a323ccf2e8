// Alerts: checks that became worse in a database, and changes of settings and strategies. They are
// kept in the control file, so all processes share them, in bounded space: the newest kAlerts, and
// the state of kWatchedChecks checks (one more check waits until another one goes).
//
// When a check is an alert (`n` is raise_after; readings that are `unknown` count for nothing):
// - A status is raised after n readings in a row that were at least so severe. One reading that is
//   less severe begins the count anew, so a check that flaps around its threshold raises nothing,
//   or one alert.
// - A warning that becomes critical raises an alert of its own and clears the warning's.
// - A status is over after 2 n readings in a row that were less severe, at the first of them whose
//   value is on the good side of the threshold by a tenth of it. (Of a share that must not fall
//   below 0.95 no such value exists.) So it is over also after 20 n of them, whatever the value.
//   Where the value or the threshold is unknown or the threshold is 0, the status alone decides.
// - A critical status that is over while the check is still a warning is cleared and followed by a
//   warning: the alerts that are not cleared are what is wrong now. As this is for the better,
//   Evaluate does not return it. A check that reads ok by then is left as it is until the warning
//   would be over, too.
// - A check that is in none of 2 n evaluations in a row is forgotten and its alert cleared.
//
// The protocol in the memory, for all processes:
// - An alert's place is claimed by adding to `next_id`; its slot's id is 0 while it is written, and
//   stored with release when it is done. A reader checks the id before and after it copies.
// - There is one evaluator at a time. It alone writes the watched checks and `cleared_ms`. What is
//   in force for a check is one word, written after its alert. At the end of each evaluation every
//   alert in the ring that is in force for no check is cleared.
// - So an evaluator that is killed between two words leaves at worst one alert that the next
//   evaluation clears in its place, or raises again while it clears the first one. A process that
//   is killed while it writes an alert loses that alert and nothing else. Two processes write the
//   same slot at once only if kAlerts alerts were raised between the two; that alert may then be a
//   mixture.
// - Values read are not trusted: an impossible id or state counts as none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/control/control_space.h"

namespace walmanager {

// In the order of severity; what is unknown is neither good nor bad.
enum class CheckStatus : std::uint8_t { kOk, kWarning, kCritical, kUnknown };

enum class AlertStatus : std::uint8_t { kWarning, kCritical, kChanged };
// "warning", "critical", "changed".
const char* AlertStatusName(AlertStatus status);

// One alert as it was raised. Unknown is nullopt.
struct AlertEntry {
  std::uint64_t id = 0;  // grows from alert to alert
  std::string check;
  AlertStatus status = AlertStatus::kChanged;
  std::optional<double> value;      // of the reading that raised it
  std::optional<double> threshold;  // of the status that was raised
  std::int64_t raised_ms = 0;       // Unix time
  std::optional<std::int64_t> cleared_ms;
  std::string detail;
};

class Alerts {
 public:
  // `space` must outlive this object.
  explicit Alerts(ControlSpace* space) : space_(space), log_(space->file()->alerts) {}

  // The result of a check. Names are compared by their first 47 bytes, and the first reading of a
  // name counts; numbers that are not finite are unknown; of `detail` 319 bytes are kept.
  struct Reading {
    std::string_view check;
    CheckStatus status = CheckStatus::kUnknown;
    std::optional<double> value, warning_at, critical_at;
    std::string_view detail;
  };
  // Takes one more reading of each check, and raises and clears alerts. Returns the checks that
  // became worse, for the error log. `raise_after` is 1 or more. One evaluator at a time in all
  // processes: the caller holds a lock.
  std::vector<AlertEntry> Evaluate(std::span<const Reading> readings, std::int64_t unix_ms,
                                   int raise_after);
  // Records a change of a setting or strategy: an alert with the status `changed`, cleared when it
  // is raised. Any process, any time. Returns its id.
  std::uint64_t RecordChange(std::string_view what, std::string_view detail, std::int64_t unix_ms) {
    return Record(AlertStatus::kChanged, what, detail, unix_ms);
  }
  // So that the next RecordChange() writes nothing to the disk, unless others come in between.
  void MakeRoom();
  // Gives the alert of RecordChange() another detail. Does nothing where newer ones have its place.
  // The process that has recorded it, once at a time.
  void Amend(std::uint64_t id, std::string_view detail);
  // Likewise what just went wrong: a warning, cleared by the next evaluation, in which a check may
  // raise it again.
  void RecordFailure(std::string_view what, std::string_view detail, std::int64_t unix_ms) {
    (void)Record(AlertStatus::kWarning, what, detail, unix_ms);
  }
  // Newest first. Any process, any time.
  std::vector<AlertEntry> Read() const;
  // Forgets the alerts and returns their number. A check that is still bad is raised again after
  // raise_after readings. Any process, any time.
  std::int64_t Reset();
  // Also forgets the checks. The caller alone has the memory.
  void StartOver();

 private:
  struct Watch;

  layout::WatchedCheck* FindOrMake(const std::string& name);
  Watch Load(const layout::WatchedCheck& words) const;
  bool InForce(std::uint64_t word) const;
  std::uint64_t Record(AlertStatus status, std::string_view what, std::string_view detail,
                       std::int64_t unix_ms);
  std::uint64_t Publish(const AlertEntry& entry);
  static void Write(layout::AlertSlot& slot, std::uint64_t id, const layout::AlertRecord& record);
  void ForgetMissing(const std::vector<bool>& seen, std::uint64_t after);
  void ClearAllNotInForce(std::int64_t unix_ms);

  ControlSpace* space_;
  layout::AlertLog& log_;
};

}  // namespace walmanager
