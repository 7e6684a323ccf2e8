-- What happened, and when?
-- Alerts, changed settings, failed or long waits for locks, and checkpoints in vain of the last day, the newest first.
SELECT at, what, detail
FROM (
  SELECT raised_at AS at, status || ' ' || check_name AS what,
         detail || iif(cleared_at IS NULL OR cleared_at = raised_at, '', ' (until ' || cleared_at || ')') AS detail
  FROM wal_alerts
  UNION ALL
  SELECT at, iif(outcome IN ('busy', 'snapshot'), 'database is locked', 'waited for a lock'),
         printf('%s waited %.0f ms for the %s lock, held by %s: %s', coalesce(application, 'pid ' || pid, 'a process'), waited_ms, lock,
                coalesce(holder_application, 'pid ' || holder_pid, 'a process'), coalesce(query, 'a statement'))
  FROM wal_lock_waits
  UNION ALL
  SELECT at, result || ' checkpoint', coalesce(error, 'the last ones had copied nothing')
  FROM wal_checkpoints WHERE result IN ('busy', 'failed', 'partial')
)
WHERE at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')
ORDER BY at DESC
LIMIT 100;
