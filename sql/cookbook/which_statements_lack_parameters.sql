-- Which statements put values into their text?
-- A statement with many texts is prepared anew for each. Parameters (?) save that, and are safe against SQL injection.
SELECT texts, calls, round(total_ms, 1) AS total_ms, query
FROM query_performance
WHERE texts >= 20 AND kind IN ('read', 'write')
ORDER BY texts DESC
LIMIT 20;
