// Kysely and Drizzle over better-sqlite3: both take the connection that loaded the extension.
const { DATABASE, WALMANAGER } = process.env;

async function kysely() {
  // [snippet kysely]
  const Database = require("better-sqlite3");
  const { Kysely, SqliteDialect } = require("kysely");
  const connection = new Database(DATABASE);
  connection.loadExtension(WALMANAGER);
  const db = new Kysely({ dialect: new SqliteDialect({ database: connection }) });
  // [end]
  const { sql } = require("kysely");
  for (let n = 0; n < 600; n++) await db.insertInto("orders").values({ note: "Kysely", total: n }).execute();
  const { hook, sqlite } = (await sql`SELECT hook, sqlite_version() AS sqlite FROM wal_metrics`.execute(db)).rows[0];
  await db.destroy();
  return { hook, sqlite };
}

async function drizzle() {
  // [snippet drizzle]
  const Database = require("better-sqlite3");
  const { drizzle } = require("drizzle-orm/better-sqlite3");
  const connection = new Database(DATABASE);
  connection.loadExtension(WALMANAGER);
  const db = drizzle(connection);
  // [end]
  const { sqliteTable, integer, text, real } = require("drizzle-orm/sqlite-core");
  const orders = sqliteTable("orders", { id: integer("id").primaryKey(), note: text("note"), total: real("total") });
  for (let n = 0; n < 600; n++) db.insert(orders).values({ note: "Drizzle", total: n }).run();
  const { sql } = require("drizzle-orm");
  const { hook, sqlite } = db.get(sql`SELECT hook, sqlite_version() AS sqlite FROM wal_metrics`);
  connection.close();
  return { hook, sqlite };
}

// A package that exports no package.json is asked through the folder of its module.
function version(name) {
  const fs = require("node:fs");
  return JSON.parse(fs.readFileSync(`${process.env.NODE_PATH}/${name}/package.json`)).version;
}

const which = { kysely: [kysely, "kysely"], drizzle: [drizzle, "drizzle-orm"] }[process.argv[2]];
which[0]().then(({ hook, sqlite }) => console.log(JSON.stringify({ version: version(which[1]), sqlite, hooks: [hook] })));
