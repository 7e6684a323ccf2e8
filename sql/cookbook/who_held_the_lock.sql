-- Who held the lock for which others waited or failed?
-- The last 256 waits of lock_wait_ms or longer, and all that failed, by holder. The worst first. Of a snapshot conflict the holder
-- is the connection that had committed.
SELECT holder_application, holder_query, holder_state, lock, count(*) AS waits, sum(outcome IN ('busy', 'snapshot')) AS failures,
       round(sum(waited_ms)) AS waited_ms, round(max(waited_ms)) AS longest_ms,
       group_concat(DISTINCT coalesce(application, 'pid ' || pid)) AS waiters, max(at) AS last_at
FROM wal_lock_waits
GROUP BY holder_application, holder_query, holder_state, lock
ORDER BY failures DESC, waited_ms DESC;
