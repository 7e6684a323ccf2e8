-- Which statements scan tables, sort, or make an index each time?
-- Those that take the most time first, with the plan. missing_index is what SQLite's planner would use in place of it.
SELECT round(q.total_ms, 1) AS total_ms, q.calls, q.fullscan_steps / max(q.calls, 1) AS scanned_rows_per_call,
       q.rows / max(q.calls, 1) AS rows_per_call, q.sorts, q.auto_index_rows, q.query, q.plan,
       (SELECT group_concat(sql_to_run, '; ') FROM index_candidates c WHERE c.schema = q.schema AND c.query_id = q.query_id) AS missing_index
FROM query_performance q
WHERE q.fullscan_steps + q.sorts + q.auto_index_rows > 0 AND q.kind IN ('read', 'write')
ORDER BY q.total_ms DESC
LIMIT 20;
