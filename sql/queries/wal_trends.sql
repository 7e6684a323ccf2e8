-- wal_trends: One row per metric and period (hour, day, week): how the metric changed, and where it is going.
-- schema TEXT: name of the database on this connection: main, or the name given to ATTACH
-- metric TEXT: column of wal_history that is compared; counts become rates per second
-- period TEXT: length of the compared periods: hour, day or week
-- current REAL: value over the period that ends now, as in wal_periods
-- previous REAL: value over the period before; NULL if nothing was measured then
-- change_ratio REAL: change against the period before: (current - previous) / previous
-- slope_per_hour REAL: slope of the straight line that fits the minutes of an hour or day, or the hours of a week, best (least squares); NULL below 12 samples
-- forecast TEXT: when the straight line meets a limit; NULL below 12 samples, below an r_squared of 0.8, or beyond ten times the period
-- direction TEXT: improving, worsening, or steady (a change below a tenth, for percentiles below a quarter); NULL without a previous value, or if neither more nor less is better
-- unit TEXT: unit of current and previous, and of the slope per hour
-- samples INTEGER: number of samples that the straight line goes through
-- r_squared REAL: share of the variance that the straight line explains, 0 to 1; NULL if there is no variance

WITH
-- better: 1 if more is good, -1 if less is good, 0 if it depends. steady: the largest change that counts as none.
-- Percentiles come from histograms, where one bucket is up to 0.23 above the one before.
metric(metric, unit, better, steady) AS (VALUES
  ('wal_bytes', 'bytes', -1, 0.1), ('pending_frames', 'frames', -1, 0.1), ('commits', 'per s', 0, 0.1),
  ('statements', 'per s', 0, 0.1), ('query_p95_ms', 'ms', -1, 0.25), ('commit_p99_ms', 'ms', -1, 0.25),
  ('checkpoint_ms', 'ms per s', -1, 0.1), ('checkpoint_stall_ms', 'ms per s', -1, 0.1),
  ('active_readers', 'readers', 0, 0.1), ('connections', 'connections', 0, 0.1),
  ('cache_hit_ratio', 'ratio', 1, 0.1), ('health_score', 'score', 1, 0.1), ('database_bytes', 'bytes', 0, 0.1),
  ('lock_waits', 'per s', -1, 0.1), ('lock_wait_ms', 'ms per s', -1, 0.1), ('lock_wait_p99_ms', 'ms', -1, 0.25),
  ('busy_errors', 'per s', -1, 0.1), ('snapshot_conflicts', 'per s', -1, 0.1),
  ('syncs', 'per s', 0, 0.1), ('sync_ms', 'ms per s', -1, 0.1), ('sync_p99_ms', 'ms', -1, 0.25)
),
period(period, resolution_ms, hours) AS (VALUES
  ('hour', 60000, 1), ('day', 60000, 24), ('week', 3600000, 168)
),
part AS (
  SELECT p.schema, p.period, p.part, m.metric, m.unit, m.better, m.steady,
         CASE m.metric
           WHEN 'wal_bytes' THEN p.wal_bytes WHEN 'pending_frames' THEN p.pending_frames
           WHEN 'commits' THEN p.commits * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'statements' THEN p.statements * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'query_p95_ms' THEN p.query_p95_ms WHEN 'commit_p99_ms' THEN p.commit_p99_ms
           WHEN 'checkpoint_ms' THEN p.checkpoint_ms * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'checkpoint_stall_ms' THEN p.checkpoint_stall_ms * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'active_readers' THEN p.active_readers WHEN 'connections' THEN p.connections
           WHEN 'cache_hit_ratio' THEN p.cache_hit_ratio WHEN 'health_score' THEN p.health_score
           WHEN 'database_bytes' THEN p.database_bytes
           WHEN 'lock_waits' THEN p.lock_waits * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'lock_wait_ms' THEN p.lock_wait_ms * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'lock_wait_p99_ms' THEN p.lock_wait_p99_ms
           WHEN 'busy_errors' THEN p.busy_errors * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'snapshot_conflicts' THEN p.snapshot_conflicts * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'syncs' THEN p.syncs * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'sync_ms' THEN p.sync_ms * 1000.0 / nullif(p.covers_ms, 0)
           WHEN 'sync_p99_ms' THEN p.sync_p99_ms END AS y
  FROM wal_periods p CROSS JOIN metric m WHERE p.period IN ('hour', 'day', 'week')
),
-- x of a minute or an hour is its middle: half way from its first sample to its last. DISTINCT, because a sample that
-- is taken once a minute or hour is in wal_history twice: as a sample, and as that minute or hour.
point AS (
  SELECT DISTINCT h.schema, d.period, m.metric,
         (julianday(h.at) - julianday('now')) * 24
           - min(h.covers_ms, h.resolution_ms) * (1 - 1.0 / h.samples) / 2 / 3600000 AS x,
         CASE m.metric
           WHEN 'wal_bytes' THEN h.wal_bytes WHEN 'pending_frames' THEN h.pending_frames
           WHEN 'commits' THEN h.commits * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'statements' THEN h.statements * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'query_p95_ms' THEN h.query_p95_ms WHEN 'commit_p99_ms' THEN h.commit_p99_ms
           WHEN 'checkpoint_ms' THEN h.checkpoint_ms * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'checkpoint_stall_ms' THEN h.checkpoint_stall_ms * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'active_readers' THEN h.active_readers WHEN 'connections' THEN h.connections
           WHEN 'cache_hit_ratio' THEN h.cache_hit_ratio WHEN 'health_score' THEN h.health_score
           WHEN 'database_bytes' THEN h.database_bytes
           WHEN 'lock_waits' THEN h.lock_waits * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'lock_wait_ms' THEN h.lock_wait_ms * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'lock_wait_p99_ms' THEN h.lock_wait_p99_ms
           WHEN 'busy_errors' THEN h.busy_errors * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'snapshot_conflicts' THEN h.snapshot_conflicts * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'syncs' THEN h.syncs * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'sync_ms' THEN h.sync_ms * 1000.0 / nullif(h.covers_ms, 0)
           WHEN 'sync_p99_ms' THEN h.sync_p99_ms END AS y
  FROM wal_history h
  JOIN period d ON d.resolution_ms = h.resolution_ms
   AND h.at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || d.hours || ' hours')
   AND h.at <= strftime('%Y-%m-%d %H:%M:%f', 'now')
  CROSS JOIN metric m
),
-- Differences to the means, so that large numbers that change little lose no precision.
centred AS (
  SELECT schema, period, metric, x - avg(x) OVER series AS x, y - avg(y) OVER series AS y,
         avg(x) OVER series AS mean_x, avg(y) OVER series AS mean_y
  FROM point WHERE y IS NOT NULL
  WINDOW series AS (PARTITION BY schema, period, metric)
),
line AS (
  SELECT schema, period, metric, count(*) AS samples,
         sum(x * y) / nullif(sum(x * x), 0) AS slope,
         -- What rounding leaves of equal numbers is no variance.
         CASE WHEN sum(y * y) > 1e-24 * count(*) * mean_y * mean_y
              THEN sum(x * y) * sum(x * y) / nullif(sum(x * x) * sum(y * y), 0) END AS r_squared,
         mean_y - mean_x * sum(x * y) / nullif(sum(x * x), 0) AS now_y
  FROM centred GROUP BY schema, period, metric
),
-- The limits that a line may meet, and from which side.
target AS (
  SELECT m.schema, 'wal_bytes' AS metric, m.wal_limit_bytes AS y, 1 AS above, 'reaches wal_limit_bytes' AS words FROM wal_metrics m
  UNION ALL
  SELECT e.schema, 'database_bytes', m.database_bytes + e.file_system_free_bytes, 1, 'fills the file system'
  FROM wal_environment e JOIN wal_metrics m USING (schema)
  UNION ALL
  SELECT schema, 'query_p95_ms', value, 1, 'reaches query_latency.warning' FROM wal_config WHERE name = 'query_latency.warning'
  UNION ALL
  SELECT schema, 'commit_p99_ms', value, 1, 'reaches commit_latency.warning' FROM wal_config WHERE name = 'commit_latency.warning'
  UNION ALL
  SELECT schema, 'lock_wait_p99_ms', value, 1, 'reaches lock_waits.warning' FROM wal_config WHERE name = 'lock_waits.warning'
  UNION ALL
  SELECT schema, 'sync_p99_ms', value, 1, 'reaches sync_latency.warning' FROM wal_config WHERE name = 'sync_latency.warning'
  UNION ALL
  SELECT schema, 'cache_hit_ratio', value, -1, 'falls to cache_hit_ratio.warning' FROM wal_config WHERE name = 'cache_hit_ratio.warning'
),
forecast AS (
  SELECT l.schema, l.period, l.metric, t.words, (t.y - l.now_y) / l.slope AS hours
  FROM line l JOIN target t USING (schema, metric)
  WHERE l.samples >= 12 AND l.r_squared >= 0.8 AND l.slope * t.above > 0 AND (t.y - l.now_y) * t.above > 0
)
SELECT c.schema, c.metric, c.period, c.y, p.y,
       1.0 * (c.y - p.y) / nullif(p.y, 0),
       CASE WHEN l.samples >= 12 THEN l.slope END,
       -- A line says nothing about times much further ahead than its period is long.
       CASE WHEN f.hours <= 10 * (SELECT hours FROM period d WHERE d.period = c.period)
            THEN f.words || iif(f.hours < 48, printf(' in %.1f h', f.hours), printf(' in %.1f days', f.hours / 24)) END,
       CASE WHEN c.y IS NULL OR p.y IS NULL OR c.better = 0 THEN NULL
            WHEN abs(1.0 * (c.y - p.y)) <= c.steady * abs(1.0 * p.y) THEN 'steady'
            WHEN (c.y - p.y) * c.better > 0 THEN 'improving' ELSE 'worsening' END,
       c.unit, coalesce(l.samples, 0), l.r_squared
FROM part c
LEFT JOIN part p ON p.part = 'previous' AND p.schema = c.schema AND p.period = c.period AND p.metric = c.metric
LEFT JOIN line l ON l.schema = c.schema AND l.period = c.period AND l.metric = c.metric
LEFT JOIN forecast f ON f.schema = c.schema AND f.period = c.period AND f.metric = c.metric
WHERE c.part = 'current'
