"""Runs the libraries of a release as far as this machine can: those for aarch64 under qemu-user, those for musl with
musl's loader. Debian's packages qemu-user-static, libc6-arm64-cross, musl and googletest have what is needed. A program
has its own SQLite, whose source is in npm's package better-sqlite3."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOGLETEST = pathlib.Path("/usr/src/googletest/googletest")
# SQLite 3.50.4.
AMALGAMATION = ("better-sqlite3@12.4.1", "90b7189566ea710ee18361b25d893f5cda3fcf43033223a16384762f53e99a85")
AARCH64 = pathlib.Path("/usr/aarch64-linux-gnu")


def amalgamation(work):
    """The folder of sqlite3.c; None where npm does not give it."""
    from archives import digest

    name, expected = AMALGAMATION
    folder = work / "sqlite" / "package" / "deps" / "sqlite3"
    if not (folder / "sqlite3.c").exists():
        (work / "sqlite").mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(["npm", "pack", "--silent", "--json", name], cwd=work / "sqlite", capture_output=True, text=True)
        if packed.returncode != 0:
            return None
        subprocess.run(["tar", "-xzf", json.loads(packed.stdout)[0]["filename"]], cwd=work / "sqlite", check=True)
    if digest(folder / "sqlite3.c", "sha256") != expected:
        sys.exit(f"release: sqlite3.c of {name} is not the one that was expected")
    return folder


def runner(target, work):
    """The command that runs a program of the target, and why there is none. The target's loader and C library are those
    of this system, of a cross package of Debian, or in a folder `roots` of the working folder, as dpkg -x leaves them."""
    roots = [work / "roots" / target.name, AARCH64, pathlib.Path("/")]
    root = next((each for each in roots if (each / "lib" / target.loader).exists()), None)
    if target.processor == os.uname().machine:
        if target.libc == "glibc":
            return [], None
        return ([str(root / "lib" / target.loader)], None) if root else (None, f"{target.loader} is not there (Debian: musl)")
    qemu = shutil.which(f"qemu-{target.processor}-static") or shutil.which(f"qemu-{target.processor}")
    if not qemu:
        return None, f"qemu-{target.processor} is not there (Debian: qemu-user-static)"
    if not root:
        return None, f"{target.loader} is not there (scripts/packages/README.md says where it comes from)"
    return [qemu, "-L", str(root)], None


def run(target, compiler, headers, work, dist):
    """Prints what was run, or why it was not. False where something failed."""
    command, because = runner(target, work)
    sqlite = amalgamation(work) if command is not None else None
    if command is not None and not GOOGLETEST.exists():
        command, because = None, f"{GOOGLETEST} is not there (Debian: googletest)"
    if command is not None and not sqlite:
        command, because = None, f"npm does not give {AMALGAMATION[0]}"
    if command is None:
        print(f"{target.name}: not tried: {because}")
        return True
    folder = work / target.name / "trial"
    subprocess.run(["cmake", "-S", ROOT / "tests" / "release", "-B", folder,
                    f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/scripts/packages/zig.cmake", f"-DWALMANAGER_ZIG={compiler.programs(target)}",
                    f"-DWALMANAGER_PROCESSOR={target.processor}", f"-DXXHASH_INCLUDE_DIR={headers}",
                    f"-DSQLITE_SOURCE={sqlite}", f"-DGOOGLETEST_SOURCE={GOOGLETEST}", "-DCMAKE_BUILD_TYPE=Release"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--parallel", str(os.cpu_count()), "--target", "unit_tests", "release_host"],
                   check=True, stdout=subprocess.DEVNULL)
    worked = True
    with tempfile.TemporaryDirectory() as place:
        library = dist / f"linux-{target.name}" / "walmanager.so"
        for name, arguments in (("unit_tests", ["--gtest_brief=1"]), ("release_host", [str(library), f"{place}/trial.db"])):
            done = subprocess.run([*command, str(folder / name), *arguments], capture_output=True, text=True)
            for line in (done.stdout + done.stderr).splitlines()[-40 if done.returncode else -3:]:
                print(f"{target.name}: {name}: {line}")
            worked = worked and done.returncode == 0
    return worked
