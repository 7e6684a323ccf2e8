#include "ext/database/cancel_watch.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/query_statistics.h"
#include "ext/database/database.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr char kName[] = "cancel";
// A statement that has not ended by then will not soon.
constexpr std::uint64_t kTellAfterNs = 1'000 * kMs;
constexpr std::uint64_t kLookAgainNs = 20 * kMs;

std::optional<ConnectionEntry> FindOwn(const ControlFile& control, std::uint64_t id) {
  for (ConnectionEntry& entry : control.slabs().ReadOwnConnections()) {
    if (entry.id == id) return std::move(entry);
  }
  return std::nullopt;
}

// Not by address: a file that is made later may have that of one that is gone.
bool IsSame(const std::weak_ptr<ControlFile>& one, const std::shared_ptr<ControlFile>& other) {
  return !one.owner_before(other) && !other.owner_before(one);
}

std::string TextOf(ControlFile& control, std::uint64_t query_id) {
  return QueryStatistics(control.space()).TextOf(query_id).value_or("an unknown statement");
}

// Its beginning: an alert has room for two.
std::string BeginningOf(std::string text) {
  constexpr std::size_t kMostBytes = 80;
  if (text.size() <= kMostBytes) return text;
  std::size_t size = kMostBytes;
  while (size != 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size) + "…";
}

std::string HowItBegan(const ConnectionEntry& entry, const CancelWish& wish) {
  std::string text = "connection " + std::to_string(entry.id);
  if (!entry.application.empty()) text += " (" + entry.application + ")";
  return text + " was interrupted by connection " + std::to_string(wish.by) + " (pid " +
         std::to_string(wish.by_pid) + ")";
}

std::string StatementOf(ControlFile& control, const ConnectionEntry& entry) {
  return ". The statement: " + BeginningOf(TextOf(control, entry.query_id));
}

}  // namespace

std::uint64_t CancelWatch::Look(std::uint64_t now_ns) {
  const auto control = database_.control();
  CancelRequests requests(control->region().cancels());
  const std::uint64_t asked = requests.asked();
  if (asked != std::exchange(asked_, asked) || !IsSame(asked_of_, control)) {
    asked_of_ = control;
    for (const CancelRequests::Asked& each : requests.AskedOf(ThisProcess().token, now_ns)) {
      requests.SetAnswer(each.ticket, Serve(control, each.wish, now_ns));
    }
  }
  std::erase_if(interrupted_, [&](const Interrupted& interrupted) {
    const Cancellable::Outcome outcome = interrupted.connection->outcome();
    const bool is_over = outcome.ended && !outcome.others_run;
    if (!is_over && now_ns < interrupted.at_ns + kTellAfterNs) return false;
    if (IsSame(interrupted.alert_of, control)) {
      Alerts(control->space()).Amend(interrupted.alert, Describe(*control, interrupted));
    }
    return true;
  });
  return interrupted_.empty() ? kNever : now_ns + kLookAgainNs;
}

CancelAnswer CancelWatch::Serve(const std::shared_ptr<ControlFile>& control, const CancelWish& wish,
                                std::uint64_t now_ns) {
  if (database_.settings().Values()[Setting::kAllowCancel] == 0) return CancelAnswer::kForbidden;
  std::shared_ptr<Cancellable> connection;
  {
    Registry& registry = Registry::Get();
    const MutexLock lock(registry.mutex);
    const auto found = registry.cancellables.find(wish.connection);
    if (found != registry.cancellables.end()) connection = found->second;
  }
  const auto before = FindOwn(*control, wish.connection);
  if (!connection || !before) return CancelAnswer::kNoConnection;
  if (before->trace != TraceState::kActive) return CancelAnswer::kNotTraced;
  if (before->started_ns != wish.started_ns) return CancelAnswer::kNotRunning;
  // The thread of the connection may wait during Interrupt(): what may take long is done before.
  Alerts alerts(control->space());
  alerts.MakeRoom();
  const std::string detail = HowItBegan(*before, wish) + StatementOf(*control, *before);
  Interrupted interrupted{connection, *before, wish, now_ns, control};
  const auto is_meant = [&] {
    auto entry = FindOwn(*control, wish.connection);
    if (!entry || entry->started_ns == 0 || entry->started_ns != wish.started_ns) return false;
    interrupted.entry = std::move(*entry);
    return true;
  };
  // Many a program ends with the interrupt.
  const auto tell = [&] { interrupted.alert = alerts.RecordChange(kName, detail, UnixMs()); };
  if (!connection->Interrupt(is_meant, tell)) return CancelAnswer::kNotRunning;
  interrupted_.push_back(std::move(interrupted));
  return CancelAnswer::kInterrupted;
}

std::string CancelWatch::Describe(ControlFile& control, const Interrupted& interrupted) {
  const ConnectionEntry& entry = interrupted.entry;
  std::string text = HowItBegan(entry, interrupted.wish);
  const Cancellable::Outcome outcome = interrupted.connection->outcome();
  const auto now = FindOwn(control, entry.id);
  if (now && (!outcome.ended || outcome.others_run)) {
    if (now->started_ns == entry.started_ns && now->statement_rows == 0) {
      text += ", and its statement has not ended yet";
    } else if (now->started_ns != 0) {
      text += ", and stays interrupted until its open cursor ends: " +
              BeginningOf(TextOf(control, now->query_id));
    }
  } else if (outcome.ended && entry.is_explicit) {
    text += outcome.in_autocommit ? "; its transaction was rolled back"
                                  : "; its transaction stays open";
  }
  return text + StatementOf(control, entry);
}

}  // namespace walmanager
