"""wal_openmetrics: text that Prometheus and strict parsers read, the numbers of the tables, and the dashboard and alerts made of it."""

import http.server
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from conftest import EXTENSION, ROOT, connect, metrics, one
from helpers import error, python, quoted, rows_into, snapshot, write
from waiting import wait_for

sys.path.insert(0, str(ROOT / "scripts/dashboard_files"))
import metrics_text  # noqa: E402

TEXT = "SELECT wal_openmetrics()"
MISSING = "/missing.db"
GRAFANA = ROOT / "sql/grafana"
DASHBOARD = json.loads((GRAFANA / "walmanager.json").read_text())


class Exported:
    """The text as the strict parser of Prometheus' own library reads it."""

    def __init__(self, text):
        assert text.endswith("\n# EOF")
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def collect(self):
        return self.families

    def all(self, name, **labels):
        return [sample for sample in self.samples if sample.name == "walmanager_" + name and labels.items() <= sample.labels.items()]

    def value(self, name, **labels):
        found = self.all(name, **labels)
        assert len(found) == 1, (name, labels, found)
        return found[0].value

    def state(self, name, **labels):
        states = {sample.labels["walmanager_" + name]: sample.value for sample in self.all(name, **labels)}
        assert set(states) == {"ok", "warning", "critical", "unknown"} and sum(states.values()) == 1, states
        return max(states, key=states.get)

    def prometheus_text(self):
        """The older text format, which promtool and the textfile collector read."""
        return generate_latest(self).decode()


def exported(db, *schema):
    return Exported(one(db, f"SELECT wal_openmetrics({', '.join('?' * len(schema))})", *schema))


def busy_error(path):
    """A statement that waits for a lock and fails."""
    first, second = connect(path), connect(path, timeout=0.02)
    first.execute("BEGIN IMMEDIATE")
    assert error(second, "INSERT INTO t(payload) VALUES (1)") == "database is locked"
    first.execute("ROLLBACK")
    first.close()
    second.close()


def work(db, path, folder):
    """Something of everything that is measured."""
    write(db, 20)
    rows_into(db, 50, first=1000)
    for name in range(25):
        db.execute(f"SELECT id AS c{name} FROM t WHERE payload > ?", (b"",)).fetchall()
    for mode in "PASSIVE", "FULL", "RESTART", "TRUNCATE", "PASSIVE":
        one(db, "SELECT wal_checkpoint(?)", mode)
    write(db, 5)
    busy_error(path)
    one(db, "SELECT wal_backup(?)", str(folder / "copy.db"))
    assert one(db, "SELECT wal_integrity_check()") == "ok"


@pytest.fixture
def worked(db, wal_path, tmp_path):
    work(db, wal_path, tmp_path)
    return db


# --- the format

def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *map(str, arguments)], input=text, text=True, capture_output=True, timeout=20)
    return done.returncode, done.stdout + done.stderr


def test_promtool_finds_nothing_to_say(worked):
    """It reads the older text format, into which Prometheus' own library writes what it has parsed strictly."""
    assert promtool("check", "metrics", text=exported(worked).prometheus_text()) == (0, "")


def test_the_text_file_way_of_the_readme(worked, wal_path, tmp_path):
    """node_exporter knows neither info nor stateset."""
    command = re.search(r"^(sqlite3 .*wal_openmetrics.*\n.*)$", (ROOT / "sql/README.md").read_text(), re.MULTILINE)[1]
    folder = tmp_path / "textfile"
    folder.mkdir()
    command = command.replace("app.db", str(wal_path)).replace("./walmanager", EXTENSION).replace("/var/lib/prometheus/node-exporter", str(folder))
    subprocess.run(["sh", "-ec", command], check=True, timeout=20)
    assert os.listdir(folder) == ["walmanager.prom"]
    status, said = promtool("check", "metrics", text=(folder / "walmanager.prom").read_text())
    assert status == 3 and all("no help text" in line for line in said.splitlines()), said  # it lacks their help, and reads them
    assert f'walmanager_commits_total{{database="{wal_path}"}}' in (folder / "walmanager.prom").read_text()


def test_names_are_as_prometheus_asks(worked):
    for family in exported(worked).families:
        assert re.fullmatch(r"walmanager(_[a-z]+)+", family.name)
        assert family.documentation and '"' not in family.documentation  # which the two formats write differently
        assert family.type in ("counter", "gauge", "histogram", "info", "stateset")
        assert family.unit in ("", "seconds", "bytes", "ratio") and family.name.endswith(family.unit), family.name


# --- the numbers

# Column of wal_metrics: metric and labels. Times are in ms there.
COLUMNS = {
    "database_bytes": "db_size_bytes", "page_size": "page_size_bytes", "wal_bytes": "wal_size_bytes", "wal_limit_bytes": "wal_limit_bytes",
    "wal_bytes_max": "wal_size_max_bytes", "pending_bytes": "wal_pending_bytes", "wal_frames": "wal_frames",
    "checkpointed_frames": "wal_checkpointed_frames", "pending_frames": "wal_pending_frames", "due_frames": "wal_due_frames",
    "wal_resets": "wal_resets_total", "frames_written": "wal_written_frames_total", "bytes_written": "wal_written_bytes_total",
    "active_readers": "active_readers", "oldest_reader_frame": "oldest_reader_frame", "commits": "commits_total",
    "commit_max_ms": "commit_max_seconds", "checkpoint_stall_ms": "checkpoint_stall_seconds_total",
    "checkpoint_frames": "checkpoint_frames_total", "checkpoint_max_ms": "checkpoint_max_seconds", "queries_evicted": "queries_evicted_total",
    "lock_waits": "lock_waits_total", "lock_wait_max_ms": "lock_wait_max_seconds", "busy_errors": "busy_errors_total",
    "snapshot_conflicts": "snapshot_conflicts_total", "processes": "processes", "unmanaged_processes": "unmanaged_processes",
    "connections_not_shown": "connections_not_shown",
}
LABELLED = {"checkpoints": ("mode", ["passive", "full", "restart", "truncate"]),
            "checkpoints_started": ("origin", ["inline", "background", "manual", "application"]),
            "checkpoints_incomplete": ("result", ["busy", "partial", "skipped", "failed"])}


def test_numbers_are_those_of_wal_metrics(worked, wal_path):
    reader = snapshot(wal_path)
    write(worked, 1)
    row, now = metrics(worked), exported(worked)
    for column, name in COLUMNS.items():
        value = now.value(name, database=str(wal_path))
        assert math.isclose(value * (1000 if column.endswith("_ms") else 1), row[column]), (column, value)
    assert row["active_readers"] == 1 and row["lock_waits"] == row["busy_errors"] == 1 and row["wal_frames"] > 0
    for name, (label, values) in LABELLED.items():
        for value in values:
            assert now.value(name + "_total", **{label: value}) == row[f"checkpoints_{value}"], value
    assert now.value("checkpoints_total", mode="passive") >= 1
    for column in "last_checkpoint_at", "statistics_since":
        seconds = one(worked, f"SELECT (julianday({column}) - 2440587.5) * 86400 FROM wal_metrics")
        name = {"last_checkpoint_at": "last_checkpoint"}.get(column, column)
        assert abs(now.value(name + "_timestamp_seconds") - seconds) < 0.01
    assert now.all("database_info")[0].labels == {
        "database": str(wal_path), "schema": "main", "journal_mode": "wal", "strategy": row["strategy"], "checkpointer": row["checkpointer"]}
    reader.close()


def buckets(now, name):
    return [(float(sample.labels["le"]), sample.value) for sample in now.all(name + "_bucket")]


@pytest.mark.parametrize("name, mean, quantile, at", [("commit", "commit_mean_ms", 0.99, "commit_p99_ms"),
                                                      ("checkpoint", "checkpoint_mean_ms", 0.95, "checkpoint_p95_ms"),
                                                      ("lock_wait", None, 0.99, "lock_wait_p99_ms")])
def test_histograms_are_those_of_the_percentiles(worked, name, mean, quantile, at):
    row, now = metrics(worked), exported(worked)
    count, total = now.value(f"{name}_duration_seconds_count"), now.value(f"{name}_duration_seconds_sum")
    assert count > 0 and (mean is None or math.isclose(total / count * 1000, row[mean]))
    bounds = buckets(now, name + "_duration_seconds")
    assert len(bounds) == 28 and bounds[-1] == (math.inf, count)
    upper = next(i for i, (le, seen) in enumerate(bounds) if seen >= quantile * count)
    lower = bounds[upper - 1][0] if upper else 0
    assert lower * 0.968 <= row[at] / 1000 <= bounds[upper][0] * 1.032


def test_reads_writes_and_syncs_are_those_of_wal_io(worked):
    worked.execute("PRAGMA synchronous=FULL")
    write(worked, 3)
    now = exported(worked)
    columns = {"reads": "io_reads_total", "read_bytes": "io_read_bytes_total", "read_ms": "io_read_seconds_total", "writes": "io_writes_total",
               "written_bytes": "io_written_bytes_total", "write_ms": "io_write_seconds_total", "errors": "io_errors_total",
               "sync_max_ms": "sync_max_seconds", "syncs": "sync_duration_seconds_count", "sync_ms": "sync_duration_seconds_sum"}
    seen = set()
    for file, origin, *values in worked.execute(f"SELECT file, origin, {', '.join(columns)} FROM wal_io"):
        for (column, name), value in zip(columns.items(), values):
            found = now.all(name, file=file, origin=origin)
            if value is None:
                assert found == [] or column == "sync_max_ms", (file, origin, name)
            elif column.startswith("sync") and file == "shm":
                continue
            else:
                assert len(found) == 1 and math.isclose(found[0].value * (1000 if column.endswith("_ms") else 1), value), (file, origin, name)
                seen |= {name} if value else set()
    assert seen >= {"io_writes_total", "io_written_bytes_total", "io_write_seconds_total", "sync_duration_seconds_count", "sync_duration_seconds_sum"}


def test_statements_are_those_of_query_performance(worked):
    now = exported(worked)
    rows = {row[0]: row[1:] for row in worked.execute(
        "SELECT query_id, calls, total_ms, rows, max_ms, wal_frames, kind, query, busy_errors FROM query_performance "
        "WHERE calls > 0 AND query NOT LIKE '%wal_openmetrics%' AND query NOT LIKE '%query_performance%'")}
    top = [sample.labels["query_id"] for sample in now.all("query_calls_total")]
    assert len(top) == 20 >= len(set(top)) and len(rows) > 10
    checked = 0
    for query_id in set(top) & set(rows):
        calls, total_ms, count, max_ms, frames, kind, query, busy = rows[query_id]
        assert now.value("query_calls_total", query_id=query_id) == calls
        assert math.isclose(now.value("query_seconds_total", query_id=query_id), total_ms / 1000)
        assert math.isclose(now.value("query_max_seconds", query_id=query_id), max_ms / 1000)
        assert (now.value("query_rows_total", query_id=query_id), now.value("query_wal_frames_total", query_id=query_id),
                now.value("query_busy_errors_total", query_id=query_id)) == (count, frames, busy)
        assert now.all("query_info", query_id=query_id)[0].labels.items() >= {"kind": kind, "query": query}.items()
        checked += 1
    assert checked > 10
    largest = max(rows, key=lambda query_id: rows[query_id][1])
    assert largest in top
    assert now.value("statements_total") == now.value("statement_duration_seconds_count") == one(
        worked, "SELECT sum(calls) FROM query_performance") - 2  # of wal_openmetrics() itself, and of the query after it


def test_health_is_that_of_system_health(worked):
    worked.execute("SELECT wal_set('backup_age.warning', 0.0)").fetchall()
    worked.execute("SELECT wal_set('commit_latency.critical', 100000)").fetchall()
    rows = dict(worked.execute("SELECT check_name, status FROM system_health"))
    now = exported(worked)
    names = {sample.labels["check"] for sample in now.all("health_check")}
    # Those that speak of the connection that asks have no place in what all processes share.
    assert set(rows) - names - {"overall"} == {"synchronous", "foreign_keys", "cache_size", "wal_hook", "shadowing", "probe_read"}
    states = {name: now.state("health_check", check=name) for name in names}
    assert states == {name: rows[name] for name in names}
    assert states["backup_age"] == "warning" == now.state("health")
    counts = [list(states.values()).count(status) for status in ("critical", "warning", "unknown")]
    assert now.value("health_score") == max(0, 100 - 40 * counts[0] - 10 * counts[1] - 2 * counts[2])


def test_alerts_in_force_are_counted(db):
    one(db, "SELECT wal_set('alert_interval_ms', 100)")
    one(db, "SELECT wal_set('alert_samples', 1)")
    one(db, "SELECT wal_set('disk_free.warning', 1e12)")
    alerts = "SELECT count(*) FROM wal_alerts WHERE cleared_at IS NULL AND status = 'warning'"
    wait_for(lambda: one(db, alerts) > 0)
    assert exported(db).value("alerts", severity="warning") == one(db, alerts)
    assert exported(db).value("alerts", severity="critical") == 0


def test_evidence_of_checks_and_backups(worked):
    now = exported(worked)
    assert now.value("integrity_findings") == 0
    for name in "last_backup", "last_integrity_check":
        assert 0 <= time.time() - now.value(name + "_timestamp_seconds") < 60


def test_connections_by_process(db, wal_path):
    holder = connect(wal_path)
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM t").fetchall()
    now = exported(db)
    rows = db.execute("SELECT process, role, state, count(*) FROM connection_metrics GROUP BY 1, 2, 3").fetchall()
    assert {(s.labels["process"], s.labels["role"], s.labels["state"]): s.value for s in now.all("connections")} == \
        {row[:3]: row[3] for row in rows}
    assert now.value("connections", state="idle in transaction") == 1
    (process,) = {row[0] for row in rows}
    assert now.value("waiting_connections", process=process) == 0
    assert 0 < now.value("oldest_transaction_seconds", process=process) < 60
    holder.close()


def test_rules_that_fired(db):
    now = exported(db)
    rows = db.execute("SELECT strategy, rule, mode, fired FROM wal_strategies WHERE active OR fired > 0").fetchall()
    assert rows and sorted((s.labels["strategy"], s.labels["rule"], s.labels["mode"], s.value) for s in now.all("rule_fired_total")) == \
        sorted(rows)


# --- which databases

def test_attached_databases_each_once(db, wal_path, tmp_path):
    other = tmp_path / "other.db"
    db.execute("ATTACH ? AS other", (str(other),))
    db.execute("ATTACH ? AS again", (str(other),))
    db.execute("ATTACH ':memory:' AS memory")
    db.execute("PRAGMA other.journal_mode=WAL").fetchall()
    assert {s.labels["database"] for s in exported(db).all("db_size_bytes")} == {str(wal_path), str(other)}
    assert {s.labels["database"] for s in exported(db, "OTHER").samples if "database" in s.labels} == {str(other)}
    assert error(db, "SELECT wal_openmetrics('nope')") == "wal_openmetrics: schema 'nope' is not one of main, other, again, memory"


def test_a_database_in_memory_and_one_without_a_log(tmp_path):
    memory, plain = connect(":memory:"), connect(tmp_path / "plain.db")
    plain.execute("CREATE TABLE t(a)")
    assert [family.name for family in exported(memory).families] == ["walmanager_build"]
    now = exported(plain)
    assert now.value("db_size_bytes") == metrics(plain)["database_bytes"] and now.all("wal_frames") == []
    assert now.all("database_info")[0].labels["journal_mode"] == "delete"
    memory.close()
    plain.close()


def test_it_is_refused_in_what_a_database_stores(db):
    """It tells of other connections."""
    db.execute("CREATE VIEW v AS SELECT wal_openmetrics()")
    assert error(db, "SELECT * FROM v") == "unsafe use of wal_openmetrics()"


def test_it_pins_nothing(db, wal_path):
    writer = connect(wal_path)
    write(writer, 10)
    cursor = db.execute("SELECT wal_openmetrics() FROM (VALUES (1), (2))")
    cursor.fetchone()
    assert one(writer, "SELECT json_extract(wal_checkpoint('TRUNCATE'), '$.complete')") == 1
    assert metrics(writer)["wal_bytes"] == 0
    cursor.close()
    writer.close()


def test_the_dashboard_joins_the_texts_of_several_databases(db, wal_path, tmp_path):
    """Bug: the build stood there once for each database."""
    other = connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t(a)")
    now = Exported(metrics_text.merged([one(each, TEXT) for each in (db, other)]).rstrip("\n"))
    assert len(now.all("build_info")) == 1
    assert {sample.labels["database"] for sample in now.all("db_size_bytes")} == {str(wal_path), str(tmp_path / "other.db")}
    other.close()


# --- hostile names, bounded size

HOSTILE = b'a"b\\n\nc\\d{x="y"} 1\xff\x1b[31m\xc2\x9b\xe2\x82\xac.db'
SHOWN = 'a"b\\n\nc\\d{x="y"} 1\\xff\\x1b[31m\\xc2\\x9b€.db'


def test_hostile_names_stay_in_their_labels(tmp_path):
    folder = os.fsencode(tmp_path) + b"/"
    db = connect(os.fsdecode(folder + b"plain.db"))
    db.execute("ATTACH CAST(? AS TEXT) AS x", (folder + HOSTILE,))
    db.execute("PRAGMA x.journal_mode=WAL").fetchall()
    db.execute(f"CREATE TABLE main.{quoted(SHOWN)}(a)")
    db.execute(f"SELECT * FROM main.{quoted(SHOWN)} WHERE a = ?", (1,)).fetchall()
    now = exported(db)
    assert now.value("db_size_bytes", database=str(tmp_path / "plain.db")) >= 0
    assert now.value("db_size_bytes", database=f"{tmp_path}/{SHOWN}") >= 0
    assert f'FROM main.{quoted(SHOWN)} WHERE a = ?' in " ".join(sample.labels["query"] for sample in now.all("query_info"))
    assert "\x1b" not in now.text and "\r" not in now.text
    assert promtool("check", "metrics", text=now.prometheus_text()) == (0, "")
    db.close()


def test_the_size_is_bounded(wal_path):
    """1000 statements with long texts."""
    db = connect(wal_path)
    for i in range(1000):
        db.execute(f"SELECT id AS {'c' * 900}{i} FROM t WHERE id = 1").fetchall()
    text = one(db, TEXT)
    assert len(Exported(text).all("query_info")) == 20
    assert all(len(sample.labels["query"]) <= 203 for sample in Exported(text).all("query_info"))
    assert len(text) < 125_000
    db.close()


def test_names_of_processes_are_bounded(db, tmp_path):
    write(db, 1)  # from now on there is a control file, which all processes share
    shells = []
    for i in range(52):
        name = os.fsencode(tmp_path) + b'/"\\\xff%d' % i
        os.symlink(shutil.which("sqlite3"), name)
        shells.append(subprocess.Popen([name, metrics(db)["file"]], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
        shells[-1].stdin.write(f".load {EXTENSION}\nSELECT count(*) FROM t;\n".encode())
        shells[-1].stdin.flush()
    try:
        def seen_then():
            samples = exported(db).all("connections", role="application")
            return sum(sample.value for sample in samples) == 53 and samples
        seen = {}
        for sample in wait_for(seen_then):
            seen[sample.labels["process"]] = seen.get(sample.labels["process"], 0) + sample.value
        assert len(seen) == 51 and seen["(other)"] == 3
        assert sum(re.fullmatch(r'"\\\?\d+', process) is not None for process in seen) >= 49, seen
    finally:
        for shell in shells:
            shell.communicate(b"", timeout=10)


# --- Prometheus itself

def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture
def prometheus(worked, tmp_path):
    """A Prometheus server that scrapes a connection in this process, as scripts/dashboard shows it beside a database that is missing.
    Yields a function that asks its API."""
    lock = threading.Lock()
    file = metrics(worked)["file"]
    scraped = connect(file, check_same_thread=False)
    up = metrics_text.up([(file, True), (MISSING, False)])

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with lock:
                body = metrics_text.merged([up, one(scraped, TEXT)]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: [{GRAFANA}/alerts.yaml]
scrape_configs:
  - job_name: walmanager
    static_configs: [{{targets: ["127.0.0.1:{page.server_port}"]}}]
""")
    server = subprocess.Popen(
        ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stderr=subprocess.PIPE, text=True)

    def ask(path, **parameters):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            answer = json.loads(urllib.request.urlopen(url, timeout=5).read())
        except urllib.error.HTTPError as refused:
            assert refused.code == 503, refused.read().decode()
            return None  # it starts
        except OSError:
            assert server.poll() is None, server.stderr.read()
            return None
        assert answer["status"] == "success", answer
        return answer["data"]

    yield ask
    server.terminate()
    server.communicate(timeout=10)
    page.shutdown()
    scraped.close()


VARIABLES = {"$__rate_interval": "1m", "$database": ".*", "$instance": ".*"}


def expressions():
    """Each PromQL expression of the dashboard, by the title of its panel."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


def test_prometheus_scrapes_the_numbers(prometheus, worked, wal_path):
    def result(expression):
        data = prometheus("query", query=expression)
        return data and data["result"]

    wait_for(lambda: result("count_over_time(walmanager_build_info[1m]) >= 3"), 15)
    targets = prometheus("targets")["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]
    row = metrics(worked)
    for column in "commits", "database_bytes", "checkpoint_frames", "busy_errors":
        (found,) = result("walmanager_" + COLUMNS[column])
        assert float(found["value"][1]) == row[column] and found["metric"]["database"] == str(wal_path)
    (p99,) = result("histogram_quantile(0.99, walmanager_commit_duration_seconds_bucket)")
    assert row["commit_p99_ms"] / 2.1 <= float(p99["value"][1]) * 1000 <= row["commit_p99_ms"] * 2.1
    known = prometheus("metadata")
    assert known["walmanager_health"][0]["type"] == "stateset" and known["walmanager_wal_size_bytes"][0]["unit"] == "bytes"
    # Each panel shows something, but for what is not wrong here.
    shown = {title: result(expression) for title, expression in expressions()}
    assert [row["metric"]["database"] for row in shown["Databases that cannot be read"]] == [MISSING]
    empty = {title for title, rows in shown.items() if not rows}
    assert empty <= {"What is not well", "Who keeps the log from being copied"}
    rules = {rule["name"]: rule for group in prometheus("rules")["groups"] for rule in group["rules"]}
    assert {rule.get("lastError", "") for rule in rules.values()} == {""}
    assert len(rules) >= 10


# --- the dashboard and the alerts

NAME = re.compile(r"\bwalmanager_[a-z_]+\b")


def test_dashboard_and_alerts_name_only_what_is_exported(worked, wal_path):
    reader = snapshot(wal_path)
    write(worked, 1)
    of_the_dashboard = set(NAME.findall(metrics_text.up([(wal_path, True)])))
    assert of_the_dashboard == {"walmanager_up"}
    there = {sample.name for sample in exported(worked).samples} | {"walmanager_health_check"} | of_the_dashboard
    used = set(NAME.findall(json.dumps(DASHBOARD))) | set(NAME.findall((GRAFANA / "alerts.yaml").read_text()))
    assert len(used) > 30 and used - there == set()
    assert of_the_dashboard <= set(NAME.findall(json.dumps(DASHBOARD)))
    reader.close()


def test_the_dashboard_asks_first_whether_it_is_well():
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == \
        ["Is it well?", "If not, why?", "What does it do now?"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"], panel["title"]


def test_promtool_accepts_the_alerts():
    status, said = promtool("check", "rules", GRAFANA / "alerts.yaml")
    assert status == 0 and "SUCCESS" in said, said


# Series, each a value a minute for 20 minutes, that raise exactly this alert.
CASES = {
    "WalmanagerCheckCritical": {'health_check{check="wal_size",walmanager_health_check="critical"}': "1x20"},
    "WalmanagerCheckWarning": {'health_check{check="wal_size",walmanager_health_check="warning"}': "1x20"},
    "WalmanagerNoMetrics": {},
    "WalmanagerDatabaseNotSeen": {"up": "0x20"},
    "WalmanagerLogTooLarge": {"wal_size_bytes": "210x20", "wal_limit_bytes": "100x20", "wal_pending_bytes": "101x20"},
    "WalmanagerReaderPinsLog": {'oldest_transaction_seconds{process="report"}': "0+60x20", "wal_frames": "100x20", "oldest_reader_frame": "99x20"},
    "WalmanagerCheckpointsFail": {'checkpoints_incomplete_total{result="failed"}': "0x15 1x5"},
    "WalmanagerDatabaseIsLocked": {"busy_errors_total": "0+2x20", "snapshot_conflicts_total": "0+1x20"},
    "WalmanagerSlowCommits": {'commit_duration_seconds_bucket{le="1.073741824"}': "0+1x20", 'commit_duration_seconds_bucket{le="2.147483648"}': "0+9x20",
                              'commit_duration_seconds_bucket{le="+Inf"}': "0+9x20"},
    "WalmanagerSlowDisk": {'sync_duration_seconds_bucket{file="wal",origin="application",le="1.073741824"}': "0+1x20",
                           'sync_duration_seconds_bucket{file="wal",origin="application",le="2.147483648"}': "0+9x20",
                           'sync_duration_seconds_bucket{file="wal",origin="application",le="+Inf"}': "0+9x20"},
    "WalmanagerIoErrors": {'io_errors_total{file="wal",origin="application"}': "0x15 1x5"},
    "WalmanagerDatabaseDamaged": {"integrity_findings": "1x20"},
    "WalmanagerBackupTooOld": {"last_backup_timestamp_seconds": "-700000x20"},
    "WalmanagerUnmanagedProcess": {"unmanaged_processes": "1x20"},
}
# What is as it should be, and raises none.
WELL = {'health_check{check="wal_size",walmanager_health_check="critical"}': "0x20", 'health_check{check="wal_size",walmanager_health_check="warning"}': "0x20",
        "build_info": "1x20", "up": "1x20", "wal_size_bytes": "210x20", "wal_limit_bytes": "100x20", "wal_pending_bytes": "0x20",  # one that starts over
        'oldest_transaction_seconds{process="report"}': "0+60x20", "wal_frames": "100x20",  # a transaction that keeps nothing
        'checkpoints_incomplete_total{result="failed"}': "1x20", 'checkpoints_incomplete_total{result="partial"}': "0+1x20",
        "busy_errors_total": "0+1x20", "snapshot_conflicts_total": "5x20", 'commit_duration_seconds_bucket{le="0.536870912"}': "0+100x20",
        'commit_duration_seconds_bucket{le="+Inf"}': "0+100x20", "integrity_findings": "0x20", 'io_errors_total{file="wal",origin="application"}': "1x20",
        'sync_duration_seconds_bucket{file="wal",origin="application",le="0.536870912"}': "0+9x20",
        'sync_duration_seconds_bucket{file="wal",origin="application",le="+Inf"}': "0+9x20", "last_backup_timestamp_seconds": "-600000x20",
        "unmanaged_processes": "0x20"}


def test_each_alert_is_raised_by_what_it_is_for(tmp_path):
    def case(series, expected):
        return {"interval": "1m", "input_series": [{"series": f"walmanager_{name}", "values": values} for name, values in series.items()],
                "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "20m",
                                      "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]}]}

    built = {"build_info": "1x20"}
    cases = [case(series if name == "WalmanagerNoMetrics" else {**built, **series}, [name]) for name, series in CASES.items()]
    (tmp_path / "test.yaml").write_text(json.dumps({
        "rule_files": [str(GRAFANA / "alerts.yaml")], "evaluation_interval": "1m", "tests": [*cases, case(WELL, [])]}))
    status, said = promtool("test", "rules", tmp_path / "test.yaml")
    assert status == 0, said
    assert set(re.findall(r"alert: (\w+)", (GRAFANA / "alerts.yaml").read_text())) == set(CASES)
