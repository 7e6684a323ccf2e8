"""SQLAlchemy's asynchronous engine over aiosqlite, which gives each connection a thread of its own."""

import asyncio
import json
import os

import sqlalchemy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

WALMANAGER = os.environ["WALMANAGER"]
engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['DATABASE']}", connect_args={"timeout": 20}, pool_size=4)

# [snippet]
from sqlalchemy import event

@event.listens_for(engine.sync_engine, "connect")
def load_walmanager(connection, record):
    connection.run_async(lambda driver: driver.enable_load_extension(True))
    connection.run_async(lambda driver: driver.load_extension(WALMANAGER))
# [end]


async def work(which):
    for n in range(100):
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO orders(note, total) VALUES (:note, :total)"), {"note": f"task {which}", "total": n})


async def trial():
    await asyncio.gather(*(work(which) for which in range(6)))
    held = [await engine.connect() for _ in range(4)]
    hooks = [(await connection.execute(text("SELECT hook FROM wal_metrics"))).scalar() for connection in held]
    sqlite = (await held[0].execute(text("SELECT sqlite_version()"))).scalar()
    for connection in held:
        await connection.close()
    await engine.dispose()
    print(json.dumps({"version": sqlalchemy.__version__, "sqlite": sqlite, "hooks": hooks}))


asyncio.run(trial())
