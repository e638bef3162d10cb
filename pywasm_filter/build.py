"""From an author's file to a Proxy-Wasm module: check, probe, compile, write."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import proxy_wasm_abi
import pywasm_compiler
from pywasm_compiler import engine as engines
from pywasm_compiler.cache import CacheEntries, cache_directory
from pywasm_compiler.engine import DEFAULT_OPTIONS, Options, Program, Progress, Recording
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding
from pywasm_compiler.source import SourceTree, read_source_tree

import pywasm_filter
from pywasm_filter.checks.checker import check_source, refuse_errors
from pywasm_filter.host_findings import host_findings
from pywasm_filter.ingredients import ingredients
from pywasm_filter.needs import needs
from pywasm_filter.project import Target, target_of

RUNTIME_MODULE = "pywasm_filter.sdk.guest"

_PROBE_TIMEOUT = 60.0
_PROBE_PROGRAM = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv.pop(1))\n"
    "from pywasm_filter.loader import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)
_CACHED_MODULES = 20
_LARGE_FILE = 16 << 20
_LONGEST_NAME = 255
"""What file systems allow, in bytes."""
_COVERAGE_REPORTS = ("coverage.json", "coverage.lcov", "coverage.xml")
"""What coverage.py writes after each test run, under the names that it chooses."""


def _silent(_: str) -> None:
    """Progress that nobody watches."""


def _unheard(_: Finding) -> None:
    """Warnings that nobody wants."""


class Recorded(StrEnum):
    """What a module records of what runs in it, for coverage."""

    NOTHING = "nothing"
    LINES = "lines"
    BRANCHES = "branches"


def build(
    source: Path,
    *,
    engine: str = "cpython",
    options: Options = DEFAULT_OPTIONS,
    recorded: Recorded = Recorded.NOTHING,
    target: Target | None = None,
    judge_hosts: bool = True,
    ignored: Collection[str] = (),
    requirements: Path | None = None,
    warn: Callable[[Finding], None] = _unheard,
    progress: Progress = _silent,
) -> bytes:
    """Build a filter and return the module's bytes.

    `progress` is told each step as it begins, `warn` what may not work. Rules in `ignored` (docs/reference/rules.md)
    are not applied; what the file `requirements` names has to be installed. Without a `target` it is that of the
    filter's project; with `judge_hosts` the filter must be one for its hosts, as far as the source tells. Raises
    CompileError for a mistake in the filter, and for an engine that does not exist.
    """
    compiler = engines.engine(engine)
    progress("Checking the source")
    checked = check_source(source, ignored, requirements)
    refuse_errors(checked.findings, warn)
    tree = checked.tree
    chosen = target or target_of(source)
    if judge_hosts and "host" not in ignored:
        refuse_errors(host_findings(tree, chosen), warn)
    progress("Importing the filter in a fresh interpreter")
    probe(source)
    with tempfile.TemporaryDirectory(prefix="pywasm-filter-") as scratch:
        staged = Path(scratch)
        stage_sdk(staged)
        needed = chosen.module_needs(needs((*tree.modules, *tree.installed)))
        program = Program(
            filter_module=tree.filter.stem,
            runtime_module=RUNTIME_MODULE,
            search_path=(staged, *tree.search_path),
            hostcalls=needed.hostcalls,
            callbacks=needed.callbacks,
            recording=_recording(tree, recorded),
            unimplemented=needed.unimplemented,
            provenance=ingredients(tree, _sdk_files(), chosen),
        )
        return compiler.compile(program, options, progress)


def _recording(tree: SourceTree, recorded: Recorded) -> Recording | None:
    if recorded is Recorded.NOTHING:
        return None
    return Recording((*tree.modules, *tree.installed), branches=recorded is Recorded.BRANCHES)


def probe(source: Path) -> tuple[str, ...]:
    """Import the filter in a fresh interpreter and return the root ids that it registers.

    Raises CompileError for whatever keeps it from being imported, with the author's traceback as the detail.
    """
    # This interpreter's own path is handed over: a relative PYTHONPATH may have meant another directory.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-B", "-c", _PROBE_PROGRAM, json.dumps(sys.path), str(source)]
    try:
        run = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CompileError(
            f"is still being imported after {_PROBE_TIMEOUT:.0f} s",
            source,
            remedy="code at the top of a filter runs at build time; it must come to an end",
            rule="import-failure",
        ) from error
    outcome = _probe_outcome(run.stdout)
    if outcome is None:
        raise CompileError(
            f"ends the interpreter while it is imported (status {run.returncode})",
            source,
            remedy="remove what exits or crashes from the top of the filter",
            detail=run.stderr.decode("utf-8", "replace"),
            rule="import-failure",
        )
    if "error" in outcome:
        failure = outcome["error"]
        file = failure["file"]
        raise CompileError(
            failure["message"],
            None if file is None else _as_given(Path(file), source),
            failure["line"],
            failure["remedy"],
            failure["detail"],
            failure["rule"],
        )
    return tuple(outcome["roots"])


def _probe_outcome(stdout: bytes) -> dict[str, Any] | None:
    """The last line of the probe's output. Code that runs at exit may print more, before or after."""
    for line in reversed(stdout.decode("utf-8", "replace").splitlines()):
        try:
            outcome = json.loads(line)
        except ValueError:
            continue
        if isinstance(outcome, dict) and outcome.keys() & {"roots", "error"}:
            return outcome
    return None


def _as_given(file: Path, source: Path) -> Path:
    """A file of the author's as the user would write it."""
    home = source.parent.resolve()
    return source.parent / file.relative_to(home) if file.is_relative_to(home) else file


def stage_sdk(directory: Path) -> None:
    """Copy the part of this package that runs inside a module to a directory for the guest's search path."""
    for name, file in _sdk_files().items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _sdk_files() -> dict[str, Path]:
    """The files of this package that run inside a module, by their name below the directory of packages."""
    root = _root(pywasm_filter)
    files = (root / "__init__.py", root / "py.typed", *sorted((root / "sdk").rglob("*.py")))
    return {file.relative_to(root.parent).as_posix(): file for file in files}


def _root(package: ModuleType) -> Path:
    assert package.__file__ is not None
    return Path(package.__file__).parent


# --- output ---


def check_output(output: Path) -> None:
    """Find out before a build whether its result can be written. Raises CompileError."""
    if output.suffix == ".py":
        raise CompileError("would overwrite Python source", output, remedy="name a .wasm file")
    try:
        _check_target(output)
        scratch = _scratch_file(output)
        scratch.touch(exist_ok=False)
        scratch.unlink()
    except (OSError, ValueError) as error:
        raise _unwritable(output, error) from error


def write_module(data: bytes, output: Path) -> None:
    """Write a module to a temporary name beside `output`, then rename it. Raises CompileError."""
    try:
        _check_target(output)
        scratch = _scratch_file(output)
        try:
            scratch.write_bytes(data)
            scratch.replace(output.resolve())
        finally:
            scratch.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _unwritable(output, error) from error


def _check_target(output: Path) -> None:
    if output.is_dir():
        raise CompileError("is a directory", output, remedy=f"name a file: {output / 'filter.wasm'}")
    if output.exists() and not output.is_file():
        raise CompileError("is not a regular file", output, remedy="name a .wasm file")
    if not output.parent.exists():
        raise CompileError(
            "cannot be written: its directory does not exist", output, remedy=f"mkdir -p {output.parent}"
        )


def _scratch_file(output: Path) -> Path:
    target = output.resolve()
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}")


def _unwritable(output: Path, error: OSError | ValueError) -> CompileError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CompileError(f"cannot be written: {reason}", output, remedy="choose another place with -o")


# --- cache ---


def cached_build(
    source: Path,
    *,
    engine: str = "cpython",
    options: Options = DEFAULT_OPTIONS,
    recorded: Recorded = Recorded.NOTHING,
    progress: Progress = _silent,
) -> Path:
    """Build a filter, or take the result of an earlier build of the same inputs from the user's cache.

    Inputs are the filter and what it imports, the files that are no Python beside it and in directories there that its
    source names (it may read them while it is imported), its project's target, this package's SDK and the compiler.
    Returns the module's path in the cache: use it at once, for only the newest modules are kept. Raises CompileError.
    """
    tree = read_source_tree(source)
    target = target_of(source)
    key = _digest(_inputs(tree), f"{engine} {options} {recorded} {target} {_versions()}")
    entries = CacheEntries(cache_directory("modules"), ".wasm", _CACHED_MODULES)
    return entries.get(
        f"{tree.filter.stem}-{key}",
        lambda: build(
            source,
            engine=engine,
            options=options,
            recorded=recorded,
            target=target,
            judge_hosts=False,
            progress=progress,
        ),
    )


def _inputs(tree: SourceTree) -> Iterator[Path]:
    yield from tree.modules
    yield from tree.installed
    named = _names_in_strings(tree)
    for directory in sorted({module.parent for module in tree.modules}):
        yield from sorted(file for file in directory.iterdir() if _may_be_read(file))
        for below in filter(Path.is_dir, (directory / name for name in named)):
            yield from sorted(file for file in below.rglob("*") if _may_be_read(file))
    yield from _sdk_files().values()
    yield from (_root(pywasm_filter) / name for name in ("build.py", "needs.py", "project.py"))
    for package in (pywasm_compiler, proxy_wasm_abi):
        yield from sorted(file for file in _root(package).rglob("*") if file.is_file() and file.suffix != ".pyc")


def _names_in_strings(tree: SourceTree) -> list[str]:
    """What may be the name of a directory with data: parts of paths that stand in the author's source."""
    nodes = (node for source in tree.sources for node in ast.walk(source.tree))
    strings = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    parts = {part for text in strings for part in text.split("/") if part.isprintable() and part.strip(".")}
    return sorted(part for part in parts if len(part.encode()) <= _LONGEST_NAME)


def _may_be_read(file: Path) -> bool:
    """Whether a file beside the filter may be data that it reads while it is imported."""
    other = file.name.startswith(".") or file.suffix in (".py", ".pyc", ".wasm") or file.name in _COVERAGE_REPORTS
    return not other and file.is_file()


def _versions() -> str:
    return " ".join([sys.version, *(f"{name} {version(name)}" for name in ("componentize-py", "wasmtime"))])


def _digest(files: Iterable[Path], settings: str) -> str:
    """A hash over paths and contents; of large and of unreadable files over size and time of change."""
    digest = hashlib.sha256(settings.encode())
    for file in files:
        for part in (os.fsencode(file), _content(file)):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()[:32]


def _content(file: Path) -> bytes:
    try:
        status = file.stat()
        if status.st_size <= _LARGE_FILE and os.access(file, os.R_OK):
            return file.read_bytes()
    except FileNotFoundError:  # removed meanwhile: an editor's, or another process's
        return b""
    return f"{status.st_size} {status.st_mtime_ns}".encode()
