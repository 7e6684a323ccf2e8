"""The targets of a release, and the cross compiler that builds them: PyPI's ziglang, which is Clang with the C
libraries of all targets. It is installed into a folder of its own, as pinned in zig.txt."""

import pathlib
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Target:
    """`name` as in the names of folders and archives; `triple` as zig has it."""

    def __init__(self, name, triple, loader):
        self.name, self.triple, self.loader = name, triple, loader
        self.processor, self.libc = name.split("-")


# glibc: symbols of 2.28 and older alone. `loader`: the program that loads a dynamic executable.
TARGETS = {target.name: target for target in (
    Target("x86_64-glibc", "x86_64-linux-gnu.2.28", "ld-linux-x86-64.so.2"),
    Target("aarch64-glibc", "aarch64-linux-gnu.2.28", "ld-linux-aarch64.so.1"),
    Target("x86_64-musl", "x86_64-linux-musl", "ld-musl-x86_64.so.1"),
    Target("aarch64-musl", "aarch64-linux-musl", "ld-musl-aarch64.so.1"))}


def install(folder):
    """Returns the folder of the package ziglang below `folder`; installs it where it is not there."""
    pinned = (HERE / "zig.txt").read_text()
    stamp = folder / "installed"
    package = folder / "ziglang"
    if not stamp.exists() or stamp.read_text() != pinned:
        print("Installing ziglang ...", file=sys.stderr)
        subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--upgrade",
                        "--target", str(folder), "--no-deps", "--only-binary", ":all:", "--require-hashes",
                        "--requirement", str(HERE / "zig.txt")], check=True)
        stamp.write_text(pinned)
    return package


# zig's driver does not know --icf, which makes one function of several with the same code. zig tells how it calls its
# linker, the last time for this library, and the linker is called so again. --icf=safe leaves functions alone whose
# address is used.
LINK = """\
case " $* " in *" -shared "*)
  linked=$(ZIG_VERBOSE_LINK=1 {zig} c++ -target {triple} "$@" 2>&1) || {{ echo "$linked" >&2; exit 1; }}
  linked=$(echo "$linked" | tail -n 1)
  exec {zig} ${{linked%% *}} --icf=safe ${{linked#* }} ;;
esac
"""


def version():
    return (HERE / "zig.txt").read_text().split("ziglang==")[1].split()[0]


def wrappers(ziglang, target, folder, cache):
    """Programs that build for the target, named as a toolchain's are. Returns their folder."""
    programs = folder / target.name
    programs.mkdir(parents=True, exist_ok=True)
    caches = f"ZIG_GLOBAL_CACHE_DIR={shlex.quote(str(cache))} ZIG_LOCAL_CACHE_DIR={shlex.quote(str(cache))}"
    for name, arguments in (("cc", f"cc -target {target.triple}"), ("c++", f"c++ -target {target.triple}"),
                            ("ar", "ar"), ("ranlib", "ranlib")):
        program = programs / name
        # CMake links the source by which it knows the compiler. zig would build its C++ library for that, unoptimized.
        compile_only = 'case "$*" in *CompilerId.c*) set -- -c "$@" ;; esac\n' if name in ("cc", "c++") else ""
        text = f"#!/bin/sh\n{compile_only}export {caches}\n"
        zig = shlex.quote(str(ziglang / "zig"))
        if name == "c++":
            text += LINK.format(zig=zig, triple=target.triple)
        text += f"exec {zig} {arguments} \"$@\"\n"
        if not program.exists() or program.read_text() != text:
            program.write_text(text)
            program.chmod(0o755)
    return programs
