// A connection of the host that has loaded this extension, as functions and tables see it.
// connection_events.h has what happens on it: its hooks and its trace.
//
// Made when the extension is loaded on the connection. Deleted by the destructor of an SQL function
// with a private name, which SQLite runs at the real close, after it has closed the host's b-trees.
// Thread rules: everything runs in the thread that uses the connection, inside one of its
// statements.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ext/connection/connection_events.h"
#include "ext/connection/table_source.h"
#include "ext/core/base/result.h"
#include "ext/engine/sqlite.h"
#include "ext/system/registry.h"

struct sqlite3;

namespace walmanager {

class Connection final : public TableSource {
 public:
  // The object of the connection `db`, made at the first call. `*made`: Start() is still to be
  // called.
  static Result<Connection*> Attach(sqlite3* db, bool* made);
  using At = ConnectionEvents::At;
  // Begins to manage the connection, once tables and functions are registered.
  void Start(At at);

  sqlite3* db() const { return db_; }

  // --- as TableSource
  Connection* host() override { return this; }
  bool belongs_here() const override { return events_.belongs_here(); }
  bool is_over() const override { return false; }
  std::uint64_t id() const override { return events_.logs().id(); }
  Result<std::vector<Schema>> Schemas() override;
  std::optional<WalIndex> LookAtLog(const Schema& schema) override;
  std::optional<std::int64_t> PageSize(const Schema& schema) override;
  std::string InlineBecause(const Schema& schema) override;
  bool automatic() const override { return events_.hook().automatic(); }
  std::optional<ReplicatorState> FindReplicator(const Schema& schema) override;
  std::vector<MarksBefore> ReadMarksBefore() override;
  std::optional<ReadMarks> FindReadMarks(const Schema& schema) override;
  AskersTransaction TransactionOf(const Schema& schema) const override;
  // Tells the database first what this connection knows of the log.
  void Watch(const Schema& schema, Database::Watching what) override;

  // --- to find the database that a function is for

  // An error names the schemas that there are. `function`: for the message.
  Result<Schema> FindSchema(const char* function, std::string_view name);
  // The same for a schema that must have a file.
  Result<Schema> DatabaseOf(const char* function, const Result<std::string>& name);
  // The same for functions that change something: an error under PRAGMA query_only, and on a
  // connection that has opened the database read-only.
  Result<Schema> DatabaseToChange(const char* function, const Result<std::string>& name);
  HostConnection AsHost(const Schema& schema);
  // To look at the wal-index of a schema. Its journal mode must have been asked for in this call.
  WalFile LogOf(const Schema& schema);

  // --- what only a connection knows

  // On one schema, or with nullptr on any.
  TransactionState transaction_state(const char* schema) const;
  bool in_autocommit() const;
  std::int64_t busy_timeout_ms();
  // Whether another managed connection of this process may be reading the same database now.
  bool AnotherMayRead(const Schema& schema) const;
  struct EngineFacts {
    std::string version;
    int version_number = 0;
    bool has_wal_reset_bug = false;
    bool threads = false;  // SQLite was started so that several threads may use it
  };
  static EngineFacts Engine();
  // Whether our WAL hook stands. Takes it back from SQLite's own autocheckpoint, and leaves a hook
  // of the program alone.
  HookState ProbeHook() { return events_.hook().Probe(); }
  // Whether our trace stands. `take`: takes the slot where another trace has it.
  TraceState ProbeTrace(bool take) { return events_.ProbeTrace(take); }
  // Runs a statement on the host's connection: the first column of its first row.
  Result<std::optional<std::string>> Query(const std::string& sql) {
    const ConnectionEvents::OwnStatements own(events_);
    return QueryText(db_, sql);
  }
  // The first `most` rows of a statement with one text parameter, as text; NULL is nullopt.
  using TextRow = walmanager::TextRow;
  Result<std::vector<TextRow>> Rows(const std::string& sql, const std::string& parameter,
                                    std::size_t most = SIZE_MAX) {
    const ConnectionEvents::OwnStatements own(events_);
    return QueryRows(db_, sql, parameter, most);
  }
  // The name in double quotes, as SQL wants it.
  static std::string Quoted(const std::string& name) { return QuoteName(name); }

  // --- what functions and tables have it do

  // Before the mode of the database changes, which needs it to be open on no other connection.
  void CloseOwnConnections() { events_.logs().CloseOwnConnections(); }
  // PRAGMA synchronous has been changed.
  void ForgetSynchronous() { events_.logs().ForgetSynchronous(); }
  // At the end of a call: where another trace has the slot, a PRAGMA journal_mode will not be
  // announced, and no connection of this library may be in its way.
  void CloseOwnConnectionsIfUntraced();
  // The statement that runs reads a table of this extension or calls a function of it.
  void UsesExtension() { events_.UsesExtension(); }
  // Captures the plans that are wanted for statements of this connection, where the background
  // thread has not taken these requests.
  void CapturePlans();
  // Asks SQLite for the memory of this connection, for connection_metrics.
  void PublishMemory();
  // The name of this connection in connection_metrics and wal_readers.
  const std::string& application() const { return events_.logs().application(); }
  void SetApplication(const std::string& name) { events_.logs().SetApplication(name); }
  // Whether a statement of read_pool() runs on this connection itself. Such statements do not nest.
  bool in_read_pool() const { return in_read_pool_; }
  void set_in_read_pool(bool in) { in_read_pool_ = in; }

 private:
  Connection(sqlite3* db, Registry* registry) : events_(db, registry), db_(db) {}
  ~Connection() override = default;
  // Whether the main or the temporary schema has triggers; true where that is not known.
  bool HasTriggers();
  static void Detach(void* connection);  // a destructor for SQLite

  ConnectionEvents events_;
  sqlite3* const db_;
  bool started_ = false;
  bool in_read_pool_ = false;
  // Statements that failed to compile when their plan was asked for, as of a version of the schema:
  // SQLite writes that to the program's error log.
  std::set<std::pair<std::uint64_t, std::uint32_t>> unexplained_;
};

}  // namespace walmanager
