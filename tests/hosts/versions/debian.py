#!/usr/bin/env python3
"""debian.py FOLDER  puts the SQLite and the C library of other releases of Debian into FOLDER, and tests/release/host.c, linked with them.

Needs apt-get of a Debian, whose own lists and sources stay as they are. The program is built by the compiler of scripts/release, for glibc 2.28.
"""

import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "packages"))
import cross_compiler  # noqa: E402

SUITES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def site():
    """Where this machine's own packages come from."""
    targets = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(CREATED_BY) $(ORIGIN) $(LABEL)"], capture_output=True, text=True).stdout
    found = [line.split()[0] for line in targets.splitlines() if line.split()[1:] == ["Packages", "Debian", "Debian"]]
    return found[0] if found else "http://deb.debian.org/debian"


def fetch(folder, suite):
    """The root of a system with libc6 and libsqlite3-0."""
    root = folder / suite
    if root.exists():
        return root
    apt = folder / "apt"
    for place in ("lists/partial", "cache/archives/partial", f"packages-{suite}"):
        (apt / place).mkdir(parents=True, exist_ok=True)
    (apt / f"{suite}.list").write_text(f"deb [signed-by={KEYRING}] {site()} {suite} main\n")
    command = ["apt-get", "--quiet", "--quiet", *(part for option in (
        f"Dir::Etc::sourcelist={apt}/{suite}.list", "Dir::Etc::sourceparts=/dev/null", f"Dir::State::lists={apt}/lists",
        f"Dir::Cache={apt}/cache", "Acquire::Languages=none", "APT::Sandbox::User=root", "APT::Get::List-Cleanup=0") for part in ("-o", option))]
    subprocess.run([*command, "update"], check=True, stdout=subprocess.DEVNULL)
    packages = apt / f"packages-{suite}"
    subprocess.run([*command, "download", f"libc6/{suite}", f"libsqlite3-0/{suite}"], cwd=packages, check=True, stdout=subprocess.DEVNULL)
    new = folder / f"{suite}.new"
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, new], check=True)
    new.replace(root)
    return root


def found(root, name):
    return next(path for path in sorted(root.rglob(name)) if path.exists())


def command(folder, number):
    """What runs the program with that Debian's libraries; None where they are not there."""
    root = pathlib.Path(folder) / SUITES[number]
    program = pathlib.Path(folder) / f"host-{number}"
    if not program.exists():
        return None
    loader = cross_compiler.TARGETS[f"{platform.machine()}-glibc"].loader
    places = {str(found(root, name).parent) for name in ("libc.so.6", "libsqlite3.so.0")}
    return [found(root, loader), "--library-path", ":".join(sorted(places)), program]


def build(folder, number, sqlite):
    """`sqlite`: the folder of a sqlite3.h that the release's SQLite has all of."""
    work = pathlib.Path(os.environ.get("WALMANAGER_RELEASE", ROOT / "build-release"))
    target = cross_compiler.TARGETS[f"{platform.machine()}-glibc"]
    programs = cross_compiler.wrappers(cross_compiler.install(work / "compiler"), target, work / "programs", work / "cache")
    library = found(fetch(folder, SUITES[number]), "libsqlite3.so.0")
    # What that SQLite wants of its C library is there when it runs.
    subprocess.run([programs / "cc", "-O1", "-w", "-Wl,--allow-shlib-undefined", f"-I{sqlite}", ROOT / "tests" / "release" / "host.c",
                    library, "-o", folder / f"host-{number}", "-lpthread", "-ldl"], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    import builds

    target_folder = pathlib.Path(sys.argv[1])
    target_folder.mkdir(parents=True, exist_ok=True)
    headers = builds.amalgamation(target_folder, "3.34.0")
    for each in SUITES:
        build(target_folder, each, headers)
