-- Who is connected?
-- Processes with what their connections do. A process without walmanager is only counted: wal_metrics.unmanaged_processes.
SELECT pid, process, group_concat(DISTINCT application) AS applications, count(*) AS connections, sum(state = 'active') AS active,
       sum(state = 'idle in transaction') AS idle_in_transaction, sum(statements) AS statements, sum(commits) AS commits,
       min(opened_at) AS since, max(last_active_at) AS last_active_at, group_concat(DISTINCT sqlite_version) AS sqlite_versions
FROM connection_metrics
WHERE role = 'application'
GROUP BY pid, process
ORDER BY statements DESC;
