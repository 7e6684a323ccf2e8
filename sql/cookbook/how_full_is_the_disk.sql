-- How full is the disk, and what can be given back?
-- Free space beside the size of database and log; empty_mb is what VACUUM would give back.
SELECT e.schema, e.file_system, round(e.file_system_free_bytes / 1e6) AS free_mb,
       round(100.0 * e.file_system_free_bytes / e.file_system_bytes, 1) AS free_percent,
       round(m.database_bytes / 1e6, 1) AS database_mb, round(m.wal_bytes / 1e6, 1) AS log_mb,
       round(e.freelist_pages * m.page_size / 1e6, 1) AS empty_mb, e.auto_vacuum
FROM wal_environment e JOIN wal_metrics m USING (schema)
WHERE m.file IS NOT NULL;
