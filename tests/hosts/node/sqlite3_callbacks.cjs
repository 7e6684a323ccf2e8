// The package sqlite3, whose calls run in threads of libuv's pool.
const { DATABASE, WALMANAGER } = process.env;

// [snippet]
const sqlite3 = require("sqlite3");
const db = new sqlite3.Database(DATABASE);
db.loadExtension(WALMANAGER, (error) => { if (error) throw error; });
// [end]

const call = (method, ...parameters) => new Promise((resolve, reject) =>
  db[method](...parameters, (error, value) => (error ? reject(error) : resolve(value))));

async function main() {
  db.configure("busyTimeout", 20000);
  for (let n = 0; n < 60; n++) {
    await Promise.all(Array.from({ length: 10 }, () => call("run", "INSERT INTO orders(note, total) VALUES ('libuv', ?)", n)));
  }
  const { hook, sqlite } = await call("get", "SELECT hook, sqlite_version() AS sqlite FROM wal_metrics");
  await call("close");
  console.log(JSON.stringify({ version: require("sqlite3/package.json").version, sqlite, hooks: [hook] }));
}

main();
