"""What may be imported inside a guest, and what to tell an author who imports something else."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pywasm_compiler.distributions import distribution_of
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding, Severity
from pywasm_compiler.guest_modules import guest_modules
from pywasm_compiler.search import Found, ModuleFinder, environment_path

SDK = "pywasm_filter"
"""The package that a filter imports; of its submodules only `sdk` is part of the guest."""

STAND_INS = Path(__file__).with_name("stand_ins")
"""Modules for packages that name one of those that the guest lacks, and need not use it: a directory for `sys.path`."""

OURS = (SDK, "pywasm_compiler", "proxy_wasm_abi")
RESERVED = (*OURS, "wit_world", "componentize_py_runtime", "componentize_py_types")
"""Names of top-level modules that an author's file must not take."""

_REMEDIES = {
    "ssl": "leave TLS to the proxy: it belongs to the configuration of its listeners and clusters",
    "_ssl": "leave TLS to the proxy: it belongs to the configuration of its listeners and clusters",
    "bz2": "use zlib or gzip, which the guest has",
    "lzma": "use zlib or gzip, which the guest has",
    "compression": "use zlib or gzip, which the guest has",
    "ctypes": "use pure Python: there are no native libraries in WebAssembly",
    "curses": "remove it: a filter has no terminal",
    "readline": "remove it: a filter has no terminal",
    "termios": "remove it: a filter has no terminal",
    "tty": "remove it: a filter has no terminal",
    "pty": "remove it: a filter has no terminal",
    "tkinter": "remove it: a filter has no screen",
    "turtle": "remove it: a filter has no screen",
    "syslog": "use logging or print: both end in the proxy's log",
    "multiprocessing": "remove it: a filter is one thread of one process",
    "concurrent": "remove it: a filter is one thread of one process",
}
_REPLACEMENTS = {
    "cryptography": "use hashlib and hmac, or the host's own: host_verify_signature, host_sign",
    "pycryptodome": "use hashlib and hmac, or the host's own: host_verify_signature, host_sign",
    "pynacl": "use hashlib and hmac, or the host's own: host_verify_signature, host_sign",
    "bcrypt": "use hashlib.pbkdf2_hmac",
    "argon2-cffi": "use hashlib.pbkdf2_hmac",
    "grpcio": "use self.grpc_call and self.grpc_stream",
    "lxml": "use xml.etree.ElementTree",
    "numpy": "use statistics, array or plain lists: NumPy is machine code",
    "pandas": "use csv and plain lists: pandas is machine code",
    "orjson": "use json",
    "ujson": "use json",
    "rapidjson": "use json",
    "msgspec": "use json, and RootContext[Settings] for configurations",
    "pydantic": "use dataclasses; RootContext[Settings] checks a configuration against one",
    "pydantic-core": "use dataclasses; RootContext[Settings] checks a configuration against one",
    "regex": "use re",
    "google-re2": "use re",
    "psycopg": "keep the database behind a service, and call that with self.http_call",
    "psycopg2": "keep the database behind a service, and call that with self.http_call",
    "psycopg2-binary": "keep the database behind a service, and call that with self.http_call",
    "brotli": "use zlib or gzip, which the guest has",
    "zstandard": "use zlib or gzip, which the guest has",
    "lz4": "use zlib or gzip, which the guest has",
}
"""By the normalised name of a distribution."""

_NO_MODULE = re.compile(r"No module named '(?P<name>[\w.]+)'")
_NO_SYSTEM = "remove it: a filter runs in WebAssembly, with no operating system behind it"


@dataclass(frozen=True)
class Origin:
    """Where an import was met: the author's line, and the installed module that it came through, if any."""

    file: Path
    line: int
    through: str = ""

    def error(self, rule: str, message: str, remedy: str) -> CompileError:
        """An error at the author's line, found by a rule of docs/reference/rules.md."""
        return CompileError(message, self.file, self.line, remedy, rule=rule)


def check_file_name(given: Path, name: str) -> None:
    """Refuse a file name that cannot be imported, or that would hide a module of the guest. Raises CompileError."""
    stem, suffix = Path(name).stem, Path(name).suffix
    if suffix == ".wasm":
        raise CompileError(
            "is a built module, not the Python file of a filter",
            given,
            remedy="name the .py file; a built module is tested with --pywasm-host=wasmtime or --pywasm-host=envoy",
            rule="source",
        )
    if name == "__init__.py":
        raise CompileError(
            "is a whole package; a filter is one module, with others beside it that it may import",
            given,
            remedy="name a module of the package, such as filter.py, and let it import the others by their full names",
            rule="source",
        )
    if suffix != ".py" or not stem.isidentifier():
        raise CompileError(
            "is not a name that Python can import",
            given,
            remedy="name the file like a module: my_filter.py",
            rule="source",
        )
    if guest_modules().has_top_level(stem) or stem in sys.stdlib_module_names:
        owner = f"the standard library's module '{stem}'"
    elif stem in RESERVED:
        owner = f"the package '{stem}', which a built filter contains"
    else:
        return
    raise CompileError(
        f"has the name of {owner}", given, remedy="give the file another name, such as filter.py", rule="source"
    )


def check_standard(name: str, origin: Origin) -> None:
    """Refuse a module that the guest's standard library does not have. Raises CompileError."""
    guest = guest_modules()
    if name in guest.importable:
        return
    message = f"the Python {guest.python} that runs in the proxy has no module '{name}'"
    if origin.through:
        raise origin.error(
            "missing-module",
            f"{message}, and '{origin.through}' needs it{_of_distribution(origin.through)}",
            _replacement(origin.through) or "use another package",
        )
    if name in guest.missing:
        raise origin.error("missing-module", message, _REMEDIES.get(name.partition(".")[0], _NO_SYSTEM))
    raise origin.error("unknown-module", message, "check the spelling of the module's name")


def check_own(name: str, origin: Origin) -> None:
    """Refuse those of our own modules that run on the host. Raises CompileError."""
    if name in (SDK, f"{SDK}.sdk") or name.startswith(f"{SDK}.sdk."):
        return
    raise origin.error(
        "host-module",
        f"'{name}' runs on the host; it is not part of a built filter",
        "import it in the tests, or under `if TYPE_CHECKING`; a filter imports from pywasm_filter itself",
    )


def not_found(name: str, origin: Origin) -> CompileError:
    """A module that is nowhere."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return origin.error(
            "missing-module",
            f"the Python {guest_modules().python} that runs in the proxy has no module '{name}'",
            f"do without it: '{top}' is no longer in the standard library",
        )
    return origin.error(
        "unknown-module",
        f"no module '{name}': not beside the filter, not in the standard library, not installed in {sys.prefix}",
        f"correct the name, or install the package: {sys.executable} -m pip install {top}",
    )


def native(module: Found, origin: Origin) -> CompileError:
    """A module that is machine code."""
    assert module.file is not None
    needed = f", and '{origin.through}' needs it" if origin.through else ""
    return origin.error(
        "native-extension",
        f"'{module.name}'{_of_distribution(module.name)} is a native extension ({module.file.name}), which cannot run "
        f"in WebAssembly{needed}",
        _replacement(module.name) or "use a package that is pure Python, or has a fallback in pure Python",
    )


def _of_distribution(module: str) -> str:
    found = distribution_of(module)
    return f" of the package {found[0]} {found[1]}" if found else ""


def _replacement(module: str) -> str:
    found = distribution_of(module)
    return _REPLACEMENTS.get(found[0] if found else module.partition(".")[0], "")


def hidden(name: str, found: Found, origin: Origin) -> CompileError:
    """A module beside the filter that the guest would never find."""
    top = name.partition(".")[0]
    return origin.error(
        "hidden-module",
        f"'{top}' is beside the filter, but the guest finds the standard library's module of that name first",
        f"give {found.root / found.name} another name",
    )


def relative(module: Found, imported: str, names: tuple[str, ...], origin: Origin) -> CompileError:
    """A relative import that starts from no package."""
    plain = f"from {imported} import {', '.join(names) or '*'}" if imported else f"import {', '.join(names)}"
    where = f"leaves the package '{module.package}'" if module.package else "in a file that is not part of a package"
    return origin.error("relative-import", f"relative import {where}", f"import the module by its full name: `{plain}`")


def deferred(name: str, origin: Origin) -> Finding:
    """An import that is executed in the proxy."""
    return Finding(
        "deferred-import",
        f"imports '{name}' inside a function: the first call in the proxy pays for it, and it can read no files there",
        origin.file,
        origin.line,
        "move the import to the top of the file, which is executed at build time",
        Severity.WARNING,
    )


def missing_remedy(message: str) -> str:
    """What to do about a ModuleNotFoundError in the guest, where this interpreter has imported the module."""
    named = _NO_MODULE.search(message)
    if named is None:
        return ""
    chain = ModuleFinder(environment_path()).find(named["name"])
    if chain is not None and chain[-1].is_native:
        package = distribution_of(named["name"])
        return f"do without the package {package[0] if package else named['name']}: that module is machine code"
    return "import the module at the top of the filter by its name" if chain is not None else ""


def has_stand_in(name: str) -> bool:
    """Whether a package that cannot do without a module of the standard library gets another in its place."""
    return (STAND_INS / f"{name}.py").is_file()
