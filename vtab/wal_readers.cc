// wal_readers: the readers that pin the log.
#include <time.h>

#include <algorithm>

#include "ext/core/control/query_statistics.h"
#include "ext/core/control/reader_attribution.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

// If a statement has returned rows, but none for this long, the program has stopped fetching.
constexpr long kStandsStillNs = 30'000'000;

struct Row {
  std::string schema;
  WalIndex index;
  Reader reader;
  std::string process;
  std::optional<std::string> query;
  std::uint64_t now_ns = 0;
};

// The connections whose statement stands still: the program has stopped fetching rows from it.
// Looks twice, with a pause, if there may be one.
std::set<std::uint64_t> StandingStill(const ControlFile& control,
                                      const std::vector<ConnectionEntry>& before) {
  std::set<std::uint64_t> still;
  const auto may_be = [](const ConnectionEntry& entry) {
    return entry.started_ns != 0 && entry.statement_rows > 0;
  };
  if (std::none_of(before.begin(), before.end(), may_be)) return still;
  const timespec pause{0, kStandsStillNs};
  nanosleep(&pause, nullptr);
  for (const ConnectionEntry& now : control.Connections()) {
    for (const ConnectionEntry& then : before) {
      if (now.id == then.id && now.owner == then.owner && may_be(then) &&
          now.started_ns == then.started_ns && now.statement_rows == then.statement_rows) {
        still.insert(now.id);
      }
    }
  }
  return still;
}

void ReadDatabase(TableSource& source, const Schema& schema, const std::vector<MarksBefore>& before,
                  std::vector<Row>& rows) {
  if (!schema.is_wal()) return;
  const auto index = source.LookAtLog(schema);
  const auto known = std::find_if(before.begin(), before.end(), [&](const auto& each) {
    return each.database == schema.database && each.marks;
  });
  const auto marks = known != before.end() ? known->marks : source.FindReadMarks(schema);
  if (!index || !marks) return;
  const auto control = schema.database->control();
  const std::vector<ConnectionEntry> connections = control->Connections();
  ReadersSeen seen;
  seen.held = marks->held;
  seen.pids = marks->pids;
  seen.knows_pids = marks->knows_pids;
  seen.some_are_hidden = control->slabs().not_shown() > 0;
  seen.guard_mark = schema.database->GuardMark();
  seen.checkpoint_runs = schema.database->CheckpointRuns();
  seen.own_pid = ThisProcess().pid;
  seen.asking = source.id();
  const AskersTransaction transaction = source.TransactionOf(schema);
  seen.asking_reads =
      known != before.end() ? known->asker_reads : transaction.state != TransactionState::kNone;
  if (seen.asking_reads && transaction.has_other_statement) {
    // A cursor that the program has forgotten is a reader like any other.
    seen.asking = 0;
    seen.asking_reads = false;
  } else if (seen.asking_reads && !transaction.is_explicit) {
    seen.asking_mark =
        NewestHeldMark(MayBeHeldBy(seen.own_pid, seen.held, seen.pids, seen.knows_pids), *index);
    seen.asking_mark_since_ns =
        control->region().header().last_commit_ns.load(std::memory_order_relaxed);
  }
  seen.standing_still = StandingStill(*control, connections);
  const QueryStatistics statistics(control->space());
  for (Reader& reader : AttributeReaders(seen, connections)) {
    Row row;
    row.schema = schema.name;
    row.index = *index;
    row.now_ns = MonotonicNs();
    if (reader.connection) {
      row.query = statistics.TextOf(reader.connection->query_id);
      row.process = reader.connection->process;
    } else if (reader.pid) {
      row.process = ProcessName(*reader.pid);
    }
    row.reader = std::move(reader);
    rows.push_back(std::move(row));
  }
}

Result<std::vector<Row>> Read(TableSource& source) {
  const auto before = source.ReadMarksBefore();
  return RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& rows) {
    ReadDatabase(source, schema, before, rows);
  });
}

std::int64_t Frame(const Row& row) { return row.index.Snapshot(row.reader.mark); }
std::int64_t Lag(const Row& row) {
  return std::max<std::int64_t>(0, row.index.max_frame - Frame(row));
}
Value OrNull(const std::string& text) { return text.empty() ? Value() : Value(text); }

}  // namespace

const Table& WalReadersTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_readers", "One row per read mark in use and connection that may hold it: the readers that keep frames from being copied, or the log from starting over.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"slot", kInteger, "number of the read mark in the wal-index, 0 to 4", [](const Row& r) -> Value { return r.reader.mark; }},
          {"frame", kInteger, "last frame of the log that the reader sees", [](const Row& r) -> Value { return Frame(r); }},
          {"lag_frames", kInteger, "frames in the log after the last one that the reader sees", [](const Row& r) -> Value { return Lag(r); }},
          {"lag_bytes", kInteger, "size of the frames after the last one that the reader sees, in bytes of the log", [](const Row& r) -> Value { return Lag(r) * (r.index.page_size + kFrameHeaderBytes); }},
          {"pid", kInteger, "process of the reader, as this process's PID namespace numbers it; NULL if the process is unknown or this namespace does not show it. A reader that it does not show has a row only if no process that it shows holds the same mark.", [](const Row& r) -> Value { return r.reader.pid; }},
          {"process", kText, "name of the reader's process", [](const Row& r) -> Value { return OrNull(r.process); }},
          {"connection_id", kInteger, "connection of the reader, as in connection_metrics; NULL if its process has not loaded the extension", [](const Row& r) -> Value { return r.reader.connection ? Value(r.reader.connection->id) : Value(); }},
          {"application", kText, "name that the reader's connection gave itself with wal_application_name()", [](const Row& r) -> Value { return r.reader.connection ? OrNull(r.reader.connection->application) : Value(); }},
          {"query", kText, "oldest statement of the reader that has not ended, or else the last that ended", [](const Row& r) -> Value { return r.query; }},
          {"transaction_ms", kReal, "time since the reader's transaction began, or its statement outside of a transaction", [](const Row& r) -> Value { return r.reader.since_ns ? Value(static_cast<double>(r.now_ns - std::min(r.now_ns, *r.reader.since_ns)) / 1e6) : Value(); }},
          {"blocks", kText, "what the reader prevents: checkpoint (frames after this one cannot be copied), reset (the log cannot start over), or NULL (nothing)", [](const Row& r) -> Value { const char* what = BlockedBy(r.reader.mark, r.index); return what ? Value(what) : Value(); }},
          {"verdict", kText, "why the reader holds its mark: running query, unfinished statement (it returned a row, then none for 30 ms), open transaction or unmanaged process", [](const Row& r) -> Value { return r.reader.verdict ? Value(VerdictName(*r.reader.verdict)) : Value(); }},
          {"certain", kInteger, "1 if no other connection can be the reader; 0 if one can, or if the system does not name the process", [](const Row& r) -> Value { return r.reader.certain; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
