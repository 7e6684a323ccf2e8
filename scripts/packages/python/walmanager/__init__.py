"""walmanager for Python: loads the SQLite extension that lies in this package.

    import sqlite3, walmanager
    db = sqlite3.connect("app.db")
    walmanager.load(db)

A connection is used by one thread at a time, as ever. Every error is a LoadError, whose text says what to do.
"""

import os
import platform
from typing import Any, Optional

from ._version import version as __version__

__all__ = ["LoadError", "load", "load_into_process", "loadable_path", "process_loadable_path", "__version__"]

_LIBRARIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts")


class LoadError(Exception):
    """The extension could not be loaded. The connection works as it did before."""


def loadable_path() -> str:
    """The path of walmanager.so, for whatever loads SQLite extensions."""
    return os.path.join(_LIBRARIES, "walmanager.so")


def process_loadable_path() -> str:
    """The path of walmanagerprocess.so, which manages every connection that the process opens later, too."""
    return os.path.join(_LIBRARIES, "walmanagerprocess.so")


def load(connection: Any) -> None:
    """Makes walmanager manage this connection, of sqlite3, APSW, or a module with the same methods.

    Whether the connection may load extensions is afterwards as it was before. A second load does nothing."""
    _load(connection, loadable_path())


def load_into_process(connection: Optional[Any] = None) -> None:
    """Makes walmanager manage every connection that this process opens from now on.

    They are those of the SQLite library of `connection`, which is managed, too. Without it: those of the module sqlite3."""
    if connection is not None:
        _load(connection, process_loadable_path())
        return
    try:
        import sqlite3
    except ImportError as error:
        raise LoadError(f"This Python has no module sqlite3 ({error}). {_OTHER_PYTHON}") from error
    own = sqlite3.connect(":memory:")
    try:
        _load(own, process_loadable_path())
    finally:
        own.close()


_OTHER_PYTHON = "Use the system's Python, or APSW: pip install apsw, then walmanager.load(apsw.Connection(...))."


def _load(connection: Any, path: str) -> None:
    load_extension = getattr(connection, "load_extension", None) or getattr(connection, "loadextension", None)
    enable = getattr(connection, "enable_load_extension", None) or getattr(connection, "enableloadextension", None)
    if load_extension is None or enable is None:
        if any(base.__module__ == "sqlite3" for base in type(connection).__mro__):
            raise LoadError(f"This Python's sqlite3 was built without enable_load_extension, so it cannot load extensions. {_OTHER_PYTHON}")
        raise LoadError(f"A {type(connection).__module__}.{type(connection).__qualname__} has no method load_extension. "
                        "Pass the connection of sqlite3 or APSW that it wraps.")
    # SQLite tries the name as it is and then with .so, and tells why the second one failed.
    name = path[:-len(".so")]
    try:
        try:
            promised = load_extension(name)
        except Exception as error:
            # SQLite says this, and no more, before it does anything else, where the program has not enabled loading. Older versions of
            # APSW put the name of the exception before it.
            if str(error).removeprefix(f"{type(error).__name__}: ") != "not authorized":
                raise
            enable(True)
            try:
                promised = load_extension(name)
            finally:
                enable(False)
    except Exception as error:
        raise LoadError(_explained(str(error), path)) from error
    if hasattr(promised, "__await__"):
        if hasattr(promised, "close"):
            promised.close()  # a coroutine that is never awaited warns
        raise LoadError(f"The connection is asynchronous. Await its methods enable_load_extension(True), load_extension({name!r}) and "
                        "enable_load_extension(False) instead.")


def _explained(text: str, path: str) -> str:
    """What SQLite or the loader of the system says, and what to do."""
    libc, libc_version = platform.libc_ver()
    here = f"{platform.machine()} with {libc or 'another libc than glibc'} {libc_version}".strip()
    if "SQLite 3.34.0 or newer is needed" in text:
        todo = "Use a newer Python, or APSW, which brings its own SQLite: pip install apsw."
    elif "another copy of SQLite" in text:
        todo = "One process can use the extension with one SQLite only: load it into connections of sqlite3 or of APSW, not of both."
    elif not os.path.exists(path) or "file too short" in text:
        todo = "The package is incomplete. Install it anew: pip install --force-reinstall walmanager."
    elif "failed to map segment" in text or "Operation not permitted" in text:
        todo = f"No code may run from {os.path.dirname(path)}, whose file system is mounted noexec. Install the package in another folder."
    elif "GLIBC_" in text or "libc.musl" in text or "ld-linux" in text or "libc.so" in text:
        todo = f"The package is for another C library than this system has ({here}). Install it with this system's pip: pip install --force-reinstall walmanager."
    elif "ELF" in text or "cannot open shared object file" in text:
        todo = f"The package is for another machine than this one ({here}). Install it with this system's pip: pip install --force-reinstall walmanager."
    else:
        todo = ""
    return f"{text.rstrip('.')}. {todo}".strip()
