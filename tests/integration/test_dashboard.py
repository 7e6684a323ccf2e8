"""scripts/dashboard, driven in Debian's headless Chromium beside programs in processes of their own."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest

from browser import CHROMIUM, Browser
from conftest import BUILD, connect
from dashboards import DASHBOARD, Dashboard, Program, axe_core
from helpers import environment
from waiting import wait_for

HOSTILE = "<script>hit=1</script><img src=x onerror=hit=1>&lt;"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, (SELECT id FROM t LIMIT 1)"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's package chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def run():
    """Starts dashboards and programs, and ends them with the test."""
    with contextlib.ExitStack() as ends:
        class Run:
            def dashboard(self, *paths, options=()):
                dashboard = Dashboard(*paths, options=options)
                ends.callback(dashboard.stop)
                return dashboard

            def program(self, path, name):
                program = Program(path, name)
                ends.callback(program.end)
                return program

        yield Run()


@pytest.fixture
def page(browser):
    page = browser.page()
    yield page
    errors = page.errors()
    page.close()
    assert errors == []


def with_no_control_file(path):
    """A database in WAL mode whose control file cannot be opened, as by a user who may not read it."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL").fetchall()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    db.close()
    os.mkdir(f"{path}-walmanager")


def shows(page, selector, text, seconds=15):
    page.wait(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})", seconds)


def statement_row(page, text):
    """The cells of the statement's row."""
    return page.eval("[...document.querySelectorAll('#statements tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
                     f".find((cells) => cells.at(-1).includes({json.dumps(text)}))")


# -- who is let in


def test_without_the_secret_nothing_is_served(run, wal_path):
    dashboard = run.dashboard(wal_path)
    cookie, prefix = dashboard.let_in()
    for path in ["/", prefix, f"{prefix}history", f"{prefix}stream?db=0", f"{prefix}icon.svg", f"{prefix}report", "/metrics", "/?secret=x", "/favicon.ico"]:
        status, _, text = dashboard.ask(path)
        assert (status, text.startswith("Refused: ")) == (403, True), path
    assert dashboard.ask(prefix, Cookie="walmanager=x")[0] == 403
    assert dashboard.ask("/history", Cookie=cookie)[0] == 403  # the path is part of it
    assert dashboard.ask(f"{prefix}cancel", b"{}")[0] == 403
    status, headers, _ = dashboard.ask(prefix, Cookie=f"a=\"b; {cookie}; other[1]=2")  # beside cookies of other programs
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ") and "; script-src 'sha256-" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    _, headers, _ = dashboard.ask("/" + dashboard.url.removeprefix(dashboard.origin + "/"))
    assert headers["Set-Cookie"].endswith(f"; Path={prefix}; HttpOnly; SameSite=Strict")


def test_other_hosts_and_origins_are_refused(run, wal_path):
    dashboard = run.dashboard(wal_path)
    cookie, prefix = dashboard.let_in()
    asked = {"Cookie": cookie, "Content_Type": "application/json"}
    body = b'{"db": 0, "connection_id": 1}'
    for headers in [{"Host": "evil.example"}, {"Host": f"evil.example:{dashboard.host.split(':')[1]}"}, {"Origin": "http://evil.example"},
                    {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}]:
        assert dashboard.ask(f"{prefix}history", **asked, **headers)[0] == 403, headers
        assert dashboard.ask(f"{prefix}cancel", body, **asked, **headers)[0] == 403, headers
    for path in ["nothing", "history?span=1y", "statements?order=1;", "statement?db=1", "history?db=x", "history?db=%C2%B2", "__init__"]:
        assert dashboard.ask(prefix + path, Cookie=cookie)[0] == 404, path
    # cancel is a POST of the page, with the cookie, and nothing else.
    assert dashboard.ask(f"{prefix}cancel", body, **asked)[0] == 403
    assert dashboard.ask(f"{prefix}cancel", Cookie=cookie)[0] == 404
    assert dashboard.ask(f"{prefix}cancel", body, Origin=dashboard.origin, Content_Type="application/json")[0] == 403
    assert dashboard.ask(f"{prefix}cancel", body, Origin=dashboard.origin, Cookie=cookie, Content_Type="text/plain")[0] == 403
    for body_text in [b'{"db": 0, "connection_id": 1e999}', b'{"db": -1, "connection_id": 1}', b'{"db": 0, "connection_id": 99999999999999999999}', b"[]"]:
        assert dashboard.ask(f"{prefix}cancel", body_text, Origin=dashboard.origin, **asked)[0] == 400, body_text
    status, _, text = dashboard.ask(f"{prefix}cancel", body, Origin=dashboard.origin, **asked)
    assert (status, json.loads(text)) == (200, {"error": "SQLite says: wal_cancel: connection_id 1 is not one of the connections in connection_metrics."})


def test_another_address_only_with_a_token_and_the_page_says_that_there_is_no_tls(run, wal_path, page):
    for options, sentence in [(["--listen", "0.0.0.0"], "--listen ADDR needs --token T"), (["--token", "short"], "can be guessed"), (["--token", b"\xff" * 20], "not UTF-8"),
                              (["--port", "99999"], "--port 99999 is not between 0 and 65535"), (["--port", "-5"], "--port -5 is not between")]:
        done = subprocess.run([sys.executable, DASHBOARD, wal_path, *options], capture_output=True, text=True)
        assert (done.returncode, sentence in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    process = subprocess.Popen([sys.executable, DASHBOARD, wal_path, "--no-open", "--listen", "0.0.0.0", "--token", "a token of 20 letters"],
                               env=environment(WALMANAGER_BUILD=str(BUILD)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().strip()
    assert "secret=a%20token" in url
    page.open(url)
    shows(page, "#foot", "served without TLS")
    page.open("about:blank")
    process.terminate()
    assert "There is no TLS" in process.communicate(timeout=10)[1]


def test_metrics_need_the_token_and_say_when_there_are_none(run, wal_path):
    (wal_path.parent / "secret").write_text("0123456789abcdéf\n")
    dashboard = run.dashboard(wal_path, options=["--token", f"@{wal_path.parent / 'secret'}"])
    assert dashboard.ask("/metrics", Authorization="Bearer 0123456789abcdef")[0] == 403
    # With the token Prometheus may call the host by any name.
    bearer = "Bearer 0123456789abcdéf".encode().decode("latin-1")
    status, headers, text = dashboard.ask("/metrics", Authorization=bearer, Host="database-server:9000")
    unseen = wal_path.parent / "unseen.db"
    with_no_control_file(unseen)
    db = connect(wal_path)
    if db.execute("SELECT 1 FROM pragma_function_list WHERE name = 'wal_openmetrics'").fetchall():
        assert (status, text.rstrip().endswith("# EOF")) == (200, True)
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert f'\nwalmanager_up{{database="{wal_path}"}} 1\n' in text and f'\nwalmanager_commits_total{{database="{wal_path}"}} ' in text
        missing = wal_path.parent / 'mis"sing.db'
        dashboard = run.dashboard(missing, unseen, options=["--token", "0123456789abcdef"])
        status, _, text = dashboard.ask("/metrics", Authorization="Bearer 0123456789abcdef")
        ups = [f'walmanager_up{{database="{str(path).replace(chr(34), chr(92) + chr(34))}"}} 0' for path in (missing, unseen)]
        assert (status, [line for line in text.splitlines() if not line.startswith("# ")]) == (200, ups)
    else:
        assert (status, text) == (404, "This walmanager has no wal_openmetrics(), which makes the metrics. A newer one has.\n")
    db.close()


def test_a_python_that_cannot_load_extensions_is_told_what_to_do(tmp_path, wal_path):
    (tmp_path / "sqlite3.py").write_text("class Error(Exception): pass\ndef connect(*_, **__): return Connection()\nclass Connection:\n    def close(self): pass\n")
    (tmp_path / "apsw.py").write_text("raise ImportError('it is not installed')\n")
    done = subprocess.run([sys.executable, DASHBOARD, wal_path], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path), "WALMANAGER_BUILD": str(BUILD)})
    assert (done.returncode, done.stderr) == (1, "dashboard: This Python's sqlite3 cannot load extensions. Run the script with the system's Python: "
                                                 "/usr/bin/python3, which Debian's package python3 brings. Or install APSW for this one: pip install apsw.\n")
    done = subprocess.run([sys.executable, DASHBOARD, wal_path, "--library", "/nowhere.so"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "dashboard: The library /nowhere.so does not exist.\n")


# -- what it shows


def test_right_numbers_under_load_and_updates_without_reload(run, wal_path, page):
    program = run.program(wal_path, "shop")
    program.run("counted = 0\nending = False\ndef work():\n    global counted\n    while not ending:\n        db.execute('INSERT INTO t(payload) VALUES (zeroblob(50))'); counted += 1\n        time.sleep(0.002)\n"
                "thread = threading.Thread(target=work); thread.start()")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    shows(page, "#statements", "INSERT INTO t (payload)")
    page.eval("window.mark = 1")
    shows(page, "#commits .figure", "/s")
    first = page.text("#log .figure")
    page.wait(f"document.querySelector('#log .figure').innerText != {json.dumps(first)}")
    counted = program.run("ending = True; thread.join()", "counted")
    page.click("#statements th:nth-child(2) button")  # by calls, at once
    page.wait(f"[...document.querySelectorAll('#statements tbody tr')].some((row) => row.cells[1].innerText == '{counted:,}')")
    assert statement_row(page, "INSERT INTO t")[5] == f"{counted:,}"  # rows
    wal = os.stat(f"{wal_path}-wal").st_size
    size, unit = (wal / 1e6, "MB") if wal >= 1e6 else (wal / 1e3, "kB")
    shows(page, "#log .figure", f"{size:.{2 if size < 10 else 1 if size < 100 else 0}f} {unit} of 67.1 MB")
    assert page.text("#facts").startswith("1 process · 1 connection · SQLite ")
    assert page.text("#connections").count("shop") == 1
    assert page.eval("window.mark") == 1
    page.click("#findings summary")
    page.wait("document.querySelectorAll('.check-list li').length > 30")
    # The page's own statements are not among the program's.
    queries = program.run("", "[row[0] for row in db.execute('SELECT query FROM query_performance')]")
    assert [query for query in queries if "wal_metrics" in query or "connection_metrics" in query] == []


PIXELS = """(() => {
  const canvas = document.querySelector("#log canvas");
  if (!canvas) return 0;
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--%s").trim();
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(ink.slice(at, at + 2), 16));
  const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height}).getContext("2d", {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
  let pixels = 0;
  for (let i = 0; i < data.length; i += 4) pixels += data[i] == red && data[i + 1] == green && data[i + 2] == blue;
  return pixels;
})()"""


def test_checkpoints_are_marked_in_the_log_and_statements_have_a_trend(run, wal_path, page):
    program = run.program(wal_path, "shop")
    program.run("db.execute('SELECT wal_strategy(?)', ('off',)).fetchall(); db.execute('INSERT INTO t(payload) VALUES (1)')")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    page.wait(PIXELS % "blue" + " > 0")  # the log is drawn
    assert page.eval(PIXELS % "green") == 0
    program.run("db.execute('SELECT wal_checkpoint(?)', ('PASSIVE',)).fetchall()")
    page.wait(PIXELS % "green" + " > 0")
    for _ in range(4):
        program.run("db.execute('INSERT INTO t(payload) VALUES (3)')")
        before = page.eval("document.querySelector('#statements tbody').innerText")
        page.click("#statements th:nth-child(2) button")  # asks at once
        page.wait(f"document.querySelector('#statements tbody').innerText != {json.dumps(before)}")
    trend = page.wait("document.querySelector('#statements .spark path')?.getAttribute('d')")
    assert trend.count("L") >= 2
    assert page.eval("document.querySelector('#statements .arrow').getAttribute('aria-label')") in ("rising", "steady", "falling")


def test_it_names_a_leaked_cursor_and_a_waiting_writer(run, wal_path, page):
    report, importer, order = (run.program(wal_path, name) for name in ("nightly report", "import", "web order"))
    report.run("db.execute('INSERT INTO t VALUES (1, 1), (2, 2)'); cursor = db.execute('SELECT payload FROM t ORDER BY id'); cursor.fetchone()")
    importer.run("db.execute('UPDATE t SET payload = 3 WHERE id = 1'); db.execute('BEGIN IMMEDIATE'); db.execute('UPDATE t SET payload = 4')")
    order.start("db.execute('UPDATE t SET payload = 5 WHERE id = 2')")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    shows(page, "#findings", f"nightly report (pid {report.process.pid}) has held the log for")
    shows(page, "#findings", "unfinished statement")
    shows(page, "#findings", f"web order (pid {order.process.pid}) has waited")
    shows(page, "#findings", f"for the write lock, which import (pid {importer.process.pid}) holds (idle in transaction)")
    tree = page.wait("(document.querySelector('#waits .tree ul ul')?.closest('.tree').innerText)")
    assert "import" in tree and "waits" in tree and "UPDATE t SET payload = ? WHERE id = ?" in tree
    page.wait("document.querySelector('#findings .finding strong').innerText.startsWith('web order')")  # the cause comes first
    # A cancel would help with neither; the statement that waits can be cancelled.
    page.wait("document.querySelectorAll('#connections .danger').length == 1")
    assert page.eval("document.querySelectorAll('#findings .danger').length") == 0
    importer.run("db.execute('COMMIT')")
    order.finish()
    shows(page, "#waits", "and got it")  # among the last waits
    report.run("cursor.close()")
    page.wait("!document.querySelector('#findings').innerText.includes('has held the log')")


def test_cancel_is_asked_twice_and_ends_the_statement(run, wal_path, page):
    program = run.program(wal_path, "endless report")
    program.run("db.execute('INSERT INTO t VALUES (1, 1)')")
    program.start(f"db.execute({ENDLESS!r}).fetchall()")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    for width in (1280, 400):  # the button is in view
        page.size(width, 844)
        button = "document.querySelector('#connections .danger').getBoundingClientRect().right"
        page.wait(f"{button} <= Math.min(innerWidth, document.querySelector('#connections').getBoundingClientRect().right)")
    page.click("#connections .danger")
    shows(page, "dialog[open]", "endless report")
    page.click("dialog[open] .actions .button:first-child")  # No, let it run
    page.wait("!document.querySelector('dialog[open]')")
    assert program.process.poll() is None
    page.click("#connections .danger")
    page.click("dialog[open] .danger")
    shows(page, "dialog[open] .outcome", "Cancelled.")
    assert program.finish() == {"error": "OperationalError: interrupted"}


def test_read_only_has_no_cancel(run, wal_path, page):
    program = run.program(wal_path, "reader")
    program.run("db.execute('INSERT INTO t VALUES (1, 1), (2, 2)'); cursor = db.execute('SELECT payload FROM t'); cursor.fetchone()")
    dashboard = run.dashboard(wal_path, options=["--read-only"])
    page.open(dashboard.url)
    shows(page, "#connections", "reader")
    assert page.eval("document.querySelectorAll('.danger').length") == 0
    cookie, prefix = dashboard.let_in()
    status, _, text = dashboard.ask(f"{prefix}cancel", b'{"db": 0, "connection_id": 1}', Cookie=cookie, Origin=dashboard.origin, Content_Type="application/json")
    assert (status, "--read-only" in text) == (403, True)


def test_it_survives_the_end_of_the_program_and_goes_on(run, wal_path, page):
    program = run.program(wal_path, "first")
    program.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    shows(page, "#connections", "first")
    program.process.kill()
    program.process.wait()
    shows(page, "#banner", "No program has the database open")
    assert page.eval("document.body.classList.contains('stale')")
    shows(page, "#statements", "INSERT INTO t")  # what was is still there
    shows(page, "#status", "not known")  # but not that it is well
    run.program(wal_path, "second").run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    page.wait("document.querySelector('#banner').hidden && !document.body.classList.contains('stale')")
    shows(page, "#connections", "second")


def test_the_page_says_when_the_dashboard_has_ended(browser, wal_path):
    dashboard = Dashboard(wal_path)
    page = browser.page()
    page.open(dashboard.url)
    shows(page, "#log .figure", "of 67.1 MB")
    dashboard.stop()
    shows(page, "#banner", "The dashboard does not answer since")
    assert page.eval("document.body.classList.contains('stale')")
    page.close()


def test_missing_corrupt_and_replaced_files_are_states_of_the_page(run, tmp_path, page):
    path = tmp_path / "later.db"
    dashboard = run.dashboard(path)
    page.open(dashboard.url)
    shows(page, "#banner", "does not exist.")
    path.write_bytes(os.urandom(8192))
    shows(page, "#banner", "is not a SQLite database, or it is encrypted, or its first page is corrupt.")
    path.unlink()
    program = run.program(path, "maker")
    program.run("db.execute('PRAGMA journal_mode=WAL'); db.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, payload)'); db.execute('INSERT INTO t VALUES (1, 1)')")
    shows(page, "#connections", "maker")
    page.wait("document.querySelector('#banner').hidden")


def test_a_database_in_rollback_mode_is_told_of_wal(run, tmp_path, page):
    path = tmp_path / "plain.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t(a)")
    db.close()
    page.open(run.dashboard(path).url)
    shows(page, "#banner", "The journal mode is delete.")
    shows(page, "#banner", "What programs do cannot be seen outside WAL mode.")
    shows(page, "#connections", "It cannot be seen here.")
    assert (page.text("#status").strip(), "process" in page.text("#facts"), page.text("#commits .figure")) == ("○ not known", False, "")
    assert page.eval("document.querySelector('#banner button').dataset.copies") == "PRAGMA journal_mode=WAL;"
    page.click("#banner button")
    shows(page, "#banner button", "Copied")
    assert sorted(os.listdir(tmp_path)) == ["plain.db"]


def test_what_may_not_be_seen_is_no_zero(run, wal_path, tmp_path, page):
    unseen = tmp_path / "unseen.db"
    with_no_control_file(unseen)
    page.open(run.dashboard(unseen, wal_path).url)
    page.wait("[...document.querySelectorAll('#overview tbody tr')].some((row) => row.innerText.includes('cannot be seen') && row.innerText.includes('the control file'))")
    page.eval("location.hash = '#0'")
    shows(page, "#banner", "What programs do cannot be seen: the control file ")
    shows(page, "#status", "not known")
    shows(page, "#waits", "It cannot be seen here.")
    assert page.eval("document.querySelectorAll('.finding').length") == 0


def test_ten_thousand_statements(run, wal_path, page):
    program = run.program(wal_path, "generator")
    program.run("db.execute('INSERT INTO t VALUES (1, 1)')\n"
                "for i in range(10000): db.execute(f'SELECT id AS column_{i} FROM t').fetchall()")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    shows(page, "#statements .card-foot", "The first 100 of ")
    shows(page, "#statements", "10,002 calls")  # with those that have made room for others, which are one row
    assert statement_row(page, "(evicted)")
    page.eval("document.querySelector('#search').focus()")
    page.type("column_9876 ")
    page.wait("document.querySelectorAll('#statements tbody tr').length == 1")
    assert "column_9876" in statement_row(page, "column_9876")[-1]


def test_text_of_the_database_is_never_markup(run, tmp_path, page):
    path = tmp_path / "<b>hostile.db"
    program = run.program(path, HOSTILE)
    program.run("db.execute('PRAGMA journal_mode=WAL'); db.execute('CREATE TABLE \"<img src=x onerror=hit=1>\"(a)')\n"
                "db.executemany('INSERT INTO \"<img src=x onerror=hit=1>\" VALUES (?)', [(1,), (2,)])\n"
                "cursor = db.execute('SELECT a FROM \"<img src=x onerror=hit=1>\"'); cursor.fetchone()\n"
                "other = connect(sys.argv[1]); other.execute('INSERT INTO \"<img src=x onerror=hit=1>\" VALUES (3)')")
    dashboard = run.dashboard(path)
    page.open(dashboard.url)
    shows(page, "#findings", HOSTILE)
    shows(page, "#connections", HOSTILE)
    shows(page, "#title", "<b>hostile.db")
    page.click("#statements tbody tr")
    page.wait("!!document.querySelector('dialog[open]')")
    assert page.eval("[document.querySelectorAll('img, b').length, document.scripts.length]") == [0, 2]  # what it knows, and what it does
    assert page.eval("window.hit") is None
    report = tmp_path / "report.html"
    export(path, report)
    assert report.read_text().count("<script") == 2 and "<img" not in report.read_text()
    page.open(f"file://{report}")
    shows(page, "#connections", HOSTILE)
    assert page.eval("window.hit") is None


def exporting(*paths_and_target):
    *paths, target = paths_and_target
    return subprocess.run([sys.executable, DASHBOARD, *paths, "--export", target], env=environment(WALMANAGER_BUILD=str(BUILD)),
                          capture_output=True, text=True, timeout=60)


def export(*paths_and_target):
    done = exporting(*paths_and_target)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_report_is_one_file_and_acts_on_nothing(run, wal_path, tmp_path, page):
    program = run.program(wal_path, "shop")
    program.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')\ncursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    report = tmp_path / "report.html"
    export(wal_path, report)
    program.end()
    page.open(f"file://{report}")
    shows(page, "#banner", "Report of ")
    shows(page, "#connections", "shop")
    assert page.eval("document.querySelectorAll('.danger').length") == 0
    assert page.eval("performance.getEntriesByType('resource').length") == 0
    page.click("#statements tbody tr")
    shows(page, "dialog[open]", "Plan")
    # With a database that cannot be opened beside it.
    done = exporting(wal_path, tmp_path / "none.db", tmp_path / "two.html")
    assert (done.returncode, done.stderr) == (1, f"dashboard: {tmp_path}/none.db does not exist. Name the file of an existing database.\n")
    page.open(f"file://{tmp_path}/two.html#1")
    shows(page, "#banner", "none.db does not exist.")
    shows(page, "#statements", "none.db does not exist.")
    assert "Copyright (c) 2022 Leon Sorokin" in report.read_text()  # uPlot's licence


def test_a_report_says_which_databases_it_lacks(run, wal_path, tmp_path, page):
    (tmp_path / "corrupt.db").write_bytes(os.urandom(8192))
    (tmp_path / "folder.db").mkdir()
    target = tmp_path / "report.html"
    done = exporting(tmp_path / "corrupt.db", wal_path, tmp_path / "folder.db", target)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"dashboard: {tmp_path}/corrupt.db is not a SQLite database, or it is encrypted, or its first page is corrupt.",
        f"dashboard: {tmp_path}/folder.db is not a file. Name the file of a database."]
    assert done.stdout.startswith(f"{target}: ")
    page.open(f"file://{target}")
    page.wait("document.querySelectorAll('#overview tbody tr').length == 3")
    assert "2 to look at" in page.text("#overview-title") and "is not a SQLite database" in page.text("#overview")


def refused(*words):
    """What is said where there is no report."""
    done = subprocess.run([sys.executable, DASHBOARD, *words], env=environment(WALMANAGER_BUILD=str(BUILD)), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.removeprefix("dashboard: ")


def test_a_report_of_nothing_is_refused(tmp_path):
    target = tmp_path / "report.html"
    assert refused(tmp_path / "none.db", "--export", target) == f"{tmp_path}/none.db does not exist. Name the file of an existing database.\n"
    assert refused(tmp_path, "--export", target) == f"{tmp_path} is not a file. Name the file of a database.\n"
    (tmp_path / "corrupt.db").write_bytes(os.urandom(8192))
    assert "is not a SQLite database" in refused(tmp_path / "corrupt.db", "--export", target)
    assert not target.exists()


def test_a_report_overwrites_nothing_but_an_older_report(wal_path, tmp_path):
    before = wal_path.read_bytes()
    link, other, report = tmp_path / "link", tmp_path / "thesis.html", tmp_path / "report.html"
    link.symlink_to(wal_path)
    other.write_text("<!doctype html>mine")
    assert refused(wal_path, "--export", link) == f"--export {link}: this is a file of the database. Name another file for the report.\n"
    assert refused(wal_path, "--export", other) == f"--export {other}: this file exists, and is no report of the dashboard. Name another one, or remove it.\n"
    assert refused(wal_path, "--export", "/nope/x.html") == "--export /nope/x.html: the directory /nope does not exist.\n"
    assert "this is a directory" in refused(wal_path, "--export", tmp_path)
    assert (wal_path.read_bytes(), other.read_text()) == (before, "<!doctype html>mine")
    files = set(os.listdir(wal_path.parent))
    for _ in range(2):
        export(wal_path, report)
    assert set(os.listdir(wal_path.parent)) - files <= {"report.html"}


def test_a_name_that_is_not_utf8_is_shown(run, wal_path, tmp_path, page):
    path = os.fsencode(tmp_path) + b"/shop\xff.db"
    os.link(wal_path, path)
    page.open(run.dashboard(os.fsdecode(path), wal_path).url)
    page.wait("[...document.querySelectorAll('#overview tbody a')].some((link) => link.innerText == 'shop\ufffd.db')")
    export(path, tmp_path / "report.html")


def test_several_databases_begin_with_the_one_that_needs_somebody(run, tmp_path, page):
    paths = [tmp_path / f"{name}.db" for name in ("a", "b", "c")]
    program = run.program(paths[0], "shop")
    program.run("db.execute('PRAGMA journal_mode=WAL'); db.execute('CREATE TABLE t(a)')")
    program.run(f"other = connect({str(paths[1])!r}); other.execute('PRAGMA journal_mode=WAL'); other.execute('CREATE TABLE t(a)')\n"
                "other.execute(\"SELECT wal_set('wal_limit_bytes', 1000000)\").fetchall(); other.execute('INSERT INTO t VALUES (zeroblob(900000))')")
    page.open(run.dashboard(*paths).url)
    page.wait("document.querySelectorAll('#overview tbody tr').length == 3")
    names = "[...document.querySelectorAll('#overview tbody a')].map((link) => link.innerText).join(' ')"
    page.wait(f"{names} == 'c.db b.db a.db'")  # no file, a full log, well
    page.click("#overview tbody tr:nth-child(3) a")
    shows(page, "#connections", "shop")
    # Of a database that cannot be opened nothing of the one before is shown.
    page.eval("location.hash = '#2'")
    shows(page, "#banner", "c.db does not exist.")
    assert page.text("#status") == page.text("#facts") == "" and "shop" not in page.text("#connections")
    assert page.eval("document.querySelectorAll('.danger, .finding, #statements tbody tr, #connections tbody tr').length") == 0
    paths[1].rename(tmp_path / "d.db")
    page.click("#crumbs a")
    page.wait("document.querySelectorAll('#overview tbody tr').length == 3")
    rows = "[...document.querySelectorAll('#overview tbody tr')].map((row) => row.innerText)"
    page.wait(f"{rows}.filter((row) => row.includes('does not exist')).length == 2")


# -- what it costs the programs


def has_open(dashboard, path):
    """Whether the dashboard has the database, its log or its control file open."""
    folder = f"/proc/{dashboard.process.pid}/fd"
    for fd in os.listdir(folder):
        with contextlib.suppress(OSError):  # it has just been closed
            if os.readlink(f"{folder}/{fd}").startswith(str(path)):
                return True
    return False


def test_nothing_is_asked_while_the_page_is_hidden(run, wal_path, page):
    first = run.program(wal_path, "first")
    first.run("db.execute('INSERT INTO t VALUES (1, 1)')")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    shows(page, "#connections", "first")
    turn = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    page.eval(turn % "true")
    wait_for(lambda: not has_open(dashboard, wal_path))
    before = dashboard.cpu_seconds()
    run.program(wal_path, "second").run("time.sleep(1)")
    assert dashboard.cpu_seconds() - before <= 0.01 and not has_open(dashboard, wal_path)
    page.eval(turn % "false")
    shows(page, "#connections", "second")


def test_it_holds_nothing_and_nothing_runs_while_no_page_is_open(run, wal_path, page):
    program = run.program(wal_path, "shop")
    program.run("db.execute('INSERT INTO t VALUES (1, 1)')")
    dashboard = run.dashboard(wal_path)
    page.open(dashboard.url)
    shows(page, "#connections", "shop")
    for _ in range(10):  # a checkpoint to the end finds no reader, at no moment
        assert program.run("db.execute('REPLACE INTO t VALUES (1, 2)')", "json.loads(one(db, \"SELECT wal_checkpoint('TRUNCATE')\"))['result']") == "complete"

    assert has_open(dashboard, wal_path)
    page.open("about:blank")
    wait_for(lambda: not has_open(dashboard, wal_path))
    before = dashboard.cpu_seconds()
    assert program.run("time.sleep(1)") is None
    assert dashboard.cpu_seconds() - before <= 0.01
    program.end()
    assert not os.path.exists(f"{wal_path}-wal")  # the program's last close cleans up, as without a dashboard
    # A page that is opened later begins with nothing that is old.
    cookie, prefix = dashboard.let_in()
    asked = time.time() * 1000
    with urllib.request.urlopen(urllib.request.Request(f"{dashboard.origin}{prefix}stream?db=0", headers={"Cookie": cookie}), timeout=10) as stream:
        first = json.loads(stream.readline().decode().removeprefix("data: "))
    assert first.get("metrics", {"at": asked})["at"] >= asked


def test_a_page_brings_its_first_numbers_along(run, wal_path):
    with contextlib.closing(connect(wal_path)) as db:
        db.execute("CREATE TABLE another(a)")
        dashboard = run.dashboard(wal_path)
        cookie, prefix = dashboard.let_in()
        known = json.loads(re.search('<script type="application/json" id="known">(.*)</script>', dashboard.ask(prefix, Cookie=cookie)[2])[1])
        assert known["sections"]["metrics"]["commits"] == 1 and known["sections"]["state"]["state"] == "ok"
    missing = run.dashboard(wal_path.parent / "missing.db")
    cookie, prefix = missing.let_in()
    assert missing.ask(prefix, Cookie=cookie)[0] == 200


def test_bug_a_stream_without_news_sent_nothing_and_never_ended(run, wal_path):
    """A proxy gave up on it, and a page that was gone was looked for ever after."""
    dashboard = run.dashboard(wal_path.parent / "missing.db")
    cookie, prefix = dashboard.let_in()
    threads = f"/proc/{dashboard.process.pid}/task"
    before = len(os.listdir(threads))
    with urllib.request.urlopen(urllib.request.Request(f"{dashboard.origin}{prefix}stream?db=0", headers={"Cookie": cookie}), timeout=10) as stream:
        assert b'"missing"' in stream.readline()
        assert (stream.readline(), stream.readline()) == (b"\n", b": still here\n")
        assert len(os.listdir(threads)) > before
    wait_for(lambda: len(os.listdir(threads)) <= before, 15)


def test_the_page_is_small(run, wal_path):
    dashboard = run.dashboard(wal_path)
    cookie, prefix = dashboard.let_in()
    texts = [dashboard.ask(prefix + name, Cookie=cookie)[2] for name in ("", "icon.svg")]
    assert all(texts) and sum(len(text.encode()) for text in texts) < 200_000
    assert "Leon Sorokin" in dashboard.ask(f"{prefix}LICENSE", Cookie=cookie)[2]  # uPlot's licence goes with it


# -- for everybody


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 390)])
def test_axe_finds_no_violation(run, wal_path, page, theme, width):
    axe = axe_core()
    if axe is None:
        pytest.skip("axe-core could not be fetched from the npm registry")
    program = run.program(wal_path, "nightly report")
    program.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')\ncursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    page.call("Page.setBypassCSP", enabled=True)  # for axe-core itself
    page.prefer(prefers_color_scheme=theme)
    page.size(width, 844)
    page.open(run.dashboard(wal_path).url)
    shows(page, "#waits", "nightly report")
    shows(page, "#statements", "INSERT INTO t")
    page.wait("!!document.querySelector('#log canvas')")
    page.eval(axe + ";0")
    look = "axe.run(document).then((found) => found.violations.map((one) => [one.id, one.nodes.map((node) => node.html + ' ' + node.failureSummary)]))"
    assert page.eval(look) == []
    page.click("#statements tbody tr")
    page.wait("!!document.querySelector('dialog[open] .facts-grid')")
    assert page.eval(look) == []
    assert page.eval("document.documentElement.scrollWidth <= innerWidth")


def test_keys_reach_everything(run, wal_path, page):
    program = run.program(wal_path, "shop")
    program.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')\ndb.execute('SELECT id FROM t').fetchall()")
    page.open(run.dashboard(wal_path).url)
    shows(page, "#statements", "SELECT id")
    page.key("/")
    page.wait("document.activeElement.id == 'search'")
    page.key("Escape")
    page.key("5")
    page.wait("document.activeElement.id == 'statements-title'")
    page.eval("document.querySelector('#statements tbody tr').focus()")
    page.key("ArrowDown")
    page.wait("document.activeElement == document.querySelectorAll('#statements tbody tr')[1]")
    page.key("Enter")
    page.wait("document.querySelector('dialog[open] time')?.dataset.tip.endsWith(' UTC')")
    page.key("Escape")
    page.wait("!document.querySelector('dialog[open]')")
    page.wait("!!document.querySelector('#log canvas')")
    page.eval("document.querySelector('#log .plot').focus()")
    page.key("ArrowLeft")
    page.wait("document.querySelector('#log .plot').getAttribute('aria-valuetext').includes('log ')")


def test_a_time_is_selected_by_dragging_for_every_card(run, wal_path, page):
    program = run.program(wal_path, "shop")
    program.run("for i in range(10): db.execute('INSERT INTO t(payload) VALUES (1)')\none(db, \"SELECT wal_checkpoint('PASSIVE')\")")
    page.open(run.dashboard(wal_path).url)
    shows(page, "#checkpoints tbody", "complete")
    page.wait("!!document.querySelector('#log .u-over')")
    left, top, width = page.eval("(() => { const box = document.querySelector('#log .u-over').getBoundingClientRect(); return [box.left, box.top, box.width]; })()")
    for kind, share in [("mousePressed", 0.1), ("mouseMoved", 0.2), ("mouseMoved", 0.3), ("mouseReleased", 0.3)]:
        page.call("Input.dispatchMouseEvent", type=kind, x=left + share * width, y=top + 60, button="left", buttons=1, clickCount=1)
    page.wait("!document.querySelector('#unselect').hidden")
    shows(page, "#checkpoints", "No checkpoint in the selected time.")  # long before the program began
    first, last = ([int(part) for part in word.split(":")] for word in page.text("#unselect").split(" ✕")[0].split(" to "))
    seconds = (last[0] - first[0]) % 24 * 3600 + (last[1] - first[1]) * 60 + last[2] - first[2]
    assert 8 <= seconds <= 20  # a fifth of a minute, or of little more
    page.key("Escape")
    page.wait("document.querySelector('#unselect').hidden")
    shows(page, "#checkpoints tbody", "complete")
    # And by keys, where there is more than one sample.
    page.wait("Number(document.querySelector('#log .plot').getAttribute('aria-valuemax')) >= 2")
    page.eval("document.querySelector('#log .plot').focus()")
    for name, code, kind in [("PageUp", 33, "keyDown"), ("PageDown", 34, "keyDown"), ("Shift", 16, "keyUp")]:
        page.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, modifiers=8 if name == "PageDown" else 0)
    page.wait("!document.querySelector('#unselect').hidden")
