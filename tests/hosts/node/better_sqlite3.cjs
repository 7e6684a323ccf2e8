// better-sqlite3 in the main thread and in four worker threads.
const { Worker, isMainThread, parentPort } = require("node:worker_threads");
const { DATABASE, WALMANAGER } = process.env;

// [snippet]
const Database = require("better-sqlite3");
const db = new Database(DATABASE, { timeout: 20000 });
db.loadExtension(WALMANAGER);
// [end]

const insert = db.prepare("INSERT INTO orders(note, total) VALUES ('a thread', ?)");
for (let n = 0; n < 120; n++) insert.run(n);
const hook = db.prepare("SELECT hook FROM wal_metrics").pluck().get();
const sqlite = db.prepare("SELECT sqlite_version()").pluck().get();

async function main() {
  const threads = Array.from({ length: 4 }, () => new Worker(__filename));
  const hooks = await Promise.all(threads.map((thread) => new Promise((resolve, reject) => {
    thread.on("message", resolve);
    thread.on("error", reject);
  })));
  await Promise.all(threads.map((thread) => thread.terminate()));
  if (!process.env.HOST_LEAVES_OPEN) db.close();
  console.log(JSON.stringify({ version: require("better-sqlite3/package.json").version, sqlite, hooks: [hook, ...hooks] }));
}

if (isMainThread) {
  main();
} else {
  if (!process.env.HOST_LEAVES_OPEN) db.close();
  parentPort.postMessage(hook);
}
