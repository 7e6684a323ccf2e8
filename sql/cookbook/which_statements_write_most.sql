-- Which statements fill the log?
-- Frames by committing statement. A transaction counts under the statement that committed it, which may be COMMIT.
SELECT q.wal_frames, round(100.0 * q.wal_frames / sum(q.wal_frames) OVER (PARTITION BY q.schema), 1) AS percent,
       round(q.wal_frames * (m.page_size + 24) / 1e6, 1) AS mb, calls, round(1.0 * q.wal_frames / max(calls, 1), 1) AS frames_per_call,
       round(q.checkpoint_stall_ms, 1) AS stall_ms, query
FROM query_performance q JOIN wal_metrics m USING (schema)
WHERE q.wal_frames > 0
ORDER BY q.wal_frames DESC
LIMIT 20;
