"""unused_indexes: indexes that nothing needs, and why others are not among them."""

import sqlite3
import time

import pytest

from conftest import connect, one
from helpers import columns
from waiting import poll, wait_for

COLUMNS = "schema table_name index_name reason covered_by bytes since sql_to_run".split()
NOT_USED = "not used by any statement seen"


@pytest.fixture
def shop(wal_path):
    db = connect(wal_path)
    db.executescript("""
        CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, city TEXT, email TEXT UNIQUE);
        CREATE TABLE orders(id INTEGER PRIMARY KEY, customer_id INT REFERENCES customers, status TEXT, total REAL);
        CREATE INDEX orders_customer ON orders(customer_id);
        CREATE INDEX orders_status ON orders(status);
        CREATE INDEX customers_city ON customers(city);
        INSERT INTO customers VALUES (1, 'a', 'b', 'c');
        INSERT INTO orders VALUES (1, 1, 'open', 5);""")
    yield db
    db.close()


def unused(db):
    return [(row[0], row[1]) for row in db.execute("SELECT index_name, reason FROM unused_indexes")]


def unused_is(db, expected):
    """Once the background thread has explained what it took over."""
    def explained():
        return one(db, "SELECT count(*) FROM query_performance WHERE kind IN ('read', 'write') AND plan IS NULL"
                       " AND query NOT LIKE '%wal_%' AND query NOT LIKE '%unused_indexes%' AND query NOT LIKE '%query_performance%'") == 0
    wait_for(explained)
    return poll(lambda: unused(db), expected, 5) == expected


def run(db, sql, *parameters):
    db.execute(sql, parameters).fetchall()


def settle(db):
    """The statements before a change of the schema are forgotten: whether they would use an index now is not known."""
    one(db, "SELECT wal_metrics_reset('queries')")


def test_columns_are_those_of_the_contract(shop):
    assert [name for name, _ in columns(shop, "unused_indexes")] == COLUMNS


def test_an_index_that_no_statement_uses(shop):
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    run(shop, "SELECT * FROM customers WHERE id = ?", 1)
    # That of a foreign key and that of UNIQUE are never among them.
    assert unused_is(shop, [("customers_city", NOT_USED)])
    (row,) = shop.execute("SELECT * FROM unused_indexes").fetchall()
    row = dict(zip(COLUMNS, row))
    assert (row["schema"], row["table_name"], row["index_name"], row["reason"], row["covered_by"]) == (
        "main", "customers", "customers_city", NOT_USED, None)
    assert row["sql_to_run"] == 'DROP INDEX "customers_city"'
    assert row["bytes"] == one(shop, "PRAGMA page_size")  # an index of one page
    assert row["since"] <= one(shop, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
    assert row["since"] >= one(shop, "SELECT statistics_since FROM wal_metrics")
    run(shop, row["sql_to_run"])
    assert unused_is(shop, [])


def test_a_statement_that_uses_it_keeps_it(shop):
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    run(shop, "SELECT name FROM customers WHERE city = ?", "b")
    assert unused_is(shop, [])
    run(shop, "SELECT wal_metrics_reset('queries')")
    assert unused_is(shop, [])  # no statement was seen
    run(shop, "SELECT 1")
    assert unused_is(shop, [("orders_status", NOT_USED), ("customers_city", NOT_USED)])


def test_also_one_that_a_trigger_a_view_or_a_count_uses(shop):
    shop.executescript("""
        CREATE TRIGGER gone AFTER DELETE ON orders BEGIN UPDATE customers SET name = 'x' WHERE city = old.status; END;
        CREATE VIEW still_open AS SELECT * FROM orders WHERE status = 'open';""")
    settle(shop)
    run(shop, "DELETE FROM orders WHERE id = 7")
    assert unused_is(shop, [("orders_status", NOT_USED)])
    run(shop, "SELECT * FROM still_open")
    assert unused_is(shop, [])


def test_a_statement_of_another_process_counts_once_its_plan_is_known(shop, wal_path):
    other = connect(wal_path)
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    assert unused_is(shop, [("customers_city", NOT_USED)])
    run(other, "SELECT name FROM customers WHERE city = ?", "b")
    assert unused(shop) == []
    def explained():
        run(other, "SELECT 1")
        return one(shop, "SELECT plan FROM query_performance WHERE query LIKE 'SELECT name FROM customers%'")
    assert "customers_city" in wait_for(explained)
    assert unused_is(shop, [])
    other.close()


def test_a_plan_of_an_earlier_schema_is_not_known(shop):
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    run(shop, "SELECT name FROM customers WHERE city > ? AND name = ?", "b", "a")
    run(shop, "CREATE INDEX customers_name ON customers(name)")
    assert unused(shop) == []  # either may use it
    run(shop, "SELECT name FROM customers WHERE city > ? AND name = ?", "b", "a")
    assert unused_is(shop, [("customers_city", NOT_USED)])


def test_a_plan_of_other_literals_is_not_known(shop):
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    run(shop, "SELECT name FROM customers WHERE city || '' = 'b'")
    assert unused_is(shop, [("customers_city", NOT_USED)])
    run(shop, "SELECT name FROM customers WHERE city || '' = 'c'")
    assert unused_is(shop, [])
    settle(shop)
    run(shop, "SELECT name FROM customers WHERE city LIKE ?", "b%")  # with another collation it may use it
    assert unused_is(shop, [("orders_status", NOT_USED)])


def test_nothing_is_unused_where_statements_were_evicted(shop):
    run(shop, "SELECT wal_set('max_queries', 10)")
    settle(shop)
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    assert unused_is(shop, [("customers_city", NOT_USED)])
    for number in range(20):
        run(shop, f"SELECT 1 AS n{number}")
    assert one(shop, "SELECT queries_evicted FROM wal_metrics") > 0
    assert unused_is(shop, [])


def test_nothing_is_unused_while_a_connection_has_the_database_attached(shop, wal_path, tmp_path):
    """Its statements count under its main database."""
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    other = connect(tmp_path / "other.db")
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE o(x)")
    other.execute("CREATE INDEX o_x ON o(x)")
    run(other, "ATTACH ? AS shop", str(wal_path))
    run(other, "SELECT name FROM shop.customers WHERE city = ?", "b")
    assert unused_is(shop, [])
    run(other, "CREATE INDEX shop.again ON customers(city)")
    assert other.execute("SELECT schema, index_name, reason, sql_to_run FROM unused_indexes WHERE schema = 'shop'").fetchall() == [
        ("shop", "again", "duplicate of customers_city", 'DROP INDEX "shop"."again"')]
    run(other, "DROP INDEX shop.again")
    run(other, "DETACH shop")
    run(other, "SELECT 1")
    assert unused_is(shop, [])  # what it ran counts, although it has let go
    other.close()
    assert unused_is(shop, [])
    time.sleep(0.01)
    settle(shop)
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    assert unused_is(shop, [("customers_city", NOT_USED)])


def test_bug_the_size_of_an_index_left_a_statement_of_ours(shop):
    run(shop, "SELECT * FROM orders WHERE status = ?", "open")
    assert unused_is(shop, [("customers_city", NOT_USED)])
    assert one(shop, "SELECT bytes FROM unused_indexes") > 0
    assert one(shop, "SELECT count(*) FROM query_performance WHERE query LIKE '%rootpage%' AND query NOT LIKE '%query_performance%'") == 0


def test_prefixes_and_duplicates(shop):
    shop.executescript("""
        CREATE TABLE t2(a, b, c, d TEXT COLLATE NOCASE, UNIQUE (a, b));
        CREATE INDEX [a "prefix"] ON t2(a);
        CREATE INDEX t2_c ON t2(c);
        CREATE INDEX t2_cb ON t2(c, b);
        CREATE INDEX t2_cb_again ON t2(C, [b]);
        CREATE INDEX t2_c_descending ON t2(c DESC);
        CREATE INDEX t2_c_nocase ON t2(c COLLATE NOCASE);
        CREATE INDEX t2_d ON t2(d);
        CREATE INDEX t2_d_too ON t2(d COLLATE nocase, a);
        CREATE INDEX t2_partial ON t2(c) WHERE b > 5;
        CREATE INDEX t2_partial_too ON t2(c, a) WHERE b  >  5;
        CREATE INDEX t2_partial_other ON t2(c, a) WHERE b > 6;
        CREATE INDEX t2_lower ON t2(lower(a));
        CREATE INDEX t2_lower_too ON t2(LOWER( a ), b);
        CREATE INDEX t2_upper ON t2(upper(a), b);""")
    rows = shop.execute("SELECT index_name, reason, covered_by, sql_to_run FROM unused_indexes WHERE table_name = 't2' AND covered_by IS NOT NULL")
    covered = {row[0]: row[1:] for row in rows}
    assert covered == {
        'a "prefix"': ("prefix of sqlite_autoindex_t2_1", "sqlite_autoindex_t2_1", 'DROP INDEX "a ""prefix""' + '"'),
        "t2_c": ("prefix of t2_cb", "t2_cb", 'DROP INDEX "t2_c"'),
        "t2_cb_again": ("duplicate of t2_cb", "t2_cb", 'DROP INDEX "t2_cb_again"'),
        "t2_d": ("prefix of t2_d_too", "t2_d_too", 'DROP INDEX "t2_d"'),
        "t2_partial": ("prefix of t2_partial_too", "t2_partial_too", 'DROP INDEX "t2_partial"'),
        "t2_lower": ("prefix of t2_lower_too", "t2_lower_too", 'DROP INDEX "t2_lower"')}
    for sql in [row[2] for row in covered.values()]:
        run(shop, sql)


def test_an_index_that_is_named_stays(shop):
    run(shop, "CREATE INDEX again ON customers(city)")
    settle(shop)
    run(shop, "SELECT name FROM customers INDEXED BY again WHERE city = ?", "b")
    assert ("customers_city", "duplicate of again") in unused(shop)
    assert "again" not in [name for name, _ in unused(shop)]


def test_tables_of_virtual_tables_are_left_alone(shop):
    run(shop, "CREATE VIRTUAL TABLE docs USING fts4(body)")  # fts4 makes an index of its own
    settle(shop)
    run(shop, "SELECT 1")
    assert all(not name.startswith("docs") and not name.startswith("sqlite_") for name, _ in unused(shop))


def test_it_is_refused_in_views(shop):
    shop.execute("CREATE VIEW v AS SELECT * FROM unused_indexes")
    with pytest.raises(sqlite3.OperationalError, match="unsafe use of virtual table"):
        shop.execute("SELECT * FROM v").fetchall()
    shop.execute("DROP VIEW v")
