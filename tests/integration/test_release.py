"""What scripts/release has put into dist: the libraries load where they say they do, and nothing is missing. Skipped
where there is no dist: a release is made by hand."""

import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile

import pytest

from conftest import BUILD, ROOT

DIST = pathlib.Path(os.environ.get("WALMANAGER_DIST", ROOT / "dist"))
sys.path.insert(0, str(ROOT / "scripts" / "packages"))
import cross_compiler  # noqa: E402
import library_checks  # noqa: E402
import archives  # noqa: E402

VERSION = re.search(r"walmanager VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
TARGETS = [target for target in cross_compiler.TARGETS.values() if (DIST / f"linux-{target.name}").exists()]
HERE = cross_compiler.TARGETS[f"{platform.machine()}-glibc"] if f"{platform.machine()}-glibc" in cross_compiler.TARGETS else None

needs_dist = pytest.mark.skipif(not TARGETS, reason=f"{DIST} has no release: scripts/release makes one")


def archive_of(target, kind=""):
    return DIST / f"walmanager-{VERSION}-linux-{target.name}{kind}.tar.gz"


@needs_dist
@pytest.mark.parametrize("name", ["walmanager.so", "walmanagerprocess.so"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_library_loads_where_it_says(target, name):
    assert library_checks.complaints(DIST / f"linux-{target.name}" / name, target, [ROOT]) == []


@needs_dist
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_an_archive_has_the_files_of_its_folder(target):
    with tarfile.open(archive_of(target)) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == ["LICENSE", "README.md", "walmanager.so", "walmanagerprocess.so"]
        for member in members:
            assert archive.extractfile(member).read() == (DIST / f"linux-{target.name}" / member.name).read_bytes()
            assert (member.uid, member.gid, member.uname) == (0, 0, "")
    with tarfile.open(archive_of(target, "-debug")) as archive:
        assert archive.getnames() == ["walmanager.so.debug", "walmanagerprocess.so.debug"]


@needs_dist
def test_the_sums_are_those_of_all_files():
    listed = dict(reversed(line.split("  ")) for line in (DIST / "SHA256SUMS").read_text().splitlines())
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in DIST.iterdir()
             if file.is_file() and file.name != "SHA256SUMS"}
    assert listed == files


@needs_dist
def test_the_list_of_parts_names_each_library():
    parts = json.loads((DIST / f"walmanager-{VERSION}.spdx.json").read_text())
    assert parts["spdxVersion"] == "SPDX-2.3"
    sums = {file["fileName"]: file["checksums"][1]["checksumValue"] for file in parts["files"]}
    assert sums == {f"./linux-{target.name}/{name}": archives.digest(DIST / f"linux-{target.name}" / name, "sha256")
                    for target in TARGETS for name in ("walmanager.so", "walmanagerprocess.so")}
    assert {package["name"] for package in parts["packages"]} == \
        {"walmanager", "libcxx", "xxHash", "zig-compiler-rt", "sqlite-headers"}


@needs_dist
@pytest.mark.skipif(HERE not in TARGETS, reason="the release has no library for this machine")
def test_the_archive_loads_in_a_folder_with_only_the_sqlite3_shell(tmp_path):
    with tarfile.open(archive_of(HERE)) as archive:
        archive.extractall(tmp_path)
    shutil.copy(shutil.which("sqlite3"), tmp_path / "sqlite3")
    script = ".load ./walmanager\nPRAGMA journal_mode=WAL;\nCREATE TABLE t(x);\n" \
             "SELECT status FROM system_health WHERE check_name = 'overall';\nSELECT checkpointer FROM wal_metrics;\n"
    shell = subprocess.run(["./sqlite3", "-batch", "-bail", "-init", "/dev/null", "my.db"], input=script, cwd=tmp_path,
                           env={}, capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == ["wal", "ok", "background"]
    with_all = subprocess.run(["./sqlite3", "-batch", "-bail", "-init", "/dev/null", "my.db"], cwd=tmp_path, env={}, text=True,
                              input=".load ./walmanagerprocess\nATTACH 'other.db' AS other;\nSELECT count(*) FROM wal_metrics;\n",
                              capture_output=True, check=True)
    assert with_all.stdout == "2\n"


# --- the ordinary build, by the same checks

@pytest.mark.parametrize("name", ["walmanager.so", "walmanagerprocess.so"])
def test_the_ordinary_build_passes_the_checks_that_do_not_depend_on_the_compiler(name):
    """Its size, and the version of glibc, are those of this machine."""
    target = cross_compiler.Target(f"{platform.machine()}-glibc", "", library_checks.needed(BUILD / name) and
                                   next((each for each in library_checks.needed(BUILD / name) if each.startswith("ld-linux")), ""))
    wrong = [each.split(": ", 1)[1] for each in library_checks.complaints(BUILD / name, target)]
    assert [each for each in wrong if not re.match(r"has \d+ bytes|needs symbols|is not stripped", each)] == []


def test_the_file_has_no_places_for_files_in_it():
    """Bug: the tables of watched files began with another value than 0, so that the file had 2.6 MB of them."""
    data = re.search(r" \.data +PROGBITS +\w+ \w+ (\w+)", library_checks.readelf(BUILD / "walmanager.so", "--section-headers"))
    assert int(data.group(1), 16) < 100_000


def test_a_library_that_is_not_as_it_should_be_is_found(tmp_path):
    """Each of the checks can fail."""
    source = tmp_path / "walmanager.c"
    source.write_text("__thread int x; int other(void) { return x; } int *place(void) { return &x; } "
                      f'const char *path(void) {{ return "{tmp_path}"; }}')
    made = tmp_path / "walmanager.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-z,execstack", "-Wl,-rpath,/opt", source, "-o", made, "-Wl,--no-as-needed", "-lgcc_s"],
                   check=True, capture_output=True)
    target = cross_compiler.TARGETS["aarch64-glibc" if platform.machine() == "x86_64" else "x86_64-glibc"]
    said = " ".join(library_checks.complaints(made, target, [tmp_path]))
    for part in ("is for ", "libgcc_s.so.1", "exports other, path, place", "RPATH", "can be unloaded", "executable stack",
                 "thread-local", f"names the folder {tmp_path}", "is not stripped"):
        assert part in said


# --- what a user sees where the loader refuses a library: the table in scripts/packages/README.md

def hash_of_version(name):
    """As the loader has it (System V ABI)."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        value = (value ^ (value & 0xf0000000) >> 24) & 0x0fffffff
    return value.to_bytes(4, "little")


def refusal(library):
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    with pytest.raises(sqlite3.OperationalError) as refused:
        db.execute("SELECT load_extension(?, 'sqlite3_walmanagerprocess_init')", [str(library).removesuffix(".so")])
    return str(refused.value)


@pytest.fixture
def library(tmp_path):
    return tmp_path / "walmanagerprocess.so"


@pytest.fixture
def content():
    return bytearray((BUILD / "walmanagerprocess.so").read_bytes())


def test_the_reason_is_hidden_where_the_name_has_its_suffix(library, content):
    """SQLite then tries walmanagerprocess.so.so, and says why that cannot be had."""
    content[4] = 1
    library.write_bytes(content)
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    with pytest.raises(sqlite3.OperationalError, match=r"\.so\.so: cannot open shared object file"):
        db.execute("SELECT load_extension(?)", [str(library)])


def test_another_processor(library, content):
    content[18:20] = (243).to_bytes(2, "little")  # RISC-V
    library.write_bytes(content)
    assert refusal(library) == f"{library}: cannot open shared object file: No such file or directory"


def test_32_bits(library, content):
    content[4] = 1
    library.write_bytes(content)
    assert refusal(library) == f"{library}: wrong ELF class: ELFCLASS32"


def test_an_older_glibc(library, content):
    newest = max(library_checks.glibc_versions(BUILD / "walmanagerprocess.so"))
    old = "GLIBC_" + ".".join(map(str, newest))
    new = old[:-1] + "z"
    library.write_bytes(bytes(content).replace(old.encode() + b"\0", new.encode() + b"\0")
                        .replace(hash_of_version(old), hash_of_version(new)))
    assert refusal(library).endswith(f": version `{new}' not found (required by {library})")


def test_a_folder_without_exec(tmp_path, content):
    script = 'mount -t tmpfs -o noexec none "$1" && cp "$2" "$1" && sqlite3 :memory: ".load $1/walmanagerprocess"'
    folder = tmp_path / "noexec"
    folder.mkdir()
    shell = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script, "-", folder,
                            BUILD / "walmanagerprocess.so"], capture_output=True, text=True)
    if "mount:" in shell.stderr or "unshare" in shell.stderr:
        pytest.skip(f"no file system can be mounted here: {shell.stderr.strip()}")
    assert shell.stderr == f"Error: {folder}/walmanagerprocess.so: failed to map segment from shared object\n"
