<?php
// Four processes that were forked with a managed connection open, as a prefork server makes them. Each opens its own.
function open_database() {
  $db = new SQLite3(getenv("DATABASE"));
  $db->enableExceptions(true);
  $db->busyTimeout(20000);
  $db->loadExtension("walmanager.so");
  return $db;
}

$parent = open_database();
$parent->exec("INSERT INTO orders(note, total) VALUES ('before the fork', 1)");
$children = [];
for ($which = 0; $which < 4; $which++) {
  $child = pcntl_fork();
  if ($child == 0) {
    $db = open_database();
    for ($n = 0; $n < 150; $n++) {
      $db->exec("INSERT INTO orders(note, total) VALUES ('process $which', $n)");
    }
    exit($db->querySingle("SELECT hook FROM wal_metrics") == "active" ? 0 : 1);
  }
  $children[] = $child;
}
$hooks = [];
foreach ($children as $child) {
  pcntl_waitpid($child, $status);
  $hooks[] = $status == 0 ? "active" : "status $status";
}
$parent->exec("INSERT INTO orders(note, total) VALUES ('after the fork', 1)");
echo json_encode(["version" => PHP_VERSION, "sqlite" => SQLite3::version()["versionString"], "hooks" => $hooks]), "\n";
