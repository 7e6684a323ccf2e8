"""The sqlite3 shell, whose handle has no mutex: it loads the extension, shows its tables, and closes cleanly."""

import json
import shutil
import subprocess

import pytest

from conftest import EXTENSION, PROCESS_EXTENSION, connect, metrics, one
from helpers import environment, files_beside
from waiting import copied_in_background, wait_for

SHELL = shutil.which("sqlite3") or "/usr/bin/sqlite3"


def shell(path, script, *options, ok=True, **variables):
    """What the shell prints to stdout. Its stderr must stay empty unless the shell should fail."""
    done = subprocess.run([SHELL, "-batch", *options, str(path)], input=script, text=True, capture_output=True,
                          timeout=60, env=environment(**variables))
    if ok:
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout
    return done.stdout + done.stderr


def test_dot_load_shows_the_tables(wal_path):
    out = shell(wal_path, f"""
.load {EXTENSION}
INSERT INTO t(payload) VALUES (1);
SELECT schema, journal_mode, wal_frames, strategy, hook, checkpointer, commits FROM wal_metrics;
SELECT name, value FROM wal_config WHERE name = 'checkpoint_frames';
""")
    assert out == "main|wal|1|conversation_workload|active|background|1\ncheckpoint_frames|1000\n"


def test_dot_load_with_the_suffix(wal_path):
    assert shell(wal_path, f".load {EXTENSION}.so\nSELECT hook FROM wal_metrics;\n") == "active\n"


def test_loading_and_using_prints_nothing_by_itself(wal_path):
    assert shell(wal_path, f".load {EXTENSION}\n.load {EXTENSION}\nINSERT INTO t(payload) VALUES (1);\n") == ""
    assert files_beside(wal_path) == {"", "-walmanager"}


def test_the_second_entry_point_manages_databases_opened_later(wal_path, tmp_path):
    out = shell(wal_path, f"""
.load {PROCESS_EXTENSION}
.open {tmp_path / 'later.db'}
PRAGMA journal_mode=WAL;
CREATE TABLE u(a);
SELECT hook, commits FROM wal_metrics;
""")
    assert out == "wal\nactive|1\n"
    assert files_beside(tmp_path / "later.db") == {"", "-walmanager"}


def test_the_second_entry_point_by_name(wal_path):
    assert shell(wal_path, f".load {EXTENSION} sqlite3_walmanagerprocess_init\nSELECT hook FROM wal_metrics;\n") == \
        "active\n"


def test_version_in_the_shell(wal_path):
    """Its handle has no mutex, but SQLite runs in multi-thread mode: threads of walmanager may use their own handles."""
    version = json.loads(shell(wal_path, f".load {EXTENSION}\nSELECT wal_version();\n"))
    assert version["sqlite_version"] == shell(wal_path, "SELECT sqlite_version();").strip()
    assert version["threads"] in (True, False)


@pytest.mark.parametrize("mode", ["list", "column", "json", "table", "box", "line", "markdown", "insert"])
def test_every_table_in_every_output_mode(wal_path, mode):
    out = shell(wal_path, f".load {EXTENSION}\n.mode {mode}\nSELECT * FROM wal_metrics;\n"
                          "SELECT * FROM wal_strategies;\nSELECT * FROM wal_config;\n")
    assert "conversation_workload" in out
    if mode == "json":
        assert json.loads(out[:out.index("]\n") + 1])[0]["schema"] == "main"


def test_many_commits_with_automatic_checkpoints_and_a_clean_close(wal_path):
    inserts = "INSERT INTO t(payload) VALUES (zeroblob(100));\n" * 3000
    out = shell(wal_path, f".load {EXTENSION}\nPRAGMA synchronous=OFF;\n"
                          f"SELECT wal_strategy('sqlite_default');\n{inserts}"
                          "SELECT checkpoints_inline, commits, wal_bytes < 1100*4120 FROM wal_metrics;\n")
    assert out == "sqlite_default\n3|3000|1\n"
    assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") == 3000
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()


def test_a_shell_at_its_prompt_has_a_thread_that_copies(wal_path):
    """The shell's handle has no mutex, and the thread has its own handles. Another process looks on."""
    process = subprocess.Popen([SHELL, "-batch", str(wal_path)], text=True, env=environment(), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(sql):
        process.stdin.write(sql)
        process.stdin.flush()

    insert = "INSERT INTO t(payload) VALUES (zeroblob(100));\n"
    say(f".load {EXTENSION}\nPRAGMA synchronous=OFF;\n{insert * 3000}")
    looker = connect(wal_path)
    row = copied_in_background(looker)
    wait_for(lambda: say(insert) or metrics(looker)["wal_resets"] > row["wal_resets"], 30)
    assert {pid for (pid,) in looker.execute("SELECT pid FROM wal_checkpoints")} == {process.pid}
    looker.close()
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") >= 3000
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()


def test_a_strategy_set_in_the_shell_is_in_force_in_the_running_application(db, wal_path):
    db.execute("INSERT INTO t(payload) VALUES (1)")
    shell(wal_path, f".load {EXTENSION}\nSELECT wal_strategy('off');\nSELECT wal_set('checkpoint_frames', 50);\n")
    row = metrics(db)
    assert row["strategy"] == "off"
    assert one(db, "SELECT value FROM wal_config WHERE name='checkpoint_frames'") == 50
    assert one(db, "SELECT changed_by LIKE 'sqlite3 (pid %)' FROM wal_config WHERE name='checkpoint_frames'") == 1


def test_errors_are_shown_as_they_are(wal_path):
    out = shell(wal_path, f".load {EXTENSION}\nSELECT wal_checkpoint('FAST');\n", ok=False)
    assert "wal_checkpoint: mode 'FAST' is not one of PASSIVE, FULL, RESTART, TRUNCATE" in out


def test_dump_and_schema_are_as_without_the_extension(wal_path):
    bare = shell(wal_path, ".dump\n.schema\n.tables\n")
    assert shell(wal_path, f".load {EXTENSION}\n.dump\n.schema\n.tables\n") == bare


def test_backup_and_clone_by_the_shell(wal_path, tmp_path):
    inserts = "INSERT INTO t(payload) VALUES (zeroblob(100));\n" * 1100
    shell(wal_path, f".load {EXTENSION}\nPRAGMA synchronous=OFF;\n{inserts}.backup {tmp_path / 'copy.db'}\n")
    copy = connect(tmp_path / "copy.db", load=None)
    assert one(copy, "SELECT count(*) FROM t") == 1100
    copy.close()
