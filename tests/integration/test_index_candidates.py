"""index_candidates: missing indexes, which SQLite has used in a copy before they are proposed."""

import sqlite3

import pytest

from conftest import connect, one
from helpers import columns

COLUMNS = """schema table_name columns sql_to_run plan_before plan_after query_id query calls total_ms
statements""".split()
ROWS = 1000


def numbers(count=ROWS):
    return f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})"


@pytest.fixture
def shop(wal_path):
    """A managed connection to customers and their orders, without any index."""
    db = connect(wal_path)
    db.execute("PRAGMA synchronous=OFF")
    db.executescript(f"""
        CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, city TEXT COLLATE NOCASE);
        CREATE TABLE orders(id INTEGER PRIMARY KEY, customer_id INT, status TEXT, created TEXT, total REAL);
        CREATE TABLE items(order_id INT, sku TEXT, n INT);
        {numbers()} INSERT INTO customers SELECT i, 'name' || i, 'city' || i FROM n;
        {numbers()} INSERT INTO orders SELECT i, i % 97, 'status' || i % 3, i % 365, i FROM n;
        {numbers()} INSERT INTO items SELECT i, 'sku' || i, 1 FROM n;
        SELECT wal_metrics_reset('queries');""")
    yield db
    db.close()


def candidates(db):
    cursor = db.execute("SELECT * FROM index_candidates")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def proposed(db):
    """Table and columns of each, in no order."""
    return sorted((row["table_name"], row["columns"]) for row in candidates(db))


def run(db, sql, *parameters):
    db.execute(sql, parameters).fetchall()


def plan(db, sql):
    """As the table has it: a line each, indented."""
    levels, lines = {}, []
    parameters = (None,) * sql.count("?")
    for number, parent, _, detail in db.execute("EXPLAIN QUERY PLAN " + sql, parameters):
        levels[number] = levels.get(parent, -1) + 1
        lines.append("  " * levels[number] + detail)
    return "\n".join(lines)


def test_columns_are_those_of_the_contract(shop):
    assert [name for name, _ in columns(shop, "index_candidates")] == COLUMNS


# --- what is found

def test_an_equality_without_an_index(shop):
    for customer in range(3):
        run(shop, "SELECT * FROM orders WHERE customer_id = ?", customer)
    row, = candidates(shop)
    assert (row["schema"], row["table_name"], row["columns"]) == ("main", "orders", "customer_id")
    assert row["sql_to_run"] == 'CREATE INDEX "orders_customer_id_idx" ON "orders"("customer_id")'
    assert row["plan_before"] == plan(shop, "SELECT * FROM orders WHERE customer_id = ?")
    assert (row["query"], row["calls"], row["statements"]) == ("SELECT * FROM orders WHERE customer_id = ?", 3, 1)
    assert (row["query_id"], row["total_ms"]) == shop.execute(
        "SELECT query_id, total_ms FROM query_performance WHERE query = ?", (row["query"],)).fetchone()
    shop.execute(row["sql_to_run"])
    assert row["plan_after"] == plan(shop, "SELECT * FROM orders WHERE customer_id = ?")
    assert "orders_customer_id_idx" in row["plan_after"]


def test_it_is_gone_when_the_index_is_there_also_before_the_statement_runs_again(shop):
    run(shop, "SELECT * FROM orders WHERE customer_id = 1")
    shop.execute(candidates(shop)[0]["sql_to_run"])
    assert candidates(shop) == []
    run(shop, "SELECT * FROM orders WHERE customer_id = 1")
    assert candidates(shop) == []
    shop.execute("DROP INDEX orders_customer_id_idx")
    run(shop, "SELECT * FROM orders WHERE customer_id = 1")
    assert proposed(shop) == [("orders", "customer_id")]


def test_equality_comes_before_a_range(shop):
    run(shop, "SELECT * FROM orders WHERE created > 100 AND status = 'status1'")
    assert proposed(shop) == [("orders", "status, created")]


@pytest.mark.parametrize("where", ["created BETWEEN 5 AND 9", "created < 5", "created >= '360'"])
def test_a_range_alone(shop, where):
    run(shop, f"SELECT * FROM orders WHERE {where}")
    assert proposed(shop) == [("orders", "created")]


@pytest.mark.parametrize("sql, found", [
    ("SELECT * FROM orders ORDER BY created LIMIT 3", "created"),
    ("SELECT * FROM orders ORDER BY created DESC, total DESC LIMIT 3", "created, total"),
    ("SELECT * FROM orders WHERE customer_id = 3 ORDER BY created", "customer_id, created"),
    ("SELECT status, count(*) FROM orders GROUP BY status", "status"),
    ("SELECT DISTINCT status FROM orders", "status"),
    ("SELECT max(total) FROM orders", "total"),
    # The rowid ends every index.
    ("SELECT * FROM orders ORDER BY created, id LIMIT 3", "created"),
])
def test_an_order_without_an_index(shop, sql, found):
    run(shop, sql)
    row, = candidates(shop)
    assert (row["table_name"], row["columns"]) == ("orders", found)
    assert "TEMP B-TREE" not in row["plan_after"]


def test_the_inner_table_of_a_join(shop):
    sql = "SELECT c.name, o.total FROM customers c LEFT JOIN orders o ON o.customer_id = c.id"
    run(shop, sql)
    assert one(shop, "SELECT auto_index_rows FROM query_performance WHERE query LIKE '%JOIN orders%'") >= ROWS - 1
    row, = candidates(shop)
    assert (row["table_name"], row["columns"]) == ("orders", "customer_id")
    assert "AUTOMATIC" in row["plan_before"] and "AUTOMATIC" not in row["plan_after"]


def test_both_sides_of_an_or(shop):
    run(shop, "SELECT * FROM items WHERE sku = 'sku7' OR order_id = 7")
    assert proposed(shop) == [("items", "order_id"), ("items", "sku")]
    for row in candidates(shop):
        assert "items_order_id_idx" in row["plan_after"] and "items_sku_idx" in row["plan_after"]


def test_lists_that_were_folded(shop):
    run(shop, "SELECT * FROM items WHERE sku IN ('sku1', 'sku2', 'sku3', 'sku4')")
    row, = candidates(shop)
    assert row["query"] == "SELECT * FROM items WHERE sku IN (...)"
    assert (row["table_name"], row["columns"]) == ("items", "sku")


@pytest.mark.parametrize("sql", [
    "UPDATE items SET n = n + 1 WHERE sku = 'sku5'",
    "DELETE FROM items WHERE sku = 'sku5'",
    "INSERT INTO customers(name) SELECT sku FROM items WHERE sku = 'sku5'",
])
def test_writes_look_for_rows_too(shop, sql):
    run(shop, sql)
    assert proposed(shop) == [("items", "sku")]


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="RETURNING")
def test_a_write_that_returns_rows(shop):
    run(shop, "UPDATE items SET n = n + 1 WHERE sku = 'sku5' RETURNING n")
    assert proposed(shop) == [("items", "sku")]


@pytest.fixture
def family(shop):
    """Parents, and children that refer to one of them."""
    shop.executescript("""
        CREATE TABLE parents(id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE children(a INT, parent INT REFERENCES parents);
        INSERT INTO parents SELECT id, 'p' || id FROM customers;
        INSERT INTO children SELECT id, 1 FROM customers;""")
    return shop


def test_a_foreign_key_without_an_index(family):
    family.execute("PRAGMA foreign_keys=ON")
    run(family, "DELETE FROM parents WHERE id = 7")
    assert proposed(family) == [("children", "parent")]


def test_a_foreign_key_that_is_not_enforced(family):
    family.execute("PRAGMA foreign_keys=OFF")
    run(family, "DELETE FROM parents WHERE name = 'p7'")
    assert proposed(family) == [("parents", "name")]


@pytest.mark.parametrize("enforced", ["ON", "OFF"])
def test_a_write_to_a_table_with_foreign_keys(family, enforced):
    family.execute(f"PRAGMA foreign_keys={enforced}")
    run(family, "UPDATE children SET parent = 2 WHERE a = 7")
    assert proposed(family) == [("children", "a")]


def test_a_foreign_key_that_leads_nowhere(family):
    family.execute("PRAGMA foreign_keys=OFF")
    family.execute("DROP TABLE parents")
    run(family, "UPDATE children SET parent = 2 WHERE a = 7")
    assert proposed(family) == [("children", "a")]


def test_tables_behind_a_view(shop):
    shop.execute("CREATE VIEW bought AS SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id")
    run(shop, "SELECT * FROM bought WHERE name = 'name7'")
    assert proposed(shop) == [("customers", "name"), ("orders", "customer_id")]


def test_a_column_with_its_own_collation(shop):
    run(shop, "SELECT * FROM customers WHERE city = 'City7'")
    assert proposed(shop) == [("customers", "city")]


def test_functions_and_collations_of_the_host_are_known_by_name_and_not_called(shop):
    called = []
    shop.create_function("twice", 1, lambda value: called.append(value) or value)
    shop.create_collation("backwards", lambda a, b: called.append(a) or (a < b) - (a > b))
    shop.execute("CREATE TABLE own(a TEXT COLLATE backwards, b INT CHECK (twice(b) IS NOT 'x'))")
    shop.execute(f"{numbers()} INSERT INTO own SELECT i, i FROM n")
    run(shop, "SELECT twice(b) FROM own WHERE a = '7' AND twice(b) > 3")
    assert called
    called.clear()
    assert proposed(shop) == [("own", "a")]
    assert called == []


def test_a_table_without_rowid(shop):
    shop.execute("CREATE TABLE w(k TEXT, l INT, m INT, PRIMARY KEY (k, l)) WITHOUT ROWID")
    shop.execute(f"{numbers()} INSERT INTO w SELECT i, i, i FROM n")
    run(shop, "SELECT m FROM w WHERE l = 7")
    run(shop, "SELECT l FROM w WHERE k = '7'")
    assert proposed(shop) == [("w", "l")]


# --- one index for several statements

def test_a_longer_index_stands_for_a_shorter_one(shop):
    run(shop, "SELECT * FROM orders WHERE customer_id = 1")
    run(shop, "SELECT * FROM orders WHERE status = 'status1' AND customer_id = 1")
    row, = candidates(shop)
    assert row["columns"] == "customer_id, status"
    assert (row["calls"], row["statements"]) == (2, 2)
    total = one(shop, "SELECT sum(total_ms) FROM query_performance WHERE query LIKE 'SELECT * FROM orders%'")
    assert row["total_ms"] == pytest.approx(total)


def test_the_column_that_most_statements_compare_comes_first(shop):
    """Otherwise (customer_id, status) would be proposed beside (status)."""
    run(shop, "SELECT * FROM orders WHERE status = 'status1'")
    run(shop, "SELECT * FROM orders WHERE customer_id = 1 AND status = 'status1'")
    assert proposed(shop) == [("orders", "status, customer_id")]


def test_the_longest_total_comes_first(shop):
    for _ in range(50):
        run(shop, "SELECT count(*) FROM items WHERE sku = 'a'")
    run(shop, "SELECT * FROM orders WHERE customer_id = 1")
    assert [row["table_name"] for row in candidates(shop)] == ["items", "orders"]


# --- what is not

@pytest.mark.parametrize("sql", [
    "SELECT * FROM orders",
    "SELECT count(*) FROM orders",
    "SELECT * FROM orders WHERE id = 7",
    "SELECT * FROM orders WHERE status LIKE '%7%'",
    "SELECT * FROM orders WHERE total + 1 = 8",
    "SELECT * FROM orders ORDER BY id",
    "SELECT * FROM orders ORDER BY created, total DESC",
    "SELECT * FROM customers WHERE city = 'City7' COLLATE binary",
    "SELECT * FROM items WHERE order_id <> 7",
    "UPDATE items SET n = 2",
    "SELECT i FROM (WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n)",
])
def test_a_statement_that_no_proposed_index_helps(shop, sql):
    run(shop, sql)
    assert candidates(shop) == []


def test_a_lookup_by_an_index_that_is_there(shop):
    shop.execute("CREATE INDEX o ON orders(customer_id, status)")
    for customer in range(97):
        run(shop, "SELECT * FROM orders WHERE customer_id = ?", customer)
        run(shop, "SELECT * FROM orders WHERE customer_id = ? AND status = 'status1'", customer)
    assert candidates(shop) == []


def test_a_small_table(shop):
    shop.executescript("CREATE TABLE small(a); INSERT INTO small VALUES (1), (2), (3)")
    for _ in range(100):
        run(shop, "SELECT * FROM small WHERE a = 2")
    assert candidates(shop) == []


def test_a_partial_index_that_the_literal_fits(shop):
    shop.execute("CREATE INDEX p ON orders(created) WHERE status = 'status1'")
    run(shop, "SELECT total FROM orders WHERE status = 'status1' AND created > 3 ORDER BY total")
    row, = candidates(shop) or [None]
    assert row is None or "created" not in row["columns"]


def test_an_index_that_analyze_found_useless_is_not_proposed_again(shop):
    shop.execute("UPDATE orders SET status = 'same'")
    shop.execute("CREATE INDEX s ON orders(status)")
    shop.execute("ANALYZE")
    run(shop, "SELECT total FROM orders WHERE status = 'same' AND total > 0 ORDER BY total")
    assert ("orders", "status") not in proposed(shop)


def test_statistics_are_those_of_the_database(shop):
    shop.executescript("""
        CREATE TABLE picky(a INT, b INT, c INT);
        INSERT INTO picky SELECT id % 2, id, id FROM customers;
        CREATE INDEX ib ON picky(b);
        CREATE INDEX ia ON picky(a);
        ANALYZE;""")
    statement = "SELECT p.c FROM picky p, items i WHERE p.a = 1 AND p.b = 7 AND i.n = p.c AND i.sku = 'sku7' "
    run(shop, statement)
    rows = candidates(shop)
    assert rows
    for row in rows:
        assert row["plan_before"] == plan(shop, statement)
        assert "USING INDEX ib" in row["plan_before"]


# --- names

def test_strange_names_are_quoted(shop):
    shop.execute('CREATE TABLE "we""ird"("order" INT, "a b" INT, "select" INT)')
    shop.execute(f'{numbers()} INSERT INTO "we""ird" SELECT i, i, i FROM n')
    run(shop, 'SELECT w."select" FROM "we""ird" w WHERE w."a b" = 7 AND w."order" > 3')
    row, = candidates(shop)
    assert (row["table_name"], row["columns"]) == ('we"ird', "a b, order")
    assert row["sql_to_run"] == 'CREATE INDEX "we_ird_a_b_order_idx" ON "we""ird"("a b", "order")'
    shop.execute(row["sql_to_run"])
    assert candidates(shop) == []


def test_a_name_that_is_taken_is_not_used(shop):
    shop.execute("CREATE TABLE ORDERS_customer_id_idx(a)")
    shop.execute("CREATE INDEX orders_customer_id_idx1 ON orders(id, total)")
    run(shop, "SELECT * FROM orders WHERE customer_id = 7")
    row, = candidates(shop)
    assert row["sql_to_run"].startswith('CREATE INDEX "orders_customer_id_idx2" ')
    shop.execute(row["sql_to_run"])


def test_no_literal_is_shown(shop):
    for table, column in (("customers", "name"), ("customers", "city"), ("orders", "status"), ("items", "sku")):
        run(shop, f"SELECT * FROM {table} WHERE {column} = 'secret' OR {column} IN ('secret', 'secret2')")
        run(shop, f"SELECT * FROM {table} t WHERE t.\"{column}\" = \"secret\"")
    rows = candidates(shop)
    assert len(rows) == 4
    assert "secret" not in str(rows)


# --- other databases

def test_statements_on_temporary_and_attached_tables_are_passed_over(shop, tmp_path):
    shop.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    for table in ("other.u", "temp.v"):
        shop.execute(f"CREATE TABLE {table} AS SELECT * FROM orders")
        run(shop, f"SELECT * FROM {table} WHERE customer_id = 7")
    run(shop, "SELECT * FROM u WHERE customer_id = 7")
    run(shop, "SELECT * FROM v WHERE customer_id = 7")
    run(shop, "SELECT count(*) FROM u, orders WHERE u.total = orders.total")
    assert candidates(shop) == []


def test_an_attached_database_has_candidates_of_its_own(shop, tmp_path):
    path = tmp_path / "other.db"
    other = connect(path)
    other.executescript(f"""PRAGMA journal_mode=WAL; CREATE TABLE u(a, b);
                            {numbers()} INSERT INTO u SELECT i, i FROM n;""")
    run(other, "SELECT * FROM u WHERE a = 7")
    shop.execute("ATTACH ? AS \"the other\"", (str(path),))
    row, = candidates(shop)
    assert (row["schema"], row["table_name"]) == ("the other", "u")
    assert row["sql_to_run"] == 'CREATE INDEX "the other"."u_a_idx" ON "u"("a")'
    shop.execute(row["sql_to_run"])
    assert candidates(shop) == []
    assert candidates(other) == []
    other.close()


def test_virtual_tables_do_no_harm(shop):
    try:
        shop.execute("CREATE VIRTUAL TABLE docs USING fts5(body)")
    except sqlite3.OperationalError:
        pytest.skip("fts5 is not there")
    shop.execute(f"{numbers()} INSERT INTO docs SELECT 'word ' || i FROM n")
    run(shop, "SELECT * FROM docs WHERE body LIKE '%7%'")
    run(shop, "SELECT d.body FROM docs d JOIN orders o ON o.total = d.rowid WHERE o.customer_id = 7")
    run(shop, "SELECT * FROM orders WHERE customer_id = 7")
    assert proposed(shop) == [("orders", "customer_id")]


# --- it is asked for and nothing else happens

def test_nothing_of_the_host_is_changed(shop):
    run(shop, "SELECT * FROM orders WHERE customer_id = 7")

    def state():
        return (shop.total_changes, shop.in_transaction, shop.execute("SELECT * FROM sqlite_master").fetchall(),
                shop.execute("PRAGMA schema_version").fetchone(), shop.execute("PRAGMA module_list").fetchall(),
                shop.execute("PRAGMA function_list").fetchall(), shop.execute("PRAGMA database_list").fetchall())

    run(shop, "SELECT * FROM index_candidates")
    before = state()
    assert len(candidates(shop)) == 1
    assert state() == before
    shop.execute("DROP TABLE orders")  # a statement left open would hold it


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
def test_inside_a_transaction_that_has_changed_the_schema(shop, begin):
    run(shop, "SELECT * FROM orders WHERE customer_id = 7")
    shop.execute(begin)
    shop.execute("CREATE INDEX o ON orders(customer_id)")
    assert candidates(shop) == []
    shop.execute("ROLLBACK")
    assert proposed(shop) == [("orders", "customer_id")]


def test_triggers_are_not_run(shop):
    shop.create_function("fail", 0, lambda: 1 / 0)
    shop.execute("CREATE TRIGGER no BEFORE INSERT ON items BEGIN SELECT fail(); END")
    run(shop, "SELECT * FROM items WHERE sku = 'sku7'")
    assert proposed(shop) == [("items", "sku")]


def test_an_authorizer_that_refuses_the_schema_leaves_no_rows(shop):
    run(shop, "SELECT * FROM orders WHERE customer_id = 7")
    assert len(candidates(shop)) == 1
    shop.set_authorizer(lambda action, first, *_: sqlite3.SQLITE_DENY
                        if action == sqlite3.SQLITE_READ and first == "sqlite_master" else sqlite3.SQLITE_OK)
    assert candidates(shop) == []
    shop.set_authorizer(None)
    assert len(candidates(shop)) == 1


def test_a_statement_whose_text_was_cut_is_passed_over(shop):
    shop.execute("SELECT * FROM orders WHERE customer_id = 7 AND " + " AND ".join(["total > customer_id"] * 200)).fetchall()
    assert one(shop, "SELECT count(*) FROM query_performance WHERE query LIKE '%…'") == 1
    assert candidates(shop) == []


def test_it_is_refused_in_views_stored_in_the_database(shop):
    shop.execute("CREATE VIEW stored AS SELECT * FROM index_candidates")
    with pytest.raises(sqlite3.OperationalError, match='unsafe use of virtual table "index_candidates"'):
        shop.execute("SELECT * FROM stored")
