#!/usr/bin/env python3
"""builds.py FOLDER  compiles tests/release/host.c with SQLite's amalgamation, once for each build below, into FOLDER.

The amalgamations are those in npm's package better-sqlite3, of which there is one for nearly every version of SQLite.
"""

import hashlib
import os
import pathlib
import subprocess
import sys

HOST = pathlib.Path(__file__).resolve().parents[2] / "release" / "host.c"

# SQLite: the version of better-sqlite3, and the SHA-256 of its sqlite3.c.
AMALGAMATIONS = {
    "3.34.0": ("7.1.2", "3903c11d7ec6821228382dbcf8c893d20bcb29616fec815c7905dc908de546db"),
    "3.35.2": ("7.4.0", "27c896bcb71536cbd0ac481ec4b00c02e833344c7b76940d585046c7b46a421e"),
    "3.37.2": ("7.5.0", "e19498e06e73c079730702effc5213a811b6f57ab0489f848fabe4956510a58b"),
    "3.39.0": ("7.6.0", "a14656dda33e8cc26092aa50ff0b32a0680401119c1f3553af492f45499cb69f"),
    "3.42.0": ("8.5.0", "f7a7489e28f01b1440c350119827cd9f1911c7b3c516afff70ff27b2e03ec8b8"),
    "3.45.1": ("9.4.0", "a760118a161b77a79dd9acdd16af324ed059e70d1e7571c504966fc2e40712cc"),
    "3.47.2": ("11.7.0", "06c3bf23ecb30c91587e0f96d2fea71f3e5acc8305cda0bb8d23ee29d522745f"),
    "3.50.4": ("12.4.1", "90b7189566ea710ee18361b25d893f5cda3fcf43033223a16384762f53e99a85"),
    "3.54.1": ("13.2.0", "75a4760a7b9727a4c4c877aec92eacf39e52a8f2921ce00bd33be6d3a8e8e254"),
}

# What SQLite's own page recommends (https://www.sqlite.org/compile.html), without its THREADSAFE=0.
RECOMMENDED = ("DQS=0", "DEFAULT_MEMSTATUS=0", "DEFAULT_WAL_SYNCHRONOUS=1", "LIKE_DOESNT_MATCH_BLOBS", "MAX_EXPR_DEPTH=0", "OMIT_DECLTYPE",
               "OMIT_DEPRECATED", "OMIT_PROGRESS_CALLBACK", "OMIT_SHARED_CACHE", "USE_ALLOCA", "OMIT_AUTOINIT", "STRICT_SUBTYPE=1")
# Each of these leaves null pointers in the API table, or takes a PRAGMA or a function of SQL away.
HOLES = ("OMIT_DEPRECATED", "OMIT_UTF16", "OMIT_DECLTYPE", "OMIT_GET_TABLE", "OMIT_SHARED_CACHE", "OMIT_INCRBLOB",
         "OMIT_COMPILEOPTION_DIAGS", "OMIT_TRACE", "OMIT_PROGRESS_CALLBACK", "OMIT_DESERIALIZE", "OMIT_JSON", "OMIT_AUTORESET")


def builds():
    """The options of each build, without SQLITE_, by SQLite's version and a name."""
    made = {(version, "as it is"): () for version in AMALGAMATIONS}
    for version in ("3.34.0", "3.54.1"):
        made.update({(version, options[0]): options for options in (("THREADSAFE=0",), ("THREADSAFE=2",), ("ENABLE_API_ARMOR",))})
        made[version, "the recommended options"] = RECOMMENDED
        made[version, "holes in the API table"] = HOLES
        made.update({(version, option): (option,) for option in ("OMIT_WAL", "OMIT_AUTHORIZATION")})
    return made


def program(folder, version, name):
    return pathlib.Path(folder) / f"{version}-{name.replace(' ', '-')}"


def amalgamation(folder, version):
    """The folder of sqlite3.c and sqlite3.h."""
    package, expected = AMALGAMATIONS[version]
    place = folder / "sources" / version
    if not (place / "sqlite3.c").exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"better-sqlite3@{package}"], cwd=place, check=True, stdout=subprocess.DEVNULL)
        archive = place / f"better-sqlite3-{package}.tgz"
        subprocess.run(["tar", "-xzf", archive, "--strip-components=2", "package/deps"], cwd=place, check=True)
        if (place / "sqlite3.tar.gz").exists():  # older versions
            subprocess.run(["tar", "-xzf", "sqlite3.tar.gz"], cwd=place, check=True)
        else:
            for file in (place / "sqlite3").iterdir():
                file.rename(place / file.name)
        archive.unlink()
    if hashlib.sha256((place / "sqlite3.c").read_bytes()).hexdigest() != expected:
        (place / "sqlite3.c").unlink()
        sys.exit(f"builds.py: sqlite3.c of better-sqlite3 {package} is not the one that was expected")
    return place


def build(folder, version, name, options):
    made = program(folder, version, name)
    source = amalgamation(folder, version)
    if made.exists() and made.stat().st_mtime > HOST.stat().st_mtime:
        return
    new = made.with_name(f"{made.name}.{os.getpid()}.new")
    subprocess.run(["cc", "-O0", "-w", *(f"-DSQLITE_{option}" for option in options), f"-I{source}", HOST, source / "sqlite3.c", "-o", new,
                    "-lpthread", "-ldl", "-lm"], check=True)
    new.replace(made)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for (of_version, of_name), with_options in builds().items():
        build(target, of_version, of_name, with_options)
