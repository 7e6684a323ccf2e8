-- Which statement has run the longest, now?
-- What runs at this moment in every process, the longest first. still_ms says how long a statement has returned no row:
-- if that is almost running_ms, its program has forgotten to fetch, and only the program can end it. how_to_end says how.
SELECT round(query_ms, 1) AS running_ms, round(still_ms, 1) AS still_ms, application, process, pid, transaction_state,
       waiting_for, query,
       CASE WHEN still_ms > 1000 THEN 'its program must fetch all rows or close the cursor: until then no wal_cancel() helps'
            ELSE printf('SELECT wal_cancel(%d);', connection_id) END AS how_to_end
FROM connection_metrics
WHERE role = 'application' AND state = 'active' AND query NOT LIKE '%connection_metrics%'
ORDER BY query_ms DESC;
