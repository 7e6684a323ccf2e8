-- Why is the log so large?
-- The log against its limit, and the first reason that holds for its size.
SELECT round(m.wal_bytes / 1e6, 1) AS log_mb, round(m.wal_limit_bytes / 1e6, 1) AS limit_mb,
       round(m.wal_bytes_max / 1e6, 1) AS largest_mb, m.pending_frames, m.active_readers, m.checkpointer,
       CASE WHEN m.journal_mode <> 'wal' THEN 'the database is not in WAL mode'
            WHEN m.checkpointer = 'off' THEN 'nothing copies frames: the strategy is ' || m.strategy
            WHEN m.checkpointer = 'replicator' THEN 'a replicator checkpoints'
            WHEN r.pid IS NOT NULL THEN printf('a reader holds it: %s (pid %d), see who_pins_the_log.sql',
                                             coalesce(r.application, r.process, 'a process'), r.pid)
            WHEN m.unmanaged_processes > 0 THEN 'a process writes without walmanager'
            WHEN m.pending_frames >= m.due_frames THEN 'frames wait to be copied, see did_checkpoints_fail.sql'
            WHEN m.wal_bytes > m.wal_limit_bytes THEN 'it was this large before: the file shrinks when it next starts over'
            ELSE 'it is within its limit' END AS why
FROM wal_metrics m
LEFT JOIN (SELECT schema, pid, application, process, max(lag_frames) FROM wal_readers WHERE blocks IS NOT NULL GROUP BY schema) r USING (schema)
WHERE m.file IS NOT NULL;
