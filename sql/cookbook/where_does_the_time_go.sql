-- Where does the time go?
-- The 20 statements that took the most time in all, in every process, since they were first seen.
SELECT round(100.0 * total_ms / sum(total_ms) OVER (PARTITION BY schema), 1) AS percent, calls,
       round(total_ms, 1) AS total_ms, round(mean_ms, 4) AS mean_ms, round(p95_ms, 4) AS p95_ms,
       round(max_ms, 1) AS max_ms, rows, query
FROM query_performance
ORDER BY total_ms DESC
LIMIT 20;
