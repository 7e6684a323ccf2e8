-- Which statement has run the longest, now?
-- What runs at this moment in every process, the longest first. still_ms says how long a statement has returned no row:
-- if that is almost running_ms, its program has forgotten to fetch. how_to_end is SQL that interrupts the statement.
SELECT round(query_ms, 1) AS running_ms, round(still_ms, 1) AS still_ms, application, process, pid, transaction_state,
       waiting_for, query, printf('SELECT wal_cancel(%d);', connection_id) AS how_to_end
FROM connection_metrics
WHERE role = 'application' AND state = 'active' AND query NOT LIKE '%connection_metrics%'
ORDER BY query_ms DESC;
