"""read_pool(): values, parameters, refusals, timeouts, interrupts, and the connections that it runs on."""

import json
import sqlite3
import threading
import time

import pytest

from conftest import ROOT, connect, metrics, one
from helpers import apsw_connect, columns, error, files_beside, rows_into

ENDLESS = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
VALUES = [None, 0, 1, -1, 2**63 - 1, -2**63, 2**53 + 1, 0.0, -0.0, 1.5, 0.1, 1e308, 5e-324, -2.2250738585072014e-308, 1e100,
          float("inf"), -float("inf"), "", "text", "\"quo\\te\"", "\x00\x01\n\x1f\x7f", "äöü€😀", "a\x00b", b"", b"\x00\xff",
          bytes(range(256))]


@pytest.fixture
def pool(db):
    """A managed connection to a database with 3,000 rows."""
    db.execute("PRAGMA synchronous=OFF")
    rows_into(db, 3000)
    return db


def rows(db, sql, parameters=None):
    """(statement, row, data as a dict) of each row, in order of statements."""
    texts = [sql if isinstance(sql, str) else json.dumps(sql)]
    if parameters is not None:
        texts.append(parameters if isinstance(parameters, str) else json.dumps(parameters))
    found = db.execute(f"SELECT statement, row, data FROM read_pool({', '.join('?' * len(texts))})", texts).fetchall()
    return sorted((statement, row, json.loads(data)) for statement, row, data in found)


def value_of(item):
    """The Python value of a JSON value."""
    if isinstance(item, dict):
        (kind, digits), = item.items()
        return bytes.fromhex(digits) if kind == "$blob" else ("text", bytes.fromhex(digits))
    return item


def as_parameter(value):
    """The JSON value of a Python value, which json.dumps() writes exactly."""
    return {"$blob": value.hex()} if isinstance(value, bytes) else value


def exactly(value):
    """Tells 1 from 1.0 and 0.0 from -0.0."""
    return type(value).__name__, repr(value)


def in_time(condition, seconds=3):
    """Whether the condition becomes true soon."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture(params=["pool", "own"])
def both(pool, request):
    """A connection whose statements run in the pool, and one where they run on the caller's connection."""
    if request.param == "own":
        one(pool, "SELECT wal_set('read_pool_size', 0)")
    return pool


def test_columns(db):
    assert columns(db, "read_pool") == [("statement", "INTEGER"), ("row", "INTEGER"), ("data", "TEXT"),
                                        ("connection_id", "INTEGER"), ("wait_ms", "REAL"), ("query_ms", "REAL")]
    assert [row[1] for row in db.execute("PRAGMA table_xinfo(read_pool)")][6:] == ["sql", "parameters_json"]


def test_every_value_comes_as_the_plain_connection_returns_it(both):
    both.execute("CREATE TABLE v(id INTEGER PRIMARY KEY, value)")
    both.executemany("INSERT INTO v(value) VALUES (?)", [(value,) for value in VALUES])
    plain = [value for value, in both.execute("SELECT value FROM v ORDER BY id")]
    found = [value_of(data["value"]) for _, _, data in rows(both, "SELECT value FROM v ORDER BY id")]
    assert [exactly(value) for value in found] == [exactly(value) for value in plain]


def test_every_value_goes_in_as_it_is(both):
    parameters = json.dumps([as_parameter(value) for value in VALUES]).replace("Infinity", "9e999")
    names = [f"v{i}" for i in range(len(VALUES))]
    types = ", ".join(f"typeof(?{i + 1}) AS t{i}, ?{i + 1} AS v{i}" for i in range(len(VALUES)))
    (_, _, data), = rows(both, f"SELECT {types}", parameters)
    assert [exactly(value_of(data[name])) for name in names] == [exactly(value) for value in VALUES]
    kinds = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob"}
    assert [data[f"t{i}"] for i in range(len(VALUES))] == [kinds[type(value)] for value in VALUES]


def test_text_that_is_not_utf8_keeps_its_bytes(both):
    (_, _, data), = rows(both, "SELECT CAST(x'61ff62' AS TEXT) AS bad, hex(?1) AS back, typeof(?1) AS type", [{"$text": "61ff62"}])
    assert data == {"bad": {"$text": "61ff62"}, "back": "61FF62", "type": "text"}


def test_repeated_column_names_get_numbers(both):
    (_, _, data), = rows(both, 'SELECT 1 AS a, 2 AS a, 3 AS "a:2", 4 AS a')
    assert data == {"a": 1, "a:3": 2, "a:2": 3, "a:4": 4}


def test_statements_are_told_apart_and_come_whole(both):
    found = rows(both, ["SELECT id FROM t WHERE id <= 2000", "SELECT 7 AS seven", "SELECT id FROM t WHERE id > 2990", "SELECT 1 WHERE 0"])
    assert found == ([(1, i, {"id": i}) for i in range(1, 2001)] + [(2, 1, {"seven": 7})] +
                     [(3, i, {"id": 2990 + i}) for i in range(1, 11)])


@pytest.mark.parametrize("sql, parameters, expected", [
    ("SELECT ? AS a, ? AS b", [1, "x"], [{"a": 1, "b": "x"}]),
    ("SELECT :a AS a, @b AS b, $c AS c", {"a": 1, "@b": 2, "$c": True}, [{"a": 1, "b": 2, "c": 1}]),
    (["SELECT ? AS a", "SELECT :b AS b", "SELECT 3 AS c"], [[1], {"b": 2}, None], [{"a": 1}, {"b": 2}, {"c": 3}]),
    (["SELECT :x AS a", "SELECT :x + :y AS b"], {"x": 1, "y": 2}, [{"a": 1}, {"b": 3}]),
    ("SELECT ? AS a", {"snapshot": True, "parameters": [5]}, [{"a": 5}]),
    ("SELECT :a AS a", {"snapshot": True, "a": 5}, [{"a": 5}]),
    ("SELECT :snapshot AS a", {":snapshot": 5}, [{"a": 5}]),
    ("SELECT 1 AS a", {"snapshot": True}, [{"a": 1}]),
    ("SELECT 1 AS a", "null", [{"a": 1}]),
])
def test_parameters(both, sql, parameters, expected):
    assert [data for _, _, data in rows(both, sql, parameters)] == expected


@pytest.mark.parametrize("sql, parameters, words", [
    ("SELECT 1", "{", "parameters_json is not a JSON array or object of parameters: a name in double quotes is missing at byte 2"),
    ("SELECT 1", "[1] x", "parameters_json is not a JSON array or object of parameters: something follows the JSON value at byte 5"),
    ("SELECT 1", "7", "parameters 7 are neither an array nor an object"),
    ("SELECT 1", "[9223372036854775808]", "a whole number of more than 64 bits at byte 2"),
    ("SELECT ?", "[]", "statement 1: has 1 parameter, and 0 values are given"),
    ("SELECT ?", "[1,2]", "statement 1: has 1 parameter, and 2 values are given"),
    ("SELECT ?", '{"a":1}', "parameter 'a' is in no statement"),
    ("SELECT :a, ?", '{"a":1}', "statement 1: has a parameter 2 without a name"),
    ("SELECT :a, :b", '{"a":1}', "statement 1: has a parameter ':b' that is not given"),
    ("SELECT ?", "[[1]]", "parameter 1 is an array, no value"),
    ("SELECT ?", '[{"$blob":"0g"}]', "parameter 1 has a $blob that is not text of pairs of hexadecimal digits"),
    ("SELECT ?", '[{"a":1}]', "parameter 1 is an object, and neither"),
    ("SELECT ?", '{"snapshot":"yes"}', "parameter 'snapshot' is reserved"),
    ("SELECT ?", '{"parameters":[1],"a":2}', "parameter 'a' stands beside 'parameters'"),
    (["SELECT ?", "SELECT ?"], "[[1]]", "the array of parameters has length 1, that of statements 2"),
    (["SELECT ?", "SELECT ?"], "[[1],[]]", "statement 2: has 1 parameter, and 0 values are given"),
    (["SELECT ?", "SELECT ?"], '[[1],{"b":1}]', "statement 2: parameter 'b' is in no statement"),
])
def test_wrong_parameters_are_named(both, sql, parameters, words):
    message = error(both, "SELECT * FROM read_pool(?, ?)", sql if isinstance(sql, str) else json.dumps(sql), parameters)
    assert message.startswith("read_pool: ") and words in message


@pytest.mark.parametrize("sql, words", [
    ("SELECT * FORM t", 'near "FORM": syntax error'), ("SELECT nope FROM t", "no such column: nope"),
    ("SELECT * FROM nope", "no such table: nope"), ("", "is empty"), ("-- nothing", "is empty"), ("SELECT 1; SELECT 2", "several statements"),
])
def test_statements_that_do_not_prepare(both, sql, words):
    for text, number in ((sql, 1), (json.dumps(["SELECT 1", sql]), 2)):
        message = error(both, "SELECT * FROM read_pool(?)", text)
        assert message.startswith(f"read_pool: statement {number}: ") and words in message
    if sqlite3.sqlite_version_info >= (3, 38) and "FORM" in sql:
        assert message.endswith("at byte 10: 'FORM t'")


@pytest.mark.parametrize("sql", [
    "INSERT INTO t VALUES (9999, 1)", "UPDATE t SET payload = 1", "DELETE FROM t", "REPLACE INTO t VALUES (1, 1)", "DROP TABLE t",
    "CREATE TABLE x(a)", "CREATE TEMP TABLE x(a)", "ALTER TABLE t RENAME TO x", "WITH x(a) AS (SELECT 1) DELETE FROM t",
    "WITH x(a) AS (SELECT 1) INSERT INTO t SELECT 9999, a FROM x RETURNING id", "INSERT INTO t VALUES (9999, 1) RETURNING id", "EXPLAIN DELETE FROM t",
    "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "ATTACH ':memory:' AS x", "DETACH x", "VACUUM", "VACUUM INTO '/tmp/x'", "ANALYZE", "REINDEX",
    "PRAGMA journal_mode=DELETE", "PRAGMA journal_mode", "PRAGMA user_version=7", "PRAGMA main.user_version(7)", "PRAGMA wal_checkpoint",
    "PRAGMA query_only=0", "PRAGMA writable_schema=1", "PRAGMA 'cache_size'=7", "PRAGMA optimize", "EXPLAIN PRAGMA foreign_keys=1", "EXPLAIN QUERY PLAN PRAGMA synchronous=OFF", "EXPLAIN PRAGMA query_only=1", "EXPLAIN VACUUM",
    "SELECT * FROM pragma_optimize", "SELECT * FROM main.[pragma_OPTIMIZE](2)", "SELECT load_extension('x')", "SELECT wal_checkpoint('TRUNCATE')",
    "SELECT \"wal_set\"('checkpoint_frames', 500)", "SELECT wal_metrics_reset ('all')",
])
def test_what_does_more_than_read_is_refused(both, sql):
    before = one(both, "PRAGMA user_version"), one(both, "SELECT count(*) FROM t"), metrics(both)["journal_mode"]
    message = error(both, "SELECT * FROM read_pool(?)", sql)
    assert message.startswith("read_pool: statement 1: ") and "refused" in message
    assert (one(both, "PRAGMA user_version"), one(both, "SELECT count(*) FROM t"), metrics(both)["journal_mode"]) == before
    assert not both.in_transaction


@pytest.mark.parametrize("module", ["rtree(id, low, high)", "fts5(body)"])
def test_virtual_tables_that_prepare_writes_are_read(pool, module):
    try:
        pool.execute(f"CREATE VIRTUAL TABLE v USING {module}")
    except sqlite3.OperationalError as missing:
        pytest.skip(str(missing))
    assert rows(pool, "SELECT count(*) AS n FROM v") == [(1, 1, {"n": 0})]


def test_arguments_of_other_types(db):
    assert error(db, "SELECT * FROM read_pool") == "read_pool: the argument 'sql' is missing"
    assert error(db, "SELECT * FROM read_pool(NULL)") == "read_pool: sql NULL is not text"
    assert error(db, "SELECT * FROM read_pool('SELECT 1', 7)") == "read_pool: parameters_json 7 is not text"
    assert error(db, "SELECT * FROM read_pool('[]')") == "read_pool: sql is an empty array: at least one statement"
    assert error(db, "SELECT * FROM read_pool('[1]')") == "read_pool: statement 1 is no text: sql is an array of statements"
    assert "sql is no JSON array" in error(db, "SELECT * FROM read_pool('[\"SELECT 1\"')")


def test_not_in_views_of_the_database(db):
    db.execute("CREATE VIEW v AS SELECT * FROM read_pool('SELECT 1')")
    assert "read_pool" in error(db, "SELECT * FROM v")


def test_readers_stand_in_connection_metrics_and_close_when_idle(pool):
    rows(pool, ["SELECT count(*) FROM t"] * 4)
    ids = {i for i, in pool.execute("SELECT connection_id FROM read_pool('SELECT 1')")}
    shown = {i for i, in pool.execute("SELECT connection_id FROM connection_metrics WHERE role = 'reader'")}
    assert ids < shown or ids == shown
    row = metrics(pool)
    assert row["pool_connections"] == len(shown) and row["pool_calls"] == 2 and row["pool_waits"] == row["pool_timeouts"] == 0
    assert in_time(lambda: metrics(pool)["pool_connections"] == 0)
    assert one(pool, "SELECT count(*) FROM connection_metrics WHERE role = 'reader'") == 0


def test_what_readers_did_is_counted_exactly(pool):
    """Rows of several statements are handed over together. Each is counted once, for the statement that found it."""
    sql, values = ["SELECT id FROM t WHERE id BETWEEN ?1 AND ?1 + ?2"] * 100, [[7 * i, i % 5] for i in range(1, 101)]
    for calls in (1, 2, 3):
        assert len(rows(pool, sql, values)) == 300
        assert pool.execute("SELECT sum(statements), sum(rows), max(state) FROM connection_metrics WHERE role = 'reader'") \
            .fetchone() == (100 * calls, 300 * calls, "idle")


def test_one_connection_serves_many_statements_and_calls(pool):
    one(pool, "SELECT wal_set('read_pool_size', 1)")
    found = pool.execute("SELECT DISTINCT connection_id FROM read_pool(?)", (json.dumps(["SELECT count(*) FROM t"] * 200),)).fetchall()
    assert len(found) == 1 and metrics(pool)["pool_connections"] == 1


def test_a_call_that_gets_no_connection_says_so(pool, wal_path):
    pool.execute("SELECT wal_set('read_pool_size', 1)").fetchall()
    first = pool.execute("SELECT data FROM read_pool('SELECT a.id FROM t a, t b')")
    assert first.fetchone() == ('{"id":1}',)
    pool.execute("SELECT wal_set('read_pool_timeout_ms', 100)").fetchall()
    other = connect(wal_path)
    message = error(other, "SELECT * FROM read_pool('SELECT 1')")
    assert message == ("read_pool: not done after 100 ms (read_pool_timeout_ms): no statement has begun, "
                       "every connection of the pool (read_pool_size is 1) is at work for other calls")
    row = metrics(pool)
    assert row["pool_waits"] == 1 and row["pool_timeouts"] == 1
    first.close()
    assert rows(other, "SELECT 1 AS a") == [(1, 1, {"a": 1})]


def test_a_statement_without_end_ends_with_the_timeout_of_the_setting(pool):
    one(pool, "SELECT wal_set('read_pool_timeout_ms', 100)")
    began = time.monotonic()
    assert error(pool, "SELECT * FROM read_pool(?)", ENDLESS) == "read_pool: not done after 100 ms (read_pool_timeout_ms)"
    assert time.monotonic() - began < 2
    assert rows(pool, "SELECT 1 AS a") == [(1, 1, {"a": 1})]


SETTINGS = "SELECT foreign_keys, synchronous, query_only, cache_size FROM pragma_foreign_keys, pragma_synchronous, pragma_query_only, pragma_cache_size"


@pytest.mark.parametrize("pragma", ["foreign_keys=1", "synchronous=OFF", "query_only=1", "cache_size=7", "temp_store=1"])
@pytest.mark.parametrize("sql", ["EXPLAIN PRAGMA {}", "EXPLAIN QUERY PLAN PRAGMA {}", "SELECT 1; PRAGMA {}", "; EXPLAIN /* */ PRAGMA main.{}"])
def test_bug_a_pragma_acted_when_it_was_compiled(both, sql, pragma):
    both.execute("PRAGMA temp_store=2")
    both.execute("CREATE TEMP TABLE kept(a)")
    before = both.execute(SETTINGS).fetchall()
    error(both, "SELECT * FROM read_pool(?)", sql.format(pragma))
    assert both.execute(SETTINGS).fetchall() == before
    assert one(both, "SELECT count(*) FROM kept") == 0


def test_explain_works(both):
    assert rows(both, "EXPLAIN QUERY PLAN SELECT * FROM t")[0][2]["detail"].startswith("SCAN")
    assert rows(both, "EXPLAIN SELECT 1")[0][2]["opcode"] == "Init"


def test_bug_read_pool_within_itself_ended_the_host_without_stack(both):
    itself = "SELECT data FROM read_pool(:s, json_object('s', :s))"
    message = error(both, "SELECT * FROM read_pool(?, json_object('s', ?))", itself, itself)
    assert message in ("read_pool: statement 1: no such table: read_pool",
                       "read_pool: statement 1: read_pool: is not there within a statement that it runs")
    # Two calls beside each other are allowed.
    assert both.execute("SELECT a.data, b.data FROM read_pool('SELECT 1 AS n') a, read_pool('SELECT 2 AS n') b").fetchall() == [('{"n":1}', '{"n":2}')]


def test_bug_a_statement_that_wrote_what_it_read_never_ended(both):
    both.execute("CREATE TABLE n(a)")
    both.execute("INSERT INTO n VALUES (1), (2), (3)")
    both.execute("INSERT INTO n SELECT json_extract(data, '$.a') + 10 FROM read_pool('SELECT a FROM n')")
    assert [a for a, in both.execute("SELECT a FROM n ORDER BY a")] == [1, 2, 3, 11, 12, 13]


def test_what_a_statement_that_writes_would_gather_is_bounded(db):
    db.execute("SELECT wal_set('read_pool_size', 0)").fetchall()
    many = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT zeroblob(100000) FROM c"
    assert error(db, "INSERT INTO t(payload) SELECT data FROM read_pool(?)", many).startswith("read_pool: more than 64 MiB of rows for a statement that writes")
    assert one(db, "SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("every", [1, 1000, 100_000])
def test_bug_the_hosts_progress_handler_was_not_asked(pool, every):
    began = time.monotonic()
    pool.set_progress_handler(lambda: time.monotonic() > began + 0.2, every)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        pool.execute("SELECT * FROM read_pool(?)", (ENDLESS,)).fetchall()
    assert time.monotonic() - began < 4


def test_bug_cursors_half_read_kept_their_own_thread_waiting(pool):
    """All readers wait for the caller to fetch rows, and the caller waits for a reader. So it gets one more."""
    pool.execute("SELECT wal_set('read_pool_size', 2), wal_set('read_pool_timeout_ms', 10000)").fetchall()
    began = time.monotonic()
    half_read = [pool.execute("SELECT data FROM read_pool('SELECT a.id FROM t a, t b')") for _ in range(2)]
    for cursor in half_read:
        cursor.fetchone()
    assert rows(pool, "SELECT 1 AS a") == [(1, 1, {"a": 1})]
    assert rows(pool, "SELECT 1 AS a", {"snapshot": True}) == [(1, 1, {"a": 1})]
    assert one(pool, "SELECT count(*) FROM read_pool('SELECT a.id FROM t a, t b LIMIT 5000') x, read_pool('SELECT 1')") == 5000
    assert all(len(cursor.fetchmany(5000)) == 5000 for cursor in half_read)
    assert time.monotonic() - began < 9
    for cursor in half_read:
        cursor.close()
    assert in_time(lambda: metrics(pool)["pool_connections"] == 0)


def test_limits_of_the_hosts_connection_are_the_pools(pool, wal_path):
    deep = "SELECT " + "+".join("1" * 300)
    assert len(thrice(pool, deep)) == 1  # kept prepared
    pool.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100)
    assert "Expression tree is too large (maximum depth 100)" in error(pool, "SELECT * FROM read_pool(?)", deep)
    other = connect(wal_path)
    assert len(rows(other, deep)) == 1  # the next call that uses the same reader has its own limit
    other.close()


def test_what_a_name_in_quotes_may_be_is_as_on_the_hosts_connection(wal_path):
    import apsw
    db = apsw_connect(wal_path)
    sql = """SELECT data FROM read_pool('SELECT "no name" AS a')"""
    assert db.cursor().execute(sql).fetchall() == [('{"a":"no name"}',)]
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    with pytest.raises(apsw.SQLError, match="no such column"):
        db.cursor().execute(sql).fetchall()
    db.close()


# --- repeated statements are kept prepared, so each runs a few times before something changes


def thrice(db, sql, parameters=None):
    """The rows of a statement, which must be the same three times."""
    found = [rows(db, sql, parameters) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    return [data for _, _, data in found[0]]


@pytest.mark.parametrize("sql, expected", [
    ("SELECT * FROM t WHERE id = 1", ["id", "payload", "extra"]),
    ("SELECT t.* FROM t JOIN t AS other USING (id) WHERE id = 1", ["id", "payload", "extra"]),
    ("SELECT name FROM pragma_table_info('t')", ["name"]),
    ("PRAGMA table_info(t)", ["cid", "name", "type", "notnull", "dflt_value", "pk"]),
])
def test_a_repeated_statement_sees_the_schema_of_now(both, sql, expected):
    columns_before = thrice(both, sql)
    both.execute("ALTER TABLE t ADD COLUMN extra DEFAULT 7")
    found = thrice(both, sql)
    assert list(found[0]) == expected and found != columns_before
    both.execute("ALTER TABLE t RENAME COLUMN extra TO other")
    assert json.dumps(thrice(both, sql)) == json.dumps(found).replace('"extra"', '"other"')


def test_a_repeated_statement_may_become_one_that_is_refused(pool):
    pool.execute("CREATE VIEW v AS SELECT id AS x FROM t LIMIT 1")
    assert thrice(pool, "SELECT x FROM v") == [{"x": 1}]
    pool.execute("DROP VIEW v")
    pool.execute("CREATE VIEW v AS SELECT 1 AS x FROM pragma_optimize")
    message = "read_pool: statement 1: PRAGMA optimize is refused: only what reads runs here"
    for _ in range(3):
        assert error(pool, "SELECT * FROM read_pool('SELECT x FROM v')") == message
    pool.execute("DROP VIEW v")
    assert "no such table: v" in error(pool, "SELECT * FROM read_pool('SELECT x FROM v')")
    pool.execute("CREATE TABLE v(x, y)")
    assert thrice(pool, "SELECT x FROM v") == []


def test_a_repeated_statement_has_the_plan_of_now(both):
    plan = "EXPLAIN QUERY PLAN SELECT id FROM t WHERE payload = 1"
    assert "SCAN" in str(thrice(both, plan))
    both.execute("CREATE INDEX by_payload ON t(payload)")
    one(both, "SELECT count(*) FROM read_pool('SELECT count(*) FROM t')")  # the reader has seen the new schema
    assert "by_payload" in str(thrice(both, plan))


def test_a_repeated_statement_is_compiled_as_the_host_would(wal_path):
    import apsw
    db = apsw_connect(wal_path)
    sql = """SELECT data FROM read_pool('SELECT "no name" AS a, length(zeroblob(2000)) AS b')"""
    for _ in range(3):
        assert db.cursor().execute(sql).fetchall() == [('{"a":"no name","b":2000}',)]
    db.limit(apsw.SQLITE_LIMIT_LENGTH, 1000)
    with pytest.raises(apsw.SQLError, match="too big"):
        db.cursor().execute(sql).fetchall()
    db.limit(apsw.SQLITE_LIMIT_LENGTH, 10000)
    assert db.cursor().execute(sql).fetchall() == [('{"a":"no name","b":2000}',)]
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    with pytest.raises(apsw.SQLError, match="no such column"):
        db.cursor().execute(sql).fetchall()
    db.close()


def test_a_repeated_statement_has_the_parameters_of_now(both):
    sql = "SELECT typeof(?1) AS kind, ?1 AS value, (SELECT count(*) FROM t WHERE id <= ?2) AS few"
    for number, value in enumerate(["x" * 100_000, b"\0" * 50_000, None, 1, 1.5, "", b"", "y"] * 2):
        (_, _, data), = rows(both, sql, [as_parameter(value), number])
        assert exactly(value_of(data["value"])) == exactly(value) and data["few"] == number
    assert "has 2 parameters, and 1 value is given" in error(both, "SELECT * FROM read_pool(?, '[1]')", sql)
    assert thrice(both, sql, [1, 2]) == [{"kind": "integer", "value": 1, "few": 2}]


def test_a_repeated_statement_may_fail_and_go_on(both):
    sql = "SELECT abs(?1) AS a FROM t WHERE id <= 3"
    assert thrice(both, sql, [-1]) == 3 * [{"a": 1}]
    for _ in range(3):
        assert "integer overflow" in error(both, "SELECT * FROM read_pool(?, ?)", sql, f"[{-2**63}]")
        assert thrice(both, sql, [-2]) == 3 * [{"a": 2}]


def test_a_repeated_statement_holds_nothing_meanwhile(pool, wal_path):
    """Between two calls the log can be copied and cut, and the table dropped."""
    thrice(pool, "SELECT count(*) FROM t")
    rows_into(pool, 10, first=10_000)
    assert pool.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    pool.execute("DROP TABLE t")
    assert "no such table: t" in error(pool, "SELECT * FROM read_pool('SELECT count(*) FROM t')")


def test_many_different_statements_that_come_again(pool):
    """More statements than are kept prepared, in several calls, and the same one at the same time."""
    sql = [f"SELECT id + {i} AS sum FROM t WHERE id <= ?1" for i in range(40)]
    for last in range(1, 6):
        found = rows(pool, sql + sql[:5], [[last] for _ in range(45)])
        assert [(s, r, data["sum"]) for s, r, data in found] == \
            [(s + 1, r, r + s % 40) for s in range(45) for r in range(1, last + 1)]


def test_bug_rows_went_with_those_of_the_statement_before(pool):
    """A statement that looks for its first row may hand over the rows of the statement before it."""
    short, longer = "SELECT ?1 AS n", "SELECT ?1 AS n, count(*) AS c FROM t, (SELECT 1 FROM t LIMIT ?1 % 4)"
    sql = [longer if i % 5 == 4 else short for i in range(100)]
    for _ in range(30):
        found = rows(pool, sql, [[i] for i in range(100)])
        assert [(statement, row, data["n"]) for statement, row, data in found] == [(i + 1, 1, i) for i in range(100)]


LONG = "length(hex(zeroblob(40000000 + {})))"  # one step of SQLite's virtual machine, about 100 ms


@pytest.mark.parametrize("sql", [
    ["SELECT 1", f"SELECT {LONG.format('?1')}"],
    [f"SELECT CASE id WHEN ?1 THEN {LONG.format('id')} END FROM t WHERE id <= ?1"],
], ids=["of the statement before", "of the same"])
def test_bug_a_row_waited_for_a_step_that_took_long(pool, sql):
    """Bug: the row stayed with its reader, which checks nothing within a step."""
    one(pool, "SELECT wal_set('read_pool_size', 1)")
    values = json.dumps([[], [2]] if len(sql) == 2 else [2])
    def comes_early():
        began = time.monotonic()
        cursor = pool.execute("SELECT statement FROM read_pool(?, ?)", (json.dumps(sql) if len(sql) == 2 else sql[0], values))
        after_first = time.monotonic()  # which execute() fetches
        found, after_all = cursor.fetchall(), time.monotonic()
        assert len(found) == 2
        return after_first - began < (after_all - began) / 2

    # A row that waited for the end of the step would come late each time; on a busy machine one may.
    assert any(comes_early() for _ in range(5))


def test_bug_a_reader_without_rows_waited_for_room(pool, wal_path):
    """Another call on the same thread needed that reader, while the rows of the first call were half fetched."""
    one(pool, "SELECT wal_set('read_pool_size', 2)")
    other = connect(wal_path)
    none = "SELECT 1 FROM t AS a, t AS b WHERE b.id <= 300 AND a.id + b.id < 0"  # ends when the other is full
    half = pool.execute("SELECT * FROM read_pool(?)", (json.dumps(["SELECT * FROM t", none]),))
    assert half.fetchone() and in_time(lambda: one(
        other, "SELECT count(*) FROM connection_metrics WHERE role = 'reader' AND statements = 1") == 1)
    assert rows(other, "SELECT 5 AS n", {"timeout_ms": 3000}) == [(1, 1, {"n": 5})]
    half.close()
    other.close()


def test_a_row_too_long_for_the_engine_is_not_built(both):
    message = error(both, "SELECT * FROM read_pool('SELECT 1, zeroblob(600000000)')")
    assert message == ("read_pool: statement 1: a row with 600000000 bytes in column 2 is, as JSON, "
                       "longer than a value may be (1000000000 bytes)")


def test_a_call_has_a_time_of_its_own(both):
    message = error(both, "SELECT * FROM read_pool(?, ?)", "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c",
                    '{"timeout_ms":100}')
    assert message == "read_pool: not done after 100 ms (timeout_ms)"


def test_a_statement_has_a_time_of_its_own(both):
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c"
    message = error(both, "SELECT * FROM read_pool(?, ?)", json.dumps(["SELECT 1", endless]), '{"statement_timeout_ms":100}')
    assert message == "read_pool: statement 2: not done after 100 ms (statement_timeout_ms)"
    assert rows(both, "SELECT 1 AS a", {"statement_timeout_ms": 3_600_000, "timeout_ms": 3_600_000}) == [(1, 1, {"a": 1})]


def test_a_statement_that_gives_no_row_is_ended_by_its_time(pool):
    began = time.monotonic()
    message = error(pool, "SELECT * FROM read_pool(?, ?)", ENDLESS, '{"statement_timeout_ms":100,"parameters":[]}')
    assert message == "read_pool: statement 1: not done after 100 ms (statement_timeout_ms)"
    assert time.monotonic() - began < 2
    assert metrics(pool)["pool_timeouts"] == 1


@pytest.mark.parametrize("name", ["timeout_ms", "statement_timeout_ms"])
@pytest.mark.parametrize("value", [0, -1, 3_600_001, 1.5, "100", None, [1]])
def test_wrong_times_are_refused(both, name, value):
    message = error(both, "SELECT * FROM read_pool('SELECT 1', ?)", json.dumps({name: value}))
    assert message == f"read_pool: parameter '{name}' is reserved: 1 to 3600000 ms (or ':{name}', by name)"
    assert rows(both, f"SELECT :{name} AS a", {":" + name: value if value != [1] else 1})[0][2] == {"a": value if value != [1] else 1}


def test_utilization_is_the_part_of_the_time_in_which_statements_ran(pool):
    assert metrics(pool)["pool_utilization"] is None
    error(pool, "SELECT * FROM read_pool(?, ?)", ENDLESS, '{"timeout_ms":300}')
    busy = metrics(pool)["pool_utilization"]
    assert 0.1 < busy <= 1  # a busy machine takes its time before the statement runs
    time.sleep(0.6)
    assert 0 < metrics(pool)["pool_utilization"] < 0.8 * busy
    assert in_time(lambda: metrics(pool)["pool_connections"] == 0)
    closed = metrics(pool)["pool_utilization"]
    time.sleep(0.05)
    assert metrics(pool)["pool_utilization"] == closed


def test_a_call_whose_rows_are_not_fetched_ends_with_its_time(pool):
    one(pool, "SELECT wal_set('read_pool_timeout_ms', 100)")
    cursor = pool.execute("SELECT data FROM read_pool('SELECT a.id FROM t a, t b')")
    cursor.fetchone()
    assert in_time(lambda: one(pool, "SELECT count(*) FROM connection_metrics WHERE role = 'reader' AND state = 'active'") == 0)
    with pytest.raises(sqlite3.OperationalError, match="read_pool: not done after 100 ms"):
        cursor.fetchall()


def test_interrupt_ends_the_inner_statements(wal_path):
    db = connect(wal_path, check_same_thread=False)
    timer = threading.Timer(0.2, db.interrupt)
    timer.start()
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="interrupt"):
        db.execute("SELECT * FROM read_pool(?)", (json.dumps([ENDLESS, ENDLESS]),)).fetchall()
    assert time.monotonic() - began < 2
    assert one(db, "SELECT count(*) FROM connection_metrics WHERE role = 'reader' AND state = 'active'") == 0
    timer.join()
    db.close()


def test_a_limit_ends_them_too(pool):
    found = pool.execute("SELECT data FROM read_pool('SELECT a.id FROM t a, t b, t c') LIMIT 3").fetchall()
    assert len(found) == 3
    assert one(pool, "SELECT count(*) FROM connection_metrics WHERE role = 'reader' AND state = 'active'") == 0


def test_as_one_table_of_a_join(pool):
    found = pool.execute("SELECT t.id, data ->> 'x' FROM t, read_pool('SELECT ?1 * 2 AS x', json_array(t.id)) WHERE t.id <= 3").fetchall()
    assert found == [(1, 2), (2, 4), (3, 6)]


def test_what_is_not_committed_is_not_seen(pool):
    pool.execute("BEGIN")
    pool.execute("DELETE FROM t")
    assert rows(pool, "SELECT count(*) AS n FROM t") == [(1, 1, {"n": 3000})]
    pool.execute("ROLLBACK")


def test_nothing_is_left_in_the_way_of_journal_mode(pool, wal_path):
    rows(pool, ["SELECT count(*) FROM t"] * 3)
    assert pool.execute("PRAGMA journal_mode=DELETE").fetchall() == [("delete",)]
    assert metrics(pool)["pool_connections"] == 0
    assert rows(pool, "SELECT count(*) AS n FROM t") == [(1, 1, {"n": 3000})]  # on this connection
    assert metrics(pool)["pool_connections"] == 0


def test_nothing_is_left_in_the_way_of_journal_mode_where_a_driver_has_the_trace(pool):
    pool.set_trace_callback(lambda text: None)
    rows(pool, ["SELECT count(*) FROM t"] * 3)
    assert pool.execute("PRAGMA journal_mode=DELETE").fetchall() == [("delete",)]


def test_the_last_close_leaves_what_it_would_leave(pool, wal_path):
    rows(pool, ["SELECT count(*) FROM t"] * 3)
    pool.close()
    assert files_beside(wal_path) <= {"", "-walmanager"}


def test_close_while_a_cursor_is_half_way(wal_path):
    db = connect(wal_path)
    rows_into(db, 3000)
    cursor = db.execute("SELECT data FROM read_pool('SELECT a.id FROM t a, t b')")
    cursor.fetchone()
    db.close()
    del cursor
    assert files_beside(wal_path) <= {"", "-walmanager"}


def test_a_read_only_connection_has_a_pool_that_is_read_only(pool, wal_path):
    reader = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert rows(reader, ["SELECT count(*) AS n FROM t"] * 2) == [(1, 1, {"n": 3000}), (2, 1, {"n": 3000})]
    assert metrics(reader)["pool_connections"] >= 1
    reader.close()


def test_in_memory_it_runs_on_the_connection():
    db = connect(":memory:")
    db.execute("CREATE TEMP TABLE mine(a)")
    assert rows(db, ["SELECT 1 AS a", "SELECT count(*) AS n FROM mine"], {"snapshot": True}) == [(1, 1, {"a": 1}), (2, 1, {"n": 0})]
    db.close()


def test_on_the_own_connection_the_snapshot_is_held(pool, wal_path):
    one(pool, "SELECT wal_set('read_pool_size', 0)")
    other = connect(wal_path, load=None)
    cursor = pool.execute("SELECT data FROM read_pool(?, ?)", (json.dumps(["SELECT count(*) AS n FROM t"] * 2), '{"snapshot":true}'))
    first = cursor.fetchone()
    other.execute("DELETE FROM t WHERE id = 1")
    assert [first] + cursor.fetchall() == [('{"n":3000}',)] * 2
    other.close()


def test_the_session_that_is_shown(wal_path):
    session = (ROOT / "ext/read_pool/README.md").read_text().split("```")[1]
    lines = session.strip().splitlines()
    sql = "\n".join(line[8:] for line in lines if line.startswith(("sqlite> ", "   ...> ")))
    db = connect(wal_path)
    db.execute("CREATE TABLE events(id INTEGER PRIMARY KEY, kind INTEGER, note BLOB)")
    rows_into(db, 10000, "events", payload="i % 10, x'00ff'")
    shown = ["|".join(map(str, row)) for row in db.execute(sql)]
    assert shown == [line for line in lines if line[0].isdigit()]
    db.close()
