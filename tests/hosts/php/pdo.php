<?php
// PDO, which cannot load an extension before PHP 8.4: the second library manages each connection that the process opens after it.
// [snippet]
$first = new SQLite3(":memory:");
$first->loadExtension("walmanagerprocess.so");
$db = new PDO("sqlite:" . getenv("DATABASE"));
// [end]
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$insert = $db->prepare("INSERT INTO orders(note, total) VALUES ('PDO', ?)");
for ($n = 0; $n < 600; $n++) {
  $insert->execute([$n]);
}
$other = new PDO("sqlite:" . getenv("DATABASE"));
$hooks = [];
foreach ([$db, $other] as $each) {
  $hooks[] = $each->query("SELECT hook FROM wal_metrics")->fetchColumn();
}
echo json_encode(["version" => PHP_VERSION, "sqlite" => $db->query("SELECT sqlite_version()")->fetchColumn(), "hooks" => $hooks]), "\n";
