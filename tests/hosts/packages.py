"""What the tests of the wheel and of the npm package have in common: libraries of the present build, and packages of them."""

import os
import pathlib
import platform
import shutil
import subprocess
import sys

from conftest import BUILD, ROOT

PACKAGES = ROOT / "scripts" / "packages"
INSTALLED = pathlib.Path(os.environ.get("WALMANAGER_HOSTS", ROOT / "build" / "hosts"))


def stripped(folder):
    """The libraries of the build, without what only a debugger needs: they are packed, copied and loaded many times."""
    folder.mkdir()
    for name in ("walmanager.so", "walmanagerprocess.so"):
        if shutil.which("strip"):
            subprocess.run(["strip", "-o", folder / name, BUILD / name], check=True)
        else:
            shutil.copy(BUILD / name, folder / name)
    return folder


def build(kind, dist, *platforms):
    """The builder of one kind of package; its status, what it printed, and what it complained of."""
    done = subprocess.run([sys.executable, PACKAGES / kind / "build", dist, *platforms], text=True, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def built_twice(kind, folder):
    """The packages for this machine, by their names. That they are the same bytes twice is asserted."""
    libraries = stripped(folder / "libraries")
    made = []
    for dist in (folder / "dist", folder / "again"):
        status, printed, errors = build(kind, dist, f"here={libraries}")
        assert (status, errors) == (0, "")
        files = {path.name: path for path in dist.iterdir()}
        assert sorted(printed.split()) == sorted(map(str, files.values()))
        made.append(files)
    assert {name: path.read_bytes() for name, path in made[0].items()} == {name: path.read_bytes() for name, path in made[1].items()}
    return made[0]


def refused_inputs(kind, folder):
    """What a builder must refuse: a sentence, status 2, and no file."""
    libraries = folder / "text"
    libraries.mkdir()
    for name in ("walmanager.so", "walmanagerprocess.so"):
        (libraries / name).write_text("This is no library. " * 10)
    dist = folder / "never"
    usage = "PLATFORM is one of here, x86_64-glibc, aarch64-glibc, x86_64-musl, aarch64-musl. Without any: each whose folder linux-PLATFORM is in DIST, " \
            "where scripts/release puts it.\n"
    short = folder / "short"
    short.mkdir()
    (short / "walmanager.so").write_bytes(b"\x7fELF\x02")
    for platforms, sentence in [([f"here={short}"], f"{kind}/build: {short}/walmanager.so is not a library for {platform.machine()}.\n"),
                                ([f"aarch64-musl={libraries}"], f"{kind}/build: {libraries}/walmanager.so is not a library for aarch64.\n"),
                                ([f"x86_64-glibc={folder}/none"], f"{kind}/build: {folder}/none/walmanager.so cannot be read: No such file or directory. "
                                                                "Build it first, or name another folder.\n"),
                                ([f"arm={libraries}"], usage), ([], usage)]:
        status, printed, errors = build(kind, dist, *platforms)
        assert (status, printed) == (2, "") and errors.endswith(sentence), errors
    # As on another machine.
    code = "import platform, runpy, sys; platform.machine = lambda: 'riscv64'; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, PACKAGES / kind / "build", dist, f"here={short}"], text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", f"{kind}/build: There are no packages for this machine, riscv64: only for x86_64 and aarch64.\n")
    assert not dist.exists()
