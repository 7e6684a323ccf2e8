"""What the READMEs promise: their reference, commands, queries, links and size. The sessions that they show
are in test_sessions.py."""

import json
import re
import sqlite3
import subprocess

import pytest

from conftest import EXTENSION, ROOT, connect, one

README = (ROOT / "README.md").read_text()
SQL_README = (ROOT / "sql/README.md").read_text()
# All documents of the repository.
DOCUMENTS = ["README.md", "ext/README.md", "ext/backup/README.md", "ext/read_pool/README.md", "scripts/README.md",
             "scripts/packages/README.md", "scripts/packages/npm/README.md", "scripts/packages/python/README.md", "sql/README.md",
             "tests/README.md", "tests/bench/README.md", "tests/hosts/README.md", "tests/hosts/replication/README.md", "tests/model/README.md",
             "vtab/README.md"]
REFERENCE = subprocess.run([str(ROOT / "scripts" / "reference")], check=True, text=True,
                           capture_output=True).stdout
TABLES = ["wal_metrics", "query_performance", "index_candidates", "unused_indexes", "connection_metrics", "wal_readers", "wal_lock_waits", "wal_io",
          "wal_checkpoints", "wal_strategies", "wal_config", "wal_alerts", "wal_history", "wal_periods",
          "wal_environment", "stale_statistics", "read_pool", "wal_help", "system_health", "wal_recommendations", "wal_trends"]


def test_reference_is_that_of_the_declarations():
    subprocess.run([str(ROOT / "scripts" / "reference"), "--check"], check=True)


@pytest.mark.parametrize("table", TABLES)
def test_columns_of_the_reference_are_those_of_the_table(db, table):
    section = REFERENCE.split(f"### `{table}`")[1].split("### ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (TEXT|INTEGER|REAL) \| .+ \|$", section, re.MULTILINE)
    assert documented == [(row[1], row[2]) for row in db.execute(f"PRAGMA table_xinfo({table})")]


def test_functions_of_the_reference_are_those_that_a_load_adds(db):
    section = REFERENCE.split("### Functions")[1].split("### ")[0]
    documented = sorted(re.findall(r"^\| `(\w+)\(", section, re.MULTILINE))
    there = sorted(name for (name,) in db.execute(
        "SELECT name FROM pragma_function_list WHERE name LIKE 'wal\\_%' ESCAPE '\\'"))
    assert documented == there


def test_settings_of_the_reference_are_those_of_wal_config(db):
    section = REFERENCE.split("### Settings")[1]
    documented = re.findall(r"^\| `([\w.]+)` \| ([\w.]+) \| (.*?) \|", section, re.MULTILINE)
    assert [(name, default, unit or None) for name, default, unit in documented] == db.execute(
        "SELECT name, CAST(default_value AS TEXT), unit FROM wal_config WHERE name NOT LIKE 'learned.%'").fetchall()


def test_fields_of_a_rule_have_the_defaults_of_the_page(db):
    said = dict(re.findall(r"^  \| `(\w+)` \| ([\w]+) \|", SQL_README, re.MULTILINE))
    db.execute("""SELECT wal_strategy_define('x', '[{"rule":"r","condition":"1"}]')""")
    cursor = db.execute("SELECT priority, mode, runs, CAST(stall_budget_ms AS INTEGER) AS stall_budget_ms "
                        "FROM wal_strategies WHERE strategy = 'x'")
    assert [(column[0], str(value)) for column, value in zip(cursor.description, cursor.fetchone())] == list(said.items())


def test_facts_of_a_condition_are_named(db):
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute("""SELECT wal_strategy_define('x', '[{"rule":"r","priority":1,"condition":"nope"}]')""")
    names = str(error.value).split("an expression over ")[1].split(", ")
    assert [name for name in names if f"`{name}`" not in SQL_README] == []


def test_the_strategy_shown_can_be_defined(db):
    block = re.search(r"```sql\n(SELECT wal_strategy_define.*?)```", SQL_README, re.DOTALL)[1]
    db.executescript(block)
    assert one(db, "SELECT wal_strategy()") == "nightly"


def test_what_the_upgrade_keeps_is_sql_that_sets_it_again(db, tmp_path):
    block = re.search(r"```sql\n(   SELECT printf.*?)```", README, re.DOTALL)[1]
    queries = [query for query in block.split(";\n") if query.strip()]
    assert len(queries) == 3
    db.execute("SELECT wal_set('checkpoint_frames', 321)").fetchall()
    db.execute("SELECT wal_set('sample_interval_ms', 20)").fetchall()
    db.execute("SELECT wal_set('backpressure', 'on')").fetchall()
    rules = [{"priority": 2, "rule": "late", "condition": "wal_frames > 5", "mode": "FULL", "stall_budget_ms": 3.5},
             {"priority": 1, "rule": "early", "condition": "idle_ms > 7", "mode": "PASSIVE", "runs": "background"}]
    db.execute("SELECT wal_strategy_define('mine', ?)", (json.dumps(rules),)).fetchall()
    db.execute("SELECT wal_strategy('mine')").fetchall()
    printed = [row[0] for query in queries for row in db.execute(query)]
    other = connect(tmp_path / "other.db")
    other.execute("PRAGMA journal_mode=WAL")
    for statement in printed:
        other.execute(statement).fetchall()
    settings = "SELECT name, value FROM wal_config WHERE changed_at IS NOT NULL ORDER BY name"
    assert other.execute(settings).fetchall() == db.execute(settings).fetchall() == [
        ("backpressure", "on"), ("checkpoint_frames", 321), ("sample_interval_ms", 20)]
    strategy = ("SELECT strategy, priority, rule, condition, mode, runs, stall_budget_ms, active FROM wal_strategies "
                "WHERE NOT builtin ORDER BY priority")
    assert other.execute(strategy).fetchall() == db.execute(strategy).fetchall() == [
        ("mine", 1, "early", "idle_ms > 7", "PASSIVE", "background", 0.0, 1),
        ("mine", 2, "late", "wal_frames > 5", "FULL", "inline", 3.5, 1)]
    other.close()


def test_the_number_of_checks_is_that_of_system_health(db):
    checks = one(db, "SELECT count(*) FROM system_health WHERE check_name <> 'overall'")
    assert f"{checks} health checks" in README
    assert f"has {checks} checks" in (ROOT / "vtab/README.md").read_text()


def test_profiles_of_the_readme_are_those_of_the_function(db):
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute("SELECT wal_configure('?')")
    names = str(error.value).split("is not one of ")[1].split(", ")
    table = README.split("| profile | for |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == names
    for row in re.findall(r"^\| `.*", table, re.MULTILINE):
        cells = [cell.strip(" `") for cell in row.strip("|").split("|")]
        now = json.loads(one(db, "SELECT wal_configure(?)", cells[0]))["settings"]
        assert (cells[2].lower(), cells[-2], cells[-1]) == \
            tuple(str(now[name]["after"]) for name in ("synchronous", "checkpoint_frames", "strategy"))


def test_the_python_line_loads(wal_path):
    line = re.search(r"^\| Python \| `(.*?)` \|$", README, re.MULTILINE)[1]
    db = sqlite3.connect(str(wal_path))
    exec(line.replace("./walmanager", EXTENSION), {"db": db})
    assert one(db, "SELECT count(*) FROM wal_metrics") == 1
    db.close()


def test_the_install_lines_run_on_a_fresh_debian():
    """Debian's pip refuses to install outside of an environment, and npm install writes into the folder of the project."""
    lines = re.search(r"^## Install$.*?```sh\n(.*?)```", README, re.MULTILINE | re.DOTALL)[1].splitlines()
    [packages] = [line.partition("#")[0].split()[3:] for line in lines if line.startswith("sudo apt-get install ")]
    script = (ROOT / "scripts" / "install_packages").read_text()
    assert set(re.search(r"^build=\((.*)\)$", script, re.MULTILINE)[1].split()) - {"python3"} <= set(packages)  # python3-venv brings it
    assert {"python3-venv", "npm"} <= set(packages)
    installs = re.findall(r"(\S+) install (?!--component)(\S+)", "\n".join(lines))
    assert [(program, word) for program, word in installs if program != "apt-get"] == [
        ("../app/env/bin/pip", "dist/walmanager-*.whl"), ("npm", "--prefix")]
    assert any("python3 -m venv ../app/env && " in line for line in lines) and any(" --prefix ../app " in line for line in lines)


def test_the_readme_is_short():
    lines = README.splitlines()
    assert len(lines) <= 300
    assert [(number, len(line)) for number, line in enumerate(lines, 1) if len(line) > 160] == []


def test_there_are_no_other_documents():
    texts = {".md", ".rst", ".adoc", ".html", ".pdf", ".org"}
    found = [str(path.relative_to(ROOT)) for top in ("*", "ext/**/*", "vtab/**/*", "sql/**/*", "tests/**/*", "scripts/**/*")
             for path in ROOT.glob(top) if path.suffix in texts and path.name != "index.html"]  # that is the dashboard's page
    assert sorted(found) == DOCUMENTS


def test_the_pictures_are_those_that_the_script_makes_and_small():
    made = subprocess.run([str(ROOT / "scripts" / "pictures"), "--list"], check=True, text=True, capture_output=True).stdout.split()
    shown = [source or target for source, target in re.findall(r'<img src="([^"]+)"|!\[[^\]]+\]\(([^)]+)\)', README)]
    assert sorted(shown) == sorted(f"scripts/{name}" for name in made) and len(made) == 3
    for name in shown:
        picture = (ROOT / name).read_bytes()
        assert len(picture) < 100_000, name
        assert picture[8:12] == b"WEBP" if name.endswith(".webp") else picture.startswith(b"<svg "), name


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_something(document):
    path = ROOT / document
    text = path.read_text()
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            dead.append(target)
    assert dead == []


def test_the_tests_that_prove_security_are_there():
    section = (ROOT / "tests/README.md").read_text().split("## Security")[1].split("\n## ")[0]
    named = [re.findall(r"`(\w+_(?:\w+))`", promise.rpartition(":")[2]) for promise in section.split("\n- ")[1:]]
    assert len(named) > 20 and all(named)
    there = {path.stem for path in (ROOT / "tests").rglob("*.cc")}
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert {name for names in named for name in names} - there == set()


def test_decisions_that_sources_cite_are_in_the_architecture():
    decisions = set(re.findall(r"^\*\*(\d+)\. ", (ROOT / "ext/README.md").read_text(), re.MULTILINE))
    cited = set()
    for top in ("ext", "vtab", "sql", "tests"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".h", ".cc", ".py", ".sql"):
                text = path.read_text()
                cited |= set(re.findall(r"ext/README\.md,\s+(?:// )?decision (\d+)", text))
                documents = set(re.findall(r"[\w/]*\b[A-Z]+\.md\b", text))
                assert all((ROOT / document).exists() for document in documents), (path, documents)
    assert cited and cited <= decisions
