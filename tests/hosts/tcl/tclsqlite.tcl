# Tcl's package sqlite3.
set path $env(DATABASE)
set walmanager $env(WALMANAGER)

# [snippet]
package require sqlite3
sqlite3 db $path
db enable_load_extension 1
db eval {SELECT load_extension($walmanager)}
# [end]

db timeout 20000
for {set n 0} {$n < 600} {incr n} {
  db eval {INSERT INTO orders(note, total) VALUES ('Tcl', $n)}
}
set hook [db onecolumn {SELECT hook FROM wal_metrics}]
puts "{\"version\": \"[info patchlevel]\", \"sqlite\": \"[db version]\", \"hooks\": \[\"$hook\"\]}"
db close
