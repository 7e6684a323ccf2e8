-- Which settings were changed, and by which process?
-- All that differ from the default, with SQL that puts each back.
SELECT name, value, default_value, unit, changed_at, changed_by, printf('SELECT wal_set(%Q, NULL);', name) AS undo, description
FROM wal_config
WHERE changed_at IS NOT NULL
ORDER BY changed_at DESC;
