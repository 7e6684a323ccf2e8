"""The platforms that packages are made for, and how their files are written: the same bytes for the same content.

Standard library only. Everything wrong is a Wrong, whose text is a sentence.
"""

import os
import pathlib
import platform
import re
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = ("walmanager.so", "walmanagerprocess.so")
MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine of the ELF header
GLIBC = (2, 28)  # the oldest that a library for glibc may need, as in manylinux_2_28
PLATFORMS = tuple(f"{machine}-{libc}" for libc in ("glibc", "musl") for machine in MACHINES)
# The time of every file in a package, in the variable of https://reproducible-builds.org; 1980-01-01 is the oldest that a zip knows.
EPOCH = max(315532800, int(os.environ.get("SOURCE_DATE_EPOCH", 315532800)))


class Wrong(Exception):
    """A package cannot be made."""


def here():
    """The platform of this machine."""
    libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    if platform.machine() not in MACHINES:
        raise Wrong(f"There are no packages for this machine, {platform.machine()}: only for {' and '.join(MACHINES)}.")
    return f"{platform.machine()}-{libc}"


def version():
    """The project's version, which stands in CMakeLists.txt."""
    return re.search(r"^project\(walmanager VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)[1]


def needs_glibc(library):
    """The newest version of glibc that the library asks for, or (0, 0) if it asks for none."""
    return max(((int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", library)), default=(0, 0))


def libraries(name, folder, strict=True):
    """The bytes of each library of the platform in the folder. `strict`: they must run wherever the package is installed."""
    machine, libc = name.split("-")
    found = {}
    for file in LIBRARIES:
        path = pathlib.Path(folder) / file
        try:
            library = path.read_bytes()
        except OSError as error:
            raise Wrong(f"{path} cannot be read: {error.strerror}. Build it first, or name another folder.") from error
        if library[:4] != b"\x7fELF" or library[18:20] != struct.pack("<H", MACHINES[machine]):
            raise Wrong(f"{path} is not a library for {machine}.")
        if (b"\0libc.so.6\0" in library) != (libc == "glibc"):
            raise Wrong(f"{path} is not linked with {libc}, which {name} means.")
        needed = needs_glibc(library)
        if strict and needed > GLIBC:
            raise Wrong(f"{path} needs glibc {needed[0]}.{needed[1]}; packages are for {GLIBC[0]}.{GLIBC[1]} and newer. scripts/release builds such libraries.")
        found[file] = library
    return found


def licence(folder):
    """That of the folder, which scripts/release writes: it names the projects whose code is in the libraries. Else the tree's own."""
    file = pathlib.Path(folder) / "LICENSE"
    return (file if file.exists() else ROOT / "LICENSE").read_bytes()


def write(path, data):
    """Whole, or not at all."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(data)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    print(path)


def command(usage, build):
    """Calls build(dist, {platform: folder}) with the words of the command line."""
    words = sys.argv[1:]
    if words in (["-h"], ["--help"]):
        print(usage)
        return
    named = dict(word.partition("=")[::2] for word in words[1:])
    if len(words) == 1:
        named = {name: folder for name in PLATFORMS if (folder := pathlib.Path(words[0]) / f"linux-{name}").is_dir()}
    if not named or not all(name in ("here", *PLATFORMS) and folder for name, folder in named.items()):
        print(f"{usage}\nPLATFORM is one of here, {', '.join(PLATFORMS)}. Without any: each whose folder linux-PLATFORM is in DIST, where scripts/release puts it.",
              file=sys.stderr)
        sys.exit(2)
    try:
        build(pathlib.Path(words[0]), named)
    except Wrong as wrong:
        print(f"{pathlib.Path(sys.argv[0]).parent.name}/build: {wrong}", file=sys.stderr)
        sys.exit(2)
