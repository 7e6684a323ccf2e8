-- Which connections use how much memory?
-- Page cache, schema and prepared statements of every open connection, the largest first.
SELECT round((coalesce(cache_used_bytes, 0) + coalesce(schema_used_bytes, 0) + coalesce(statement_used_bytes, 0)) / 1e6, 2) AS mb,
       round(cache_used_bytes / 1e6, 2) AS cache_mb, round(statement_used_bytes / 1e6, 2) AS statements_mb,
       round(100 * cache_hit_ratio, 1) AS hit_percent, role, application, process, pid, last_active_at
FROM connection_metrics
ORDER BY mb DESC;
