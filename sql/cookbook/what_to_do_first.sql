-- What should I do first?
-- What is not well, the worst first, then advice by the time that it saves. sql_to_run is NULL where SQL cannot help:
-- then what_to_do says what the program must do. Cheap enough for every few seconds.
WITH unwell AS (
  SELECT status, area, detail, recommendation FROM system_health
  WHERE status IN ('critical', 'warning') AND check_name <> 'overall'
)
SELECT urgency, area, finding, what_to_do, sql_to_run
FROM (
  SELECT iif(status = 'critical', 1, 2) AS rank, 0 AS priority, status AS urgency, area, detail AS finding,
         recommendation AS what_to_do, NULL AS sql_to_run
  FROM unwell
  UNION ALL
  SELECT 3, priority, 'advice', area, finding, action, sql_to_run
  FROM wal_recommendations
  -- The advice of a check has its row above.
  WHERE action NOT IN (SELECT recommendation FROM unwell WHERE recommendation IS NOT NULL)
)
ORDER BY rank, priority, area;
