-- How long do commits take, by hour?
-- The last two days, the newest hour first. stalls is the share of the commits' time that checkpoints took.
SELECT strftime('%Y-%m-%d %H:%M', at) AS until, commits, round(commits * 1000.0 / covers_ms, 1) AS per_second,
       round(commit_ms / nullif(commits, 0), 3) AS mean_ms, round(commit_p99_ms, 3) AS p99_ms,
       round(100.0 * checkpoint_stall_ms / nullif(commit_ms, 0), 1) AS stalls_percent, round(wal_bytes_max / 1e6, 1) AS largest_log_mb
FROM wal_history
WHERE resolution_ms = 3600000 AND at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-2 days')
ORDER BY at DESC;
