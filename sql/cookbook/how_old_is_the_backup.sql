-- How old are the last backup and the last integrity check?
-- NULL: wal_backup() or wal_integrity_check() never ran. Other tools that copy the database are not seen.
SELECT e.schema, round(julianday('now') - julianday(e.backup_at), 1) AS backup_days, e.backup_path, round(e.backup_bytes / 1e6, 1) AS backup_mb,
       round(m.database_bytes / 1e6, 1) AS database_mb, round(julianday('now') - julianday(e.integrity_at), 1) AS check_days,
       e.integrity_kind, e.integrity_findings, e.integrity_finding
FROM wal_environment e JOIN wal_metrics m USING (schema)
WHERE m.file IS NOT NULL;
