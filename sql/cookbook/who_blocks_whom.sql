-- Who blocks whom, now?
-- Each connection that waits for a lock at this moment, and the connection that holds it. No row: none waits.
SELECT w.application, w.pid, round(w.waiting_ms) AS waiting_ms, w.waiting_for, w.query,
       b.application AS holder, coalesce(b.pid, w.blocked_by_pid) AS holder_pid, b.state AS holder_state,
       round(b.transaction_ms) AS holder_transaction_ms, b.query AS holder_query,
       CASE WHEN b.still_ms > 1000 THEN 'the program of the holder must fetch all rows or close the cursor, and COMMIT: no wal_cancel() helps'
            WHEN b.state = 'active' THEN printf('wait, or end its statement: SELECT wal_cancel(%d);', b.connection_id)
            WHEN b.state = 'idle in transaction' THEN 'its program must COMMIT or ROLLBACK: no statement runs that could be ended'
            WHEN w.blocked_by_pid IS NOT NULL THEN 'the process has not loaded walmanager: look at it with ps'
            ELSE 'the holder is not known, or has just gone' END AS what_to_do
FROM connection_metrics w
LEFT JOIN connection_metrics b ON b.connection_id = w.blocked_by
WHERE w.waiting_for IS NOT NULL
ORDER BY w.waiting_ms DESC;
