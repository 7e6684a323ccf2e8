// wal_application_name, wal_cancel and wal_trace.
#include <unistd.h>

#include <optional>

#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/base/time_units.h"
#include "ext/core/base/utf8.h"
#include "ext/core/control/cancel_requests.h"
#include "ext/system/clock.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// A connection, and a database in whose control file it stands.
struct Found {
  ConnectionEntry entry;
  std::shared_ptr<Database> database;
};

Result<std::optional<Found>> FindConnection(Connection& connection, std::uint64_t id) {
  auto schemas = connection.Schemas();
  if (!schemas.ok()) return schemas.error();
  std::optional<Found> found;
  for (const Schema& schema : schemas.value()) {
    if (!schema.database) continue;
    for (ConnectionEntry& entry : schema.database->control()->Connections()) {
      if (entry.id != id || (found && !entry.main)) continue;
      found = Found{std::move(entry), schema.database};
    }
  }
  return found;
}

std::string NameOf(const ConnectionEntry& entry) {
  return "connection " + std::to_string(entry.id) + " of process " +
         std::to_string(entry.pid.value_or(entry.own_pid));
}

Result<Value> Answer(const Found& found, CancelAnswer answer, const Arguments& arguments) {
  switch (answer) {
    case CancelAnswer::kInterrupted:
      return Value(1);
    case CancelAnswer::kNotRunning:
    case CancelAnswer::kNoConnection:
      return Value(0);
    case CancelAnswer::kForbidden:
      return arguments.Prefixed(Error{"the setting allow_cancel is off"});
    case CancelAnswer::kNotTraced:
      return arguments.Prefixed(Error{
          NameOf(found.entry) + " is not traced by walmanager, so its statements are not known"});
    case CancelAnswer::kNone:
      break;
  }
  return arguments.Prefixed(Error{NameOf(found.entry) +
                                  " has not answered within 2 s: its process is stopped, its "
                                  "SQLite has no threads, or it has run no "
                                  "statement since its first second"});
}

}  // namespace

Result<Value> WalApplicationName(Connection& connection, const Arguments& arguments) {
  if (arguments.has(0)) {
    constexpr std::size_t kMostBytes = sizeof(layout::ConnectionInfo::application) - 1;
    const auto name = arguments.Text(0, "name");
    if (!name.ok()) return name.error();
    if (name.value().size() > kMostBytes || HasControlCharacters(name.value()) ||
        !IsUtf8(name.value())) {
      return arguments.Wrong(0, "name",
                             "text of at most " + std::to_string(kMostBytes) +
                                 " bytes of UTF-8, without control characters");
    }
    // Finds the control files of the databases, so that the name is written there.
    if (auto schemas = connection.Schemas(); !schemas.ok()) return schemas.error();
    connection.SetApplication(name.value());
  }
  const std::string& name = connection.application();
  return name.empty() ? Value() : Value(name);
}

Result<Value> WalCancel(Connection& connection, const Arguments& arguments) {
  constexpr std::uint64_t kMostNs = 1'900 * kMs;
  constexpr useconds_t kPauseUs = 2'000;
  const std::int64_t* id = arguments.at(0).integer();
  if (!id) return arguments.Wrong(0, "connection_id", "an integer");
  auto looked = FindConnection(connection, static_cast<std::uint64_t>(*id));
  if (!looked.ok()) return looked.error();
  if (!looked.value()) {
    return arguments.Wrong(0, "connection_id", "one of the connections in connection_metrics");
  }
  const Found& found = *looked.value();
  const ConnectionEntry& entry = found.entry;
  if (entry.role != ConnectionRole::kApplication) {
    return arguments.Prefixed(
        Error{NameOf(entry) + " is walmanager's own: its role is " + RoleName(entry.role)});
  }
  if (found.database->settings().Values()[Setting::kAllowCancel] == 0) {
    return Answer(found, CancelAnswer::kForbidden, arguments);
  }
  if (entry.trace != TraceState::kActive) return Answer(found, CancelAnswer::kNotTraced, arguments);
  if (entry.started_ns == 0) return Value(0);
  const auto control = found.database->control();
  CancelRequests requests(control->region().cancels());
  const std::uint64_t begin = MonotonicNs();
  const CancelWish wish{.owner = entry.owner,
                        .connection = entry.id,
                        .started_ns = entry.started_ns,
                        .by_pid = static_cast<std::uint64_t>(ThisProcess().pid),
                        .by = connection.id()};
  const auto ticket =
      requests.Ask(wish, /*number=*/ThisProcess().token + begin, begin, begin + kMostNs);
  if (!ticket) return arguments.Prefixed(Error{"too many calls are under way", ErrorCode::kBusy});
  if (entry.owner == ThisProcess().token) found.database->LookNow(begin);
  CancelAnswer answer = CancelAnswer::kNone;
  while (answer == CancelAnswer::kNone && MonotonicNs() < begin + kMostNs) {
    usleep(kPauseUs);
    answer = requests.Answer(*ticket);
  }
  const CancelAnswer last = requests.End(*ticket);
  return Answer(found, answer != CancelAnswer::kNone ? answer : last, arguments);
}

Result<Value> WalTrace(Connection& connection, const Arguments& arguments) {
  bool take = false;
  if (arguments.has(0)) {
    const auto action = arguments.Text(0, "action");
    take = action.ok() && EqualIgnoringCase(action.value(), "take");
    if (!take) return arguments.Wrong(0, "action", "'take'");
  }
  return Value(TraceStateName(connection.ProbeTrace(take)));
}

}  // namespace walmanager
