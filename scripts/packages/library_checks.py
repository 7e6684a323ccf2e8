"""What a library of a release must be, so that it loads wherever it says it does. Needs readelf."""

import re
import subprocess

OLDEST_GLIBC = (2, 28)
MOST_BYTES = 1_650_000  # a limit so that it does not grow unseen
# All of glibc's own package; since 2.34 libc.so.6 has what is in the others.
GLIBC = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
# What musl has since 1.2.2 or later: the libraries are for 1.2.0.
NEW_IN_MUSL = {"_Fork", "gettid", "reallocarray", "qsort_r", "preadv2", "pwritev2", "statx"}
ENTRIES = {"walmanager.so": {"sqlite3_walmanager_init", "sqlite3_walmanagerprocess_init"},
           "walmanagerprocess.so": {"sqlite3_walmanagerprocess_init"}}
MACHINES = {"x86_64": "X86-64", "aarch64": "AArch64"}


def readelf(library, *options):
    return subprocess.run(["readelf", "--wide", *options, str(library)], check=True, capture_output=True, text=True).stdout


def needed(library):
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf(library, "--dynamic")))


def glibc_versions(library):
    """The versions of glibc's symbols that the library asks for, as tuples of numbers."""
    found = re.findall(r"GLIBC_([0-9.]+)", readelf(library, "--version-info"))
    return {tuple(map(int, version.split("."))) for version in found}


def exports(library):
    names = set()
    for line in readelf(library, "--dyn-syms").splitlines():
        fields = line.split()
        # Num: Value Size Type Bind Vis Ndx Name
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK") and fields[6] not in ("UND", "ABS"):
            names.add(fields[7].split("@")[0])
    return names


def imports(library):
    lines = [line.split() for line in readelf(library, "--dyn-syms").splitlines()]
    return {fields[7].split("@")[0] for fields in lines if len(fields) >= 8 and fields[6] == "UND"}


def complaints(library, target, build_paths=()):
    """Sentences that say what is wrong with a library of dist; none where all is well."""
    wrong = []

    def expect(holds, sentence):
        if not holds:
            wrong.append(f"{library.name} for {target.name}: {sentence}")

    size = library.stat().st_size
    expect(size < MOST_BYTES, f"has {size} bytes, {MOST_BYTES} or more")
    machine = re.search(r"Machine:\s+(.*)", readelf(library, "--file-header")).group(1)
    expect(MACHINES[target.processor] in machine, f"is for {machine}")
    allowed = GLIBC | {target.loader} if target.libc == "glibc" else {"libc.so"}
    more = needed(library) - allowed
    expect(not more, f"needs {', '.join(sorted(more))}")
    newer = {version for version in glibc_versions(library) if version > OLDEST_GLIBC}
    expect(not newer, f"needs symbols of glibc {sorted(newer)}")
    too_new = imports(library) & NEW_IN_MUSL if target.libc == "musl" else ()
    expect(not too_new, f"needs {', '.join(sorted(too_new))}, which musl 1.2.0 does not have")
    expect(exports(library) == ENTRIES[library.name], f"exports {', '.join(sorted(exports(library)))}")
    dynamic = readelf(library, "--dynamic")
    expect("TEXTREL" not in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic, "has TEXTREL, RPATH or RUNPATH")
    expect(library.name != "walmanager.so" or "NODELETE" in dynamic, "can be unloaded, though hooks point into it")
    segments = readelf(library, "--program-headers")
    stack = re.search(r"GNU_STACK.*", segments)
    expect(stack and " RWE " not in stack.group(0), "wants an executable stack")
    expect(not re.search(r"^\s+TLS\s", segments, re.MULTILINE), "has thread-local storage, which a load may not find room for")
    content = library.read_bytes()
    for path in build_paths:
        expect(str(path).encode() not in content, f"names the folder {path}, in which it was built")
    expect(b"\0.symtab\0" not in content, "is not stripped")
    return wrong
