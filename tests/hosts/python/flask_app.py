"""A Flask application that opens a connection for each request, as Flask's documentation shows."""

import importlib.metadata
import os
import sqlite3

from flask import Flask, g, jsonify

DATABASE = os.environ["DATABASE"]
WALMANAGER = os.environ["WALMANAGER"]
application = Flask(__name__)

# [snippet]
def get_db():
    if "db" not in g:
        g.db = sqlite3.connect(DATABASE, timeout=20)
        g.db.enable_load_extension(True)
        g.db.load_extension(WALMANAGER)
    return g.db
# [end]


@application.teardown_appcontext
def close_db(error):
    if db := g.pop("db", None):
        db.close()


@application.route("/write")
def write():
    with get_db() as db:
        db.execute("INSERT INTO orders(note, total) VALUES ('from a page', 1)")
    hook, sqlite = db.execute("SELECT hook, sqlite_version() FROM wal_metrics").fetchone()
    return jsonify(pid=os.getpid(), hook=hook, sqlite=sqlite, version=importlib.metadata.version("flask"))


if os.environ.get("HOST_PRELOAD"):
    preloaded = sqlite3.connect(DATABASE)  # stays open in the process that forks, and in its children
    preloaded.enable_load_extension(True)
    preloaded.load_extension(WALMANAGER)
    preloaded.execute("INSERT INTO orders(note, total) VALUES ('before the fork', 1)")
    preloaded.commit()
