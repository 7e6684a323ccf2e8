"""The statements behind the cards. `:schema` is the shown database; people are shown 'main' in its place.

Every query is short and ends before the next one begins, so that the page never holds the log.
"""

from observer import IS_OBSERVER

METRICS = """\
SELECT file, journal_mode, page_size, database_bytes, wal_bytes, wal_bytes_max, wal_limit_bytes, wal_frames,
       checkpointed_frames, pending_frames, pending_bytes, active_readers, oldest_reader_frame, strategy, checkpointer,
       commits, frames_written, bytes_written, commit_mean_ms, commit_p50_ms, commit_p99_ms, commit_max_ms,
       checkpoint_stall_ms, checkpoints, checkpoints_application, checkpoints_partial, checkpoints_busy, checkpoints_failed, checkpoint_frames,
       checkpoint_mean_ms, checkpoint_p95_ms, checkpoint_max_ms, last_checkpoint_at, wal_resets, processes,
       unmanaged_processes, connections_not_shown, statistics_since, private_because, strategy_error, inline_because,
       unguarded_because, due_frames, queries_evicted, lock_waits, lock_wait_p99_ms, lock_wait_max_ms, busy_errors,
       snapshot_conflicts
FROM wal_metrics WHERE schema = :schema"""

CONNECTIONS = f"""\
SELECT connection_id, pid, process, application, role, file, opened_at, state, transaction_state, transaction_ms, query,
       query_ms, still_ms, statements, rows, commits, rollbacks, cache_hit_ratio, last_active_at, trace, sqlite_version,
       pages_done, pages_total, waiting_for, waiting_ms, blocked_by, blocked_by_pid
FROM connection_metrics WHERE NOT {IS_OBSERVER}
ORDER BY waiting_for IS NULL, transaction_ms IS NULL, transaction_ms DESC, last_active_at DESC LIMIT 300"""

OBSERVERS = f"""\
SELECT count(DISTINCT connection_id / 100000) AS observers
FROM connection_metrics WHERE {IS_OBSERVER}"""
RUNNING = "SELECT query, query_ms FROM connection_metrics WHERE connection_id = :id"

READERS = """\
SELECT slot, frame, lag_frames, lag_bytes, connection_id, pid, process, application, query, transaction_ms, blocks, verdict, certain
FROM wal_readers WHERE schema = :schema AND blocks IS NOT NULL
ORDER BY lag_frames DESC, transaction_ms DESC LIMIT 50"""

LOCK_WAITS = """\
SELECT id, at, pid, application, query, lock, waited_ms, outcome, holder_pid, holder_connection_id, holder_application,
       holder_query, holder_transaction_ms, holder_state
FROM wal_lock_waits WHERE schema = :schema LIMIT 50"""

CHECKPOINTS = """\
SELECT id, at, pid, mode, origin, rule, result, wal_frames, checkpointed_frames, moved_frames, wal_bytes, duration_ms,
       blocked_by_pid, error
FROM wal_checkpoints WHERE schema = :schema AND result <> 'skipped'"""

HEALTH = """\
SELECT check_name, area, status, score, value, unit, warning_at, critical_at, detail, recommendation
FROM system_health WHERE schema = :schema"""

ALERTS = """\
SELECT id, check_name, status, value, threshold, raised_at, cleared_at, detail
FROM wal_alerts WHERE schema = :schema LIMIT 100"""

ADVICE = """\
SELECT priority, area, finding, evidence, action, sql_to_run, total_ms
FROM wal_recommendations WHERE schema = :schema ORDER BY priority LIMIT 50"""

# The three spans of the charts; `:after` is NULL or the time of the last sample that the page has.
HISTORY = """\
SELECT {columns}
FROM wal_history WHERE schema = :schema AND resolution_ms {resolution} AND (:after IS NULL OR at > :after) ORDER BY at"""
HISTORY_COLUMNS = [
    "at", "covers_ms", "wal_bytes", "wal_bytes_max", "pending_frames", "commits", "commit_p99_ms", "commit_ms", "statements", "query_p95_ms",
    "checkpoint_stall_ms", "checkpoints", "checkpoints_in_vain", "checkpoint_frames", "frames_written", "active_readers",
    "connections", "database_bytes", "health_score", "slow_statements", "sync_p99_ms", "lock_waits"]
RESOLUTIONS = {"15m": "NOT IN (60000, 3600000)", "1d": "= 60000", "90d": "= 3600000"}

STATEMENTS = """\
SELECT query_id, query, kind, calls, total_ms, mean_ms, min_ms, max_ms, p50_ms, p95_ms, p99_ms, rows, fullscan_steps, sorts,
       slow_calls, wal_frames, checkpoint_stall_ms, lock_wait_ms, busy_errors, last_seen,
       count(*) OVER () AS found
FROM query_performance WHERE schema = :schema AND (:search = '' OR query LIKE '%' || :search || '%' ESCAPE '\\')
ORDER BY {order} LIMIT :limit"""
STATEMENT_SUMS = "SELECT count(*) AS statements, sum(total_ms) AS total_ms, sum(calls) AS calls FROM query_performance WHERE schema = :schema"
ORDERS = ("total_ms", "calls", "mean_ms", "p95_ms", "max_ms", "rows", "fullscan_steps", "lock_wait_ms", "last_seen", "query")

STATEMENT = "SELECT *, plan FROM query_performance WHERE schema = :schema AND query_id = :query_id"
# The counts of the histogram are in a column of newer versions.
STATEMENT_HISTOGRAM = "SELECT histogram FROM query_performance WHERE schema = :schema AND query_id = :query_id"
STATEMENT_INDEXES = """\
SELECT table_name, columns, sql_to_run, plan_before, plan_after, statements
FROM index_candidates WHERE schema = :schema AND query_id = :query_id"""

STORAGE = """\
SELECT sqlite_version, file_system, file_system_free_bytes, file_system_bytes, page_count, freelist_pages, auto_vacuum,
       integrity_at, integrity_kind, integrity_findings, backup_at, backup_path, backup_bytes, tables, tables_without_statistics
FROM wal_environment WHERE schema = :schema"""

UNUSED_INDEXES = "SELECT table_name, index_name, reason, since, sql_to_run FROM unused_indexes WHERE schema = :schema LIMIT 20"

TRENDS = """\
SELECT metric, period, "current", previous, change_ratio, slope_per_hour, forecast, direction, unit
FROM wal_trends WHERE schema = :schema AND metric IN ('database_bytes', 'query_p95_ms', 'commit_p99_ms', 'commits')"""

IO = "SELECT * FROM wal_io WHERE schema = :schema"

OVERVIEW = """\
SELECT journal_mode, private_because, database_bytes, wal_bytes, wal_limit_bytes, pending_frames, active_readers, commits, commit_p99_ms, processes,
       (SELECT count(*) FROM wal_alerts a WHERE a.schema = :schema AND cleared_at IS NULL AND status = 'critical') AS critical,
       (SELECT count(*) FROM wal_alerts a WHERE a.schema = :schema AND cleared_at IS NULL AND status = 'warning') AS warnings
FROM wal_metrics WHERE schema = :schema"""



def shown(sql):
    """The statement as a person types it into a shell."""
    return sql.replace(":schema", "'main'").rstrip() + ";"
