// The questions that a table may ask about what it describes: a connection of the host
// (Connection), or one database as its health watch sees it without a connection
// (ObservedDatabase).
//
// The rule that is easy to break: the health watch runs in a thread of its own, beside the host's
// connections. Only Connection, which a table gets from host(), may answer with SQL on the host's
// handle.
// Thread rules: those of the implementation.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/control/connection_entry.h"
#include "ext/database/database.h"

namespace walmanager {

class Connection;

// One database of the connection, as in PRAGMA database_list.
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

// The read marks of a database before the asking statement read anything itself.
struct MarksBefore {
  std::shared_ptr<Database> database;
  std::optional<ReadMarks> marks;
  bool asker_reads = false;
};

// The transaction of the asking connection on one database.
struct AskersTransaction {
  TransactionState state = TransactionState::kNone;
  bool is_explicit = false;  // the program began it; otherwise it ends with the last statement
  bool has_other_statement = false;  // beside the one that asks, one has not ended
};

class TableSource {
 public:
  virtual ~TableSource() = default;
  // For questions that only a connection can answer; nullptr where there is none.
  virtual Connection* host() = 0;
  // False in a child that was forked after the source was made: then nothing else may be called.
  virtual bool belongs_here() const = 0;
  // The database is being closed, so no answer is wanted any more. Any thread.
  virtual bool is_over() const = 0;
  // The connection's id in connection_metrics; 0: it has none.
  virtual std::uint64_t id() const = 0;
  // All schemas but temp, main first.
  virtual Result<std::vector<Schema>> Schemas() = 0;
  // The wal-index of a schema in WAL mode; nullopt where it cannot be looked at.
  virtual std::optional<WalIndex> LookAtLog(const Schema& schema) = 0;
  virtual std::optional<std::int64_t> PageSize(const Schema& schema) = 0;
  // Why committing threads copy the log of this schema; empty where a background thread may.
  virtual std::string InlineBecause(const Schema& schema) = 0;
  // Whether automatic checkpoints are wanted.
  virtual bool automatic() const = 0;
  // kThere or kGone where a replicator's table is in the schema; nullopt where it is not, and
  // outside of WAL mode.
  virtual std::optional<ReplicatorState> FindReplicator(const Schema& schema) = 0;
  // Must be asked first, since the other questions may read the database. For the databases that
  // the connection has used.
  virtual std::vector<MarksBefore> ReadMarksBefore() = 0;
  // The read marks that are held now, with the marks of processes that the system's lock table does
  // not show.
  virtual std::optional<ReadMarks> FindReadMarks(const Schema& schema) = 0;
  virtual AskersTransaction TransactionOf(const Schema& schema) const = 0;
  // Lets the database take a sample, and evaluate its alerts, if they are due.
  virtual void Watch(const Schema& schema, Database::Watching what) = 0;
};

}  // namespace walmanager
