"""A program with a trace of its own, beside walmanagerprocess: it sees its own statements and no other. HOST_SQLITE names the driver."""

import importlib.metadata
import json
import os

PATH = os.environ["DATABASE"]
PROCESS = os.environ["WALMANAGER"].replace("walmanager.so", "walmanagerprocess")
driver = importlib.import_module(os.environ["HOST_SQLITE"])
seen = []
if driver.__name__ == "apsw":
    first = driver.Connection(":memory:")
    first.enable_load_extension(True)
    first.load_extension(PROCESS)
    db = driver.Connection(PATH)
    db.trace_v2(driver.SQLITE_TRACE_STMT, lambda event: seen.append(event["sql"]))
else:
    first = driver.connect(":memory:")
    first.enable_load_extension(True)
    first.load_extension(PROCESS)
    db = driver.connect(PATH, isolation_level=None)
    db.set_trace_callback(seen.append)
insert = "INSERT INTO orders(note, total) VALUES ('traced', 1)"
for _ in range(600):
    db.execute(insert)
strangers = sorted(set(seen) - {insert})
hook, sqlite = db.execute("SELECT hook, sqlite_version() FROM wal_metrics").fetchone()
db.close()
version = driver.apsw_version() if driver.__name__ == "apsw" else importlib.metadata.version("pysqlite3-binary") if driver.__name__ == "pysqlite3" else None
print(json.dumps({"version": version, "sqlite": sqlite, "hooks": [hook], "traced": len(seen), "strangers": strangers}))
