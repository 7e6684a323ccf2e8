"""peewee with a pool of connections: eight threads, and a connection of each asked for its hook.

HOST_POOL=0 takes one connection for each thread without a pool.
"""

import concurrent.futures
import json
import os

import peewee
from playhouse.pool import PooledSqliteDatabase

PATH = os.environ["DATABASE"]
WALMANAGER = os.environ["WALMANAGER"]
kind = peewee.SqliteDatabase if os.environ.get("HOST_POOL") == "0" else PooledSqliteDatabase
options = {"timeout": 20, "check_same_thread": False}  # a pool hands a connection from thread to thread

# [snippet]
db = kind(PATH, **options)
db.load_extension(WALMANAGER)  # into each connection that db opens
# [end]


class Order(peewee.Model):
    note = peewee.TextField()
    total = peewee.FloatField()

    class Meta:
        database = db
        table_name = "orders"


def work(which):
    hooks = set()
    for n in range(75):
        with db.connection_context():
            Order.create(note=f"thread {which}", total=n)
            hooks.add(db.execute_sql("SELECT hook FROM wal_metrics").fetchone()[0])
    return sorted(hooks)


with concurrent.futures.ThreadPoolExecutor(8) as threads:
    hooks = [hook for found in threads.map(work, range(8)) for hook in found]
sqlite = db.execute_sql("SELECT sqlite_version()").fetchone()[0]
print(json.dumps({"version": peewee.__version__, "sqlite": sqlite, "hooks": hooks}))
db.close()
if kind is PooledSqliteDatabase:
    db.close_all()
