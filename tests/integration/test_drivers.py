"""Drivers of other languages: load, commit 3000 rows while automatic checkpoints happen, close, and no -wal is left.

A driver that is not installed is a failure: scripts/test installs them all.
"""

import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import BUILD, EXTENSION, connect, one
from helpers import environment, files_beside

QUERY = "SELECT hook || ' ' || commits || ' ' || checkpoints_inline || ' ' || (wal_bytes < 1100*4120) FROM wal_metrics"
INSERT = "INSERT INTO t(payload) VALUES (zeroblob(100))"
EXPECTED = "active 3000 3"
# With the thread: has it copied, and has the log started over since? Asked between commits that are 10 ms apart.
STARTED_OVER = ("SELECT checkpoints_background > 0 AND wal_resets > 0 AND wal_frames < 9000 AND hook = 'active' "
                "AND commits >= 3000 FROM wal_metrics")
PATIENCE = 2000  # commits

APSW = f"""
import apsw, sys, time
db = apsw.Connection(sys.argv[1])
db.enableloadextension(True)
db.loadextension(sys.argv[2])
cursor = db.cursor()
cursor.execute("PRAGMA synchronous=OFF")
cursor.execute("SELECT wal_strategy(?)", (sys.argv[3],)).fetchall()
for _ in range(3000):
    cursor.execute("{INSERT}")
if sys.argv[3] == "sqlite_default":
    print(cursor.execute("{QUERY}").fetchall()[0][0])
else:
    for _ in range({PATIENCE}):
        if cursor.execute("{STARTED_OVER}").fetchall()[0][0] == 1:
            print("started over")
            break
        cursor.execute("{INSERT}")
        time.sleep(0.01)
db.close()
"""

PYTHON = f"""
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])  # with its implicit transactions
db.enable_load_extension(True)
db.load_extension(sys.argv[2])
db.execute("PRAGMA synchronous=OFF")
db.execute("SELECT wal_strategy(?)", (sys.argv[3],)).fetchone()
for _ in range(3000):
    db.execute("{INSERT}")
    db.commit()
if sys.argv[3] == "sqlite_default":
    print(db.execute("{QUERY}").fetchone()[0])
else:
    for _ in range({PATIENCE}):
        if db.execute("{STARTED_OVER}").fetchone()[0] == 1:
            print("started over")
            break
        db.execute("{INSERT}")
        db.commit()
        time.sleep(0.01)
db.close()
"""

PERL = f"""
use strict; use DBI;
my $db = DBI->connect("dbi:SQLite:dbname=$ARGV[0]", "", "", {{ RaiseError => 1, AutoCommit => 1 }});
$db->sqlite_enable_load_extension(1);
$db->sqlite_load_extension($ARGV[1]);
$db->do("PRAGMA synchronous=OFF");
my $insert = $db->prepare("{INSERT}");
$db->selectrow_array("SELECT wal_strategy(?)", undef, $ARGV[2]);
$insert->execute() for 1..3000;
if ($ARGV[2] eq "sqlite_default") {{
  my ($row) = $db->selectrow_array("{QUERY}");
  print "$row\\n";
}} else {{
  for (1..{PATIENCE}) {{
    my ($done) = $db->selectrow_array("{STARTED_OVER}");
    if ($done) {{ print "started over\\n"; last }}
    $insert->execute();
    select(undef, undef, undef, 0.01);
  }}
}}
$insert->finish();
undef $insert;
$db->disconnect();
"""

RUBY = f"""
require 'sqlite3'
db = SQLite3::Database.new(ARGV[0])
db.enable_load_extension(1)
db.load_extension(ARGV[1])
db.execute("PRAGMA synchronous=OFF")
db.get_first_value("SELECT wal_strategy(?)", ARGV[2])
insert = db.prepare("{INSERT}")
3000.times {{ insert.execute }}
if ARGV[2] == "sqlite_default"
  puts db.get_first_value("{QUERY}")
else
  {PATIENCE}.times do
    if db.get_first_value("{STARTED_OVER}").to_i == 1
      puts "started over"
      break
    end
    insert.execute
    sleep 0.01
  end
end
insert.close
db.close
"""

TCL = f"""
package require sqlite3
sqlite3 db [lindex $argv 0]
db enable_load_extension 1
set path [lindex $argv 1]
db eval {{SELECT load_extension($path)}}
db eval {{PRAGMA synchronous=OFF}}
set strategy [lindex $argv 2]
db eval {{SELECT wal_strategy($strategy)}}
for {{set i 0}} {{$i < 3000}} {{incr i}} {{ db eval {{{INSERT}}} }}
if {{$strategy eq "sqlite_default"}} {{
  puts [db onecolumn {{{QUERY}}}]
}} else {{
  for {{set i 0}} {{$i < {PATIENCE}}} {{incr i}} {{
    if {{[db onecolumn {{{STARTED_OVER}}}]}} {{ puts "started over"; break }}
    db eval {{{INSERT}}}
    after 10
  }}
}}
db close
"""

# It cannot name a path nor an entry point: the directory is a setting, and the name a file there, with links followed.
PHP = f"""<?php
$db = new SQLite3($argv[1]);
$db->enableExceptions(true);
$db->loadExtension(basename($argv[2]));
$db->exec("PRAGMA synchronous=OFF");
$strategy = $db->prepare("SELECT wal_strategy(?)");
$strategy->bindValue(1, $argv[3]);
$strategy->execute()->finalize();
$strategy->close();
for ($i = 0; $i < 3000; $i++) {{ $db->exec("{INSERT}"); }}
if ($argv[3] == "sqlite_default") {{
  echo $db->querySingle("{QUERY}"), "\\n";
}} else {{
  for ($i = 0; $i < {PATIENCE}; $i++) {{
    if ($db->querySingle("{STARTED_OVER}") == 1) {{ echo "started over\\n"; break; }}
    $db->exec("{INSERT}");
    usleep(10000);
  }}
}}
if (basename($argv[2]) == "walmanagerprocess.so") {{
  $later = new SQLite3($argv[1]);
  echo $later->querySingle("SELECT hook FROM wal_metrics"), "\\n";
  $later->close();
}}
$db->close();
"""

DRIVERS = {
    "python": (sys.executable, "py", PYTHON, "python3"),
    "apsw": (sys.executable, "py", APSW, "python3-apsw"),
    "perl": ("perl", "pl", PERL, "libdbd-sqlite3-perl"),
    "ruby": ("ruby", "rb", RUBY, "ruby-sqlite3"),
    "php": ("php", "php", PHP, "php-cli php-sqlite3"),
    "tcl": ("tclsh", "tcl", TCL, "libsqlite3-tcl tcl"),
}


def run(driver, tmp_path, *arguments):
    interpreter, suffix, code, package = DRIVERS[driver]
    assert shutil.which(interpreter), f"{interpreter} is missing: apt-get install {package}"
    script = pathlib.Path(tmp_path / f"driver.{suffix}")
    script.write_text(code)
    options = ["-d", f"sqlite3.extension_dir={BUILD}"] if driver == "php" else []
    if driver == "php" and not str(arguments[1]).endswith(".so"):
        arguments = (arguments[0], f"{arguments[1]}.so", *arguments[2:])
    done = subprocess.run([interpreter, *options, str(script), *map(str, arguments)], text=True, capture_output=True,
                          timeout=60, env=environment())
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n(is {package} installed?)"
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_the_background_thread_works_and_the_close_is_clean(driver, wal_path, tmp_path):
    """The default strategy: driver and thread do not get in each other's way."""
    assert run(driver, tmp_path, wal_path, EXTENSION, "conversation_workload") == "started over"
    assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") >= 3000
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_commits_checkpoints_and_a_clean_close(driver, wal_path, tmp_path):
    assert run(driver, tmp_path, wal_path, EXTENSION, "sqlite_default") == f"{EXPECTED} 1"
    assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") == 3000
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()


@pytest.mark.parametrize("driver", ["python", "ruby", "perl"])
def test_the_second_file_name_is_for_drivers_that_cannot_name_an_entry_point(driver, wal_path, tmp_path):
    assert run(driver, tmp_path, wal_path, BUILD / "walmanagerprocess.so", "sqlite_default") == f"{EXPECTED} 1"
    assert files_beside(wal_path) == {"", "-walmanager"}


def test_php_reaches_the_second_entry_point(wal_path, tmp_path):
    """Bug: PHP follows links, so the entry point of walmanager.so ran, and later connections were not managed."""
    assert run("php", tmp_path, wal_path, BUILD / "walmanagerprocess.so", "sqlite_default") == f"{EXPECTED} 1\nactive"
    assert files_beside(wal_path) == {"", "-walmanager"}
