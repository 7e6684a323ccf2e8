-- Which indexes are missing?
-- What SQLite's planner would use if it were there, by the time of the statements that gain.
SELECT round(total_ms, 1) AS total_ms, calls, statements, sql_to_run, query, plan_before, plan_after
FROM index_candidates
ORDER BY total_ms DESC;
