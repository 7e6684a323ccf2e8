-- Did checkpoints fail, and why?
-- The last 512 checkpoints by result and reason: complete ones, too, so that the shares can be seen.
SELECT result, origin, coalesce(reason, iif(result = 'skipped', 'the last ones had copied nothing', NULL)) AS why,
       count(*) AS checkpoints, sum(moved_frames) AS moved_frames, round(max(duration_ms), 1) AS longest_ms,
       group_concat(DISTINCT blocked_by_pid) AS blocked_by_pids, max(at) AS last_at
FROM (SELECT *, CASE WHEN error LIKE 'a reader holds frame%' THEN 'a reader held frames: who_pins_the_log.sql' ELSE error END AS reason FROM wal_checkpoints)
GROUP BY result, origin, reason
ORDER BY result = 'complete', checkpoints DESC;
