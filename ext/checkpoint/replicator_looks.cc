#include "ext/checkpoint/replicator_looks.h"

#include <functional>
#include <string>

#include "ext/core/control/alerts.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

// The table of a replicator.
struct ReplicatorTable {
  bool exists = false;
  std::uint64_t content = 0;  // a hash of its rows
};

// Litestream's table: CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER).
//
// The rule that must not break: a file can be hostile. What SQLite computes can take any time and
// memory, and so can a long value. So a table counts only if it has pages of its own, as a view and
// a virtual table do not, and holds both columns, and only integers are read: typeof() does not
// load the value.
constexpr char kHoldsColumns[] =
    "SELECT 1 FROM pragma_table_xinfo(?1) WHERE hidden = 0 AND name IN ('id', 'seq')";
constexpr char kReadIntegers[] =
    "SELECT CASE typeof(id) WHEN 'integer' THEN id END, "
    "CASE typeof(seq) WHEN 'integer' THEN seq END FROM main.";

// nullopt where it cannot be read now.
std::optional<ReplicatorTable> FindReplicator(sqlite3* db) {
  const auto found = QueryText(db, std::string("SELECT 1 FROM sqlite_master WHERE type='table' AND "
                                               "rootpage > 0 AND name='") +
                                       kReplicatorTable + "'");
  if (!found.ok()) return std::nullopt;
  ReplicatorTable table;
  table.exists = found.value().has_value();
  if (!table.exists) return table;
  const auto columns = QueryRows(db, kHoldsColumns, kReplicatorTable);
  if (!columns.ok()) return std::nullopt;
  table.exists = columns.value().size() == 2;
  if (!table.exists) return table;
  // Litestream's table has one row. The first rows are enough for another program's table of this
  // name.
  auto rows = Prepare(db, std::string(kReadIntegers) + kReplicatorTable + " LIMIT 16");
  if (!rows.ok()) return std::nullopt;
  sqlite3_stmt* row = rows.value().get();
  std::string content;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
    for (int column = 0; column < sqlite3_column_count(row); ++column) {
      content += ColumnText(row, column) + '\0';
    }
  }
  if (rc != SQLITE_DONE) return std::nullopt;
  table.content = std::hash<std::string>()(content);
  return table;
}

}  // namespace

void ReplicatorLooks::Follow(ReplicatorWish wish) {
  const auto current = control_.Get();
  const ReplicatorState state = ReadReplicatorState(current->region().engine().replicator);
  const bool has_table = state == ReplicatorState::kThere || state == ReplicatorState::kGone;
  is_there_.store(has_table && IsReplicators(wish, state), std::memory_order_relaxed);
}

bool ReplicatorLooks::IsBeyond(std::int64_t limit_bytes) const {
  const auto index = connections_.Look();
  return index && static_cast<std::int64_t>(index->max_frame) *
                          static_cast<std::int64_t>(index->page_size + kFrameHeaderBytes) >
                      limit_bytes;
}

bool ReplicatorLooks::Look(ReplicatorWish wish, std::int64_t limit_bytes, std::uint64_t now_ns,
                           std::uint64_t interval_ns, bool asked) {
  if (wish == ReplicatorWish::kNever || !IsDue(now_ns)) return is_there();
  next_look_ns_ = now_ns + interval_ns;
  const auto table = FindReplicator(connections_.checkpoint());
  if (!table) return is_there();
  ReplicatorLook look;
  look.table = table->exists;
  look.content = table->content;
  if (look.table && wish == ReplicatorWish::kAuto) {
    look.readers = readers_.FindUnknown(asked);
    look.away_beyond_limit = IsBeyond(limit_bytes) && readers_.OnlyManagedHaveItOpen();
  }
  const auto current = control_.Get();
  ControlRegion& region = current->region();
  const auto [state, changed] = watch_.Look(region.engine().replicator, wish, look, now_ns);
  Follow(wish);
  // The replicator copies now what was prepared for a commit to finish.
  if (is_there()) region.SetPrepared({});
  if (changed) {
    Alerts(current->space())
        .RecordChange("replicator",
                      state == ReplicatorState::kGone
                          ? "a replicator's table " + std::string(kReplicatorTable) +
                                " is there, and " +
                                (look.away_beyond_limit
                                     ? "the log is beyond wal_limit_bytes, and no process has the "
                                       "database open that could be the replicator"
                                     : "no look for 60 s found a sign of the replicator") +
                                ": walmanager checkpoints until it is there again. One that "
                                "returns makes a new snapshot"
                          : "the replicator is there: it checkpoints, walmanager only looks",
                      UnixMs());
  }
  return is_there();
}

}  // namespace walmanager
