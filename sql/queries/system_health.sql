-- system_health: One row per check of the database and a last row `overall`. The thresholds are settings in wal_config.
-- schema TEXT: name of the database on this connection: main, or the name given to ATTACH
-- check_name TEXT: name of the check; if it has thresholds, they are the settings <check_name>.warning and <check_name>.critical
-- area TEXT: what the check is about, such as configuration, queries or storage
-- status TEXT: result of the check: ok, warning, critical, or unknown if nothing has been measured yet
-- score INTEGER: 100 for ok, 50 for warning, 0 for critical; for `overall` 100 less 40 per critical check, 10 per warning and 2 per unknown, 0 at the least
-- value REAL: what the check measured; NULL if it is not a number
-- unit TEXT: unit of value, warning_at and critical_at
-- warning_at REAL: value from which on the check is a warning; if it is above critical_at, lower values are worse
-- critical_at REAL: value from which on the check is critical
-- detail TEXT: what the check found, in a sentence
-- recommendation TEXT: what to do about it; NULL if there is nothing to do
-- checked_at TEXT: when the check was evaluated, in UTC

WITH
-- `here` and `schema_argument` name the database in a PRAGMA and in a call of a function.
database AS (
  SELECT *, iif(schema = 'main', '', printf('"%w".', schema)) AS here,
         iif(schema = 'main', '', ', ' || quote(schema)) AS schema_argument
  FROM wal_metrics WHERE file IS NOT NULL
),
-- The facts about the asking connection. Evaluations for wal_alerts have no connection, and so none of the checks that read this.
asking AS (SELECT e.*, here, schema_argument FROM wal_environment e JOIN database USING (schema) WHERE busy_timeout_ms IS NOT NULL),
-- A replicator is one process, which cannot load walmanager; `strangers` counts the others without walmanager.
log AS (
  SELECT *, wal_frames * (page_size + 24) AS log_bytes, checkpointer = 'replicator' AND unmanaged_processes > 0 AS replicated,
         unmanaged_processes - (checkpointer = 'replicator' AND unmanaged_processes > 0) AS strangers
  FROM database WHERE journal_mode = 'wal'
),
-- Of each database with an I/O error within a day: how many there were, and the last one. Not sum(): the control file
-- may say anything, and a sum that overflows is an error.
failed_io AS (
  SELECT * FROM (SELECT schema, CAST(total(errors) AS INTEGER) AS errors, max(last_error_at) AS last_error_at, file, last_error FROM wal_io WHERE errors > 0 GROUP BY schema)
  WHERE last_error_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')
),
minute AS (SELECT * FROM wal_periods WHERE period = 'minute' AND part = 'current'),
-- Checkpoints that ran, newest first; `recent` is 1 for those of the last hour.
ran AS (
  SELECT schema, at, origin, result, error, moved_frames, wal_frames, checkpointed_frames,
         at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour') AS recent,
         row_number() OVER (PARTITION BY schema ORDER BY at DESC, id DESC) AS nth
  FROM wal_checkpoints WHERE result <> 'skipped'
),
summed AS (
  SELECT schema, coalesce(min(CASE WHEN result = 'complete' THEN nth END) - 1, count(*)) AS partial,
         max(CASE WHEN nth = 1 THEN result END) AS newest, sum(recent AND result = 'failed') AS failed,
         sum(recent AND origin = 'application') AS pragmas
  FROM ran GROUP BY schema
),
-- `since` is the first checkpoint that found more than checkpoint_frames pending and moved none, after the last one that
-- moved frames or had little to move. The last one that moved frames is not enough: the log may have been empty for long.
waiting AS (
  SELECT schema, moved_at, coalesce(min(CASE WHEN done_at IS NULL OR at > done_at THEN at END), done_at) AS since
  FROM ran
  JOIN (SELECT schema, max(CASE WHEN moved_frames > 0 THEN at END) AS moved_at,
               max(CASE WHEN moved_frames > 0 OR result = 'complete' OR wal_frames - checkpointed_frames <= c.value THEN at END) AS done_at
        FROM ran JOIN wal_config c USING (schema) WHERE c.name = 'checkpoint_frames' GROUP BY schema) USING (schema)
  GROUP BY schema
),
-- The checkpoints that a program waited for. One in the background takes the time that other threads leave it.
waited AS (
  SELECT schema, n, duration_ms
  FROM (SELECT schema, duration_ms, row_number() OVER (PARTITION BY schema ORDER BY duration_ms DESC) AS nth,
               count(*) OVER (PARTITION BY schema) AS n
        -- Those that moved nothing have waited for a reader, and not for the disk.
        FROM wal_checkpoints WHERE result <> 'skipped' AND origin <> 'background' AND NOT (result IN ('busy', 'partial') AND moved_frames = 0) AND at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour'))
  WHERE nth = 1 + n / 20
),
application AS (
  SELECT *, coalesce(coalesce(application, process) || coalesce(' (pid ' || pid || ')', ' (of another PID namespace)'), 'pid ' || pid, 'a process of another PID namespace') AS program,
         -- In the first step of a statement its transaction is not known: if there is one, it is as old as the statement.
         coalesce(transaction_ms, CASE WHEN transaction_state IS NULL AND state = 'active' AND waiting_for IS NULL AND query_ms > 1000 THEN query_ms END) AS held_ms
  FROM connection_metrics WHERE role = 'application'
),
-- The waits for locks that go on (`at` is NULL), and those that ended in the last hour.
blocked AS (
  SELECT m.schema, NULL AS at, NULL AS outcome, a.waiting_for AS lock, a.waiting_ms AS ms, a.program, a.query, a.blocked_by AS holder_id,
         coalesce(coalesce(h.application, h.process) || coalesce(' (pid ' || h.pid || ')', ''), 'pid ' || a.blocked_by_pid) AS holder,
         CASE WHEN h.role = 'checkpointer' THEN 'checkpoint' WHEN h.state = 'active' THEN 'running statement' WHEN h.state = 'idle in transaction' THEN h.state
              WHEN a.blocked_by_pid NOT IN (SELECT pid FROM connection_metrics WHERE pid IS NOT NULL) THEN 'unmanaged process' END AS holder_state,
         h.query AS holder_query, coalesce(h.transaction_ms, h.query_ms) AS holder_ms
  FROM database m JOIN application a ON a.file = m.file LEFT JOIN connection_metrics h ON h.connection_id = a.blocked_by
  WHERE a.waiting_for IS NOT NULL
  UNION ALL
  SELECT w.schema, w.at, w.outcome, w.lock, w.waited_ms, coalesce(coalesce(w.application, w.process) || coalesce(' (pid ' || w.pid || ')', ''), 'pid ' || w.pid, 'a connection'), w.query,
         w.holder_connection_id, coalesce(coalesce(w.holder_application, w.holder_process) || coalesce(' (pid ' || w.holder_pid || ')', ''), 'pid ' || w.holder_pid),
         w.holder_state, w.holder_query, w.holder_transaction_ms
  FROM database m CROSS JOIN wal_lock_waits w ON w.schema = m.schema
  WHERE m.lock_waits + m.snapshot_conflicts > 0 AND w.at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour')
),
-- The longest of those that go on or ended in the last minute, and the last one that ended in an error.
named AS (
  SELECT 'longest' AS which, schema, sum(at IS NULL) AS waiting, max(ms) AS ms, at, outcome, lock, program, query, holder, holder_id, holder_state, holder_query, holder_ms
  FROM blocked WHERE outcome IS NOT 'snapshot' AND (at IS NULL OR at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 minute')) GROUP BY schema
  UNION ALL
  SELECT 'error', schema, 0, ms, max(at), outcome, lock, program, query, holder, holder_id, holder_state, holder_query, holder_ms
  FROM blocked WHERE outcome IN ('busy', 'snapshot') GROUP BY schema
),
-- These with what is said about the lock and its holder, and what ends such a wait.
told AS (
  SELECT *, iif(ms < 1000, printf('%.0f ms', ms), printf('%.1f s', ms / 1000)) || ' for the ' || lock || ' lock of '
           || CASE holder_state WHEN 'idle in transaction' THEN holder || printf(', idle in a transaction that has lasted for %.1f s', holder_ms / 1000) || coalesce(', after ' || holder_query, '')
                                WHEN 'running statement' THEN holder || coalesce(', running ' || holder_query, ', running a statement')
                                WHEN 'checkpoint' THEN holder || ', in a checkpoint'
                                WHEN 'recovery' THEN holder || ', repairing the wal-index'
                                WHEN 'unmanaged process' THEN holder || ', a process without walmanager'
                                ELSE coalesce(holder, 'a connection that is not known') END AS what,
         CASE holder_state WHEN 'idle in transaction' THEN 'commit or roll back in ' || holder || ' as soon as the work is done; closing the connection or ending the process frees the lock, too'
                           WHEN 'running statement' THEN 'make the statement of ' || holder || ' shorter' || iif(at IS NULL, ', or end it: SELECT wal_cancel(' || holder_id || ')', ', or do its work in several transactions')
                           WHEN 'checkpoint' THEN 'let fewer calls of PRAGMA wal_checkpoint meet: see wal_checkpoints'
                           WHEN 'unmanaged process' THEN 'load walmanager in ' || holder || ' to see what it does there'
                           ELSE 'see the columns holder_... of wal_lock_waits for the connections in the way' END AS remedy
  FROM named
),
-- `state` is the status of a check that no threshold decides, or NULL. `lower` is 1 if lower values are worse.
checks(schema, check_name, area, value, unit, lower, state, detail, recommendation) AS (

  -- configuration
  SELECT schema, 'journal_mode', 'configuration', NULL, NULL, 0,
         CASE journal_mode WHEN 'wal' THEN 'ok' ELSE 'warning' END,
         'journal_mode is ' || coalesce(journal_mode, 'unknown')
           || iif(journal_mode <> 'wal' AND statistics_file IS NULL AND EXISTS (SELECT 1 FROM wal_config c WHERE c.schema = database.schema AND changed_at IS NOT NULL UNION ALL SELECT 1 WHERE strategy <> 'conversation_workload'),
                  ': what was set with wal_set() or wal_strategy() ends with this process', ''),
         CASE WHEN journal_mode <> 'wal' THEN 'PRAGMA ' || here || 'journal_mode=WAL: readers then go on beside a writer, and walmanager manages the log' END
  FROM database WHERE journal_mode IS NOT NULL
  UNION ALL
  SELECT e.schema, 'synchronous', 'configuration', NULL, NULL, 0,
         CASE WHEN synchronous = 'off' THEN 'warning' WHEN synchronous IS NOT NULL THEN 'ok' END,
         'synchronous is ' || coalesce(synchronous, 'not known') || ' on this connection',
         CASE synchronous WHEN 'off' THEN 'PRAGMA ' || here || 'synchronous=NORMAL: with OFF a power failure can corrupt the database' END
  FROM asking e
  UNION ALL
  SELECT e.schema, 'foreign_keys', 'configuration', CASE WHEN tables_with_references IS NOT NULL THEN count(a.connection_id) END, 'connections', 0,
         CASE WHEN tables_with_references IS NULL THEN NULL WHEN count(a.connection_id) > 0 AND tables_with_references > 0 THEN 'warning' ELSE 'ok' END,
         CASE WHEN tables_with_references IS NULL THEN 'the schema could not be read'
              WHEN tables_with_references = 0 THEN 'no table declares foreign keys'
              WHEN count(a.connection_id) = 0 THEN 'every connection that writes enforces foreign keys'
              ELSE printf('%d %s foreign keys, which %d %s not enforce: ', tables_with_references, iif(tables_with_references = 1, 'table declares', 'tables declare'), count(a.connection_id), iif(count(a.connection_id) = 1, 'connection that writes does', 'connections that write do'))
                || (SELECT group_concat(program, ', ') FROM (SELECT DISTINCT program FROM application b WHERE b.file = m.file AND b.commits > 0 AND b.foreign_keys = 0 ORDER BY program LIMIT 5))
                || iif(count(DISTINCT a.program) > 5, printf(' and %d more', count(DISTINCT a.program) - 5), '') END,
         'PRAGMA foreign_keys=ON on every connection: SQLite does not enforce foreign keys otherwise'
  FROM asking e JOIN database m USING (schema)
  LEFT JOIN application a ON a.file = m.file AND a.commits > 0 AND a.foreign_keys = 0
  GROUP BY e.schema
  UNION ALL
  SELECT e.schema, 'cache_size', 'configuration', cache_size_bytes, 'bytes', 1, NULL,
         CASE WHEN cache_size_bytes IS NULL THEN 'the size of the page cache is not known'
              ELSE printf('this connection caches up to %.2f MB', cache_size_bytes / 1e6) END,
         'PRAGMA ' || here || 'cache_size=-2000 is SQLite''s default, 2 MB'
  FROM asking e
  UNION ALL
  SELECT schema, 'wal_hook', 'configuration', NULL, NULL, 0,
         CASE hook WHEN 'active' THEN 'ok' WHEN 'displaced' THEN 'warning' WHEN 'off' THEN 'warning' END,
         CASE hook WHEN 'active' THEN 'commits of this connection reach walmanager'
                   WHEN 'displaced' THEN 'another WAL hook has taken the place of walmanager''s on this connection'
                   WHEN 'off' THEN 'PRAGMA wal_autocheckpoint was 0 when walmanager was loaded on this connection: its commits checkpoint nothing'
                   END,
         CASE hook WHEN 'displaced' THEN 'load walmanager after the code that calls sqlite3_wal_hook(), or give the hook back with PRAGMA wal_autocheckpoint=1000'
                   WHEN 'off' THEN 'PRAGMA wal_autocheckpoint=1000' END
  FROM log WHERE hook IS NOT NULL
  UNION ALL
  SELECT m.schema, 'trace', 'configuration', count(a.connection_id), 'connections', 0,
         CASE WHEN count(a.connection_id) > 0 THEN 'warning' ELSE 'ok' END,
         CASE WHEN count(a.connection_id) > 0 THEN printf('another callback has SQLite''s one trace slot on %d %s, whose statements are not measured: ', count(a.connection_id), iif(count(a.connection_id) = 1, 'connection', 'connections'))
                || (SELECT group_concat(program, ', ') FROM (SELECT DISTINCT program FROM application b WHERE b.file = m.file AND b.trace = 'displaced' ORDER BY program LIMIT 5))
                || iif(count(DISTINCT a.program) > 5, printf(' and %d more', count(DISTINCT a.program) - 5), '')
              ELSE 'no other callback has SQLite''s trace slot on any connection' END,
         CASE WHEN count(a.connection_id) > 0 THEN 'SELECT wal_trace(''take'') on ' || iif(count(a.connection_id) = 1, 'that connection', 'each of these connections') END
  FROM log m LEFT JOIN application a ON a.trace = 'displaced' AND a.file = m.file GROUP BY m.schema
  UNION ALL
  SELECT e.schema, 'shadowing', 'configuration', NULL, NULL, 0,
         CASE WHEN shadowing IS NOT NULL THEN 'warning' WHEN tables IS NOT NULL THEN 'ok' END,
         CASE WHEN shadowing IS NOT NULL THEN 'your own ' || shadowing || ' is found in the place of walmanager''s'
              WHEN tables IS NULL THEN 'the schema could not be read' ELSE 'no table or view of yours has the name of a walmanager table' END,
         CASE WHEN shadowing IS NOT NULL THEN 'rename it, or read walmanager''s table as temp.<name>' END
  FROM asking e
  UNION ALL
  SELECT schema, 'statistics_file', 'configuration', NULL, NULL, 0,
         CASE WHEN incomplete_because IS NOT NULL THEN 'warning'
              WHEN statistics_file IS NOT NULL OR private_because LIKE 'WALMANAGER_FILE%'
                   OR private_because LIKE 'the first commit%' OR private_because LIKE 'this connection is read-only%' THEN 'ok' ELSE 'warning' END,
         iif(incomplete_because IS NOT NULL, 'the control file cannot grow: ' || incomplete_because,
         iif(statistics_file IS NOT NULL, 'statistics and settings are shared by ' || processes || iif(processes = 1, ' process', ' processes'), 'statistics and settings are private to this process: ' || private_because)),
         CASE WHEN incomplete_because IS NOT NULL THEN 'give the file ' || file || '-walmanager room to grow'
              WHEN statistics_file IS NULL AND private_because NOT LIKE 'WALMANAGER_FILE%' AND private_because NOT LIKE 'the first commit%' AND private_because NOT LIKE 'this connection is read-only%'
              THEN iif(private_because LIKE '%RLIMIT_NOFILE%', 'raise the limit of open files of the process (ulimit -n)', 'make it possible for the file ' || file || '-walmanager to be written') END
  FROM log
  UNION ALL
  SELECT schema, 'strategy', 'configuration', NULL, NULL, 0,
         CASE WHEN strategy = 'off' OR strategy_error IS NOT NULL OR checkpointer = 'off' OR fell_back THEN 'warning' ELSE 'ok' END,
         CASE WHEN strategy_error IS NOT NULL THEN strategy_error
              WHEN strategy = 'off' THEN 'strategy off: no checkpoint runs, and the log grows'
              WHEN checkpointer = 'off' THEN 'this connection asked for no automatic checkpoints'
              WHEN checkpointer = 'replicator' THEN 'a replicator runs the checkpoints, walmanager only measures'
              ELSE 'strategy ' || strategy || ', checkpointer ' || checkpointer || iif(fell_back, ', so commits wait for the copying: ' || inline_because, '') || iif(replicator = 'gone', '; the table _litestream_seq is there, but no sign of its replicator', '') END,
         CASE WHEN strategy_error IS NOT NULL THEN 'define it anew with wal_strategy_define(), or choose another with wal_strategy()'
              WHEN strategy = 'off' THEN 'SELECT wal_strategy(''conversation_workload''' || schema_argument || ')'
              WHEN checkpointer = 'off' THEN 'PRAGMA wal_autocheckpoint=1000'
              WHEN fell_back THEN 'end what is in the way: a background thread copies where the host uses one of SQLite''s own unix VFSes without a key and leaves the trace to walmanager' END
  FROM (SELECT *, coalesce(inline_because NOT LIKE 'every rule%' AND inline_because NOT LIKE 'locking_mode%', 0) AS fell_back FROM log JOIN (SELECT schema, replicator FROM wal_environment) USING (schema))
  UNION ALL
  SELECT e.schema, 'page_layout', 'configuration', NULL, NULL, 0,
         CASE WHEN page_size_wished IS NOT NULL OR auto_vacuum_wished IS NOT NULL THEN 'warning' ELSE 'ok' END,
         CASE WHEN page_size_wished IS NOT NULL THEN printf('a program set PRAGMA page_size=%d, the pages of the database have %d bytes', page_size_wished, m.page_size)
                     || coalesce('; and PRAGMA auto_vacuum=' || auto_vacuum_wished || ', which had no effect, either', '')
              WHEN auto_vacuum_wished IS NOT NULL THEN 'a program set PRAGMA auto_vacuum=' || auto_vacuum_wished || ', which had no effect'
              ELSE 'page_size and auto_vacuum are as they were last set' END,
         'SQLite ignores them once the database has pages: set them before journal_mode=WAL and the first table. To change them now: PRAGMA ' || here || 'journal_mode=DELETE, '
           || iif(page_size_wished IS NULL, '', printf('PRAGMA %spage_size=%d, ', here, page_size_wished)) || iif(auto_vacuum_wished IS NULL, '', printf('PRAGMA %sauto_vacuum=%s, ', here, auto_vacuum_wished))
           || 'VACUUM' || iif(here = '', '', printf(' "%w"', e.schema)) || ', PRAGMA ' || here || 'journal_mode=WAL'
  FROM wal_environment e JOIN database m USING (schema)
  UNION ALL
  SELECT schema, 'checkpoint_guard', 'configuration', NULL, NULL, 0,
         CASE WHEN unguarded_because IS NULL THEN 'ok' ELSE 'warning' END,
         coalesce('checkpoints run on the program''s connection, without the guard against the WAL-reset bug: ' || unguarded_because, 'every checkpoint of walmanager runs under the guard against the WAL-reset bug'),
         CASE WHEN unguarded_because LIKE 'the -wal file%' THEN 'see files_replaced'
              WHEN unguarded_because IS NOT NULL THEN 'use one of SQLite''s own unix VFSes, or an engine without the bug' END
  FROM log

  -- WAL size
  UNION ALL
  SELECT schema, 'wal_size', 'WAL size', 1.0 * log_bytes / wal_limit_bytes, 'ratio', 0,
         CASE WHEN pending_frames = 0 AND active_readers = 0 THEN 'ok' END,
         CASE WHEN log_bytes IS NULL THEN 'this connection cannot read how much the log holds'
              ELSE printf('the log holds %.1f MB, wal_limit_bytes is %.1f MB; its file is %.1f MB', log_bytes / 1e6, wal_limit_bytes / 1e6, wal_bytes / 1e6)
                   || iif(log_bytes > 0 AND pending_frames = 0 AND active_readers = 0, '; all of it is in the database, and the next commit starts it over', '') END,
         'see wal_readers for the readers that keep the log from starting over'
  FROM log
  UNION ALL
  SELECT schema, 'log_pinned', 'WAL size',
         CASE WHEN pending_frames IS NOT NULL THEN coalesce(1.0 * max(wal_frames - oldest_reader_frame, 0) * (page_size + 24) / wal_limit_bytes, 0.0) END,
         'ratio', 0, NULL,
         CASE WHEN oldest_reader_frame < wal_frames
              THEN printf('%s is %d %s behind (%.1f MB); no frame after its frame %d can be copied', iif(active_readers = 1, 'one reader', printf('the oldest of %d readers', active_readers)), wal_frames - oldest_reader_frame, iif(wal_frames - oldest_reader_frame = 1, 'frame', 'frames'), (wal_frames - oldest_reader_frame) * (page_size + 24) / 1e6, oldest_reader_frame)
                   || coalesce(': ' || coalesce((SELECT program || coalesce(', ' || query, '') FROM application a WHERE a.file = log.file AND a.pid = oldest_reader_pid AND a.transaction_ms IS NOT NULL ORDER BY transaction_ms DESC LIMIT 1), 'pid ' || oldest_reader_pid), '')
              WHEN pending_frames IS NULL THEN 'this connection cannot read what readers hold' ELSE 'no reader is behind' END,
         'SELECT pid, application, query, verdict FROM wal_readers WHERE blocks IS NOT NULL, then finish or reset that statement'
  FROM log

  -- checkpointing
  UNION ALL
  SELECT l.schema, 'checkpoint_progress', 'checkpointing',
         CASE WHEN pending_frames <= coalesce(due_frames, 1000) THEN 0.0
              WHEN pending_frames IS NOT NULL THEN
                max(0.0, (julianday('now') - julianday(coalesce(w.since, statistics_since))) * 86400) END,
         's', 0, NULL,
         CASE WHEN pending_frames IS NULL THEN 'this connection cannot read how much the log holds'
              ELSE printf('%d %s not in the database yet; %s', pending_frames, iif(pending_frames = 1, 'frame is', 'frames are'),
                coalesce('a checkpoint last copied frames at ' || w.moved_at, 'no checkpoint in wal_checkpoints has copied any')) END,
         'see wal_readers for the readers in the way, and wal_checkpoints for errors'
  FROM log l LEFT JOIN waiting w USING (schema)
  UNION ALL
  SELECT l.schema, 'checkpoint_partial', 'checkpointing', coalesce(s.partial, 0), 'checkpoints', 0, NULL,
         CASE WHEN s.partial IS NULL THEN 'no checkpoint is in wal_checkpoints'
              WHEN s.partial = 0 THEN 'the last checkpoint copied the whole log'
              WHEN s.partial = 1 THEN 'the last checkpoint copied less than the whole log'
              ELSE printf('the last %d checkpoints in a row copied less than the whole log', s.partial) END,
         'see blocked_by_pid in wal_checkpoints, and wal_readers'
  FROM log l LEFT JOIN summed s ON s.schema = l.schema
  UNION ALL
  SELECT l.schema, 'checkpoint_duration', 'checkpointing', w.duration_ms, 'ms', 0, CASE WHEN coalesce(w.n, 0) < 10 THEN 'ok' END,
         CASE WHEN w.n >= 10 THEN printf('of %d checkpoints that a program waited for in the last hour 95 %% took up to %.1f ms', w.n, w.duration_ms)
              WHEN w.n > 0 THEN printf('a program waited for fewer than 10 checkpoints in the last hour; the longest took %.1f ms', w.duration_ms)
              ELSE 'no program waited for a checkpoint in the last hour' END,
         'lower checkpoint_frames, so that each checkpoint copies less, and check whether the disk is busy with other work'
  FROM log l LEFT JOIN waited w ON w.schema = l.schema
  UNION ALL
  SELECT l.schema, 'checkpoint_failures', 'checkpointing', coalesce(s.failed, 0), 'checkpoints', 0,
         CASE WHEN s.newest = 'failed' THEN 'critical' WHEN s.failed > 0 THEN 'warning' ELSE 'ok' END,
         CASE WHEN s.newest = 'failed' OR s.failed > 0
              THEN (SELECT 'a checkpoint failed at ' || at || ': ' || coalesce(error, 'no reason given') FROM ran
                    WHERE ran.schema = l.schema AND result = 'failed' ORDER BY nth LIMIT 1)
              ELSE 'no checkpoint failed in the last hour' END,
         'see the column error of wal_checkpoints; common causes are a full disk, a read-only file system and a failing device'
  FROM log l LEFT JOIN summed s ON s.schema = l.schema

  -- commits
  UNION ALL
  SELECT l.schema, 'commit_latency', 'commits', p.commit_p99_ms, 'ms', 0,
         CASE WHEN p.samples > 0 AND p.commits < 10 THEN 'ok' END,
         CASE WHEN p.commits >= 10 THEN printf('of %d commits in the last minute 99 %% took less than %.2f ms', p.commits, p.commit_p99_ms)
              WHEN p.commits > 0 THEN printf('fewer than 10 commits in the last minute; they took less than %.2f ms', p.commit_p99_ms)
              WHEN p.samples > 0 THEN 'no commit in the last minute' ELSE 'no sample in the last minute' END,
         'look for a slow disk, a large transaction or a stall: see checkpoint_stall_ms and stddev_ms in query_performance'
  FROM log l LEFT JOIN minute p ON p.schema = l.schema
  UNION ALL
  SELECT l.schema, 'commit_stalls', 'commits', CASE WHEN p.covers_ms > 0 THEN p.checkpoint_stall_ms / p.covers_ms END, 'ratio', 0, NULL,
         CASE WHEN p.covers_ms > 0 THEN printf('commits waited %.0f ms for checkpoints in the last %.0f s', p.checkpoint_stall_ms, p.covers_ms / 1000.0) ELSE 'no sample in the last minute' END,
         'SELECT wal_strategy(''low_latency''' || schema_argument || '), or end read transactions sooner (see wal_readers), or raise wal_limit_bytes: waits are rarer then'
  FROM log l LEFT JOIN minute p ON p.schema = l.schema

  -- queries
  UNION ALL
  SELECT m.schema, 'query_latency', 'queries', p.query_p95_ms, 'ms', 0,
         CASE WHEN p.samples > 0 AND p.statements < 10 THEN 'ok' END,
         CASE WHEN p.statements >= 10 THEN printf('of %d statements in the last minute 95 %% took less than %.2f ms', p.statements, p.query_p95_ms)
              WHEN p.statements > 0 THEN printf('fewer than 10 statements in the last minute, 95 %% of which took less than %.2f ms', p.query_p95_ms)
              WHEN p.samples > 0 THEN 'no statement was measured in the last minute' ELSE 'no sample in the last minute' END,
         'SELECT query, calls, p95_ms, plan FROM query_performance ORDER BY total_ms DESC LIMIT 5, and wal_recommendations'
  FROM wal_metrics m LEFT JOIN minute p ON p.schema = m.schema WHERE m.file IS NOT NULL
  UNION ALL
  SELECT m.schema, 'query_degradation', 'queries',
         CASE WHEN h.statements >= 1000 AND y.statements >= 1000 AND y.query_p95_ms > 0 THEN iif(h.query_p95_ms < 1, 1.0, h.query_p95_ms / y.query_p95_ms) END,
         'ratio', 0, NULL,
         CASE WHEN h.statements >= 1000 AND y.statements >= 1000 THEN printf('95 %% of statements took less than %.2f ms in the last hour, %.2f ms in the same hour of yesterday', h.query_p95_ms, y.query_p95_ms)
              ELSE 'fewer than 1000 statements were measured in the last hour or in the same hour of yesterday' END,
         'compare the plan and calls of the statements that query_performance puts first; run ANALYZE where the data has changed'
  FROM wal_metrics m
  LEFT JOIN wal_periods h ON h.schema = m.schema AND h.period = 'hour' AND h.part = 'current'
  LEFT JOIN wal_periods y ON y.schema = m.schema AND y.period = 'hour' AND y.part = 'yesterday'
  WHERE m.file IS NOT NULL

  -- integrity
  UNION ALL
  SELECT e.schema, 'integrity', 'integrity', (julianday('now') - julianday(integrity_at)), 'days', 0,
         CASE WHEN integrity_findings > 0 THEN 'critical' WHEN probe_error LIKE '%malformed%' OR probe_error LIKE '%not a database%' THEN 'critical' END,
         CASE WHEN integrity_findings > 0 THEN printf('%d %s at %s: %s', integrity_findings, iif(integrity_findings = 1, 'finding', 'findings'), integrity_at, integrity_finding)
              WHEN probe_error IS NOT NULL THEN 'the schema cannot be read: ' || probe_error
              WHEN integrity_at IS NULL THEN 'wal_integrity_check() has never run' ELSE 'ok at ' || integrity_at || ' (' || integrity_kind || ')' END,
         CASE WHEN integrity_findings > 0 AND integrity_finding LIKE 'foreign key%'
                THEN 'PRAGMA ' || here || 'foreign_key_check shows them: add the missing parent rows, or delete the rows that refer to them, and set PRAGMA foreign_keys=ON on every connection. A unique index on the parent columns repairs a mismatch'
              WHEN integrity_findings > 0 THEN 'restore a backup, or save what can be read with .recover in the sqlite3 shell; then check the disk'
              ELSE 'SELECT wal_integrity_check(''quick''' || schema_argument || ')' END
  FROM wal_environment e JOIN database m USING (schema)

  -- storage
  UNION ALL
  SELECT e.schema, 'disk_free', 'storage', file_system_free_bytes / 1e6, 'MB', 1, NULL,
         CASE WHEN file_system_free_bytes IS NOT NULL THEN printf('%.0f of %.0f MB are free on the file system', file_system_free_bytes / 1e6, file_system_bytes / 1e6) ELSE 'the system does not say how much space is free' END,
         'make room: when the disk is full, commits fail and frames can no longer be copied into the database'
  FROM wal_environment e JOIN wal_metrics m USING (schema) WHERE m.file IS NOT NULL
  UNION ALL
  SELECT e.schema, 'freelist', 'storage', CASE WHEN page_count >= 0 THEN iif(page_count * m.page_size < 1000000, 0.0, 1.0 * freelist_pages / page_count) END, 'ratio', 0, NULL,
         CASE WHEN page_count > 0 THEN printf('%d of %d pages hold nothing (%.1f MB)', freelist_pages, page_count, freelist_pages * m.page_size / 1e6) WHEN page_count = 0 THEN 'the database is empty' ELSE 'the number of pages is not known yet' END,
         iif(auto_vacuum = 'incremental', 'PRAGMA ' || here || 'incremental_vacuum', 'VACUUM' || iif(here = '', '', printf(' "%w"', schema)) || ' while no other connection needs the database') || ' gives these pages back to the file system, if they are not soon used again'
  FROM wal_environment e JOIN database m USING (schema)
  UNION ALL
  SELECT e.schema, 'file_system', 'storage', NULL, NULL, 0,
         CASE WHEN file_system IN ('nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', 'ncpfs', 'afs', 'ceph', 'glusterfs', 'lustre', 'gfs2', 'ocfs2') OR file_system LIKE 'fuse.%' AND file_system NOT LIKE 'fuse.fuseblk' THEN 'critical'
              WHEN file_system IN ('9p', 'virtiofs', 'vboxsf', 'prl_fs', 'drvfs') THEN 'warning'
              WHEN file_system IS NOT NULL THEN 'ok' END,
         coalesce('the database is on ' || file_system, 'the system does not say which file system the database is on'),
         CASE WHEN file_system NOT IN ('ext4') THEN 'WAL needs shared memory and locks that work between all processes that open the database: put it on a disk of this machine' END
  FROM wal_environment e JOIN wal_metrics m USING (schema) WHERE m.file IS NOT NULL
  UNION ALL
  SELECT e.schema, 'mounted_alone', 'storage', NULL, NULL, 0,
         CASE mounted_alone WHEN 1 THEN 'critical' WHEN 0 THEN 'ok' END,
         CASE mounted_alone WHEN 1 THEN 'only the database file is mounted at ' || m.file || ': its log lies in the directory around it, and is lost with the container, with all commits that are not in the database yet'
                            WHEN 0 THEN 'the database and its log are in one directory' ELSE 'the system does not say what is mounted' END,
         'mount the directory that holds the database, not the file'
  FROM wal_environment e JOIN wal_metrics m USING (schema) WHERE m.file IS NOT NULL
  UNION ALL
  SELECT e.schema, 'probe_read', 'storage', probe_ms, 'ms', 0, CASE WHEN probe_error IS NOT NULL THEN 'critical' END,
         CASE WHEN probe_error IS NOT NULL THEN 'reading the schema failed: ' || probe_error
              ELSE printf('reading the schema took %.2f ms', probe_ms) END,
         CASE WHEN probe_error IS NOT NULL THEN 'SELECT wal_integrity_check(''quick''' || schema_argument || ')' ELSE 'check whether the disk is busy, and how large the schema is' END
  FROM asking e
  UNION ALL
  SELECT m.schema, 'sync_latency', 'storage', CASE WHEN c.value <> 'off' THEN h.sync_p99_ms END, 'ms', 0,
         CASE WHEN c.value <> 'off' AND h.samples > 0 AND h.syncs < 10 THEN 'ok' END,
         CASE WHEN c.value = 'off' THEN 'lock_metrics is off'
              WHEN h.syncs >= 10 THEN printf('of %d syncs in the last hour 99 %% took less than %.2f ms', h.syncs, h.sync_p99_ms)
              WHEN h.syncs > 0 THEN printf('fewer than 10 syncs in the last hour; they took less than %.2f ms', h.sync_p99_ms)
              WHEN h.samples > 0 THEN 'no sync in the last hour' ELSE 'no sample in the last hour' END,
         'the disk is slow, or other programs keep it busy: wal_io shows which file is synced how often, wal_trends whether it became slower. synchronous=NORMAL needs no sync for a commit'
  FROM database m JOIN wal_config c ON c.schema = m.schema AND c.name = 'lock_metrics'
  LEFT JOIN wal_periods h ON h.schema = m.schema AND h.period = 'hour' AND h.part = 'current'
  UNION ALL
  SELECT m.schema, 'io_errors', 'storage', CASE WHEN c.value <> 'off' THEN coalesce(e.errors, 0) END, 'errors', 0, NULL,
         CASE WHEN c.value = 'off' THEN 'lock_metrics is off'
              WHEN e.errors IS NULL THEN 'no read, write or sync has failed within a day'
              ELSE printf('%d %s of the files of this database failed since statistics_since; the last one, %s, of the %s file at %s', e.errors, iif(e.errors = 1, 'call', 'calls'), e.last_error, e.file, e.last_error_at) END,
         CASE WHEN e.last_error LIKE 'SQLITE_FULL%' THEN 'make room on the disk'
              ELSE 'look into the system''s log for errors of the disk, make a copy with wal_backup(), and run SELECT wal_integrity_check(''quick''' || m.schema_argument || ')' END
  FROM database m JOIN wal_config c ON c.schema = m.schema AND c.name = 'lock_metrics' LEFT JOIN failed_io e ON e.schema = m.schema
  UNION ALL
  SELECT m.schema, 'files_replaced', 'storage', replaced_files_processes, 'processes', 0,
         CASE WHEN replaced_files_processes > 0 OR unguarded_because LIKE 'the -wal file%' THEN 'critical' WHEN replaced_files_processes = 0 THEN 'ok' END,
         CASE WHEN replaced_files_processes > 0 THEN replaced_files
              WHEN unguarded_because LIKE 'the -wal file%' THEN unguarded_because
              WHEN replaced_files_processes = 0 THEN 'every process has the -wal and -shm files open that are at their paths'
              ELSE 'the system does not say which files the processes have open' END,
         'these processes and the processes that open the database from now on do not see each other''s commits and locks, and overwrite each other: stop writing, save what each of them sees with VACUUM INTO, close every connection in all of them, and check the database. Nothing may delete or replace -wal and -shm while a connection is open'
  FROM log m JOIN wal_environment e USING (schema)

  -- cache: a commit of another connection empties a connection's whole cache, whatever its size. The check judges only databases where such commits are rare.
  UNION ALL
  SELECT m.schema, 'cache_hit_ratio', 'cache', CASE WHEN h.cache_pages >= 100000 AND NOT (coalesce(h.connections, 1) > 1 AND h.commits * 20 > h.statements) THEN h.cache_hit_ratio END, 'ratio', 1,
         CASE WHEN h.samples > 0 AND (h.cache_pages < 100000 OR coalesce(h.connections, 1) > 1 AND h.commits * 20 > h.statements) THEN 'ok' END,
         CASE WHEN h.cache_pages < 100000 THEN 'fewer than 100000 pages were wanted in the last hour'
              WHEN coalesce(h.connections, 1) > 1 AND h.commits * 20 > h.statements THEN printf('%.1f %% of the pages wanted in the last hour were in a cache; commits of other connections empty a cache of any size', h.cache_hit_ratio * 100)
              WHEN h.samples > 0 THEN printf('%.1f %% of the pages wanted in the last hour were in a cache', h.cache_hit_ratio * 100)
              ELSE 'no sample in the last hour' END,
         'raise PRAGMA cache_size; wal_configure() finds out whether PRAGMA mmap_size pays, too'
  FROM wal_metrics m LEFT JOIN wal_periods h ON h.schema = m.schema AND h.period = 'hour' AND h.part = 'current' WHERE m.file IS NOT NULL

  -- connections
  UNION ALL
  SELECT m.schema, 'idle_in_transaction', 'connections', coalesce(max(transaction_ms), 0.0), 'ms', 0, NULL,
         CASE WHEN count(a.connection_id) = 0 THEN 'no connection is idle in a transaction'
              ELSE printf('%d %s idle in a transaction, the longest for %.1f s: %s', count(a.connection_id), iif(count(a.connection_id) = 1, 'connection is', 'connections are'), max(transaction_ms) / 1000, (SELECT program FROM application b WHERE b.file = m.file AND b.state = 'idle in transaction' ORDER BY transaction_ms DESC LIMIT 1)) END,
         'commit or roll back as soon as the work is done'
  FROM wal_metrics m LEFT JOIN application a ON a.file = m.file AND a.state = 'idle in transaction' WHERE m.file IS NOT NULL GROUP BY m.schema
  UNION ALL
  SELECT m.schema, 'long_transaction', 'connections', coalesce(max(held_ms), 0.0), 'ms', 0, NULL,
         CASE WHEN count(a.connection_id) = 0 THEN 'no transaction is open'
              ELSE printf('%s is open for %.1f s: %s', iif(count(a.connection_id) = 1, 'one transaction', printf('the oldest of %d transactions', count(a.connection_id))), max(held_ms) / 1000, (SELECT program || coalesce(', ' || query, '') FROM application b WHERE b.file = m.file AND b.held_ms IS NOT NULL ORDER BY held_ms DESC LIMIT 1)) END,
         'make transactions shorter: a reader keeps the log from starting over, a writer keeps all other writers out'
  FROM wal_metrics m LEFT JOIN application a ON a.file = m.file AND a.held_ms IS NOT NULL WHERE m.file IS NOT NULL GROUP BY m.schema
  UNION ALL
  SELECT m.schema, 'unfinished_statement', 'connections', coalesce(max(still_ms), 0.0), 'ms', 0, NULL,
         CASE WHEN count(a.connection_id) = 0 THEN 'every statement that has returned rows goes on or has ended'
              ELSE printf('%d %s returned rows, %s not ended, and %s returned none for %s%.1f s: %s', count(a.connection_id), iif(count(a.connection_id) = 1, 'statement has', 'statements have'), iif(count(a.connection_id) = 1, 'has', 'have'), iif(count(a.connection_id) = 1, 'has', 'have'), iif(count(a.connection_id) = 1, '', 'up to '), max(still_ms) / 1000, (SELECT program || ', ' || coalesce(query, '?') FROM application b WHERE b.file = m.file AND b.still_ms IS NOT NULL ORDER BY still_ms DESC LIMIT 1)) END,
         'fetch all rows, or reset the statement (close the cursor): it pins the log until then'
  FROM wal_metrics m LEFT JOIN application a ON a.file = m.file AND a.still_ms IS NOT NULL WHERE m.file IS NOT NULL GROUP BY m.schema
  UNION ALL
  SELECT m.schema, 'transactions_upgraded', 'connections', h.transactions_upgraded + 10 * h.upgrades_failed, 'transactions', 0, NULL,
         CASE WHEN h.samples > 0 THEN printf('%d %s began with a read and then wrote, in the last hour%s', h.transactions_upgraded, iif(h.transactions_upgraded = 1, 'transaction', 'transactions'), iif(h.upgrades_failed = 0, '', printf('; %d more failed to write ("database is locked"): each counts as ten', h.upgrades_failed))) ELSE 'no sample in the last hour' END,
         'use BEGIN IMMEDIATE for transactions that will write: after a read, a write fails with "database is locked" if another connection has written, whatever the timeout'
  FROM wal_metrics m LEFT JOIN wal_periods h ON h.schema = m.schema AND h.period = 'hour' AND h.part = 'current' WHERE m.file IS NOT NULL
  UNION ALL
  SELECT schema, 'unmanaged_processes', 'connections', strangers, 'processes', 0, NULL,
         CASE WHEN strangers IS NULL THEN 'the system does not say which processes have the database open'
              WHEN strangers = 0 THEN 'every process that has the database open is managed' || iif(replicated, ', except for the replicator', '')
              WHEN strangers = 1 THEN '1 process has the database open without walmanager: its statements are not measured, and its checkpoints are not guarded'
              ELSE printf('%d processes have the database open without walmanager: their statements are not measured, and their checkpoints are not guarded', strangers) END,
         iif(strangers = 1, 'load walmanager in this process, too', 'load walmanager in these processes, too')
  FROM log

  -- locks
  UNION ALL
  SELECT m.schema, 'lock_waits', 'locks', CASE WHEN c.value <> 'off' THEN coalesce(w.ms, 0.0) END, 'ms', 0, NULL,
         CASE WHEN c.value = 'off' THEN 'lock_metrics is off'
              WHEN w.ms IS NULL THEN 'no statement waits for a lock, and none has waited for long in the last minute'
              ELSE iif(w.waiting = 0, '', printf('%d %s for a lock; the longest: ', w.waiting, iif(w.waiting = 1, 'statement waits', 'statements wait')))
                   || w.program || iif(w.at IS NULL, ' has waited for ', ' waited ') || w.what || coalesce('; it runs ' || w.query, '') END,
         w.remedy
  FROM database m JOIN wal_config c ON c.schema = m.schema AND c.name = 'lock_metrics' LEFT JOIN told w ON w.schema = m.schema AND w.which = 'longest'
  UNION ALL
  SELECT m.schema, 'busy_errors', 'locks', CASE WHEN c.value <> 'off' THEN h.busy_errors + h.snapshot_conflicts END, 'statements', 0, NULL,
         CASE WHEN c.value = 'off' THEN 'lock_metrics is off'
              WHEN h.samples IS NULL THEN 'no sample in the last hour'
              WHEN h.busy_errors + h.snapshot_conflicts = 0 THEN 'no statement failed with "database is locked" in the last hour'
              ELSE printf('%d %s failed with "database is locked" in the last hour: %d did not get a lock in time, and for %d another connection had committed since their transaction began to read', h.busy_errors + h.snapshot_conflicts, iif(h.busy_errors + h.snapshot_conflicts = 1, 'statement', 'statements'), h.busy_errors, h.snapshot_conflicts)
                   || CASE e.outcome WHEN 'busy' THEN '; the last one, ' || substr(e.at, 12, 8) || ': ' || e.program || ' gave up after ' || e.what || coalesce('; it ran ' || e.query, '')
                                     WHEN 'snapshot' THEN '; the last one, ' || substr(e.at, 12, 8) || ': ' || e.program || coalesce(', ' || e.query, '') || coalesce('; ' || e.holder || ' had committed meanwhile', '') ELSE '' END END,
         CASE WHEN e.outcome = 'snapshot' THEN 'begin transactions that read first and then write with BEGIN IMMEDIATE: wal_recommendations names their statements'
              ELSE coalesce(e.remedy || ', or set a longer', 'set a longer') || ' busy timeout where the statement failed: PRAGMA busy_timeout' END
  FROM database m JOIN wal_config c ON c.schema = m.schema AND c.name = 'lock_metrics'
  LEFT JOIN wal_periods h ON h.schema = m.schema AND h.period = 'hour' AND h.part = 'current' LEFT JOIN told e ON e.schema = m.schema AND e.which = 'error'

  -- engine
  UNION ALL
  SELECT schema, 'wal_reset_bug', 'engine', NULL, NULL, 0,
         CASE WHEN NOT wal_reset_bug THEN 'ok' WHEN unguarded IS NOT NULL THEN 'warning' WHEN unmanaged_processes IS NULL THEN 'unknown' ELSE 'ok' END,
         'SQLite ' || sqlite_version || iif(NOT wal_reset_bug, ' does not have the WAL-reset bug',
           ' can lose committed pages when checkpoints race; '
             || coalesce(unguarded, 'walmanager guards its checkpoints, and ' || iif(unmanaged_processes IS NULL, 'the system does not say which other processes have the database open', 'every process that has the database open is managed'))),
         iif(unguarded_because IS NULL AND replicated AND strangers = 0, 'run a replicator whose own SQLite is 3.51.3 or newer: Litestream 0.5.17 has 3.53.0',
           'use SQLite 3.51.3 or newer, 3.50.7 or 3.44.6; until then leave checkpoints to walmanager, which guards its own: ' || remedy)
  -- `unguarded` says which checkpoints have no guard, or is NULL.
  FROM (SELECT *, CASE WHEN unguarded_because IS NOT NULL THEN 'checkpoints of walmanager run without its guard: ' || unguarded_because
                       WHEN replicated AND strangers = 0 THEN 'the replicator runs them with its own SQLite, and nothing guards them'
                       WHEN unmanaged_processes > 0 THEN printf('%d %s the database open without walmanager, and nothing guards the checkpoints there', unmanaged_processes, iif(unmanaged_processes = 1, 'process has', 'processes have'))
                       WHEN pragmas > 0 THEN printf('programs ran PRAGMA wal_checkpoint %s in the last hour, which walmanager cannot guard', iif(pragmas = 1, 'once', pragmas || ' times')) END AS unguarded,
                  CASE WHEN unguarded_because IS NOT NULL THEN 'see checkpoint_guard'
                       WHEN unmanaged_processes > 0 THEN 'load it in every process'
                       ELSE 'call wal_checkpoint() in the place of the PRAGMA' END AS remedy
        FROM wal_environment JOIN log USING (schema) LEFT JOIN summed USING (schema))
  UNION ALL
  SELECT e.schema, 'threads', 'engine', NULL, NULL, 0, CASE WHEN threads THEN 'ok' ELSE 'warning' END,
         iif(threads, 'a thread of walmanager can copy frames in the background', 'SQLite was built or started single-threaded: committing threads do all the work, and nothing happens while the program makes no calls'),
         CASE WHEN NOT threads THEN 'build SQLite with SQLITE_THREADSAFE=1 or 2, and start it with threads (SQLITE_CONFIG_SERIALIZED or MULTITHREAD)' END
  FROM wal_environment e JOIN log USING (schema)
  UNION ALL
  SELECT m.schema, 'sqlite_versions', 'engine', count(DISTINCT a.sqlite_version), 'versions', 0,
         CASE WHEN count(DISTINCT a.sqlite_version) > 1 THEN 'warning' ELSE 'ok' END,
         CASE WHEN count(DISTINCT a.sqlite_version) > 1 THEN 'the processes run several versions of SQLite: ' ELSE 'all processes run SQLite ' END || coalesce(group_concat(DISTINCT a.sqlite_version), 'of one version'),
         CASE WHEN count(DISTINCT a.sqlite_version) > 1 THEN 'bring all processes to one version of SQLite: the oldest one decides what is safe' END
  FROM wal_metrics m LEFT JOIN application a ON a.file = m.file WHERE m.file IS NOT NULL GROUP BY m.schema
  UNION ALL
  SELECT e.schema, 'engine_copies', 'engine', engine_copies, 'copies', 0, CASE WHEN engine_copies > 1 THEN 'critical' WHEN engine_copies IS NOT NULL THEN 'ok' END,
         CASE WHEN engine_copies > 1 THEN printf('%d copies of SQLite in this process have the log open: neither sees the locks of the other, and POSIX drops the locks of both when one closes the database', engine_copies)
              WHEN engine_copies IS NOT NULL THEN 'one copy of SQLite in this process has the log open'
              ELSE 'the system does not say what this process has open' END,
         'link the whole program to one SQLite, or let only one part of it open this database: otherwise the database can be corrupted (https://www.sqlite.org/howtocorrupt.html, section 2.2)'
  FROM wal_environment e JOIN log USING (schema)

  -- backup
  UNION ALL
  SELECT e.schema, 'backup_age', 'backup', (julianday('now') - julianday(backup_at)) * 24, 'h', 0, NULL,
         coalesce('the last backup is ' || backup_path || ', of ' || backup_at, 'wal_backup() has made no backup'),
         'SELECT wal_backup(''/somewhere/else.db'')'
  FROM wal_environment e JOIN wal_metrics m USING (schema) WHERE m.file IS NOT NULL
),
thresholds AS (SELECT schema, name, value FROM wal_config WHERE name LIKE '%.warning' OR name LIKE '%.critical'),
judged AS (
  SELECT c.*, w.value AS warning_at, k.value AS critical_at,
         CASE WHEN c.state IS NOT NULL THEN c.state
              WHEN c.value IS NULL THEN 'unknown'
              WHEN iif(c.lower, c.value <= k.value, c.value >= k.value) THEN 'critical'
              WHEN iif(c.lower, c.value <= w.value, c.value >= w.value) THEN 'warning'
              ELSE 'ok' END AS status
  FROM checks c
  LEFT JOIN thresholds w ON w.schema = c.schema AND w.name = c.check_name || '.warning'
  LEFT JOIN thresholds k ON k.schema = c.schema AND k.name = c.check_name || '.critical'
)
SELECT schema, check_name, area, status,
       CASE status WHEN 'ok' THEN 100 WHEN 'warning' THEN 50 WHEN 'critical' THEN 0 END,
       value, unit, warning_at, critical_at, coalesce(detail, 'not known'),
       -- A check without a measurement needs no advice, but an integrity check can be run at once.
       CASE WHEN status IN ('warning', 'critical') OR status = 'unknown' AND check_name = 'integrity' THEN recommendation END,
       strftime('%Y-%m-%d %H:%M:%f', 'now')
FROM judged
UNION ALL
SELECT m.schema, 'overall', 'overall',
       CASE WHEN count(status) = 0 THEN 'unknown'
            WHEN sum(status = 'critical') > 0 THEN 'critical' WHEN sum(status = 'warning') > 0 THEN 'warning' ELSE 'ok' END,
       CASE WHEN count(status) > 0 THEN max(0, 100 - 40 * sum(status = 'critical') - 10 * sum(status = 'warning') - 2 * sum(status = 'unknown')) END,
       NULL, NULL, NULL, NULL,
       CASE WHEN count(status) = 0 THEN 'a database without a file is not watched'
            ELSE printf('%d critical, %d %s, %d unknown, %d ok', sum(status = 'critical'), sum(status = 'warning'), iif(sum(status = 'warning') = 1, 'warning', 'warnings'), sum(status = 'unknown'), sum(status = 'ok')) END,
       NULL, strftime('%Y-%m-%d %H:%M:%f', 'now')
FROM wal_metrics m LEFT JOIN judged USING (schema) GROUP BY m.schema
