-- Who pins the log?
-- The readers that keep frames from being copied, or the log from starting over, and how to end them. No row: none does.
-- certain is 0 where several connections of one process may hold the same mark.
SELECT round(lag_bytes / 1e6, 1) AS held_mb, lag_frames, blocks, application, pid, verdict,
       round(transaction_ms) AS transaction_ms, query,
       CASE verdict WHEN 'running query' THEN printf('SELECT wal_cancel(%d);', connection_id)
                    WHEN 'unfinished statement' THEN 'its program must fetch all rows or close the cursor: until then no wal_cancel() helps'
                    WHEN 'open transaction' THEN 'its program must COMMIT or ROLLBACK'
                    ELSE 'load walmanager into the process, to see what it reads' END AS what_to_do,
       certain
FROM wal_readers
WHERE blocks IS NOT NULL
ORDER BY lag_frames DESC, transaction_ms DESC;
