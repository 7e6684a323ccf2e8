-- What grew?
-- Everything that is more than in the period before, the hour, the day and the week; what grew most first. forecast says when a
-- straight line through the samples meets a limit.
SELECT schema, period, metric, unit, round(previous, 3) AS previous, round(current, 3) AS current,
       round(100.0 * change_ratio, 1) AS growth_percent, forecast
FROM wal_trends
WHERE change_ratio > 0 AND metric IN ('database_bytes', 'wal_bytes', 'pending_frames', 'statements', 'commits', 'connections',
                                      'query_p95_ms', 'commit_p99_ms', 'checkpoint_ms')
ORDER BY change_ratio DESC;
