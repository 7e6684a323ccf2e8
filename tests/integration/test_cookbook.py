"""sql/cookbook: each query is run on databases with content, and returns what its first line asks for."""

import re
import time

import pytest

import sessions
from conftest import ROOT, connect, one
from injected_history import DAY, MINUTE, database, inject, times
from waiting import wait_for

FOLDER = ROOT / "sql" / "cookbook"
QUERIES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.sql"))}


def ask(path, name):
    """The rows of a query as dicts, from a connection of its own."""
    db = connect(path)
    cursor = db.execute(QUERIES[name])
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor]
    db.close()
    return rows


# --- what the queries say about a program that has served orders, and whose report has left a cursor open

def orders(path):
    """The program of the README, with the same index twice, values in the texts of statements, and a changed setting."""
    program = sessions.OrdersProgram(path)
    program.db.execute("CREATE INDEX orders_note ON orders(note)")
    program.db.execute("CREATE INDEX orders_note_again ON orders(note)")
    program.db.execute("SELECT sum(total) FROM orders WHERE customer = ?", (300,)).fetchall()
    for customer in range(30):
        program.db.execute(f"SELECT count(*) FROM orders WHERE id = {customer}").fetchall()
    program.db.execute("SELECT wal_set('unfinished_statement.warning', 1000)").fetchall()
    program.db.execute("SELECT wal_backup(?), wal_integrity_check()", (f"{path}.copy",)).fetchall()
    # The plan as of the new schema is made in the background.
    scan = "SELECT count(*) FROM query_performance WHERE query LIKE 'SELECT sum(total)%' AND plan = 'SCAN orders'"
    wait_for(lambda: one(program.db, scan))
    return program


def first_thing_to_do(rows):
    assert [row["urgency"] for row in rows] == sorted((row["urgency"] for row in rows), key=["critical", "warning", "advice"].index)
    cursor = next(row for row in rows if row["finding"].startswith("1 statement has returned rows"))
    assert cursor["urgency"] == "warning" and "close the cursor" in cursor["what_to_do"]
    index = next(row for row in rows if row["finding"] == "orders has no index on customer")
    assert index["sql_to_run"].startswith("CREATE INDEX")
    assert len({row["finding"] for row in rows}) == len(rows)


def slowest_now(rows):
    assert [row["application"] for row in rows] == ["nightly report"]
    assert rows[0]["running_ms"] >= rows[0]["still_ms"] > 1000 and "close the cursor" in rows[0]["how_to_end"]


def time_goes(rows):
    assert rows[0]["query"] == "SELECT sum(total) FROM orders WHERE customer = ?" and rows[0]["calls"] == 301
    assert 99 < sum(row["percent"] for row in rows) < 101


def pinned(rows):
    assert [(row["application"], row["verdict"], row["lag_frames"] >= 1000, row["blocks"]) for row in rows] == [
        ("nightly report", "unfinished statement", True, "checkpoint")]
    assert "close the cursor" in rows[0]["what_to_do"]


def large(rows):
    assert len(rows) == 1 and rows[0]["why"].startswith("a reader holds it: nightly report (pid ")


def failed(rows):
    partial = next(row for row in rows if row["result"] == "partial")
    assert partial["why"] == "a reader held frames: who_pins_the_log.sql" and partial["blocked_by_pids"] and partial["checkpoints"] >= 1


def scans(rows):
    scan = next(row for row in rows if row["query"] == "SELECT sum(total) FROM orders WHERE customer = ?")
    assert scan["plan"] == "SCAN orders" and scan["scanned_rows_per_call"] > 19_000 and scan["rows_per_call"] == 1
    assert scan["missing_index"].startswith('CREATE INDEX "orders_customer_idx"')


def happened(rows):
    assert rows == sorted(rows, key=lambda row: row["at"], reverse=True)
    assert {"changed setting", "partial checkpoint"} <= {row["what"] for row in rows}


def written(rows):
    update = next(row for row in rows if row["query"].startswith("UPDATE orders"))
    assert update["frames_per_call"] >= 1 and update["calls"] == 1000
    assert rows == sorted(rows, key=lambda row: row["wal_frames"], reverse=True)


def missed(rows):
    assert rows and all(row["cache_misses"] > 0 and 0 <= row["hit_percent"] < 100 for row in rows)


def memory(rows):
    assert len(rows) >= 2 and rows[0]["mb"] > 0 and "application" in {row["role"] for row in rows}


def disk(rows):
    log = next(row for row in rows if (row["file"], row["origin"]) == ("wal", "application"))
    assert log["writes"] >= 1000 and log["written_mb"] > 0 and 0 < log["write_mean_ms"] < 100 and log["errors"] == 0


def connected(rows):
    program = next(row for row in rows if row["applications"] == "nightly report")
    assert program["commits"] >= 1002 and program["connections"] >= 2 and program["active"] >= 1


ORDERS = {
    "what_to_do_first": first_thing_to_do,
    "slowest_now": slowest_now,
    "where_does_the_time_go": time_goes,
    "who_pins_the_log": pinned,
    "why_is_the_log_so_large": large,
    "did_checkpoints_fail": failed,
    "which_statements_scan": scans,
    "which_indexes_are_missing": lambda rows: [row["query"] for row in rows] == ["SELECT sum(total) FROM orders WHERE customer = ?"],
    "which_indexes_are_not_needed": lambda rows: [(row["index_name"], row["reason"][:9], row["covered_by"]) for row in rows] == [
        ("orders_note_again", "duplicate", "orders_note")],
    "which_statements_lack_parameters": lambda rows: [row["query"] for row in rows] == ["SELECT count(*) FROM orders WHERE id = ?"],
    "which_statements_write_most": written,
    "which_statements_read_from_disk": missed,
    "which_connections_use_memory": memory,
    "who_is_connected": connected,
    "which_settings_were_changed": lambda rows: [(row["name"], row["value"], row["undo"]) for row in rows] == [
        ("unfinished_statement.warning", 1000, "SELECT wal_set('unfinished_statement.warning', NULL);")],
    "how_old_is_the_backup": lambda rows: rows[0]["backup_days"] == 0.0 and rows[0]["check_days"] == 0.0 and rows[0]["integrity_findings"] == 0,
    "how_full_is_the_disk": lambda rows: rows[0]["free_mb"] > 0 and 0 < rows[0]["free_percent"] <= 100 and rows[0]["database_mb"] > 0,
    "what_happened": happened,
    "is_the_disk_slow": disk,
}


@pytest.fixture(scope="module")
def orders_program(tmp_path_factory):
    program = orders(tmp_path_factory.mktemp("orders") / "app.db")
    yield program
    program.close()


@pytest.mark.parametrize("name", ORDERS)
def test_what_is_asked_about_the_orders_is_answered(orders_program, name):
    assert ORDERS[name](ask(orders_program.path, name)) in (None, True)


# --- a program whose import is idle in its transaction while others want to write

def blocked(rows):
    assert [(row["application"], row["waiting_for"], row["holder"], row["holder_state"]) for row in rows] == [
        ("web order", "write", "import", "idle in transaction")]
    assert "must COMMIT or ROLLBACK" in rows[0]["what_to_do"]


def locked(rows):
    assert [(row["busy_errors"], row["query"]) for row in rows if row["busy_errors"]] == [(1, "DELETE FROM stock WHERE pieces = ?")]
    assert rows[0]["busy_errors"] == 1 and "who_held_the_lock.sql" in rows[0]["why"]


def held(rows):
    assert [(row["holder_application"], row["holder_state"], row["lock"], row["failures"], row["waiters"]) for row in rows] == [
        ("import", "idle in transaction", "write", 1, "daily report")]


def idle(rows):
    assert [(row["application"], row["transaction_state"]) for row in rows] == [("import", "write")]
    assert rows[0]["seconds"] > 0 and rows[0]["meaning"].startswith("no other connection can write")


STOCK = {"who_blocks_whom": blocked, "why_database_is_locked": locked, "who_held_the_lock": held,
         "which_connections_are_idle_in_a_transaction": idle}


@pytest.fixture(scope="module")
def stock_program(tmp_path_factory):
    program = sessions.StockProgram(tmp_path_factory.mktemp("stock") / "stock.db")
    yield program
    program.close(was_ended=False)


@pytest.mark.parametrize("name", STOCK)
def test_what_is_asked_about_waits_is_answered(stock_program, name):
    STOCK[name](ask(stock_program.path, name))


# --- a history of three days: the database grows, and its nights are quiet

def sample(at, end):
    """A sample of a minute, without its health."""
    night = time.gmtime(at / 1000).tm_hour < 6
    grown = 1 - (end - at) / (20 * DAY)
    return {"at": at, "wal_bytes": 1_000_000, "pending_frames": 5, "active_readers": 1, "connections": 4, "health_score": 90,
            "database_bytes": round(50_000_000 * grown), "statements": {0.3: 60 if night else 600},
            "commits": {1.7 if end - at > DAY / 2 else 13.0: 30}, "cache_hits": 900, "cache_misses": 100,
            "checkpoint_ms": 10.0, "checkpoint_stall_ms": 1.0}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    path = database(tmp_path_factory.mktemp("history") / "test.db")
    at = times(3 * DAY, MINUTE)
    inject(path, [sample(each, at[-1]) for each in at])
    return path


def changed(rows):
    by_name = {row["metric"]: row for row in rows}
    assert by_name["commit_p99_ms"]["yesterday"] < 2 < 12 < by_name["commit_p99_ms"]["today"]
    assert by_name["commit_p99_ms"]["change_percent"] > 400 and rows[0]["metric"] == "commit_p99_ms"
    assert by_name["database_bytes"]["change_percent"] > 0 and by_name["connections"]["change_percent"] == 0


def grew(rows):
    assert {"hour", "day"} <= {row["period"] for row in rows if row["metric"] == "database_bytes"}
    assert all(row["growth_percent"] > 0 and row["current"] > row["previous"] for row in rows)


def by_hour(rows):
    assert 45 <= len(rows) <= 48 and [row["until"] for row in rows] == sorted((row["until"] for row in rows), reverse=True)
    assert rows[0]["p99_ms"] > 12 > 2 > rows[-1]["p99_ms"] and all(row["per_second"] == 0.5 for row in rows[1:-1])


def quiet(rows):
    assert {row["hour_utc"] for row in rows[:6]} == {f"{hour:02}:00" for hour in range(6)} and len(rows) == 24
    assert rows[0]["statements"] < rows[-1]["statements"] / 5


HISTORY = {"what_changed_since_yesterday": changed, "what_grew": grew, "how_long_do_commits_take_by_hour": by_hour,
           "when_is_it_quiet": quiet}


@pytest.mark.parametrize("name", HISTORY)
def test_what_is_asked_about_the_past_is_answered(history, name):
    HISTORY[name](ask(history, name))


# --- all of them

def test_every_query_has_a_test():
    assert sorted(QUERIES) == sorted([*ORDERS, *STOCK, *HISTORY])


def test_the_page_lists_every_query_with_its_question():
    page = (ROOT / "sql/README.md").read_text()
    listed = dict(re.findall(r"^\| (.+\?) \| \[`(\w+)\.sql`\]\(cookbook/\2\.sql\) \|$", page, re.MULTILINE))
    questions = {text.splitlines()[0].removeprefix("-- "): name for name, text in QUERIES.items()}
    assert listed == questions


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_answers_without_content_and_without_a_log(tmp_path, name):
    path = tmp_path / "empty.db"
    ask(path, name)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty.db"]


def test_names_of_files_in_the_queries_are_those_of_other_queries():
    named = {found for text in QUERIES.values() for found in re.findall(r"(\w+)\.sql", text)}
    assert named <= set(QUERIES)
