// Node's cluster: two worker processes with better-sqlite3, or with node:sqlite (HOST_DRIVER=node:sqlite), behind one socket.
const cluster = require("node:cluster");
const http = require("node:http");
const { DATABASE, WALMANAGER, HOST_SOCKET, HOST_DRIVER } = process.env;

function open() {
  const db = HOST_DRIVER === "node:sqlite"
    ? new (require("node:sqlite").DatabaseSync)(DATABASE, { allowExtension: true, timeout: 20000 })
    : new (require("better-sqlite3"))(DATABASE, { timeout: 20000 });
  db.loadExtension(WALMANAGER);
  return db;
}

if (cluster.isPrimary) {
  const db = open(); // the primary uses the database, too
  db.exec("INSERT INTO orders(note, total) VALUES ('the primary', 1)");
  for (let n = 0; n < 2; n++) cluster.fork();
  process.on("SIGTERM", () => cluster.disconnect(() => {
    db.close();
    process.exit(0);
  }));
} else {
  const db = open();
  const insert = db.prepare("INSERT INTO orders(note, total) VALUES ('from a page', 1)");
  const hook = db.prepare("SELECT hook, sqlite_version() AS sqlite FROM wal_metrics");
  process.on("SIGTERM", () => {});
  http.createServer((request, response) => {
    insert.run();
    response.setHeader("connection", "close");
    response.end(JSON.stringify({ pid: process.pid, ...hook.get() }));
  }).listen(HOST_SOCKET);
  process.on("disconnect", () => {
    db.close();
    process.exit(0);
  });
}
