"""A plugin for Datasette: loads the extension into each connection, and has a page with the health of each database."""

import os

WALMANAGER = os.environ["WALMANAGER"]

# [snippet]
from datasette import hookimpl

@hookimpl
def prepare_connection(conn):
    conn.enable_load_extension(True)
    conn.load_extension(WALMANAGER)

@hookimpl
def canned_queries(datasette, database):
    return {"health": {"sql": "SELECT check_name, status, detail, recommendation FROM system_health", "title": "Health"}}
# [end]
