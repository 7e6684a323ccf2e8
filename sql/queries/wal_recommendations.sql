-- wal_recommendations: What to change, from what was measured; what costs the most time comes first.
-- schema TEXT: name of the database on this connection: main, or the name given to ATTACH
-- priority INTEGER: order of the advice by the total time of the statements concerned; 1 comes first
-- area TEXT: what the advice is about: indexes, statistics, configuration, transactions, readers, storage, engine, statements, or the area of a check of system_health
-- finding TEXT: what was found, in a few words
-- evidence TEXT: what was measured and led to the finding
-- action TEXT: what to do about the finding
-- sql_to_run TEXT: SQL that does it; NULL if SQL cannot
-- total_ms REAL: total time of the statements concerned, or that they waited for a lock; NULL if the advice is about no statement in particular

WITH
reads AS (SELECT schema, sum(total_ms) AS total_ms FROM query_performance WHERE kind = 'read' GROUP BY schema),
writes AS (SELECT schema, sum(total_ms) AS total_ms FROM query_performance WHERE kind IN ('write', 'transaction') GROUP BY schema),
-- The databases that the asking connection works with. Its PRAGMAs say nothing about other databases.
mine AS (
  SELECT e.schema FROM wal_environment e JOIN connection_metrics c ON c.connection_id = e.connection_id
  WHERE c.commits > 0 OR c.statements >= 100
),
-- The databases of which wal_configure() has measured that a mapped page costs more than one that is read.
mapping_costs AS (
  SELECT schema, m.value AS mapped_us, r.value AS read_us
  FROM wal_config m JOIN wal_config r USING (schema)
  WHERE m.name = 'learned.mapped_page_us' AND r.name = 'learned.read_page_us' AND m.value > r.value
),
hour AS (SELECT * FROM wal_periods WHERE period = 'hour' AND part = 'current'),
-- Two causes that a check of system_health finds, too: what is said of them here, the advice of the check does not repeat.
stalls AS (
  SELECT m.schema, h.checkpoint_stall_ms, h.covers_ms FROM wal_metrics m JOIN hour h USING (schema)
  WHERE h.checkpoint_stall_ms > 0.1 * h.covers_ms AND h.checkpoint_stall_ms > 1000 AND m.strategy <> 'low_latency'
),
long_checkpoints AS (
  SELECT m.schema, m.checkpoints, m.checkpoint_p95_ms, c.value AS frames
  FROM wal_metrics m JOIN wal_config c ON c.schema = m.schema AND c.name = 'checkpoint_frames'
  WHERE m.checkpoints >= 10 AND c.value > 100
),
-- The waits for locks that ended in the last hour, and those that go on (`at` is NULL).
waits AS (
  SELECT w.schema, w.at, w.outcome, w.lock, w.waited_ms, w.had_read, w.query, w.connection_id,
         coalesce(coalesce(w.application, w.process) || coalesce(' (pid ' || w.pid || ')', ''), 'pid ' || w.pid, 'a connection') AS program,
         coalesce(coalesce(w.holder_application, w.holder_process) || coalesce(' (pid ' || w.holder_pid || ')', ''), 'pid ' || w.holder_pid) AS holder,
         w.holder_state = 'idle in transaction' AS holder_is_idle, w.holder_query, w.holder_transaction_ms AS holder_ms
  FROM wal_metrics m CROSS JOIN wal_lock_waits w ON w.schema = m.schema
  WHERE m.lock_waits + m.snapshot_conflicts > 0 AND w.at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour')
  UNION ALL
  SELECT m.schema, NULL, NULL, a.waiting_for, a.waiting_ms, 0, a.query, a.connection_id, NULL,
         coalesce(coalesce(h.application, h.process) || coalesce(' (pid ' || h.pid || ')', ''), 'pid ' || h.pid), h.state = 'idle in transaction', h.query, h.transaction_ms
  FROM wal_metrics m JOIN connection_metrics a ON a.file = m.file JOIN connection_metrics h ON h.connection_id = a.blocked_by
  WHERE a.waiting_for IS NOT NULL
),
-- Statements that could not write, because their transaction had read before.
failed_upgrades AS (
  SELECT schema, query, count(*) AS n, sum(outcome = 'snapshot') AS conflicts, max(at) AS at
  FROM waits WHERE query IS NOT NULL AND (outcome = 'snapshot' OR outcome = 'busy' AND had_read) GROUP BY schema, query
),
-- Connections that hold a lock between two statements of a transaction of 100 ms or longer. One that works all the time is between two statements for
-- a part of the waits only.
idle_holders AS (
  SELECT schema, holder, count(*) AS n, sum(at IS NULL) AS waiting, sum(outcome IS 'busy') AS failed, sum(waited_ms) AS total_ms, max(waited_ms) AS waited_ms,
         max(holder_ms) AS holder_ms
  FROM waits WHERE holder IS NOT NULL AND outcome IS NOT 'snapshot' GROUP BY schema, holder
  HAVING sum(coalesce(holder_is_idle, 0)) * 2 >= count(*) AND max(holder_ms * holder_is_idle) >= 100
),
-- Programs that gave up although other statements waited longer for the same lock, and got it. After a longer wait of the same connection the timeout is a longer one.
given_up AS (
  SELECT schema, lock, program, count(*) AS n, max(waited_ms) AS gave_up_ms, max(at) AS at
  FROM waits WHERE outcome = 'busy' AND NOT had_read AND lock IN ('write', 'shared', 'reserved', 'exclusive') GROUP BY schema, lock, program
),
short_timeouts AS (
  SELECT g.schema, g.lock, g.program, g.n, g.gave_up_ms, g.at, count(*) AS others, max(w.waited_ms) AS longest_ms
  FROM given_up g JOIN waits w ON w.schema = g.schema AND w.lock = g.lock AND w.outcome = 'acquired' AND w.waited_ms > g.gave_up_ms
  WHERE NOT EXISTS (SELECT 1 FROM waits f JOIN waits l ON l.connection_id = f.connection_id AND l.schema = f.schema AND l.lock = f.lock
                    WHERE f.schema = g.schema AND f.lock = g.lock AND f.program = g.program AND f.outcome = 'busy' AND l.at > g.at AND l.waited_ms > g.gave_up_ms)
  GROUP BY g.schema, g.lock, g.program
),
advice(schema, area, finding, evidence, action, sql_to_run, total_ms) AS (

  -- it became slow: missing indexes, verified in a copy of the schema
  SELECT schema, 'indexes',
         printf('%s has no index on %s', table_name, columns),
         printf('%d %s of %s%s took %.1f ms. Plan without: %s. Plan with: %s', calls, iif(calls = 1, 'execution', 'executions'), query, iif(statements = 1, '', printf(' and %d other %s', statements - 1, iif(statements = 2, 'statement', 'statements'))), total_ms, replace(plan_before, char(10), '; '), replace(plan_after, char(10), '; ')),
         'create the index; each write to the table then takes a little longer', sql_to_run, total_ms
  FROM index_candidates
  -- statistics for the planner
  UNION ALL
  SELECT e.schema, 'statistics',
         iif(tables_with_statistics = 0, 'ANALYZE was never run', printf('ANALYZE has not looked at %d of %d tables', tables_without_statistics, tables)),
         printf('reads took %.1f s; the planner guesses how many rows a table has', r.total_ms / 1000),
         'run ANALYZE, or PRAGMA optimize before connections close; auto_optimize does it in idle time',
         'ANALYZE ' || printf('"%w"', e.schema), r.total_ms
  FROM wal_environment e JOIN reads r USING (schema)
  WHERE tables_without_statistics > 0 AND r.total_ms >= 10000
    AND EXISTS (SELECT 1 FROM query_performance q WHERE q.schema = e.schema AND q.kind = 'read' AND q.plan LIKE '%' || char(10) || '%')
  UNION ALL
  SELECT s.schema, 'statistics', printf('the statistics of %s are old', s.table_name),
         printf('ANALYZE saw %d rows, there are %d%s now', s.analyzed_rows, s.rows_at_least, iif(s.rows_at_least > s.analyzed_rows, ' or more', '')),
         'run ANALYZE again', printf('ANALYZE "%w"."%w"', s.schema, s.table_name), r.total_ms
  FROM stale_statistics s LEFT JOIN reads r USING (schema)

  -- PRAGMA settings against the work that was seen
  UNION ALL
  SELECT e.schema, 'configuration', 'the page cache is too small for the work',
         printf('%.1f %% of the pages wanted in the last hour were in a cache of %.1f MB; the database has %.1f MB', h.cache_hit_ratio * 100, cache_size_bytes / 1e6, m.database_bytes / 1e6),
         'set a larger page cache on every connection',
         printf('PRAGMA "%w".cache_size=-%d', e.schema, max(2000, min(4 * cache_size_bytes, max(m.database_bytes, 2 * cache_size_bytes)) / 1024)), r.total_ms
  FROM wal_environment e JOIN wal_metrics m USING (schema) JOIN hour h USING (schema) LEFT JOIN reads r USING (schema)
  WHERE e.schema IN (SELECT schema FROM mine) AND h.cache_pages >= 100000 AND h.cache_hit_ratio < 0.9 AND m.database_bytes > cache_size_bytes
    AND NOT (coalesce(h.connections, 1) > 1 AND h.commits * 20 > h.statements)  -- otherwise commits of other connections empty a cache of any size
  UNION ALL
  SELECT e.schema, 'configuration', 'pages are copied into each connection''s cache',
         printf('%.1f %% of the pages wanted in the last hour were not in a cache; mmap_size is 0', (1 - h.cache_hit_ratio) * 100),
         'map the database file: pages that are not in the cache are then read without a system call',
         printf('PRAGMA "%w".mmap_size=%d', e.schema, min(m.database_bytes * 2, 1073741824)), r.total_ms
  FROM wal_environment e JOIN wal_metrics m USING (schema) JOIN hour h USING (schema) LEFT JOIN reads r USING (schema)
  WHERE e.schema IN (SELECT schema FROM mine) AND h.cache_pages >= 100000 AND h.cache_hit_ratio < 0.9 AND mmap_size_bytes = 0 AND m.database_bytes > cache_size_bytes
    AND e.schema NOT IN (SELECT schema FROM mapping_costs)
  UNION ALL
  SELECT e.schema, 'configuration', 'mapped pages cost more than pages that are read',
         printf('a mapped page took %.1f us and a page that is read %.1f us; mmap_size is %d', mapped_us, read_us, mmap_size_bytes),
         'read the database file instead of mapping it: each commit of another connection makes SQLite map it anew',
         printf('PRAGMA "%w".mmap_size=0', e.schema), r.total_ms
  FROM wal_environment e JOIN mapping_costs USING (schema) LEFT JOIN reads r USING (schema)
  WHERE e.schema IN (SELECT schema FROM mine) AND mmap_size_bytes > 0
  UNION ALL
  SELECT e.schema, 'configuration', 'every commit waits for the disk',
         printf('synchronous is %s; %d commits took %.2f ms in the mean', synchronous, m.commits, m.commit_mean_ms),
         'in WAL mode synchronous=NORMAL cannot corrupt the database; a power failure may then undo the last commits',
         printf('PRAGMA "%w".synchronous=NORMAL', e.schema), w.total_ms
  FROM wal_environment e JOIN wal_metrics m USING (schema) LEFT JOIN writes w USING (schema)
  WHERE e.schema IN (SELECT schema FROM mine) AND synchronous IN ('full', 'extra') AND m.journal_mode = 'wal' AND m.commits >= 1000 AND m.commit_mean_ms >= 1 AND m.checkpoint_stall_ms < 0.5 * m.commits * m.commit_mean_ms
  UNION ALL
  SELECT m.schema, 'configuration', 'checkpoints take long',
         printf('95 %% of %d checkpoints took up to %.0f ms', m.checkpoints, m.checkpoint_p95_ms),
         'let each checkpoint copy fewer frames', printf('SELECT wal_set(''checkpoint_frames'', %d, %Q)', max(100, m.frames / 4), m.schema), w.total_ms
  FROM long_checkpoints m LEFT JOIN writes w USING (schema)
  WHERE EXISTS (SELECT 1 FROM system_health h WHERE h.schema = m.schema AND h.check_name = 'checkpoint_duration' AND h.status IN ('warning', 'critical'))
  UNION ALL
  SELECT m.schema, 'configuration', 'commits wait for checkpoints',
         printf('commits waited %.0f ms for checkpoints in the last %.0f s', m.checkpoint_stall_ms, m.covers_ms / 1000.0),
         'let the background thread copy more frames, or checkpoint less often', printf('SELECT wal_strategy(''low_latency'', %Q)', m.schema), w.total_ms
  FROM stalls m LEFT JOIN writes w USING (schema)
  UNION ALL
  SELECT m.schema, 'configuration', 'the log exceeds its limit though no reader pins it',
         printf('the log was up to %.1f MB, its limit is %.1f MB; %d checkpoints, %d in vain, in the last hour', h.wal_bytes_max / 1e6, m.wal_limit_bytes / 1e6, h.checkpoints, h.checkpoints_in_vain),
         'set a limit that fits what one transaction or burst of commits writes', printf('SELECT wal_set(''wal_limit_bytes'', %d, %Q)', 2 * h.wal_bytes_max, m.schema), w.total_ms
  FROM wal_metrics m JOIN hour h USING (schema) LEFT JOIN writes w USING (schema)
  WHERE h.wal_bytes_max > 1.5 * m.wal_limit_bytes AND h.checkpoints_in_vain <= 0.1 * h.checkpoints AND h.checkpoints > 0
    AND NOT EXISTS (SELECT 1 FROM wal_readers r WHERE r.schema = m.schema AND r.blocks IS NOT NULL)

  -- database is locked
  UNION ALL
  SELECT e.schema, 'configuration', 'a lock of another connection is an error at once',
         printf('busy_timeout is 0 on this connection; %d connections are open', (SELECT count(*) FROM connection_metrics c WHERE c.role = 'application' AND c.file = m.file)),
         'set a busy timeout on every connection, so that it waits for the other writer', 'PRAGMA busy_timeout=5000', w.total_ms
  FROM wal_environment e JOIN wal_metrics m USING (schema) LEFT JOIN writes w USING (schema)
  WHERE e.schema IN (SELECT schema FROM mine) AND busy_timeout_ms = 0 AND m.commits > 0
    AND (SELECT count(*) FROM connection_metrics c WHERE c.role = 'application' AND c.file = m.file AND c.commits > 0) > 1
  UNION ALL
  SELECT schema, 'transactions', 'transactions that begin with a read and then write',
         printf('%s%s in %s', iif(transactions_upgraded = 1, 'once', transactions_upgraded || ' times'), CASE upgrades_failed WHEN 0 THEN '' WHEN 1 THEN ', and once in vain' ELSE printf(', and %d times in vain', upgrades_failed) END, iif(query_id IS NULL, 'statements that had to make room in query_performance', 'this statement: ' || query)),
         'begin them with BEGIN IMMEDIATE: their write fails at once with "database is locked" if another connection has written in between, and no timeout cures it',
         NULL, total_ms  -- BEGIN IMMEDIATE run by itself would keep all other writers out
  FROM query_performance q WHERE transactions_upgraded + upgrades_failed > 0
    AND NOT EXISTS (SELECT 1 FROM failed_upgrades f WHERE f.schema = q.schema AND f.query = q.query)
    -- Where most of an hour had none, the program has changed.
    AND NOT EXISTS (SELECT 1 FROM hour h WHERE h.schema = q.schema AND h.covers_ms >= 3000000 AND h.transactions_upgraded + h.upgrades_failed = 0)
  UNION ALL
  SELECT f.schema, 'transactions', 'a transaction that has read fails when it begins to write',
         printf('%s in the last hour, the last time at %s%s, in this statement: %s; of %s', iif(n = 1, 'once', n || ' times'), at,
                CASE conflicts WHEN 0 THEN ', because another connection was writing' WHEN n THEN ', because another connection had committed since it began to read' ELSE printf(', %s because another connection had committed since it began to read', iif(conflicts = 1, 'once', conflicts || ' times')) END, f.query, (SELECT group_concat(program, ', ') FROM (SELECT DISTINCT program FROM waits w WHERE w.schema = f.schema AND w.query = f.query AND (w.outcome = 'snapshot' OR w.had_read)))),
         'begin this transaction with BEGIN IMMEDIATE: it then waits for the other writer before it reads. As it is, "database is locked" comes at once, whatever the busy timeout',
         NULL, (SELECT q.total_ms FROM query_performance q WHERE q.schema = f.schema AND q.query = f.query)
  FROM failed_upgrades f
  UNION ALL
  SELECT schema, 'transactions', holder || ' holds a lock while it is idle in a transaction',
         printf('%d %s for it in the last hour, up to %s%s%s; its transaction had lasted for up to %.1f s%s', n, iif(n = 1, 'statement waited', 'statements waited'), iif(waited_ms < 1000, printf('%.0f ms', waited_ms), printf('%.1f s', waited_ms / 1000)),
                iif(waiting = 0, '', printf(', %d of them now', waiting)), iif(failed = 0, '', printf(', %d of them in vain', failed)), holder_ms / 1000, coalesce('; before it was idle it had run: ' || (SELECT group_concat(holder_query, '; ') FROM (SELECT DISTINCT holder_query FROM waits w WHERE w.schema = i.schema AND w.holder = i.holder AND w.holder_is_idle LIMIT 5)), '')),
         'commit or roll back right after the last statement, and do other work before BEGIN or after COMMIT: all other writers wait in between',
         NULL, total_ms
  FROM idle_holders i
  UNION ALL
  SELECT schema, 'configuration', 'the busy timeout of ' || program || ' is too short',
         printf('%d %s up after %.0f ms, the last at %s; %d other %s for the same lock for up to %.0f ms, and got it', n, iif(n = 1, 'statement gave', 'statements gave'), gave_up_ms, at, others, iif(others = 1, 'statement waited', 'statements waited'), longest_ms),
         'set a busy timeout that is longer than these waits, on every connection of ' || program,
         printf('PRAGMA busy_timeout=%d', max(5000, 1000 * CAST(2 * longest_ms / 1000 + 1 AS INTEGER))), gave_up_ms * n
  FROM short_timeouts

  -- the log grows
  UNION ALL
  SELECT r.schema, 'readers',
         printf('%s of %s %s the log from %s', coalesce(r.verdict, 'a reader'), coalesce(coalesce(r.application, r.process) || coalesce(' (pid ' || r.pid || ')', ' (of another PID namespace)'), 'pid ' || r.pid, 'an unknown process'), iif(r.certain, 'keeps', 'may keep'), iif(r.blocks = 'reset', 'starting over', 'being copied')),
         printf('%d %s behind (%.1f MB)%s%s', r.lag_frames, iif(r.lag_frames = 1, 'frame', 'frames'), r.lag_bytes / 1e6, iif(r.transaction_ms IS NULL, '', printf(', for %.1f s', r.transaction_ms / 1000)), coalesce(': ' || r.query, '')),
         CASE r.verdict WHEN 'unfinished statement' THEN 'fetch all its rows, or reset the statement (close the cursor)'
                        WHEN 'open transaction' THEN 'commit or roll back when the reading is done'
                        WHEN 'unmanaged process' THEN iif((SELECT checkpointer FROM wal_metrics m WHERE m.schema = r.schema) = 'replicator', 'see why the replicator does not checkpoint; if it is another process, ', '')
                                                      || 'load walmanager there to see which statement it is'
                        WHEN 'running query' THEN 'make the statement shorter, or read in several steps'
                        ELSE 'end the statement or transaction that reads there; to see it, load walmanager on that connection with statement_metrics on' END,
         NULL, (SELECT sum(total_ms) FROM query_performance q WHERE q.schema = r.schema AND q.query = r.query)
  FROM wal_readers r JOIN wal_config c ON c.schema = r.schema AND c.name = 'checkpoint_frames'
  WHERE r.blocks IS NOT NULL AND (r.lag_frames > c.value OR r.transaction_ms > 10000)

  -- storage
  UNION ALL
  SELECT e.schema, 'storage', printf('%.1f MB of the database hold nothing', freelist_pages * m.page_size / 1e6),
         printf('%d of %d pages are free', freelist_pages, page_count),
         iif(auto_vacuum = 'incremental', 'give these pages back to the file system', 'run VACUUM while no other connection needs the database: it copies the whole database through the log'),
         iif(auto_vacuum = 'incremental', printf('PRAGMA "%w".incremental_vacuum', e.schema), printf('VACUUM "%w"', e.schema)), NULL
  FROM wal_environment e JOIN wal_metrics m USING (schema) JOIN system_health h USING (schema)
  WHERE h.check_name = 'freelist' AND h.status IN ('warning', 'critical')

  -- statements
  UNION ALL
  SELECT schema, 'statements', 'literals in the place of parameters',
         printf('%d different texts in %d executions: %s', texts, calls, query),
         'bind parameters: the statement is then prepared once, and safe from injection', NULL, total_ms
  FROM query_performance WHERE texts >= 100 AND texts * 2 >= calls AND kind IN ('read', 'write')

  -- the advice of the other checks of system_health
  UNION ALL
  SELECT schema, area, detail, 'system_health: ' || check_name || ' is ' || status, recommendation, NULL, NULL
  FROM system_health
  WHERE status IN ('warning', 'critical') AND recommendation IS NOT NULL
    AND check_name NOT IN ('freelist', 'transactions_upgraded')
    AND NOT (check_name IN ('lock_waits', 'busy_errors') AND schema IN (SELECT schema FROM idle_holders))
    AND NOT (check_name = 'busy_errors' AND schema IN (SELECT schema FROM failed_upgrades UNION SELECT schema FROM short_timeouts))
    AND NOT (check_name = 'commit_stalls' AND schema IN (SELECT schema FROM stalls))
    AND NOT (check_name = 'checkpoint_duration' AND schema IN (SELECT schema FROM long_checkpoints))
)
SELECT schema, row_number() OVER (PARTITION BY schema ORDER BY total_ms DESC, finding),
       area, finding, evidence, action, sql_to_run, total_ms
FROM advice ORDER BY schema <> 'main', schema, 2
