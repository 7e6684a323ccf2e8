-- Why do programs see "database is locked"?
-- The statements that failed or waited for locks, and the cure. Counters begin with query_performance.first_seen.
SELECT busy_errors, snapshot_conflicts, lock_waits, round(lock_wait_ms, 1) AS lock_wait_ms,
       CASE WHEN snapshot_conflicts > 0 THEN 'it read before it wrote, and another connection committed in between: begin with BEGIN IMMEDIATE'
            WHEN busy_errors > 0 THEN 'the lock was held for longer than busy_timeout: who_held_the_lock.sql names the holder'
            ELSE 'it got its lock after a wait' END AS why,
       query
FROM query_performance
WHERE busy_errors > 0 OR snapshot_conflicts > 0 OR lock_waits > 0
ORDER BY busy_errors + snapshot_conflicts DESC, lock_wait_ms DESC;
