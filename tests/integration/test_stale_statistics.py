"""stale_statistics: tables with ten times, or a tenth, of the rows that ANALYZE saw; and tables that it has not seen."""

import time

import pytest

from conftest import connect, one
from helpers import STRANGE, columns, quoted, rows_into


def stale(db):
    return db.execute("SELECT * FROM stale_statistics").fetchall()


def test_stale_statistics_columns(db):
    assert columns(db, "stale_statistics") == [("schema", "TEXT"), ("table_name", "TEXT"), ("analyzed_rows", "INTEGER"),
                                               ("rows_at_least", "INTEGER")]


def test_nothing_is_stale_where_analyze_never_ran(db):
    rows_into(db, 1000)
    assert stale(db) == []
    db.execute("ANALYZE")
    assert stale(db) == []


@pytest.mark.parametrize("analyzed, now, shown", [
    (1, 99, None), (1, 100, 100), (9, 100, 100), (9, 99, None),  # a hundred rows are the least that counts
    (10, 99, None), (10, 100, 100), (10, 5000, 100),  # tenfold, and counted no further
    (100, 999, None), (100, 1000, 1000),
    (100, 11, None), (100, 10, 10), (99, 1, None), (100, 0, 0), (1000, 101, None), (1000, 100, 100),
    (500, 500, None),
])
def test_tables_that_grew_tenfold_or_shrank_to_a_tenth(db, analyzed, now, shown):
    rows_into(db, analyzed)
    db.execute("ANALYZE")
    db.execute("DELETE FROM t WHERE id > ?", (now,))
    if now > analyzed:
        rows_into(db, now - analyzed, first=analyzed + 1)
    assert stale(db) == ([] if shown is None else [("main", "t", analyzed, shown)])
    db.execute("ANALYZE")
    assert stale(db) == []


def test_more_rows_than_can_be_counted_quickly_are_left_alone(db):
    rows_into(db, 10)
    db.execute("ANALYZE")
    db.execute("UPDATE sqlite_stat1 SET stat = '100001' WHERE tbl = 't'")
    assert stale(db) == []
    db.execute("UPDATE sqlite_stat1 SET stat = '100000' WHERE tbl = 't'")
    assert stale(db) == [("main", "t", 100_000, 10)]


def test_indexes_without_rowid_and_partial_ones_count_the_rows_of_the_table(db):
    db.executescript("""
        CREATE TABLE w(a TEXT PRIMARY KEY, b) WITHOUT ROWID;
        CREATE INDEX some ON t(payload) WHERE id <= 2;
        CREATE INDEX w_b ON w(b);""")
    for table in ("t", "w"):
        rows_into(db, 20, table=table)
    db.execute("ANALYZE")
    assert stale(db) == []
    rows_into(db, 179, table="w", first=21)
    rows_into(db, 179, first=21)
    assert stale(db) == []
    rows_into(db, 1, table="w", first=200)
    assert stale(db) == [("main", "w", 20, 200)]
    rows_into(db, 1, first=200)
    assert sorted(stale(db)) == [("main", "t", 20, 200), ("main", "w", 20, 200)]


@pytest.mark.parametrize("name", [STRANGE, "a.b", "select", "x;--", "ß", "sqlitelike", "%w", " "])
def test_tables_with_strange_names(db, name):
    db.execute(f"CREATE TABLE {quoted(name)}(id INTEGER PRIMARY KEY, a)")
    rows_into(db, 10, table=quoted(name))
    db.execute("ANALYZE")
    rows_into(db, 90, table=quoted(name), first=11)
    assert stale(db) == [("main", name, 10, 100)]
    sql = one(db, "SELECT sql_to_run FROM wal_recommendations WHERE finding = ?", f"the statistics of {name} are old")
    assert sql == f'ANALYZE "main".{quoted(name)}'
    db.execute(sql)
    assert stale(db) == []


def test_views_virtual_tables_and_what_is_not_there_are_not_counted(db):
    """ANALYZE writes no such rows, but anything that may write the database can."""
    rows_into(db, 10)
    db.execute("ANALYZE")
    calls = []
    db.create_function("seen", 0, lambda: calls.append(1))
    db.execute("CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
               "SELECT i, seen() FROM n")
    db.execute("CREATE VIRTUAL TABLE f USING fts5(a)")
    for table in ("v", "f", "gone", "sqlite_schema", "json_each", "", None, b"\xff\x00", 7):
        db.execute("INSERT INTO sqlite_stat1 VALUES (?, NULL, '1')", (table,))
    for stat in (None, "", "-5", "9999999999999999999999", "unordered", b"\xff"):
        db.execute("CREATE TABLE IF NOT EXISTS u(id INTEGER PRIMARY KEY, a)")
        db.execute("INSERT INTO sqlite_stat1 VALUES ('u', NULL, ?)", (stat,))
    assert stale(db) == []
    assert calls == []
    assert one(db, "SELECT count(*) FROM wal_recommendations WHERE area = 'statistics'") == 0


def test_a_sqlite_stat1_with_other_columns_is_ignored(db):
    db.execute("ANALYZE")
    db.execute("PRAGMA writable_schema=ON")
    db.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE sqlite_stat1(a, b)' WHERE name = 'sqlite_stat1'")
    db.execute("PRAGMA writable_schema=RESET")
    db.execute("PRAGMA writable_schema=OFF")
    assert stale(db) == []
    assert one(db, "SELECT count(*) FROM wal_recommendations WHERE area = 'statistics'") == 0


def test_each_attached_database_has_rows_of_its_own(db, tmp_path):
    db.execute("ATTACH ? AS " + quoted(STRANGE), (str(tmp_path / "other.db"),))
    db.execute(f"CREATE TABLE {quoted(STRANGE)}.t(id INTEGER PRIMARY KEY, a)")
    db.execute("CREATE TEMP TABLE x(id INTEGER PRIMARY KEY, a)")
    tables = ("main.t", f"{quoted(STRANGE)}.t", "temp.x")
    for table in tables:
        rows_into(db, 10, table=table)
    db.execute("ANALYZE")
    for table in tables:
        rows_into(db, 90, table=table, first=11)
    assert stale(db) == [("main", "t", 10, 100), (STRANGE, "t", 10, 100)]


def test_it_leaves_no_transaction_and_reads_what_the_connection_sees(db, wal_path):
    rows_into(db, 10)
    db.execute("ANALYZE")
    db.execute("BEGIN")
    rows_into(db, 90, first=11)
    assert stale(db) == [("main", "t", 10, 100)]
    other = connect(wal_path)
    assert stale(other) == []
    other.close()
    db.execute("ROLLBACK")
    assert stale(db) == []
    bare = connect(wal_path, load=None, timeout=0)
    assert bare.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    bare.close()


# --- wal_environment's tables_without_statistics

def without_statistics(db):
    return one(db, "SELECT tables_without_statistics FROM wal_environment")


def test_tables_with_rows_that_analyze_has_not_looked_at(db):
    db.executescript(f"""
        CREATE TABLE empty(a);
        CREATE TABLE w(a TEXT PRIMARY KEY, b) WITHOUT ROWID;
        CREATE TABLE {quoted(STRANGE)}(a, b);
        CREATE TABLE p(a, b);
        CREATE INDEX without_b ON p(a) WHERE b IS NULL;
        CREATE VIEW v AS SELECT * FROM t;""")
    assert without_statistics(db) == 0
    for count, table in enumerate(("t", "w", quoted(STRANGE), "p"), start=1):
        rows_into(db, 3, table=table)
        assert without_statistics(db) == count
    db.execute("ANALYZE p")
    assert without_statistics(db) == 3
    db.execute("ANALYZE")
    assert without_statistics(db) == 0
    db.execute("INSERT INTO empty VALUES (1)")
    assert without_statistics(db) == 1


def test_tables_behind_a_virtual_table_are_looked_at(db):
    db.execute("CREATE VIRTUAL TABLE f USING fts5(a)")
    db.execute("INSERT INTO f VALUES ('some words')")
    assert without_statistics(db) > 0
    db.execute("ANALYZE")
    assert without_statistics(db) == 0


def test_many_tables_are_looked_through_in_no_time(db):
    db.execute("BEGIN")
    for i in range(1000):
        db.execute(f"CREATE TABLE many{i}(id INTEGER PRIMARY KEY, a)")
        db.execute(f"INSERT INTO many{i} VALUES (1, 1)")
        db.execute(f"CREATE INDEX many{i}_a ON many{i}(a)")
    db.execute("COMMIT")
    db.execute("ANALYZE")
    assert without_statistics(db) == 0
    took = []
    for _ in range(10):
        start = time.perf_counter()
        db.execute("SELECT tables_without_statistics FROM wal_environment").fetchall()
        took.append(time.perf_counter() - start)
    assert min(took) < 0.012, took  # 0.027 where each table's statistics are looked for one by one
