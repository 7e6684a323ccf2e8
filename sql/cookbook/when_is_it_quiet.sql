-- When is the database quiet?
-- Statements and commits by hour of the day (UTC) over the last 14 days, the quietest first: the time for VACUUM, a backup or a
-- release. An hour in which no process used the database at all has no row: it is quieter still.
SELECT strftime('%H:00', at, '-1 second') AS hour_utc, count(*) AS days, round(avg(statements)) AS statements,
       round(avg(commits)) AS commits, round(max(query_p95_ms), 2) AS worst_p95_ms
FROM wal_history
WHERE resolution_ms = 3600000 AND at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-14 days')
GROUP BY hour_utc
ORDER BY statements, hour_utc;
