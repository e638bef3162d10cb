"""Modules that are loaded in the proxy, when they are first used: which, and the archive that they come from.

A proxy has no files. What is not in the snapshot, as a loaded module or in this archive, cannot be imported any more.
"""

from __future__ import annotations

import ast
import marshal
from collections.abc import Iterable, Iterator
from typing import Final

from pywasm_compiler.cpython.code_cache import Code
from pywasm_compiler.cpython.module_files import CompiledModules
from pywasm_compiler.guest_modules import guest_modules
from pywasm_compiler.imports import Need, find_imports

LATE: Final = frozenset(
    {
        "annotationlib",
        "ast",
        "codeop",
        "copy",
        "difflib",
        "dis",
        "inspect",
        "opcode",
        "textwrap",
        "token",
        "tokenize",
        "traceback",
    }
)
"""Modules of the standard library that others import at their top, and use on rare occasions only: they load themselves
when something is asked of them. All they do at their import is to define things."""

COMPANIONS: Final[dict[str, tuple[str, ...]]] = {
    "_pydatetime": ("_strptime",),
    "base64": ("binascii",),
    "collections": ("copy", "heapq"),
    "csv": ("re",),
    "datetime": ("_strptime",),
    "difflib": ("re",),
    "email": ("email.message", "email.parser"),
    "email.message": ("email.generator", "email.policy"),
    "email.utils": ("email.charset",),
    "gzip": ("errno",),
    "hashlib": ("_blake2", "_md5", "_sha1", "_sha2", "_sha3"),
    "hmac": ("hashlib",),
    "http.cookies": ("time",),
    "ipaddress": ("re",),
    "random": ("_sha2", "hashlib"),
    "re": ("warnings",),
    "string": ("collections", "re"),
    "traceback": ("_suggestions", "ast", "unicodedata"),
    "typing": ("contextlib", "re", "warnings"),
    "urllib.parse": ("unicodedata",),
    "uuid": ("hashlib", "random", "time"),
    "warnings": ("linecache", "re", "traceback"),
    "xml.etree.ElementTree": ("pyexpat", "xml.parsers.expat"),
    "zoneinfo": ("importlib.resources",),
}
"""Module -> what its functions import, for modules that make sense in a filter."""

_OF_NO_USE: Final = frozenset(
    {"asyncio", "cmd", "code", "concurrent", "curses", "doctest", "ftplib", "http.client", "http.server"}
    | {"imaplib", "multiprocessing", "pdb"}
    | {"poplib", "pty", "pydoc", "readline", "selectors", "smtplib", "socket", "socketserver", "ssl", "subprocess"}
    | {"tempfile", "test", "tkinter", "turtle", "unittest", "venv", "webbrowser", "xmlrpc"}
)
"""Packages import them in functions that cannot work in a proxy."""

_DICTIONARY: Final = ("encodings.cp437", "encodings.cp1252")
"""What most of the archive's modules are like: with these before them, the encodings take a third."""

_MARSHAL_VERSION: Final = 2
"""The last one whose bytes depend on the values alone."""


def archive(modules: CompiledModules, loaded: Iterable[str], late: Iterable[str]) -> bytes:
    """What the guest keeps, as `marshal` writes it: built-in modules to import at once, a dictionary, and the archive.

    `loaded` are the modules that the snapshot holds, `late` those that would load themselves. In the archive are the
    latter, what functions of all these import, all encodings, and whatever these import in turn: by name, the file, the
    directory of a package, the code that `zlib` has packed with the dictionary. What functions of the standard library
    import is known by name, what those of the author's modules and of packages import is read in their source.
    """
    present = set(loaded)
    companions = {name for module in present for name in COMPANIONS.get(module, ())} - present
    built_in = sorted(name for name in companions if modules.find(name) is None)
    dictionary = b"".join(modules.code(name) or b"" for name in _DICTIONARY)
    members: dict[str, tuple[str, str, bytes]] = {}
    called_for = [name for module in present for name in _called_for(modules, module)]
    pending = [
        *late,
        *companions,
        *called_for,
        *(name for name in guest_modules().importable if name.startswith("encodings.")),
    ]
    seen = set(present)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        found = modules.find(name)
        code = modules.packed(name, dictionary)
        if found is None or code is None:
            continue  # built in, or an attribute of a module
        members[name] = (found.file, found.directories[0] if found.directories else "", code.content)
        package = name if found.directories else name.rpartition(".")[0]
        pending += [*_imported(modules, code, package), *COMPANIONS.get(name, ()), name.rpartition(".")[0] or name]
        pending += _called_for(modules, name)
    return marshal.dumps((built_in, dictionary, dict(sorted(members.items()))), _MARSHAL_VERSION)


def _called_for(modules: CompiledModules, name: str) -> Iterator[str]:
    """What functions of one of the author's or of a package's modules import, and attributes as in `_imported`."""
    found = modules.find(name)
    if found is None or not modules.is_given(name, found):
        return
    package = name if found.directories else name.rpartition(".")[0]
    try:
        statements = find_imports(ast.parse(found.source))
    except (SyntaxError, ValueError, RecursionError):  # of a newer Python than this one: the guest's
        return
    for statement in statements:
        if statement.need is Need.DEFERRED and not _is_of_no_use(statement.module):
            yield from _names(modules, statement.level, statement.module, statement.names, package)


def _is_of_no_use(module: str) -> bool:
    return module in _OF_NO_USE or module.partition(".")[0] in _OF_NO_USE


def _imported(modules: CompiledModules, code: Code, package: str) -> Iterator[str]:
    """The modules that running the code imports, and attributes of packages, which might be modules."""
    for level, module, names in code.imports:
        yield from _names(modules, level, module, names, package)


def _names(modules: CompiledModules, level: int, module: str, names: Iterable[str], package: str) -> Iterator[str]:
    """The module that an import statement names, and the modules that its names may be."""
    parts = package.split(".")
    base = [*parts[: len(parts) - level + 1], module] if level else [module]
    full = ".".join(part for part in base if part)
    yield full
    found = modules.find(full)
    if found is not None and found.directories:
        yield from (f"{full}.{name}" for name in names if name != "*")
