// wal_metrics: one row per database, live from the wal-index and the control file.
#include <algorithm>

#include "ext/connection/connection.h"
#include "ext/core/base/time_text.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/control/reader_attribution.h"
#include "ext/core/policy/look_plan.h"
#include "ext/read_pool/read_pool.h"
#include "ext/system/clock.h"
#include "ext/system/disk_room.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  Schema schema;
  std::optional<WalIndex> index;
  std::optional<std::int64_t> page_size, database_bytes, wal_bytes;
  std::optional<int> active_readers;
  std::optional<std::int64_t> oldest_reader_frame, oldest_reader_pid;
  bool measured = false;  // the database has a file, so the members below are known
  StoredSettings settings;
  std::optional<const char*> hook;
  bool automatic = true, replicated = false;
  std::int64_t optimized_ms = 0;
  CommitTotals commits;
  CheckpointTotals checkpoints;
  LockTotals locks;
  std::int64_t processes = 0, connections = 0, not_shown = 0;
  std::optional<std::int64_t> unmanaged;
  std::uint64_t evictions = 0;
  ReadPool::Figures pool;
  std::optional<std::string> statistics_file, private_because, incomplete_because,
      unguarded_because, strategy_error;
  std::string inline_because;  // why no background thread may copy; empty: one may
  std::int64_t since_ms = 0;
  std::optional<std::int64_t> due_frames;
};

// Whether another connection of this process than the asking one may hold the newest mark, because
// it has begun to read since the last commit.
bool SharesNewestMark(Connection& host, const Schema& schema) {
  const auto control = schema.database->control();
  const std::uint64_t since = control->region().header().last_commit_ns.load();
  const auto connections = control->Connections();
  return std::any_of(connections.begin(), connections.end(), [&](const ConnectionEntry& other) {
    if (other.pid != ThisProcess().pid || other.id == host.id()) return false;
    if (other.role != ConnectionRole::kApplication) return false;
    if (other.trace != TraceState::kActive) return host.AnotherMayRead(schema);
    const bool held = other.transaction != TransactionState::kNone;
    const std::uint64_t began = held ? other.transaction_ns : other.started_ns;
    return began != 0 && began >= since;
  });
}

// One of the processes that hold a mark, another one where there is one: this process may hold it
// for the asking statement alone.
std::optional<std::int64_t> HolderOf(const std::vector<std::int64_t>& pids) {
  std::optional<std::int64_t> holder;
  for (const std::int64_t pid : pids) {
    if (pid != 0 && (!holder || holder == ThisProcess().pid)) holder = pid;
  }
  return holder;
}

// Counts the read marks that are held, and finds the oldest. If the asking statement runs outside
// of a transaction, its own mark is not counted, unless another reader holds the same mark.
void CountReaders(TableSource& source, const std::vector<MarksBefore>& before, Row& row) {
  const auto known = std::find_if(before.begin(), before.end(), [&](const auto& each) {
    return each.database == row.schema.database && each.marks && !each.asker_reads;
  });
  auto marks = known != before.end() ? known->marks : source.FindReadMarks(row.schema);
  if (!marks || !row.index) return;
  const AskersTransaction asker = source.TransactionOf(row.schema);
  Connection* host = source.host();
  if (host && known == before.end() && !asker.is_explicit && !asker.has_other_statement &&
      asker.state == TransactionState::kRead) {
    const auto mark = NewestHeldMark(
        MayBeHeldBy(ThisProcess().pid, marks->held, marks->pids, marks->knows_pids), *row.index);
    const auto own = static_cast<std::size_t>(mark.value_or(0));
    if (mark && !marks->held_by_others[own] && !SharesNewestMark(*host, row.schema)) {
      marks->held[own] = false;
    }
  }
  row.active_readers = static_cast<int>(std::count(marks->held.begin(), marks->held.end(), true));
  for (std::size_t i = 0; i < marks->held.size(); ++i) {
    if (!marks->held[i]) continue;
    const std::int64_t frame = row.index->Snapshot(static_cast<int>(i));
    if (row.oldest_reader_frame && *row.oldest_reader_frame <= frame) continue;
    row.oldest_reader_frame = frame;
    row.oldest_reader_pid = HolderOf(marks->pids[i]);
  }
}

bool HasBackgroundRule(const Row& row) {
  const auto rules = row.settings.RulesOf(row.settings.strategy);
  return std::any_of(rules.begin(), rules.end(),
                     [](const Rule& rule) { return rule.runs == RuleRuns::kBackground; });
}

// What copies frames into the database without a call of wal_checkpoint().
std::string_view CheckpointerName(const Row& row) {
  if (row.replicated) return "replicator";
  if (row.settings.strategy == "off" || !row.automatic) return "off";
  return HasBackgroundRule(row) && row.inline_because.empty() ? "background" : "inline";
}

Value InlineBecause(const Row& row) {
  if (!row.schema.is_wal() || CheckpointerName(row) != "inline") return {};
  if (!HasBackgroundRule(row)) return "every rule of the strategy runs inline";
  return row.inline_because;
}

const char* HookName(HookState state) {
  switch (state) {
    case HookState::kActive:
      return "active";
    case HookState::kDisplaced:
      return "displaced";
    case HookState::kOff:
      return "off";
  }
  return "";
}

// Why a schema has no control file.
std::string PrivateBecause(const Schema& schema, const ControlFile& control) {
  std::string reason = control.reason();
  if (reason != kNotMadeYet) return reason;
  if (schema.read_only) {
    return "this connection is read-only: a connection that may write makes the control file at "
           "its first commit to the log";
  }
  if (schema.journal_mode.empty() || schema.is_wal()) return reason;
  return "journal_mode is " + schema.journal_mode +
         ", and walmanager makes the control file in WAL mode: until PRAGMA journal_mode=WAL, "
         "settings and statistics end with this process";
}

std::int64_t DueFrames(const Row& row, ControlRegion& region) {
  const SettingValues values = row.settings.Values();
  const std::int64_t least = Learned().DueFrames(values, *row.index);
  if (!row.inline_because.empty()) return least;
  if (region.engine().commits_sync.load(std::memory_order_relaxed) != layout::kCommitsSync) {
    return region.learned().DueFrames(values, *row.index);
  }
  return std::max(least, SyncedDueFrames(values, row.index->page_size) - row.index->backfill);
}

Row ReadRow(TableSource& source, const std::vector<MarksBefore>& before, Schema schema) {
  Row row;
  row.schema = std::move(schema);
  if (!row.schema.database) {
    row.private_because = "the database has no file: it is in memory or temporary";
    return row;
  }
  Database& database = *row.schema.database;
  // Read the counters before the log: then the log is at least as long as they say.
  const auto control = database.control();
  row.measured = true;
  row.settings = control->region().ReadSettings().value_or(StoredSettings{});
  row.automatic = source.automatic();
  if (const auto replicator = source.FindReplicator(row.schema)) {
    const auto wish = static_cast<ReplicatorWish>(row.settings.Values()[Setting::kReplicator]);
    // If no background thread may look for the replicator, an old look is not trusted.
    row.replicated = IsReplicators(wish, *replicator) &&
                     (wish == ReplicatorWish::kAlways || source.InlineBecause(row.schema).empty() ||
                      !IsStale(control->region().engine().replicator, MonotonicNs()));
  }
  row.optimized_ms = static_cast<std::int64_t>(control->region().engine().optimized_ms.load());
  row.commits = control->region().ReadCommits(/*with_histogram=*/true);
  row.checkpoints = control->region().ReadCheckpointTotals();
  row.locks = LockWaits(control->space()).ReadTotals();
  row.processes = control->CountProcesses();
  const auto connections = control->Connections();
  row.connections = std::count_if(
      connections.begin(), connections.end(),
      [](const ConnectionEntry& entry) { return entry.role == ConnectionRole::kApplication; });
  row.not_shown = control->slabs().not_shown();
  if (std::string why = control->growth_failed(); !why.empty()) row.incomplete_because = why;
  row.evictions = QueryStatistics(control->space()).evictions();
  row.pool = ReadPool::Of(database)->figures();
  row.since_ms = static_cast<std::int64_t>(control->region().header().statistics_since_ms.load());
  if (control->shared()) row.statistics_file = control->path();
  if (!control->shared()) row.private_because = PrivateBecause(row.schema, *control);
  const auto page_size = source.PageSize(row.schema);
  row.page_size = page_size;
  row.database_bytes = database.DatabaseBytes();
  if (row.schema.is_wal()) {
    row.index = source.LookAtLog(row.schema);
    row.wal_bytes = database.MeasureWal();
    if (Connection* host = source.host()) row.hook = HookName(host->ProbeHook());
    CountReaders(source, before, row);
    row.inline_because = source.InlineBecause(row.schema);
    if (row.index) row.due_frames = DueFrames(row, control->region());
    row.unmanaged = database.CountUnmanagedProcesses();
  }
  const std::string unguarded = database.UnguardedBecause();
  if (!unguarded.empty()) row.unguarded_because = unguarded;
  const std::string strategy_error = database.StrategyError();
  if (!strategy_error.empty()) row.strategy_error = strategy_error;
  return row;
}

Result<std::vector<Row>> Read(TableSource& source) {
  const auto before = source.ReadMarksBefore();
  auto schemas = source.Schemas();
  if (!schemas.ok()) return schemas.error();
  std::vector<Row> rows;
  for (Schema& schema : schemas.value()) {
    rows.push_back(ReadRow(source, before, std::move(schema)));
  }
  return rows;
}

// The column is NULL for a database without a file.
template <typename Get>
Value Measured(const Row& row, Get get) {
  return row.measured ? Value(get()) : Value();
}

Value Ms(const Row& row, std::uint64_t nanoseconds) {
  return row.measured ? Value(static_cast<double>(nanoseconds) / 1e6) : Value();
}

// A mean, maximum or percentile: NULL until something was measured.
Value MsOf(std::uint64_t count, double nanoseconds) {
  return count ? Value(nanoseconds / 1e6) : Value();
}

Value Percentile(const std::vector<std::uint64_t>& histogram, double quantile,
                 std::uint64_t longest) {
  const auto nanoseconds = HistogramQuantile<DurationScale>(histogram, quantile);
  // The middle of a bucket can be above the longest time in it.
  return nanoseconds ? Value(std::min(*nanoseconds, static_cast<double>(longest)) / 1e6) : Value();
}

Value Mean(std::uint64_t total, std::uint64_t count) {
  return MsOf(count, count ? static_cast<double>(total) / static_cast<double>(count) : 0);
}

std::uint64_t Ran(const CheckpointTotals& totals) {
  return totals.by_mode[0] + totals.by_mode[1] + totals.by_mode[2] + totals.by_mode[3];
}

Value ByMode(const Row& row, CheckpointMode mode) {
  return Measured(row, [&] { return row.checkpoints.by_mode[static_cast<std::size_t>(mode)]; });
}
Value ByOrigin(const Row& row, CheckpointOrigin origin) {
  return Measured(row, [&] { return row.checkpoints.by_origin[static_cast<std::size_t>(origin)]; });
}
Value ByResult(const Row& row, CheckpointResult result) {
  return Measured(row, [&] { return row.checkpoints.by_result[static_cast<std::size_t>(result)]; });
}

}  // namespace

const Table& WalMetricsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_metrics", "One row per attached database: its log, its readers, its commits and its checkpoints. Counters begin at statistics_since and cover all processes.",
      Read, /*reveals_others=*/false,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema.name; }},
          {"file", kText, "path of the database file; NULL for a database without a file", [](const Row& r) -> Value { return r.schema.file.empty() ? Value() : Value(r.schema.file); }},
          {"journal_mode", kText, "journal mode of the database, as PRAGMA journal_mode returns it", [](const Row& r) -> Value { return r.schema.journal_mode.empty() ? Value() : Value(r.schema.journal_mode); }},
          {"page_size", kInteger, "size of a database page, in bytes", [](const Row& r) -> Value { return r.page_size; }},
          {"database_bytes", kInteger, "size of the database file, in bytes", [](const Row& r) -> Value { return r.database_bytes; }},
          {"wal_bytes", kInteger, "size of the -wal file, in bytes", [](const Row& r) -> Value { return r.wal_bytes; }},
          {"wal_frames", kInteger, "frames in the log now (mxFrame of the wal-index); the -wal file can be longer, because the log starts over within it", [](const Row& r) -> Value { return r.index ? Value(r.index->max_frame) : Value(); }},
          {"checkpointed_frames", kInteger, "frames of the log that are already in the database file (nBackfill of the wal-index)", [](const Row& r) -> Value { return r.index ? Value(r.index->backfill) : Value(); }},
          {"pending_frames", kInteger, "frames of the log that are not in the database file yet", [](const Row& r) -> Value { return r.index ? Value(r.index->pending()) : Value(); }},
          {"pending_bytes", kInteger, "size of the frames that are not in the database file yet, in bytes of the log", [](const Row& r) -> Value { return r.index ? Value(std::int64_t{r.index->pending()} * (r.index->page_size + kFrameHeaderBytes)) : Value(); }},
          {"wal_limit_bytes", kInteger, "size in bytes that the log should not exceed: the setting wal_limit_bytes, or half of RLIMIT_FSIZE of the asking process if that is less", [](const Row& r) -> Value { return Measured(r, [&] { return WalLimitInForce(r.settings.Values()[Setting::kWalLimitBytes]); }); }},
          {"active_readers", kInteger, "read marks of the log that readers hold now, without that of the asking statement", [](const Row& r) -> Value { return r.active_readers; }},
          {"oldest_reader_frame", kInteger, "last frame that the oldest active reader sees; checkpoints cannot copy the frames after it", [](const Row& r) -> Value { return r.oldest_reader_frame; }},
          {"strategy", kText, "name of the active checkpoint strategy", [](const Row& r) -> Value { return Measured(r, [&] { return r.settings.strategy; }); }},
          {"hook", kText, "WAL hook of this connection: active (walmanager's), displaced (another hook has taken its place) or off (wal_autocheckpoint was 0 at the load)", [](const Row& r) -> Value { return r.hook; }},
          {"checkpointer", kText, "what copies frames into the database: background (a thread of walmanager; commits finish), inline (committing threads alone), replicator (Litestream or the like; walmanager only measures) or off (nothing)", [](const Row& r) -> Value { return r.schema.is_wal() ? Value(std::string(CheckpointerName(r))) : Value(); }},
          {"commits", kInteger, "commits to the log that walmanager has seen since statistics_since", [](const Row& r) -> Value { return Measured(r, [&] { return r.commits.commits; }); }},
          {"frames_written", kInteger, "frames that commits have added to the log since statistics_since, also before it last started over", [](const Row& r) -> Value { return Measured(r, [&] { return r.commits.frames_written; }); }},
          {"bytes_written", kInteger, "bytes that commits have added to the log since statistics_since, frame headers included", [](const Row& r) -> Value { return r.page_size && r.measured ? Value(r.commits.frames_written * static_cast<std::uint64_t>(*r.page_size + kFrameHeaderBytes)) : Value(); }},
          {"commit_mean_ms", kReal, "mean time of the commits since statistics_since, from the start of the committing statement to the end of walmanager's hook", [](const Row& r) -> Value { return Mean(r.commits.commit_ns, r.commits.timed_commits); }},
          {"commit_p50_ms", kReal, "median time of the commits since statistics_since, within 3.2 %", [](const Row& r) -> Value { return Percentile(r.commits.histogram, 0.50, r.commits.commit_max_ns); }},
          {"commit_p99_ms", kReal, "time within which 99 of 100 commits since statistics_since ended, within 3.2 %", [](const Row& r) -> Value { return Percentile(r.commits.histogram, 0.99, r.commits.commit_max_ns); }},
          {"commit_max_ms", kReal, "time of the longest commit since statistics_since", [](const Row& r) -> Value { return MsOf(r.commits.timed_commits, static_cast<double>(r.commits.commit_max_ns)); }},
          {"checkpoint_stall_ms", kReal, "total time that committing statements have spent in walmanager's hook since statistics_since", [](const Row& r) -> Value { return Ms(r, r.commits.stall_ns); }},
          {"checkpoints", kInteger, "checkpoints that have run since statistics_since", [](const Row& r) -> Value { return Measured(r, [&] { return Ran(r.checkpoints); }); }},
          {"checkpoints_passive", kInteger, "checkpoints of mode PASSIVE that have run since statistics_since", [](const Row& r) -> Value { return ByMode(r, CheckpointMode::kPassive); }},
          {"checkpoints_full", kInteger, "checkpoints of mode FULL that have run since statistics_since", [](const Row& r) -> Value { return ByMode(r, CheckpointMode::kFull); }},
          {"checkpoints_restart", kInteger, "checkpoints of mode RESTART that have run since statistics_since", [](const Row& r) -> Value { return ByMode(r, CheckpointMode::kRestart); }},
          {"checkpoints_truncate", kInteger, "checkpoints of mode TRUNCATE that have run since statistics_since", [](const Row& r) -> Value { return ByMode(r, CheckpointMode::kTruncate); }},
          {"checkpoints_inline", kInteger, "checkpoints that committing threads have run since statistics_since", [](const Row& r) -> Value { return ByOrigin(r, CheckpointOrigin::kInline); }},
          {"checkpoints_background", kInteger, "checkpoints that background threads of walmanager have run since statistics_since", [](const Row& r) -> Value { return ByOrigin(r, CheckpointOrigin::kBackground); }},
          {"checkpoints_manual", kInteger, "checkpoints that wal_checkpoint() and wal_checkpoint_auto() have run since statistics_since", [](const Row& r) -> Value { return ByOrigin(r, CheckpointOrigin::kManual); }},
          {"checkpoints_busy", kInteger, "checkpoints since statistics_since that could not work because of another connection's lock", [](const Row& r) -> Value { return ByResult(r, CheckpointResult::kBusy); }},
          {"checkpoints_partial", kInteger, "checkpoints since statistics_since that could not copy all frames into the database", [](const Row& r) -> Value { return ByResult(r, CheckpointResult::kPartial); }},
          {"checkpoints_skipped", kInteger, "checkpoints since statistics_since that were due but not tried, because the last ones had copied nothing", [](const Row& r) -> Value { return ByResult(r, CheckpointResult::kSkipped); }},
          {"checkpoints_failed", kInteger, "checkpoints since statistics_since that ended with an error", [](const Row& r) -> Value { return ByResult(r, CheckpointResult::kFailed); }},
          {"checkpoint_frames", kInteger, "frames that checkpoints have copied into the database since statistics_since. The setting of the same name is another number: how many pending frames make a checkpoint due.", [](const Row& r) -> Value { return Measured(r, [&] { return r.checkpoints.frames; }); }},
          {"checkpoint_mean_ms", kReal, "mean duration of the checkpoints since statistics_since", [](const Row& r) -> Value { return Mean(r.checkpoints.total_ns, Ran(r.checkpoints)); }},
          {"checkpoint_p95_ms", kReal, "duration within which 95 of 100 checkpoints since statistics_since ended, within 3.2 %", [](const Row& r) -> Value { return Percentile(r.checkpoints.histogram, 0.95, r.checkpoints.max_ns); }},
          {"checkpoint_max_ms", kReal, "duration of the longest checkpoint since statistics_since", [](const Row& r) -> Value { return MsOf(Ran(r.checkpoints), static_cast<double>(r.checkpoints.max_ns)); }},
          {"last_checkpoint_at", kText, "when the last checkpoint ended, in UTC", [](const Row& r) -> Value { return r.checkpoints.last_mode ? Value(UtcText(r.checkpoints.last_ms)) : Value(); }},
          {"last_checkpoint_mode", kText, "mode of the last checkpoint: PASSIVE, FULL, RESTART or TRUNCATE", [](const Row& r) -> Value { return r.checkpoints.last_mode ? Value(ModeName(*r.checkpoints.last_mode)) : Value(); }},
          {"wal_resets", kInteger, "times that the log has started over since statistics_since", [](const Row& r) -> Value { return Measured(r, [&] { return r.checkpoints.wal_resets; }); }},
          {"wal_bytes_max", kInteger, "largest size of the -wal file seen since statistics_since, in bytes", [](const Row& r) -> Value { return r.schema.is_wal() ? Value(std::max<std::int64_t>( static_cast<std::int64_t>(r.checkpoints.wal_bytes_max), r.wal_bytes.value_or(0))) : Value(); }},
          {"processes", kInteger, "processes that have the database open and share these statistics", [](const Row& r) -> Value { return Measured(r, [&] { return r.processes; }); }},
          {"unmanaged_processes", kInteger, "processes that have the database open without this extension; NULL if the system does not say", [](const Row& r) -> Value { return r.unmanaged; }},
          {"statistics_file", kText, "path of the control file that holds the statistics; NULL if they are private to this process", [](const Row& r) -> Value { return r.statistics_file; }},
          {"statistics_since", kText, "when the counters of this row began, in UTC; wal_metrics_reset('wal') begins them again", [](const Row& r) -> Value { return Measured(r, [&] { return UtcText(r.since_ms); }); }},
          {"private_because", kText, "why statistics and settings are private to this process; NULL if there is a control file", [](const Row& r) -> Value { return r.private_because; }},
          {"unguarded_because", kText, "why the last checkpoint of this process ran without the guard against the WAL-reset bug; NULL if it had the guard", [](const Row& r) -> Value { return r.unguarded_because; }},
          {"strategy_error", kText, "why the default strategy runs in place of the active one, or which rule's condition failed and so did not hold; NULL if neither is so", [](const Row& r) -> Value { return r.strategy_error; }},
          {"optimized_at", kText, "when auto_optimize last ran PRAGMA optimize to its end, in UTC; NULL if it never did", [](const Row& r) -> Value { return r.optimized_ms ? Value(UtcText(r.optimized_ms)) : Value(); }},
          {"queries_evicted", kInteger, "statements that query_performance has dropped since its last reset, because max_queries was reached", [](const Row& r) -> Value { return Measured(r, [&] { return r.evictions; }); }},
          {"pool_connections", kInteger, "connections of read_pool() that this process has open now", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.connections; }); }},
          {"pool_calls", kInteger, "calls of read_pool() in this process", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.calls; }); }},
          {"pool_waits", kInteger, "calls of read_pool() in this process that found every connection of the pool busy", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.waits; }); }},
          {"pool_timeouts", kInteger, "calls of read_pool() in this process that ended with a timeout", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.timeouts; }); }},
          {"pool_retries", kInteger, "times that read_pool() in this process tried a statement or snapshot again, because the database was busy or another connection committed in between", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.retries; }); }},
          {"pool_replaced", kInteger, "connections of read_pool() that this process replaced, because they were broken or had another file open", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.replaced; }); }},
          {"pool_utilization", kReal, "share of the time that connections of read_pool() in this process ran statements, 0 to 1. Near 1 together with pool_waits, read_pool_size is too small.", [](const Row& r) -> Value { return Measured(r, [&] { return r.pool.utilization ? Value(*r.pool.utilization) : Value(); }); }},
          {"inline_because", kText, "why no background thread copies frames; NULL if checkpointer is not inline", [](const Row& r) -> Value { return InlineBecause(r); }},
          {"checkpoints_application", kInteger, "checkpoints that the program itself has run with PRAGMA wal_checkpoint since statistics_since", [](const Row& r) -> Value { return ByOrigin(r, CheckpointOrigin::kApplication); }},
          {"connections", kInteger, "connections of programs that have this database open with walmanager, in all processes, as far as connection_metrics shows them", [](const Row& r) -> Value { return Measured(r, [&] { return r.connections; }); }},
          {"connections_not_shown", kInteger, "connections that found no place in connection_metrics: 4096 have one, or the control file could not grow", [](const Row& r) -> Value { return Measured(r, [&] { return r.not_shown; }); }},
          {"incomplete_because", kText, "why the control file could not grow when this process last needed it to, so that some statements, connections, samples, alerts or checkpoints are not listed; NULL where it could", [](const Row& r) -> Value { return r.incomplete_because; }},
          {"oldest_reader_pid", kInteger, "process of the oldest active reader, as this process's PID namespace numbers it; NULL if this namespace does not show it", [](const Row& r) -> Value { return r.oldest_reader_pid; }},
          {"due_frames", kInteger, "pending frames at which conversation_workload begins to copy: checkpoint_frames, or where that is 1000, its default, and a thread copies, 4000 if commits sync (synchronous=FULL, EXTRA), and else up to 8000 once copying was measured; half of wal_limit_bytes at most, less what is copied; NULL outside of WAL mode", [](const Row& r) -> Value { return r.due_frames; }},
          {"lock_waits", kInteger, "times since statistics_since that a statement did not get a lock of SQLite's at once, because another connection had it", [](const Row& r) -> Value { return Measured(r, [&] { return r.locks.counts.waits; }); }},
          {"lock_wait_p99_ms", kReal, "time within which 99 of 100 waits for a lock since statistics_since ended, within 3.2 %", [](const Row& r) -> Value { return Percentile(r.locks.histogram, 0.99, r.locks.max_ns); }},
          {"lock_wait_max_ms", kReal, "longest wait for a lock since statistics_since", [](const Row& r) -> Value { return MsOf(r.locks.counts.waits, static_cast<double>(r.locks.max_ns)); }},
          {"busy_errors", kInteger, "statements since statistics_since that failed because they did not get a lock: \"database is locked\" (SQLITE_BUSY)", [](const Row& r) -> Value { return Measured(r, [&] { return r.locks.counts.busy_errors; }); }},
          {"snapshot_conflicts", kInteger, "statements since statistics_since that failed because another connection had committed since their transaction began to read (SQLITE_BUSY_SNAPSHOT)", [](const Row& r) -> Value { return Measured(r, [&] { return r.locks.counts.snapshot_conflicts; }); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
