// wal_application_name and wal_trace.
#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/base/utf8.h"
#include "sql/function.h"

namespace walmanager {

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
