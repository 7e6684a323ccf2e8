-- Which indexes cost writes and space for nothing?
-- The largest first. Look at since: a statement that ran before it was not seen.
SELECT table_name, index_name, reason, covered_by, round(bytes / 1e6, 1) AS mb, since, sql_to_run
FROM unused_indexes
ORDER BY bytes DESC;
