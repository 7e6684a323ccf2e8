// node:sqlite in the main thread and in four worker threads.
const { Worker, isMainThread, parentPort } = require("node:worker_threads");
const { DATABASE, WALMANAGER } = process.env;

// [snippet]
const { DatabaseSync } = require("node:sqlite");
const db = new DatabaseSync(DATABASE, { allowExtension: true, timeout: 20000 });
db.loadExtension(WALMANAGER);
// [end]

const insert = db.prepare("INSERT INTO orders(note, total) VALUES ('a thread', ?)");
for (let n = 0; n < 120; n++) insert.run(n);
const { hook, sqlite } = db.prepare("SELECT hook, sqlite_version() AS sqlite FROM wal_metrics").get();

async function main() {
  const threads = Array.from({ length: 4 }, () => new Worker(__filename));
  const hooks = await Promise.all(threads.map((thread) => new Promise((resolve, reject) => {
    thread.on("message", resolve);
    thread.on("error", reject);
  })));
  await Promise.all(threads.map((thread) => thread.terminate()));
  if (!process.env.HOST_LEAVES_OPEN) db.close();
  console.log(JSON.stringify({ version: process.version.slice(1), sqlite, hooks: [hook, ...hooks] }));
}

if (isMainThread) {
  main();
} else {
  if (!process.env.HOST_LEAVES_OPEN) db.close();
  parentPort.postMessage(hook);
}
