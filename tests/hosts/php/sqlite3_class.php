<?php
// PHP's class SQLite3. Its setting sqlite3.extension_dir names the folder of walmanager.so.
// [snippet]
$db = new SQLite3(getenv("DATABASE"));
$db->loadExtension("walmanager.so");
// [end]
$db->enableExceptions(true);
$db->busyTimeout(20000);
$insert = $db->prepare("INSERT INTO orders(note, total) VALUES ('PHP', ?)");
for ($n = 0; $n < 600; $n++) {
  $insert->bindValue(1, $n);
  $insert->execute();
}
$insert->close();
echo json_encode(["version" => PHP_VERSION, "sqlite" => SQLite3::version()["versionString"], "hooks" => [$db->querySingle("SELECT hook FROM wal_metrics")]]), "\n";
