// One connection of the host's that loaded us: its hooks, and the databases behind its schemas.
//
// Made when the extension is loaded on the connection, gone in the destructor of a privately named
// SQL function, which SQLite runs at the real close, after the host's b-trees are closed.
// Thread rules: everything runs in the thread that uses the connection, under its mutex where it
// has one. No SQL runs inside the trace callback.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/connection/application_checkpoint.h"
#include "ext/connection/hook_witness.h"
#include "ext/connection/statement_meter.h"
#include "ext/core/base/result.h"
#include "ext/core/control/connection_entry.h"
#include "ext/database/database.h"
#include "ext/system/registry.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace walmanager {

enum class HookState { kActive, kDisplaced, kOff };

// One attached database as PRAGMA database_list has it.
struct Schema {
  std::string name;
  std::string file;                    // empty: in memory or temporary
  std::string journal_mode;            // empty: unknown
  bool read_only = false;              // on this connection
  std::shared_ptr<Database> database;  // nullptr where there is no file
  bool is_wal() const { return journal_mode == "wal" && database != nullptr; }
  // Whether a control file may be made for it.
  bool may_make_file() const { return is_wal() && !read_only; }
};

class Connection {
 public:
  // The connection's object, made at the first call for `db`. `*made`: it is to be started still.
  static Result<Connection*> Attach(sqlite3* db, bool* made);
  // Begins to manage, once tables and functions are there. On an open connection the hook is placed
  // now; on one that is being opened, where SQLite sets its own after us, at the first statement.
  enum class At { kOpenConnection, kOpening };
  void Start(At at);
  // One that tells of `database` alone and is nobody's: for evaluations without a connection of the
  // host's. No hooks, no trace, no place in the control file, and it opens no file; what belongs to
  // one connection it does not know. `database` must outlive it. nullptr without memory.
  static std::unique_ptr<Connection> Observe(Database& database);
  bool observes() const { return observed_ != nullptr; }
  // The last connection is being closed. Any thread.
  bool observation_is_over() const { return observed_ && observed_->stopping(); }
  ~Connection();

  sqlite3* db() const { return db_; }
  std::uint64_t id() const { return id_; }
  // False in a child that was forked after the load: then nothing here may be touched.
  bool belongs_here() const { return &Registry::Get() == registry_; }

  // --- for functions and tables, which run inside a statement of this connection

  // All schemas but temp, main first.
  Result<std::vector<Schema>> Schemas();
  // An error names those that there are. `function`: for the message.
  Result<Schema> FindSchema(const char* function, std::string_view name);
  // A schema with a file.
  Result<Schema> DatabaseOf(const char* function, const Result<std::string>& name);
  // The same for functions that change what belongs to it: not under PRAGMA query_only, and not on
  // a connection that has opened it read-only.
  Result<Schema> DatabaseToChange(const char* function, const Result<std::string>& name);
  // The wal-index of a schema in WAL mode; nullopt where it cannot be looked at.
  std::optional<WalIndex> LookAtLog(const Schema& schema);
  // Database::Watch with what this connection knows of the log. Nothing where it observes.
  void Watch(const Schema& schema, Database::Watching what);
  HostConnection AsHost(const Schema& schema);
  // To look at the wal-index of a schema, whose journal mode was asked for in this call.
  WalFile LogOf(const Schema& schema);
  // Empty where a thread of ours may copy the log of this schema, else why committing threads do.
  std::string InlineBecause(const Schema& schema);
  // Whether our WAL hook stands. Retakes it from SQLite's own autocheckpoint, leaves another's
  // alone.
  HookState ProbeHook();
  // Of one schema, or with nullptr of any.
  TransactionState transaction_state(const char* schema) const;
  bool in_autocommit() const;
  std::optional<std::int64_t> PageSize(const Schema& schema);
  struct EngineFacts {
    std::string version;
    int version_number = 0;
    bool has_wal_reset_bug = false;
    bool threads = false;  // SQLite was started so that several threads may use it
  };
  static EngineFacts Engine();
  // kThere or kGone where a replicator's table is in the schema, as far as this connection knows
  // it; nullopt where it is not, and outside of WAL mode.
  std::optional<ReplicatorState> FindReplicator(const Schema& schema);
  // Whether this connection wants automatic checkpoints: it has not turned them off with PRAGMA
  // wal_autocheckpoint=0, and the WAL hook is not the program's own.
  bool automatic() const { return automatic_ && hook_wanted_ && !hook_is_theirs_; }
  std::int64_t busy_timeout_ms();
  // Whether another managed connection of this process may be reading the same database just now.
  bool AnotherMayRead(const Schema& schema) const;
  // One statement of ours on the host's connection: the first column of its first row.
  Result<std::optional<std::string>> Query(const std::string& sql);
  // Rows of text, NULL as nullopt, of a statement with one text parameter; the first `most`.
  using TextRow = std::vector<std::optional<std::string>>;
  Result<std::vector<TextRow>> Rows(const std::string& sql, const std::string& parameter,
                                    std::size_t most = SIZE_MAX);
  // "main" with quotes, fit for SQL.
  static std::string Quoted(const std::string& name);
  // Before the host's database mode changes: nothing of ours stays on it.
  void CloseOwnConnections();
  // PRAGMA synchronous has been changed.
  void ForgetSynchronous() {
    for (Log& log : logs_) log.commits_sync.reset();
  }
  // Who read before this call did: to be asked first of all, since questions of ours on this
  // connection read, too. Of databases that this connection has used.
  struct MarksBefore {
    std::shared_ptr<Database> database;
    std::optional<ReadMarks> marks;
    bool asker_reads = false;
  };
  std::vector<MarksBefore> ReadMarksBefore();
  // The held read marks of a database in WAL mode now; also those of processes that the system's
  // table does not show, where there are such.
  std::optional<ReadMarks> FindReadMarks(const Schema& schema);
  // A table of ours is being read by a statement of this connection.
  void ReadsOwnTable() { meter_.ReadsOwnTable(); }
  // The plans that statements of this connection wait for, where no thread of ours has taken them.
  void CapturePlans();
  // A statement of read_pool() runs on this very connection: within it there is no other such.
  bool in_read_pool() const { return in_read_pool_; }
  void set_in_read_pool(bool in) { in_read_pool_ = in; }
  // Asks SQLite for the memory of this connection, for connection_metrics.
  void PublishMemory() {
    meter_.PublishMemory(/*all=*/true);
    meter_.PublishForeignKeys();
  }
  // The name of this connection in connection_metrics and wal_readers.
  const std::string& application() const { return application_; }
  void SetApplication(const std::string& name);
  // Whose the trace is; `take`: ours from now on.
  TraceState ProbeTrace(bool take);
  // At the end of a call: where a driver has the trace, a PRAGMA journal_mode will come
  // unannounced, and nothing of ours may be left in its way.
  void CloseOwnConnectionsIfUntraced();

 private:
  // A schema with a file, once it has committed to its log or somebody asked about it, and what the
  // commit path needs to know of it. Keeps the Database alive until the connection closes.
  struct Log {
    std::string schema;
    std::string file;
    bool found_by_name = false;  // DatabaseFileByName() can be asked
    std::shared_ptr<Database> database;
    std::shared_ptr<ControlFile> control;
    std::uint64_t control_generation = 0;
    std::size_t slab = 0;
    std::uint64_t statement = 0;     // the last statement that committed here
    std::uint64_t adopted = 0;       // the last wish of PRAGMA wal_autocheckpoint that was followed
    std::uint64_t log_position = 0;  // as of the last hook call
    std::optional<bool> commits_sync;             // as HostConnection
    CheckpointWish wish = CheckpointWish::kNone;  // that its database knows of
    WalIndex without_index;  // where there is no wal-index: what the hook and checkpoints say
  };

  Connection(sqlite3* db, Registry* registry) : db_(db), registry_(registry) {}
  Schema ObservedSchema();
  static void Detach(void* connection);  // a destructor for SQLite
  [[gnu::cold]] void PlaceHook();
  // Places the hook where SQLite's own autocheckpoint is, and leaves any other alone.
  [[gnu::cold]] void LookAndPlaceHook();
  // Whether this build of SQLite begins with its own autocheckpoint. Opens a database in memory.
  static bool HasBuiltinByDefault();
  // A statement that writes begins, and the one before it did not call the hook.
  [[gnu::cold]] void DoubtHook();
  void HookIsTheirs();
  // All schemas, for the witness. `may_ask`: with SQL, which reads no file where the journal mode
  // is known; else the log is read to tell whether it is one.
  std::vector<HookWitness::Schema> WitnessedSchemas(bool may_ask);
  // Tells the databases what this connection wants of automatic checkpoints.
  void PublishWish();
  void SetWish(Log& log, CheckpointWish wish);
  // The first commit since that changed.
  [[gnu::cold]] void CommitsWith(Log& log);
  void PlaceTrace();
  void LookForMain();
  // Databases attached since: others shall know that this connection may read them.
  void LookForAttached();
  [[gnu::cold]] void LookForControls();
  void PublishTrace(TraceState state);
  // The control file or a setting has changed: statements are measured there, or no more.
  [[gnu::cold]] void FollowMain();
  bool MainHasChanged() const {
    return !followed_control_ ||
           followed_settings_->load(std::memory_order_relaxed) != metered_settings_ ||
           followed_control_->load(std::memory_order_acquire) != followed_generation_;
  }
  void Release(Log& log);
  // Says in the log's control file who this is.
  void Introduce(Log& log);
  void SetPlaces();
  void CountCommit(Log& log, const ControlRegion::Commit& commit, bool seen_start, bool trace_lost);
  [[gnu::cold]] void HandOverPlans();
  static int OnFirstCommit(void* self);
  void ReadHookAtLoad();
  // What every statement runs stands together, in few bytes: where many take turns, fetching the
  // code is what it costs. So all that is seldom is cold.
  [[gnu::hot]] void BeforeStatement(sqlite3_stmt* stmt, const char* sql);
  // What is announced is ours, or a trigger or a statement that runs within another.
  [[gnu::cold]] bool IsPartOfAnother(sqlite3_stmt* stmt, const char* sql);
  [[gnu::cold]] void CatchUp();
  // What it is about to do.
  [[gnu::cold]] void Foresee(StatementKind kind, sqlite3_stmt* stmt, const char* sql);
  // What a program asks for by PRAGMA page_size or auto_vacuum: SQLite may ignore it.
  void KeepLayoutWish(const char* sql);
  // After PRAGMA wal_autocheckpoint=N: takes the hook back and keeps N as a wish.
  void FollowAutocheckpoint(const char* sql);
  void FollowZero(const char* sql);
  void BeginCheckpoint(sqlite3_stmt* stmt, const char* sql);
  // A write that returns rows, left after its first, commits without any hook. Runs before the next
  // statement, within the trace callback: on connections of ours or not at all.
  void LookForUnhookedCommits();
  void Committed(const char* schema, int frames);
  // `file`: what sqlite3_db_filename has just returned for it.
  Log* FindLog(const char* schema, const char* file);
  // Before anything is counted: the control file is made, a slab is ours.
  void MakeReady(Log& log);
  // The frames that the log has grown by since anybody looked.
  static std::uint64_t CountFrames(Log& log, const LogEnd& end);
  void Bind(Log& log);
  void BindIfChanged(Log& log);
  void BeforeClose();
  WalIndex LookWithoutIndex(Log& log, int frames);
  void FollowPragma(Log& log);
  void ForgetDetached();
  [[gnu::hot]] static int OnTrace(unsigned event, void* self, void* stmt, void* sql);
  static int OnWal(void* self, sqlite3* db, const char* schema, int frames);

  // What every statement needs stands first and together: among many connections it is found far
  // from the processor.
  alignas(64) sqlite3* const db_;
  Registry* const registry_;  // under another, after a fork, this object does nothing
  Log* main_ = nullptr;       // that of the main database, where there is one
  // Where a change of what FollowMain() has followed shows; nullptr: look.
  const std::atomic<std::uint64_t>* followed_control_ = nullptr;
  const std::atomic<std::uint64_t>* followed_settings_ = nullptr;
  std::uint64_t followed_generation_ = 0;
  std::uint64_t metered_settings_ = 0;  // the generation that the meter follows
  bool traced_ = false;                 // our trace callback has been called
  bool trace_is_ours_ = false;          // likewise, since it was set false
  bool shown_displaced_ = false;  // in connection_metrics; a statement that is seen takes it back
  bool detached_ = false;         // a DETACH was seen
  bool may_commit_ = false;       // the statement that began last writes, or ends a transaction
  bool wants_database_ = false;   // the statement that began last does
  bool hook_is_owed_ = false;     // since the last call of it a write that returns rows has begun
  bool hook_placed_ = false;
  bool hook_wanted_ = true;  // false: PRAGMA wal_autocheckpoint was 0 before ours could be placed
  std::uint64_t statement_start_ns_ = 0;
  std::uint64_t statement_ = 0;  // serial number of the statement that runs
  std::uint64_t next_control_look_ns_ = 0;
  ApplicationCheckpoint application_checkpoint_{db_};
  StatementMeter meter_{db_};

  Database* observed_ = nullptr;
  bool in_read_pool_ = false;
  std::shared_ptr<sqlite3> memory_;  // an observer's db_
  std::list<Log> logs_;              // an entry stays where it is while others come and go
  bool look_for_main_ = true;
  unsigned trace_mask_ = 0;
  bool may_have_profile_ = false;  // of an older interface, beside our trace
  std::uint64_t id_ = 0;           // in connection_metrics
  std::int64_t opened_ms_ = 0;
  std::string application_;
  std::uint64_t next_plans_ns_ = 0;
  bool started_ = false;
  bool automatic_ = true;
  bool hook_is_theirs_ = false;  // proven, or seen before ours could be placed
  // The program has read PRAGMA wal_autocheckpoint, and got the 0 that stands for our hook.
  bool read_our_zero_ = false;
  std::uint64_t wish_ = 0;  // serial number of the last PRAGMA wal_autocheckpoint=N
  std::int64_t wished_frames_ = 0;
  std::uint64_t plain_writes_ = 0;  // statements that commit unless they fail
  std::uint64_t plain_writes_at_hook_ = 0;
  std::uint64_t row_writes_ = 0;  // statements that write and return rows
  std::uint64_t row_writes_at_witness_ = 0;
  std::uint64_t suspected_at_ = 0;  // the statement that began when it first seemed so; 0: never
  HookWitness witness_{db_};
};

}  // namespace walmanager
