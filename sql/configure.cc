// wal_configure: to be replaced in the step that lands profiles.
#include "ext/connection.h"
#include "sql/function.h"
namespace walmanager {
Result<Value> WalConfigure(Connection&, const Arguments&) { return Error{"wal_configure: not yet"}; }
}  // namespace walmanager
