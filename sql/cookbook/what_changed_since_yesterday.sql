-- What changed since yesterday?
-- The last hour against the same hour a day ago. change_percent is NULL where nothing was measured yesterday.
WITH both AS (
  SELECT n.*, y.schema IS NOT NULL AS seen, y.statements AS y_statements, y.covers_ms AS y_covers_ms, y.query_p95_ms AS y_query_p95_ms,
         y.commits AS y_commits, y.commit_p99_ms AS y_commit_p99_ms, y.checkpoint_ms AS y_checkpoint_ms, y.wal_bytes_max AS y_wal_bytes_max,
         y.database_bytes AS y_database_bytes, y.connections AS y_connections, y.cache_hit_ratio AS y_cache_hit_ratio,
         y.slow_statements AS y_slow_statements, y.health_score AS y_health_score
  FROM wal_periods n
  LEFT JOIN wal_periods y ON y.schema = n.schema AND y.period = 'hour' AND y.part = 'yesterday'
  WHERE n.period = 'hour' AND n.part = 'current'
),
metric(schema, metric, unit, yesterday, today) AS (
  SELECT schema, 'statements', 'per s', y_statements * 1000.0 / y_covers_ms, statements * 1000.0 / covers_ms FROM both
  UNION ALL SELECT schema, 'query_p95_ms', 'ms', y_query_p95_ms, query_p95_ms FROM both
  UNION ALL SELECT schema, 'slow_statements', 'per h', y_slow_statements * 3600000.0 / y_covers_ms, slow_statements * 3600000.0 / covers_ms FROM both
  UNION ALL SELECT schema, 'commits', 'per s', y_commits * 1000.0 / y_covers_ms, commits * 1000.0 / covers_ms FROM both
  UNION ALL SELECT schema, 'commit_p99_ms', 'ms', y_commit_p99_ms, commit_p99_ms FROM both
  UNION ALL SELECT schema, 'checkpoint_ms', 'ms per s', y_checkpoint_ms * 1000.0 / y_covers_ms, checkpoint_ms * 1000.0 / covers_ms FROM both
  UNION ALL SELECT schema, 'wal_bytes_max', 'bytes', y_wal_bytes_max, wal_bytes_max FROM both
  UNION ALL SELECT schema, 'database_bytes', 'bytes', y_database_bytes, database_bytes FROM both
  UNION ALL SELECT schema, 'connections', 'connections', y_connections, connections FROM both
  UNION ALL SELECT schema, 'cache_hit_ratio', 'ratio', y_cache_hit_ratio, cache_hit_ratio FROM both
  UNION ALL SELECT schema, 'health_score', 'score', y_health_score, health_score FROM both
)
SELECT schema, metric, unit, round(yesterday, 3) AS yesterday, round(today, 3) AS today,
       round(100.0 * (today - yesterday) / nullif(yesterday, 0), 1) AS change_percent
FROM metric
ORDER BY schema, abs(change_percent) DESC;
