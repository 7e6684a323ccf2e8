-- Is the disk slow?
-- How long reads, writes and syncs take, by file, the slowest syncs first. A sync takes 0.1 to 5 ms on an SSD, and 10 to 20 ms on a
-- hard disk. origin walmanager is what its own connections do in the background; no commit waits for that.
SELECT file, origin, syncs, round(sync_p50_ms, 2) AS sync_p50_ms, round(sync_p99_ms, 2) AS sync_p99_ms, round(sync_max_ms, 1) AS sync_max_ms,
       writes, round(written_bytes / 1e6, 1) AS written_mb, round(write_ms / nullif(writes, 0), 4) AS write_mean_ms,
       reads, round(read_bytes / 1e6, 1) AS read_mb, round(read_ms / nullif(reads, 0), 4) AS read_mean_ms, errors, last_error
FROM wal_io
WHERE coalesce(reads, 0) + coalesce(writes, 0) + coalesce(syncs, 0) + coalesce(errors, 0) > 0
ORDER BY sync_p99_ms DESC, write_ms + read_ms DESC;
