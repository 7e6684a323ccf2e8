<?php
// Laravel's database package (Illuminate), with Eloquent. Laravel's connections are PDO's: see pdo.php.
require "Illuminate/Database/autoload.php";
// [snippet]
$first = new SQLite3(":memory:"); // in the register method of AppServiceProvider
$first->loadExtension("walmanagerprocess.so");
// [end]
$capsule = new Illuminate\Database\Capsule\Manager();
$capsule->addConnection(["driver" => "sqlite", "database" => getenv("DATABASE")]);
$capsule->setAsGlobal();
$capsule->bootEloquent();

class Order extends Illuminate\Database\Eloquent\Model {
  public $timestamps = false;
  protected $guarded = [];
}

for ($n = 0; $n < 600; $n++) {
  Order::create(["note" => "Laravel", "total" => $n]);
}
[$said] = $capsule->getConnection()->select("SELECT hook, sqlite_version() AS sqlite FROM wal_metrics");
$version = trim(shell_exec("dpkg-query --show --showformat='\${Version}' php-illuminate-database"));
echo json_encode(["version" => preg_replace('/\+.*/', "", $version), "sqlite" => $said->sqlite, "hooks" => [$said->hook]]), "\n";
