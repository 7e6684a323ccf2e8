"""SQLAlchemy with its pool: eight threads take connections in turn, and each connection of the pool is asked for its hook.

HOST_SQLITE=pysqlite3 takes the SQLite that the package pysqlite3 carries.
"""

import concurrent.futures
import importlib
import json
import os

import sqlalchemy
from sqlalchemy import Column, Float, Integer, Text, create_engine, text
from sqlalchemy.orm import Session, declarative_base

WALMANAGER = os.environ["WALMANAGER"]
driver = importlib.import_module(os.environ.get("HOST_SQLITE", "sqlite3"))
engine = create_engine(f"sqlite:///{os.environ['DATABASE']}", module=driver, connect_args={"timeout": 20, "check_same_thread": False},
                       poolclass=sqlalchemy.pool.QueuePool, pool_size=4, max_overflow=2)

# [snippet]
from sqlalchemy import event

@event.listens_for(engine, "connect")
def load_walmanager(connection, record):
    connection.enable_load_extension(True)
    connection.load_extension(WALMANAGER)
# [end]

Base = declarative_base()


class Order(Base):
    __tablename__ = "orders"
    id = Column(Integer, primary_key=True)
    note = Column(Text)
    total = Column(Float)


def work(which):
    for n in range(75):
        with Session(engine) as session:
            session.add(Order(note=f"thread {which}", total=n))
            session.commit()


with concurrent.futures.ThreadPoolExecutor(8) as threads:
    list(threads.map(work, range(8)))
held = [engine.connect() for _ in range(6)]
hooks = [connection.execute(text("SELECT hook FROM wal_metrics")).scalar() for connection in held]
sqlite = held[0].execute(text("SELECT sqlite_version()")).scalar()
for connection in held:
    connection.close()
print(json.dumps({"version": sqlalchemy.__version__, "sqlite": sqlite, "hooks": hooks}))
if not os.environ.get("HOST_LEAVES_POOL_OPEN"):
    engine.dispose()
