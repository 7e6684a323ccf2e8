-- Which statements miss the page cache?
-- Pages that were not in the connection's cache, by statement. A larger cache_size helps where hit_percent is low and the same
-- pages are read again; an index helps where the statement scans.
SELECT cache_misses, round(100.0 * cache_hits / (cache_hits + cache_misses), 1) AS hit_percent,
       round(1.0 * cache_misses / max(calls, 1), 1) AS misses_per_call, cache_spills, calls, fullscan_steps > 0 AS scans, query
FROM query_performance
WHERE cache_misses > 0
ORDER BY cache_misses DESC
LIMIT 20;
