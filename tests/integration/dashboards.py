"""Running dashboards and the programs beside them, for test_dashboard.py."""

import hashlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

from conftest import BUILD, ROOT
from helpers import environment

DASHBOARD = ROOT / "scripts" / "dashboard"
AXE = "https://registry.npmjs.org/axe-core/-/axe-core-4.14.1.tgz"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"


class Dashboard:
    """The program, and its URL."""

    def __init__(self, *paths, options=()):
        self.process = subprocess.Popen([sys.executable, DASHBOARD, *map(str, paths), "--no-open", *options], text=True,
                                        env=environment(WALMANAGER_BUILD=str(BUILD)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.process.communicate()[1]
        self.origin = self.url.split("/?")[0]
        self.host = self.origin.removeprefix("http://")

    def stop(self):
        self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert (self.process.returncode, errors) == (0, "")

    def ask(self, path, data=None, **headers):
        """Status, headers and text of an answer. The Host is that of the dashboard unless one is given."""
        request = urllib.request.Request(self.origin + path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def let_in(self):
        """The cookie, and the path below which the page lies."""
        status, headers, text = self.ask("/" + self.url.removeprefix(self.origin + "/"))
        assert status == 200
        return headers["Set-Cookie"].split(";")[0], re.search(r"url=(/[^\"]+/)", text)[1]

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


class Program:
    """A program with a managed connection `db`, which runs the Python that it is sent."""

    BOOT = """
import json, sqlite3, sys, threading, time, types
sys.modules["pytest"] = types.SimpleNamespace(fixture=lambda function: function)  # it takes long to import
from conftest import connect, one
db = connect(sys.argv[1], timeout=20, check_same_thread=False)
scope = dict(globals())
for line in sys.stdin:
    code, wanted = json.loads(line)
    try:
        exec(code, scope)
        answer = eval(wanted, scope)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
"""

    def __init__(self, path, name):
        self.process = subprocess.Popen([sys.executable, "-c", self.BOOT, str(path)], text=True, env=environment(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.run("", f"one(db, 'SELECT wal_application_name(?)', {name!r})") == name

    def start(self, code, wanted="None"):
        self.process.stdin.write(json.dumps([code, wanted]) + "\n")
        self.process.stdin.flush()

    def finish(self):
        return json.loads(self.process.stdout.readline())

    def run(self, code, wanted="None"):
        self.start(code, wanted)
        answer = self.finish()
        assert not isinstance(answer, dict), answer["error"]
        return answer

    def end(self):
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:  # a test has failed before it ended its statement
            self.process.kill()
            self.process.communicate()


def axe_core():
    """axe-core from npm, of one version and hash, kept in the build directory. None where it cannot be fetched."""
    import io
    import tarfile
    kept = BUILD / AXE.rsplit("/", 1)[1]
    if not kept.exists():
        try:
            with urllib.request.urlopen(AXE, timeout=20) as answer:
                archive = answer.read()
        except OSError:
            return None
        assert hashlib.sha256(archive).hexdigest() == AXE_SHA256, "another axe-core than the one that was looked at"
        kept.write_bytes(archive)
    archive = kept.read_bytes()
    assert hashlib.sha256(archive).hexdigest() == AXE_SHA256
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return files.extractfile("package/axe.min.js").read().decode()
