// wal_version: the version of walmanager, and the SQLite that it runs in.
#include "ext/connection/connection.h"
#include "ext/core/base/json_writer.h"
#include "sql/function.h"

namespace walmanager {

Result<Value> WalVersion(Connection&, const Arguments&) {
  const Connection::EngineFacts engine = Connection::Engine();
  JsonObject json;
  json.Add("version", WALMANAGER_VERSION)
      .Add("build", WALMANAGER_BUILD)
      .Add("sqlite_version", engine.version)
      .Add("wal_reset_bug", engine.has_wal_reset_bug)
      .Add("threads", engine.threads);
  return Value(json.text());
}

}  // namespace walmanager
