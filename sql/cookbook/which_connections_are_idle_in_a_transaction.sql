-- Which connections are idle in a transaction?
-- They hold their locks and their snapshot while the program does something else. The longest first.
SELECT round(transaction_ms / 1000, 1) AS seconds, transaction_state, application, process, pid, connection_id,
       query AS last_query,
       iif(transaction_state = 'write', 'no other connection can write until it commits', 'the log cannot start over until it ends') AS meaning
FROM connection_metrics
WHERE state = 'idle in transaction' AND role = 'application'
ORDER BY transaction_ms DESC;
