"""query_performance: what is counted of statements, by their shape, in every way in which a statement can run."""

import json
import sqlite3
import threading
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from helpers import columns, error
from waiting import wait_for


def row(db, query, schema="main"):
    """The row of a normalized text, as a dict; None where there is none."""
    cursor = db.execute("SELECT *, plan FROM query_performance WHERE query = ? AND schema = ?", (query, schema))
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    assert len(rows) <= 1, rows
    return dict(zip(names, rows[0])) if rows else None


def calls(db, query):
    found = row(db, query)
    return found["calls"] if found else 0


def reset(db):
    return one(db, "SELECT wal_metrics_reset('queries')")


COLUMNS = """schema query_id query kind calls total_ms mean_ms min_ms max_ms stddev_ms p50_ms p95_ms p99_ms rows
fullscan_steps sorts auto_index_rows vm_steps reprepares cache_hits cache_misses cache_writes cache_spills wal_frames
checkpoint_stall_ms slow_calls first_seen last_seen plan counters_sampled transactions_upgraded texts
upgrades_failed lock_waits lock_wait_ms busy_errors snapshot_conflicts""".split()


def test_columns_are_those_of_the_contract_and_plan_and_histogram_are_hidden(db):
    assert [name for name, _ in columns(db, "query_performance")] == [name for name in COLUMNS if name != "plan"]
    hidden = [row[1] for row in db.execute("PRAGMA table_xinfo(query_performance)") if row[6]]
    assert hidden == ["plan", "histogram"]


# --- counting

def test_calls_rows_and_times_of_a_read(db):
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, "x") for i in range(100)])
    for i in range(1000):
        assert db.execute("SELECT payload FROM t WHERE id = ?", (i % 100,)).fetchall() == [("x",)]
    found = row(db, "SELECT payload FROM t WHERE id = ?")
    assert (found["kind"], found["calls"], found["rows"]) == ("read", 1000, 1000)
    assert found["total_ms"] == pytest.approx(found["mean_ms"] * 1000)
    assert 0 < found["min_ms"] <= found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["total_ms"] < 5000
    assert found["stddev_ms"] >= 0
    assert found["first_seen"] <= found["last_seen"]
    assert abs(one(db, "SELECT julianday('now') - julianday(?)", found["last_seen"])) * 86400 < 60
    assert found["wal_frames"] == 0


def test_the_histogram_counts_every_execution_in_its_class(db):
    for _ in range(50):
        db.execute("SELECT count(*) FROM t").fetchall()
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) INSERT INTO t SELECT i, 1 FROM n")
    db.execute("SELECT count(*) FROM t").fetchall()
    text, calls, p95, longest = db.execute("SELECT histogram, calls, p95_ms, max_ms FROM query_performance WHERE query = 'SELECT count(*) FROM t'").fetchone()
    classes = json.loads(text)
    assert sum(number for _, number in classes) == calls == 51
    assert all(0 < upper < following <= upper * 2 for (upper, _), (following, _) in zip(classes, classes[1:]))
    assert classes[0][1] > 0 and classes[-1][1] == 1  # from the shortest to the longest
    assert classes[-1][0] / 1.13 <= longest <= classes[-1][0]
    assert 48 <= sum(number for upper, number in classes if upper <= p95 * 1.13) <= 50
    # A statement that has not ended has none.
    cursor = db.execute("SELECT id FROM t")
    cursor.fetchone()
    assert one(db, "SELECT histogram FROM query_performance WHERE query = 'SELECT id FROM t'") is None


def test_rows_of_writes_are_those_they_change(db):
    db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    db.execute("UPDATE t SET payload = 5 WHERE id > 1")
    db.execute("DELETE FROM t")
    db.execute("UPDATE t SET payload = 5")
    db.execute("INSERT INTO t(payload) VALUES (7) RETURNING id").fetchall()
    assert row(db, "INSERT INTO t (payload) VALUES (?), ...")["rows"] == 3
    assert row(db, "UPDATE t SET payload = ? WHERE id > ?")["rows"] == 2
    assert row(db, "DELETE FROM t")["rows"] == 3
    assert row(db, "UPDATE t SET payload = ?")["rows"] == 0
    assert row(db, "INSERT INTO t (payload) VALUES (?) RETURNING id")["rows"] == 1


def test_a_write_that_fails_is_a_call_without_rows(db):
    db.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO t VALUES (1, 2)")
    found = row(db, "INSERT INTO t VALUES (?, ?)")
    assert (found["calls"], found["rows"]) == (2, 1)


def test_spelling_literals_and_spacing_are_one_statement(db):
    for sql in ("SELECT 1, 'a'", "select 2,'secret'", "SELECT /* x */ 3.5 ,\n x'00' -- y"):
        db.execute(sql).fetchall()
    assert calls(db, "SELECT ?, ?") == 3


def test_names_are_shown_as_they_were_typed_first(db):
    db.execute('CREATE TABLE "MyTable"(Id INTEGER PRIMARY KEY, query, rows)')
    db.execute('select Query, rows from MyTable t where [Id]=1')
    db.execute('SELECT query, ROWS FROM mytable T WHERE id=2')
    found = row(db, "SELECT Query, rows FROM MyTable t WHERE Id = ?")
    assert found["calls"] == 2
    # The id is that of the text in one case, as it was before names kept theirs.
    assert found["query_id"] == "92208a8e67177602"


def test_a_commits_frames_and_stall_are_its_statements(db):
    db.execute("INSERT INTO t VALUES (1, 1)")
    before = metrics(db)["frames_written"]
    db.execute("BEGIN")
    db.execute("UPDATE t SET payload = 2")
    db.execute("COMMIT")
    assert row(db, "UPDATE t SET payload = ?")["wal_frames"] == 0
    found = row(db, "COMMIT")
    assert found["kind"] == "transaction"
    assert found["wal_frames"] == metrics(db)["frames_written"] - before == 1
    assert found["checkpoint_stall_ms"] >= 0
    assert row(db, "INSERT INTO t VALUES (?, ?)")["wal_frames"] >= 1


def test_a_checkpoint_in_a_commit_is_the_stall_of_its_statement(db):
    db.execute("SELECT wal_strategy('sqlite_default')").fetchall()
    db.execute("SELECT wal_set('checkpoint_frames', 50)").fetchall()
    for _ in range(200):
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(3000))")
    found = row(db, "INSERT INTO t (payload) VALUES (zeroblob(?))")
    assert found["checkpoint_stall_ms"] == pytest.approx(metrics(db)["checkpoint_stall_ms"], rel=0.05)
    assert found["checkpoint_stall_ms"] > 0.1


def test_frames_of_an_attached_database_stand_under_it(db, tmp_path):
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("PRAGMA other.journal_mode=WAL")
    db.execute("CREATE TABLE other.u(a)")
    db.execute("INSERT INTO other.u VALUES (1)")
    query = "INSERT INTO other.u VALUES (?)"
    here, there = row(db, query), row(db, query, "other")
    assert (here["calls"], here["wal_frames"]) == (1, 0)
    assert (there["calls"], there["mean_ms"]) == (0, None)
    assert there["wal_frames"] >= 1


@pytest.mark.parametrize("take", [1, 2])
def test_a_statement_reset_early_is_a_call_with_the_rows_it_gave(db, take):
    db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    for _ in range(7):
        cursor = db.execute("SELECT id FROM t")
        for _ in range(take):
            cursor.fetchone()
        cursor.close()
    found = row(db, "SELECT id FROM t")
    # Python steps once more than it is asked to.
    assert (found["calls"], found["rows"]) in ((7, 7 * take), (7, 7 * (take + 1)))


def test_interleaved_cursors_are_told_apart(db):
    db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    first = db.execute("SELECT id FROM t ORDER BY id")
    second = db.execute("SELECT payload FROM t ORDER BY id")
    got = [(first.fetchone(), second.fetchone()) for _ in range(3)]
    assert got[2] == ((3,), (3,))
    first.fetchall(), second.fetchall()
    for query in ("SELECT id FROM t ORDER BY id", "SELECT payload FROM t ORDER BY id"):
        assert (row(db, query)["calls"], row(db, query)["rows"]) == (1, 3)


def test_a_trigger_is_part_of_its_statement(db):
    db.execute("CREATE TABLE log(a)")
    db.execute("CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END")
    for _ in range(3):
        db.execute("INSERT INTO t(payload) VALUES (1)")
    assert one(db, "SELECT count(*) FROM log") == 3
    assert calls(db, "INSERT INTO t (payload) VALUES (?)") == 3
    assert calls(db, "INSERT INTO log VALUES (new.id)") == 0
    assert one(db, "SELECT count(*) FROM query_performance WHERE query LIKE '--%' OR query LIKE 'TRIGGER%'") == 0


def test_a_statement_within_another_is_counted_by_itself(db):
    db.create_function("looked_up", 1, lambda a: db.execute("SELECT payload FROM t WHERE id = ?", (a,)).fetchone()[0])
    db.execute("INSERT INTO t(payload) VALUES (7), (8)")
    assert db.execute("SELECT looked_up(id) FROM t ORDER BY id").fetchall() == [(7,), (8,)]
    assert calls(db, "SELECT looked_up(id) FROM t ORDER BY id") == 1
    assert calls(db, "SELECT payload FROM t WHERE id = ?") == 2


def test_statements_of_walmanager_are_not_counted(db):
    db.execute("SELECT * FROM wal_metrics").fetchall()
    db.execute("SELECT wal_checkpoint('passive')").fetchall()
    queries = [query for query, in db.execute("SELECT query FROM query_performance")]
    assert "SELECT * FROM wal_metrics" in queries
    assert not [query for query in queries if query.startswith("PRAGMA")], queries


def test_a_statement_that_is_prepared_anew_is_one_call(wal_path):
    """SQLite begins the statement, finds that the schema has changed, prepares it again and begins once more."""
    db, other = connect(wal_path), connect(wal_path)
    insert = "INSERT INTO t(payload) VALUES (?)"
    select = "SELECT count(*) FROM t"
    for i in range(20):
        other.execute(f"CREATE TABLE c{i}(a)")
        db.execute(insert, (i,))
        other.execute(f"DROP TABLE c{i}")
        assert db.execute(select).fetchall() == [(i + 1,)]
    found = row(db, "INSERT INTO t (payload) VALUES (?)")
    assert (found["calls"], found["rows"]) == (20, 20)
    assert (row(db, "SELECT count(*) FROM t")["calls"], row(db, "SELECT count(*) FROM t")["rows"]) == (20, 20)
    assert row(db, "SELECT count(*) FROM t")["fullscan_steps"] is not None
    # All but the statements that were prepared for the first time.
    assert sum(row(db, q)["reprepares"] for q in ("INSERT INTO t (payload) VALUES (?)", "SELECT count(*) FROM t")) >= 30
    assert found["min_ms"] > 0
    assert one(db, "SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT INTO t%' OR query LIKE 'SELECT count%'") == 40
    db.close(), other.close()


def test_bug_a_slow_statement_that_was_prepared_anew_was_lost(wal_path):
    """SQLite reports the end of the first try, but not the start of the second."""
    db, other = connect(wal_path), connect(wal_path)
    db.executemany("INSERT INTO t(payload) VALUES (?)", [(i,) for i in range(700)])
    db.execute("SELECT wal_set('slow_query_ms', 1)").fetchall()
    sql = "SELECT count(*) FROM t AS a, t AS b WHERE a.payload + b.payload > 3"
    query = "SELECT count(*) FROM t AS a, t AS b WHERE a.payload + b.payload > ?"
    first = db.execute(sql).fetchall()
    for i in range(3):
        other.execute(f"CREATE TABLE c{i}(a)")
        assert db.execute(sql).fetchall() == first
    found = row(db, query)
    assert (found["calls"], found["rows"], found["slow_calls"]) == (4, 4, 4)
    assert found["fullscan_steps"] > 4 * 480_000
    assert found["min_ms"] > 1 and found["total_ms"] > 4
    db.close(), other.close()


def test_bug_a_write_that_was_busy_had_the_rows_of_the_one_before(wal_path):
    db, other = connect(wal_path, timeout=0), connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    other.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            db.execute("UPDATE t SET payload = payload + 1 WHERE id > 0")
    other.execute("ROLLBACK")
    found = row(db, "UPDATE t SET payload = payload + ? WHERE id > ?")
    assert (found["calls"], found["rows"]) == (2, 0)
    db.execute("UPDATE t SET payload = payload + 1 WHERE id > 0")
    assert row(db, "UPDATE t SET payload = payload + ? WHERE id > ?")["rows"] == 3
    db.close(), other.close()


def test_bug_a_commit_that_was_not_seen_was_the_select_s_before_it(db):
    db.execute("INSERT INTO t(payload) VALUES (1)")
    db.execute("SELECT count(*) FROM t").fetchall()
    db.set_trace_callback(lambda sql: None)
    for _ in range(3):
        db.execute("INSERT INTO t(payload) VALUES (1)")
    assert one(db, "SELECT trace_lost FROM connection_metrics WHERE role = 'application'") == 3
    assert one(db, "SELECT wal_trace('take')") == "active"
    assert row(db, "SELECT count(*) FROM t")["wal_frames"] == 0


def test_transactions_in_their_spellings(db):
    for begin, end in (("BEGIN", "COMMIT"), ("begin transaction", "END"), ("BEGIN DEFERRED", "end transaction"),
                       ("BEGIN DEFERRED TRANSACTION", "COMMIT TRANSACTION")):
        db.execute(begin)
        db.execute(end)
    assert (calls(db, "BEGIN"), calls(db, "COMMIT")) == (4, 4)


def test_threads_in_turn_on_one_connection(wal_path):
    db = connect(wal_path, check_same_thread=False)
    def work():
        for _ in range(250):
            db.execute("SELECT count(*) FROM t").fetchall()
    for _ in range(4):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert calls(db, "SELECT count(*) FROM t") == 1000
    db.close()


def test_a_statement_that_ends_at_close_is_counted(db, wal_path):
    other = connect(wal_path)
    other.execute("INSERT INTO t(payload) VALUES (1), (2)")
    cursor = other.execute("SELECT payload, id FROM t")
    cursor.fetchone()
    other.close()
    del cursor
    assert calls(db, "SELECT payload, id FROM t") == 1


def test_statements_before_the_control_file_is_made_count(wal_path):
    db = connect(wal_path)
    for _ in range(5):
        db.execute("SELECT max(id) FROM t").fetchall()
    assert not (wal_path.parent / "test.db-walmanager").exists()
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert (wal_path.parent / "test.db-walmanager").exists()
    other = connect(wal_path)
    assert calls(other, "SELECT max(id) FROM t") == 5
    assert calls(other, "INSERT INTO t (payload) VALUES (?)") == 1
    db.close(), other.close()


def test_bug_upgrades_that_failed_were_not_counted(db, wal_path):
    """Upgrades that succeed cost nothing. One that fails with BUSY_SNAPSHOT does harm, and no timeout cures it."""
    other = connect(wal_path)
    db.execute("CREATE TEMP TABLE own(x)")
    db.execute("PRAGMA busy_timeout=5000")
    write = "INSERT INTO t(payload) VALUES (7)"
    for times in range(3):
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM t").fetchall()
        other.execute("INSERT INTO t(payload) VALUES (1)")
        assert error(db, write) == "database is locked"
        db.execute("ROLLBACK")
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM t").fetchall()
    db.execute("INSERT INTO own VALUES (1)")  # writes, and upgrades nothing
    db.execute("COMMIT")
    db.execute("BEGIN")
    other.execute("BEGIN IMMEDIATE")
    db.execute("PRAGMA busy_timeout=0")
    assert error(db, write) == "database is locked"  # it waited for another writer, which a timeout cures
    db.execute("ROLLBACK")
    other.execute("COMMIT")
    found = row(db, "INSERT INTO t (payload) VALUES (?)")
    assert (found["calls"], found["transactions_upgraded"], found["upgrades_failed"]) == (7, 0, 3)
    assert one(db, "SELECT sum(upgrades_failed) FROM query_performance") == 3
    assert db.execute("SELECT upgrades_failed FROM connection_metrics WHERE role = 'application' "
                      "ORDER BY upgrades_failed").fetchall() == [(0,), (3,)]
    evidence = one(db, "SELECT evidence FROM wal_recommendations WHERE area = 'transactions'")
    assert evidence.startswith("3 times in the last hour") and "in this statement: INSERT INTO t" in evidence
    other.close()


@pytest.mark.parametrize("statement", ["CREATE TABLE IF NOT EXISTS t(a)", "DROP TABLE IF EXISTS absent", "CREATE INDEX IF NOT EXISTS i ON t(payload)"])
def test_bug_a_statement_that_found_nothing_to_make_was_a_failed_upgrade(db, statement):
    db.execute("CREATE INDEX i ON t(payload)")
    db.execute("BEGIN")
    assert one(db, "SELECT count(*) FROM t") == 0
    db.execute(statement)
    db.execute("COMMIT")
    assert one(db, "SELECT sum(upgrades_failed) FROM query_performance") == 0
    assert one(db, "SELECT sum(upgrades_failed) FROM connection_metrics") == 0



def test_upgraded_transactions(db):
    for statement in ("SELECT count(*) FROM t", "UPDATE t SET payload = 1"):
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM t").fetchall()
        db.execute(statement).fetchall()
        db.execute("COMMIT")
    db.execute("BEGIN IMMEDIATE")
    db.execute("SELECT count(*) FROM t").fetchall()
    db.execute("UPDATE t SET payload = 1")
    db.execute("COMMIT")
    found = row(db, "UPDATE t SET payload = ?")
    assert (found["calls"], found["transactions_upgraded"]) == (2, 1)
    assert row(db, "SELECT count(*) FROM t")["transactions_upgraded"] == 0


def test_statements_of_a_megabyte(db):
    """Only their shapes are kept, not their texts."""
    for size in (1, 2, 3):
        values = ",".join(f"({i},'{'x' * 40}')" for i in range(20_000 * size))
        db.execute(f"REPLACE INTO t(id, payload) VALUES {values}")
    found = row(db, "REPLACE INTO t (id, payload) VALUES (?, ?), ...")
    assert (found["calls"], found["rows"]) == (3, 120_000)
    names = ",".join(f"{i} AS n{i}" for i in range(1000))
    for _ in range(3):
        assert len(db.execute(f"SELECT {names}").fetchone()) == 1000
    query, calls = db.execute("SELECT query, calls FROM query_performance WHERE query LIKE 'SELECT ? AS n0%'").fetchone()
    assert calls == 3
    assert len(query.encode()) <= 1199 and query.endswith("…")


# --- scans, steps, cache

def test_scans_sorts_and_automatic_indexes(db):
    db.executemany("INSERT INTO t(payload) VALUES (?)", [(i % 10,) for i in range(2000)])
    db.execute("SELECT payload FROM t WHERE payload = 3 ORDER BY payload + id").fetchall()
    found = row(db, "SELECT payload FROM t WHERE payload = ? ORDER BY payload + id")
    assert found["fullscan_steps"] in (1999, 2000)
    assert found["sorts"] == 1
    assert found["vm_steps"] > 2000
    assert found["counters_sampled"] == 0
    db.execute("CREATE TABLE u(a)")
    db.executemany("INSERT INTO u VALUES (?)", [(i,) for i in range(500)])
    db.execute("SELECT count(*) FROM u AS x JOIN u AS y ON x.a = y.a").fetchall()
    assert row(db, "SELECT count(*) FROM u AS x JOIN u AS y ON x.a = y.a")["auto_index_rows"] in (499, 500)


def test_bug_a_statement_prepared_each_time_had_the_counters_of_the_one_before(wal_path):
    import apsw
    db = apsw.Connection(str(wal_path), statementcachesize=0)
    db.enableloadextension(True)
    db.loadextension(EXTENSION)
    cursor = db.cursor()
    cursor.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                   " INSERT INTO t SELECT i, i FROM n")
    for _ in range(20):
        cursor.execute("SELECT max(payload + 1) FROM t").fetchall()
    rows = cursor.execute("SELECT calls, fullscan_steps FROM query_performance"
                          " WHERE query = 'SELECT max(payload + ?) FROM t'").fetchall()
    assert rows == [(20, 20 * 999)]
    db.close()


def test_short_executions_are_sampled_and_scaled(db):
    db.executemany("INSERT INTO t VALUES (?, 1)", [(i,) for i in range(10)])
    reset(db)
    for i in range(1000):
        db.execute("SELECT payload FROM t WHERE id = ?", (i % 10,)).fetchall()
    found = row(db, "SELECT payload FROM t WHERE id = ?")
    assert found["counters_sampled"] == 1
    assert found["fullscan_steps"] == 0
    steps = found["vm_steps"] / 1000
    assert 5 < steps < 20 and abs(steps - round(steps)) < 0.2
    assert found["cache_hits"] == pytest.approx(1000 * round(found["cache_hits"] / 1000), rel=0.1)
    assert found["cache_misses"] + found["cache_hits"] >= 900


def test_cache_of_a_long_execution_is_exact(wal_path):
    db = connect(wal_path)
    db.executemany("INSERT INTO t(payload) VALUES (?)", [("x" * 3000,) for _ in range(300)])
    db.close()
    db = connect(wal_path)
    db.execute("PRAGMA mmap_size=0")
    db.execute("SELECT sum(length(payload)) FROM t").fetchall()
    found = row(db, "SELECT sum(length(payload)) FROM t")
    assert 300 <= found["cache_misses"] <= 320
    assert found["cache_writes"] == 0
    db.close()


# --- plans

def test_the_plan_of_a_scanning_statement_is_kept(db):
    db.execute("INSERT INTO t(payload) VALUES (1), (2)")
    db.execute("SELECT id FROM t WHERE payload = 1").fetchall()
    query = "SELECT id FROM t WHERE payload = ?"
    def plan():
        return row(db, query)["plan"]
    assert wait_for(plan) == "SCAN t"
    assert wait_for(lambda: row(db, "INSERT INTO t (payload) VALUES (?), ...")["plan"]) == "SCAN 2 CONSTANT ROWS"


def plans_seen_by(path, like):
    """By a connection that has run nothing else, so it explains nothing itself."""
    asker = connect(path)
    rows = asker.execute("SELECT query, plan FROM query_performance WHERE query LIKE ?", (like,)).fetchall()
    asker.close()
    return dict(rows)


def test_every_statement_gets_its_plan_in_the_background(wal_path):
    """A plan for every statement, not only slow ones: in the background, once for each shape and schema version."""
    db = connect(wal_path)
    db.execute("CREATE TABLE log(k INTEGER, v)")
    db.execute("CREATE INDEX log_k ON log(k)")
    db.execute("CREATE TRIGGER tr AFTER DELETE ON t BEGIN DELETE FROM log WHERE k = old.id; END")
    time.sleep(1.1)  # a process in its first second has no thread
    long = "SELECT v FROM log WHERE k = 1 AND v NOT IN (" + ", ".join(map(str, range(3000))) + ")"
    for sql in ("SELECT payload FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 2)", "UPDATE t SET payload = 3 WHERE id = 1",
                "DELETE FROM t WHERE id = 1", "SELECT 1", long):
        db.execute(sql).fetchall()
    expected = {
        "SELECT payload FROM t WHERE id = ?": "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)", "INSERT INTO t VALUES (?, ?)": "",
        "UPDATE t SET payload = ? WHERE id = ?": "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)",
        "DELETE FROM t WHERE id = ?": "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)\n-- TRIGGER tr\n  SEARCH log USING INDEX log_k (k=?)",
        "SELECT ?": "SCAN CONSTANT ROW", "SELECT v FROM log WHERE k = ? AND v NOT IN (...)": "SEARCH log USING INDEX log_k (k=?)"}
    def captured():
        db.execute("SELECT 1").fetchall()
        plans = plans_seen_by(wal_path, "%")
        return {query: plans.get(query) for query in expected} == expected
    assert wait_for(captured, 20), plans_seen_by(wal_path, "%")
    db.close()


def test_a_plan_is_made_again_also_where_every_statement_is_prepared_anew(wal_path):
    """Then SQLite never prepares one again, and another process has changed the schema."""
    db = connect(wal_path, cached_statements=0)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    time.sleep(1.1)
    def plan():
        db.execute("INSERT INTO t(payload) VALUES (1)")
        db.execute("SELECT id FROM t WHERE payload = 1").fetchall()
        return plans_seen_by(wal_path, "SELECT id FROM t%").get("SELECT id FROM t WHERE payload = ?")
    assert wait_for(lambda: plan() == "SCAN t", 20)
    other = connect(wal_path, None)  # without the extension
    other.execute("CREATE INDEX i ON t(payload)")
    assert wait_for(lambda: plan() == "SEARCH t USING COVERING INDEX i (payload=?)", 30)
    other.close(), db.close()


def test_connections_that_live_for_one_statement_have_its_plan_made(wal_path):
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    time.sleep(1.1)
    def plan():
        short = connect(wal_path)
        short.execute("SELECT payload FROM t WHERE id = 1").fetchall()
        short.close()
        return plans_seen_by(wal_path, "SELECT payload%").get("SELECT payload FROM t WHERE id = ?")
    assert wait_for(plan, 20) == "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"
    db.close()


def test_what_only_the_program_can_explain_is_explained_when_it_asks(wal_path):
    db = connect(wal_path)
    db.create_function("own", 1, lambda x: x, deterministic=True)
    db.execute("CREATE TEMP TABLE passing(x)")
    db.execute("ATTACH ':memory:' AS aside")
    db.execute("CREATE TABLE aside.far(x)")
    time.sleep(1.1)
    expected = {"SELECT x FROM passing": "SCAN passing", "SELECT x FROM far": "SCAN far", "SELECT own(id) FROM t": "SCAN t"}
    for _ in range(3):  # they are handed over once a second, and found to be strange
        for sql in expected:
            db.execute(sql).fetchall()
        time.sleep(1.1)
    strange = plans_seen_by(wal_path, "SELECT %")
    assert {query: strange[query] for query in expected} == dict.fromkeys(expected)
    plans = dict(db.execute("SELECT query, plan FROM query_performance").fetchall())
    assert {query: plans[query] for query in expected} == expected
    db.execute("SELECT * FROM wal_config LIMIT 1").fetchall()
    assert one(db, "SELECT plan FROM query_performance WHERE query LIKE '%wal_config%'") is None
    db.close()


def test_bug_a_part_of_a_plan_was_kept_for_the_whole(wal_path):
    """An interrupt ends SQLite's answer in the middle. The plan is captured when the table is read."""
    db = connect(wal_path, check_same_thread=False)
    db.executemany("INSERT INTO t(payload) VALUES (?)", [(i,) for i in range(400)])
    for number in range(200):
        db.execute(f"SELECT id AS x{number} FROM t WHERE payload = 7" + " UNION ALL SELECT id FROM t WHERE payload = 8" * 40)
        def interrupt():
            time.sleep(number % 40 * 0.00003)
            db.interrupt()
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            db.execute("SELECT count(*) FROM query_performance").fetchall()
        except sqlite3.OperationalError as error:
            assert "interrupted" in str(error)
        thread.join()
    plans = db.execute("SELECT plan FROM query_performance WHERE query LIKE 'SELECT id AS x%' AND plan IS NOT NULL").fetchall()
    assert len(plans) > 20
    assert {len(plan.splitlines()) for plan, in plans} == {1 + 2 * 41}
    db.close()


def test_bug_an_interrupt_while_a_table_was_declared_was_called_a_failed_constructor(wal_path):
    """SQLite forgets an interrupt when a statement begins and none runs, so another one is open."""
    db = connect(wal_path)
    assert one(db, "SELECT count(*) FROM t") == 0  # the schema is read
    running = db.execute("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c")
    assert running.fetchone() == (1,)
    db.set_authorizer(lambda *asked: db.interrupt() or sqlite3.SQLITE_OK)
    with pytest.raises(sqlite3.OperationalError, match="^interrupted$"):
        db.execute("SELECT count(*) FROM query_performance").fetchall()
    db.set_authorizer(None)
    running.close()
    assert one(db, "SELECT count(*) > 0 FROM query_performance") == 1
    db.close()


def test_bug_one_connection_without_a_thread_lost_the_plans_that_others_waited_for(wal_path):
    """The thread captures no plans while it waits for a reader that holds the log, nor in the ten seconds after a commit of
    a connection whose trace is displaced. In those seconds it took no more requests, and those it had were lost."""
    db, waits = connect(wal_path, check_same_thread=False), connect(wal_path)
    db.executemany("INSERT INTO t(payload) VALUES (?)", [(i,) for i in range(400)])
    one(db, "SELECT wal_set('checkpoint_frames', 10)")
    reader = connect(wal_path, None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    for _ in range(60):
        db.execute("UPDATE t SET payload = payload + 1 WHERE id < 200")
    time.sleep(3)
    for sql in ("SELECT id AS waits FROM t WHERE payload = 7", "SELECT 1"):  # told at the next statement
        waits.execute(sql).fetchall()
    untraced, late = connect(wal_path), connect(wal_path)
    untraced.set_trace_callback(lambda text: None)
    for _ in range(2):
        untraced.execute("INSERT INTO t(payload) VALUES (1)")
    for name in ("late", "later"):
        late.execute(f"SELECT id AS {name} FROM t WHERE payload = 7").fetchall()
        time.sleep(1.1)
    untraced.close()
    reader.close()
    asks = connect(wal_path)
    def plan():
        db.execute("INSERT INTO t(payload) VALUES (1)")
        return one(asks, "SELECT plan FROM query_performance WHERE query LIKE 'SELECT id AS waits%'")
    assert wait_for(plan, 20) == "SCAN t"
    for connection in (db, waits, late, asks):
        connection.close()


def test_the_thread_captures_a_plan_of_a_process_that_does_not_ask(wal_path):
    db, asker = connect(wal_path), connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES (1), (2)")
    db.execute("SELECT id FROM t WHERE payload = 1 UNION SELECT max(id) FROM t").fetchall()
    def plan():
        db.execute("SELECT 1").fetchall()
        rows = asker.execute("SELECT plan FROM query_performance WHERE query LIKE 'SELECT id FROM t WHERE payload = ? UNION%'").fetchall()
        return rows and rows[0][0]
    assert wait_for(plan, 20).splitlines() == ["COMPOUND QUERY", "  LEFT-MOST SUBQUERY", "    SCAN t",
                                           "  UNION USING TEMP B-TREE", "    SEARCH t"]
    db.close(), asker.close()


def test_a_plan_is_made_again_when_the_schema_changed(db):
    db.execute("INSERT INTO t(payload) VALUES (1), (2)")
    query = "SELECT id FROM t WHERE payload = ?"
    db.execute("SELECT id FROM t WHERE payload = 1").fetchall()
    assert wait_for(lambda: row(db, query)["plan"]) == "SCAN t"
    db.execute("CREATE INDEX i ON t(payload)")
    db.execute("SELECT wal_set('slow_query_ms', 0)").fetchall()
    db.execute("SELECT id FROM t WHERE payload  = 1").fetchall()
    assert wait_for(lambda: row(db, query)["plan"] != "SCAN t")
    assert row(db, query)["plan"] == "SEARCH t USING COVERING INDEX i (payload=?)"


def test_a_plan_is_renewed_where_the_new_one_scans_nothing(db):
    db.executemany("INSERT INTO t(payload) VALUES (?)", [(i,) for i in range(100)])
    query = "SELECT id FROM t WHERE payload = ?"
    db.execute("SELECT id FROM t WHERE payload = ?", (7,)).fetchall()
    assert wait_for(lambda: row(db, query)["plan"]) == "SCAN t"
    db.execute("CREATE INDEX i ON t(payload)")
    def renewed():
        for _ in range(20):
            db.execute("SELECT id FROM t WHERE payload = ?", (7,)).fetchall()
        return row(db, query)["plan"] != "SCAN t"
    assert wait_for(renewed)
    assert row(db, query)["plan"] == "SEARCH t USING COVERING INDEX i (payload=?)"


def test_slow_calls(db):
    db.create_function("nap", 1, lambda s: time.sleep(s))
    db.execute("SELECT wal_set('slow_query_ms', 20)").fetchall()
    for seconds in (0.001, 0.03, 0.04):
        db.execute("SELECT nap(?)", (seconds,)).fetchall()
    found = [r for r in db.execute("SELECT calls, slow_calls, min_ms, max_ms, p50_ms FROM query_performance WHERE query LIKE 'SELECT nap%'")]
    assert found[0][:2] == (3, 2)
    assert 1 <= found[0][2] < 20 and found[0][3] >= 40
    assert 28 <= found[0][4] <= found[0][3]


# --- bounds, reset, switch

def test_max_queries_and_what_had_to_make_room(db):
    db.execute("SELECT wal_set('max_queries', 20)").fetchall()
    reset(db)
    for i in range(100):
        db.execute(f"SELECT id AS c{i} FROM t").fetchall()
    count, total = db.execute("SELECT count(*) FILTER (WHERE query_id IS NOT NULL), sum(calls) FROM query_performance").fetchone()
    assert count <= 20
    evicted = row(db, "(evicted)")
    assert evicted["query_id"] is None and evicted["kind"] is None
    assert evicted["calls"] >= 80
    assert total >= 101  # with the wal_metrics_reset that ended after the reset
    assert metrics(db)["queries_evicted"] >= 80
    assert calls(db, "SELECT id AS c99 FROM t") == 1


def test_reset_forgets_queries_and_nothing_else(db):
    db.execute("INSERT INTO t(payload) VALUES (1)")
    commits = metrics(db)["commits"]
    assert reset(db) >= 1
    assert calls(db, "INSERT INTO t (payload) VALUES (?)") == 0
    assert metrics(db)["commits"] == commits
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert calls(db, "INSERT INTO t (payload) VALUES (?)") == 1


def test_statements_that_take_each_others_place_in_memory(wal_path):
    """Statements that are finalized and prepared in turn often have the same address, and so do their texts."""
    db = sqlite3.connect(wal_path, isolation_level=None, cached_statements=0)
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    expected = {}
    for i in range(600):
        name = "abc"[i * i % 7 % 3]
        db.execute(f"SELECT max(id) AS {name} FROM t").fetchall()
        expected[name] = expected.get(name, 0) + 1
    assert {name: calls(db, f"SELECT max(id) AS {name} FROM t") for name in "abc"} == expected
    db.close()


def test_bug_the_actions_of_foreign_keys_began_the_measuring_anew(db):
    """SQLite calls the trace for each action with the statement's own text."""
    db.execute("PRAGMA foreign_keys=ON")
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE)")
    for times in range(1, 4):
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) INSERT INTO parent SELECT i FROM n")
        db.execute("INSERT INTO child SELECT id, id FROM parent")
        before = row(db, "DELETE FROM parent")
        began = time.perf_counter()
        db.execute("DELETE FROM parent")
        elapsed_ms = (time.perf_counter() - began) * 1000
        found = row(db, "DELETE FROM parent")
        assert (found["calls"], found["rows"]) == (times, 1000 * times)
        assert elapsed_ms / 2 < found["total_ms"] - (before["total_ms"] if before else 0) <= elapsed_ms
    assert one(db, "SELECT count(*) FROM child") == 0
    assert metrics(db)["commit_max_ms"] > elapsed_ms / 3


def test_triggers_are_part_of_their_statement_each_time(db):
    db.execute("CREATE TABLE log(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TRIGGER logged AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NULL); INSERT INTO log VALUES (NULL); END")
    for i in range(300):
        db.execute("INSERT INTO t(payload) VALUES (?)", (i,))
        db.execute("SELECT max(id) FROM log").fetchall()
    assert calls(db, "INSERT INTO t (payload) VALUES (?)") == 300
    assert row(db, "SELECT max(id) FROM log")["rows"] == 300
    assert one(db, "SELECT count(*) FROM log") == 600


def test_statement_metrics_off_and_on_again_for_all_connections(wal_path):
    db, other = connect(wal_path), connect(wal_path)
    for each in (db, other):
        each.execute("SELECT max(id) FROM t").fetchall()
    db.execute("SELECT wal_set('statement_metrics', 'off')").fetchall()
    for _ in range(5):
        for each in (db, other):
            each.execute("SELECT max(id) FROM t").fetchall()
    assert calls(db, "SELECT max(id) FROM t") == 2
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert metrics(db)["commits"] == 1  # commits are measured all the same
    db.execute("SELECT wal_set('statement_metrics', 'on')").fetchall()
    for each in (db, other):
        each.execute("SELECT 1").fetchall()  # follows the setting, but is not measured whole
        each.execute("SELECT max(id) FROM t").fetchall()
    assert calls(db, "SELECT max(id) FROM t") == 4
    db.close(), other.close()


@pytest.mark.parametrize("value", ["9", "1025", "'many'", "NULL || ''"])
def test_bad_values_of_max_queries(db, value):
    message = error(db, f"SELECT wal_set('max_queries', {value})") if "NULL" not in value else None
    if message:
        assert message.endswith("is not an integer from 10 to 1024"), message


def test_refused_in_a_view_of_the_database(db):
    db.execute("CREATE VIEW v AS SELECT * FROM query_performance")
    assert error(db, "SELECT * FROM v") == 'unsafe use of virtual table "query_performance"'


# --- no literal gets out

SECRETS = [
    "SELECT 'zqsecret'", "SELECT \"zqsecret\"", "SELECT * FROM t WHERE payload = 'zqsecret'",
    "SELECT x'7A71736563726574', 424242424242", "INSERT INTO t(payload) VALUES ('zqsecret')",
    "PRAGMA application_id = 424242424", "SELECT 1 /* zqsecret */ -- zqsecret", "ATTACH ':memory:' AS zqsecret",
    "UPDATE t SET payload = \"zqsecret\" WHERE id = 424242424242", "SAVEPOINT zqsecret", "RELEASE zqsecret",
    "SELECT json_extract('{\"a\":1}', '$.zqsecret')",
]


def test_no_literal_reaches_the_control_file_or_a_column(db, wal_path):
    db.execute("INSERT INTO t(payload) VALUES (1)")
    for sql in SECRETS:
        db.execute(sql).fetchall()
    with open(f"{wal_path}-walmanager", "rb") as file:
        content = file.read()
    assert b"zqsecret" not in content and b"4242424242" not in content
    texts = str(db.execute("SELECT *, plan FROM query_performance").fetchall())
    assert "zqsecret" not in texts and "4242424242" not in texts
    assert calls(db, "SELECT ?") >= 2


def test_the_same_shape_has_the_same_id_everywhere(db, tmp_path):
    other = connect(tmp_path / "another.db")
    for each in (db, other):
        each.execute("SELECT 1 + 1").fetchall()
    assert row(db, "SELECT ? + ?")["query_id"] == row(other, "SELECT ? + ?")["query_id"]
    assert len(row(db, "SELECT ? + ?")["query_id"]) == 16
    other.close()


def test_a_database_without_a_log_is_measured_in_this_process(tmp_path):
    db = connect(tmp_path / "plain.db")
    db.execute("CREATE TABLE u(a)")
    for _ in range(3):
        db.execute("INSERT INTO u VALUES (1)")
    assert (row(db, "INSERT INTO u VALUES (?)")["calls"], row(db, "INSERT INTO u VALUES (?)")["wal_frames"]) == (3, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plain.db"]
    db.close()


def test_in_memory_nothing_is_measured_and_nothing_fails():
    db = connect(":memory:")
    db.execute("CREATE TABLE u(a)")
    assert db.execute("SELECT * FROM query_performance").fetchall() == []
    db.close()


def test_bug_the_tables_of_fts_and_rtree_were_all_the_same_table(db):
    """Their statements have the names in single quotes, which is a name where no value may stand."""
    db.execute("CREATE VIRTUAL TABLE one USING fts5(c)")
    db.execute("CREATE VIRTUAL TABLE two USING fts5(c)")
    db.execute("CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)")
    for table in ("one", "two"):
        db.execute(f"INSERT INTO {table}(c) VALUES ('secret')")
    db.execute("INSERT INTO boxes VALUES (1, 2, 3)")
    queries = {query for (query,) in db.execute("SELECT query FROM query_performance")}
    assert {"REPLACE INTO main.one_data (id, block) VALUES (?, ?)",
            "REPLACE INTO main.two_data (id, block) VALUES (?, ?)",
            "INSERT OR REPLACE INTO main.boxes_node VALUES (?, ?)"} <= queries
    assert not [query for query in queries if "?.?" in query or "secret" in query]


def test_bug_a_look_at_plans_ended_the_cursors_of_the_program(db):
    """An option for the plans of triggers made SQLite compile every statement of the connection anew."""
    db.executescript("CREATE TABLE a(x); CREATE TABLE b(x); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (3);"
                     "CREATE TRIGGER a_insert AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.x); END")
    for table in ("query_performance", "unused_indexes", "index_candidates", "wal_recommendations"):
        db.execute(f"SELECT '{table}', x FROM b").fetchall()  # a statement without a plan
        cursor = db.execute("SELECT x FROM a UNION ALL SELECT x FROM b")
        assert cursor.fetchone() == (1,)
        db.execute(f"SELECT * FROM {table}").fetchall()
        assert cursor.fetchall() == [(2,), (3,)]
    db.execute("SELECT 'again', x FROM b").fetchall()
    db.execute("CREATE TABLE kept AS SELECT query FROM query_performance")
    db.execute("SELECT 'and again', x FROM b").fetchall()
    db.execute("BEGIN")
    assert len(db.execute("SELECT query FROM query_performance UNION ALL SELECT x FROM b").fetchall()) > 3
    db.execute("COMMIT")
