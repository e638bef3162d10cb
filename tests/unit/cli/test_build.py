"""The order of a build, its errors, where it writes, and what its cache depends on. A fake engine compiles."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from pywasm_compiler import engine as engines
from pywasm_compiler.engine import DebugInfo, Options, Program, Progress, Recording
from pywasm_compiler.errors import CompileError

from pywasm_filter import build as builds
from pywasm_filter.build import Recorded, build, cached_build, check_output, probe, write_module

FILTER = "from pywasm_filter import HttpContext\nclass Mine(HttpContext):\n    pass\n"


@dataclass
class FakeEngine:
    """Records the programs, and says what the staged files were."""

    name: str = "fake"
    programs: list[Program] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    debug_info: list[DebugInfo] = field(default_factory=list)

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        progress("Compiling")
        self.programs.append(program)
        self.debug_info.append(options.debug_info)
        sdk = program.search_path[0]
        self.staged = sorted(str(path.relative_to(sdk)) for path in sdk.rglob("*") if path.is_file())
        return b"module %d" % len(self.programs)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine()
    module = ModuleType("fake_engine_module")
    vars(module)["Fake"] = lambda: made
    monkeypatch.setitem(sys.modules, "fake_engine_module", module)
    monkeypatch.setitem(engines._ENGINES, "fake", ("fake_engine_module", "Fake"))
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "filter.py"
    path.parent.mkdir()
    path.write_text(FILTER)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pywasm-filter" / "modules"


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


# --- build ---


def test_program_handed_to_the_engine(source: Path, fake: FakeEngine) -> None:
    steps: list[str] = []
    assert build(source, engine="fake", options=Options(DebugInfo.NONE), progress=steps.append) == b"module 1"
    program = fake.programs[0]
    assert program.filter_module == "filter"
    assert program.runtime_module == "pywasm_filter.sdk.guest"
    assert program.search_path[1:] == (source.parent,)
    assert "proxy_log" in program.hostcalls
    assert "proxy_on_request_headers" in program.callbacks
    assert fake.debug_info == [DebugInfo.NONE]
    assert len(steps) == 3
    assert steps[-1] == "Compiling"


def test_only_the_sdk_is_staged(source: Path, fake: FakeEngine) -> None:
    build(source, engine="fake")
    assert {"pywasm_filter/__init__.py", "pywasm_filter/py.typed", "pywasm_filter/sdk/vm.py"} <= set(fake.staged)
    assert not [name for name in fake.staged if not name.startswith("pywasm_filter/sdk/") and name.count("/") > 1]
    assert "pywasm_filter/build.py" not in fake.staged
    assert not fake.programs[0].search_path[0].exists()


def test_a_build_leaves_nothing_beside_the_source(source: Path, fake: FakeEngine) -> None:
    build(source, engine="fake")
    assert files_below(source.parent) == ["filter.py"]


def test_unknown_engine(source: Path) -> None:
    with pytest.raises(CompileError, match="no engine named 'jvm'") as caught:
        build(source, engine="jvm")
    assert "cpython" in caught.value.remedy


def test_static_errors_come_before_anything_is_executed(source: Path, fake: FakeEngine) -> None:
    source.write_text("import ssl\nraise RuntimeError('executed')\n")
    with pytest.raises(CompileError, match="no module 'ssl'"):
        build(source, engine="fake")
    assert fake.programs == []


# --- probe ---


def test_probe_tells_the_root_ids(source: Path) -> None:
    assert probe(source) == ("",)
    source.write_text(
        "from pywasm_filter import RootContext, register_root_context\n"
        "class A(RootContext): pass\nclass B(RootContext): pass\n"
        "register_root_context(B, 'b')\nregister_root_context(A, 'a')\nprint('{\"roots\": []}')\n"
    )
    assert probe(source) == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ("x = 1\n\nx = 1 / 0\n", "raises ZeroDivisionError", 3),
        ("x = 1\n", "no subclass of HttpContext", None),
        (FILTER + "class Other(HttpContext):\n    pass\n", "Mine and Other", None),
        ("import sys\nsys.exit(3)\n", "exits while it is imported", 2),
        ("import os\nos._exit(3)\n", "ends the interpreter while it is imported (status 3)", None),
        ("import os\nos.kill(os.getpid(), 11)\n", "ends the interpreter while it is imported (status -11)", None),
    ],
)
def test_filters_that_cannot_be_imported(
    source: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str, line: int | None
) -> None:
    monkeypatch.chdir(source.parent)
    source.write_text(content)
    with pytest.raises(CompileError) as caught:
        probe(Path("filter.py"))
    assert message in caught.value.message
    assert caught.value.remedy
    assert (caught.value.file, caught.value.line) == (Path("filter.py"), line)


def test_the_authors_traceback_is_the_detail(source: Path) -> None:
    (source.parent / "helper.py").write_text("def f():\n    raise ValueError('from the helper')\n")
    source.write_text("import helper\nhelper.f()\n")
    with pytest.raises(CompileError) as caught:
        probe(source)
    assert (caught.value.file, caught.value.line) == (source.parent / "helper.py", 2)
    assert "ValueError: from the helper" in caught.value.detail


def test_an_import_that_does_not_end(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "_PROBE_TIMEOUT", 0.5)
    source.write_text("while True:\n    pass\n")
    with pytest.raises(CompileError, match="still being imported"):
        probe(source)


def test_modules_in_the_working_directory_do_not_count(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise RuntimeError('the wrong json')\n")
    assert probe(source) == ("",)


# --- output ---


def test_module_is_written_with_ordinary_permissions(tmp_path: Path) -> None:
    output = tmp_path / "out.wasm"
    write_module(b"first", output)
    write_module(b"second", output)
    plain = tmp_path / "plain"
    plain.touch()
    assert output.read_bytes() == b"second"
    assert stat.S_IMODE(output.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert files_below(tmp_path) == ["out.wasm", "plain"]


def test_symbolic_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "link.wasm").symlink_to("real.wasm")
    write_module(b"module", tmp_path / "link.wasm")
    assert (tmp_path / "link.wasm").is_symlink()
    assert (tmp_path / "real.wasm").read_bytes() == b"module"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("directory", "is a directory"),
        ("none/out.wasm", "its directory does not exist"),
        ("file/out.wasm", "cannot be written: Not a directory"),
        ("/proc/out.wasm", "cannot be written: "),
        ("pipe", "is not a regular file"),
        ("x" * 250 + ".wasm", "cannot be written: File name too long"),
        ("nul\0.wasm", "cannot be written: "),
        ("filter.py", "would overwrite Python source"),
    ],
)
def test_outputs_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    before = files_below(tmp_path)
    output = tmp_path / name
    with pytest.raises(CompileError, match=message) as caught:
        check_output(output)
    assert caught.value.file == output
    assert caught.value.remedy
    if not name.endswith(".py"):
        with pytest.raises(CompileError, match=message):
            write_module(b"module", output)
    assert files_below(tmp_path) == before


def test_check_leaves_no_trace(tmp_path: Path) -> None:
    check_output(tmp_path / "out.wasm")
    assert files_below(tmp_path) == []


def test_failed_write_leaves_the_old_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.wasm"
    output.write_bytes(b"old")

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CompileError, match="No space left on device"):
        write_module(b"new", output)
    assert output.read_bytes() == b"old"
    assert files_below(tmp_path) == ["out.wasm"]


# --- cache ---


def test_second_build_comes_from_the_cache(source: Path, fake: FakeEngine, cache: Path) -> None:
    first = cached_build(source, engine="fake")
    assert first.parent == cache
    assert first.read_bytes() == b"module 1"
    assert cached_build(source, engine="fake") == first
    assert len(fake.programs) == 1


def test_every_input_counts(source: Path, fake: FakeEngine, cache: Path) -> None:
    modules = {cached_build(source, engine="fake")}
    (source.parent / "table.json").write_text("{}")
    modules.add(cached_build(source, engine="fake"))
    modules.add(cached_build(source, engine="fake", options=Options(DebugInfo.NONE)))
    source.write_text(FILTER + "import helper\n")
    (source.parent / "helper.py").write_text("")
    modules.add(cached_build(source, engine="fake"))
    (source.parent / "helper.py").write_text("x = 1")
    modules.add(cached_build(source, engine="fake"))
    assert len(modules) == len(fake.programs) == 5


def test_data_in_directories_that_the_source_names_counts(source: Path, fake: FakeEngine, cache: Path) -> None:
    data = source.parent / "rules" / "more" / "table.json"
    other = source.parent / "htmlcov" / "index.html"
    for file in (data, other):
        file.parent.mkdir(parents=True)
        file.write_text("1")
    source.write_text(FILTER + f"HERE = 'rules/more/x', '{'x' * 300}', '\\udc80', '..', 'none'\n")
    first = cached_build(source, engine="fake")
    other.write_text("2")
    assert cached_build(source, engine="fake") == first
    data.write_text("2")
    assert cached_build(source, engine="fake") != first


def test_files_that_the_filter_does_not_import_do_not_count(source: Path, fake: FakeEngine, cache: Path) -> None:
    first = cached_build(source, engine="fake")
    (source.parent / "test_filter.py").write_text("")
    (source.parent / "out.wasm").write_text("")
    (source.parent / ".hidden").write_text("")
    assert cached_build(source, engine="fake") == first


def test_reports_of_coverage_do_not_count(source: Path, fake: FakeEngine, cache: Path) -> None:
    first = cached_build(source, engine="fake")
    for name in (".coverage", "coverage.xml", "coverage.json", "coverage.lcov", "htmlcov/index.html"):
        report = source.parent / name
        report.parent.mkdir(exist_ok=True)
        report.write_text("a time of day")
    assert cached_build(source, engine="fake") == first


def test_what_a_module_records_counts(source: Path, fake: FakeEngine, cache: Path) -> None:
    modules = {cached_build(source, engine="fake", recorded=recorded) for recorded in Recorded}
    assert len(modules) == len(Recorded)
    nothing, lines, branches = (program.recording for program in fake.programs)
    assert nothing is None
    assert lines == Recording((source,), branches=False)
    assert branches == Recording((source,), branches=True)


def test_failed_builds_are_not_kept(source: Path, fake: FakeEngine, cache: Path) -> None:
    source.write_text("raise ValueError\n")
    with pytest.raises(CompileError):
        cached_build(source, engine="fake")
    assert list(cache.glob("*.wasm")) == []


def test_only_the_newest_modules_are_kept(
    source: Path, fake: FakeEngine, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "_CACHED_MODULES", 2)
    modules = []
    for number in range(3):
        (source.parent / "number.txt").write_text(str(number))
        modules.append(cached_build(source, engine="fake"))
        os.utime(modules[-1], (number, number))
    assert [module.exists() for module in modules] == [False, True, True]


def test_cache_that_cannot_be_made(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/cache")
    with pytest.raises(CompileError, match="cache directory cannot be made") as caught:
        cached_build(source, engine="fake")
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_cache_that_can_only_be_read_serves(
    source: Path, fake: FakeEngine, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_build(source, engine="fake")
    open_file: Callable[..., object] = Path.open

    def refused(path: Path, *args: object, **keywords: object) -> object:
        if path.parent == cache and args == ("wb",):
            raise PermissionError(13, "Permission denied")
        return open_file(path, *args, **keywords)

    def untouched(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(os, "utime", untouched)
    assert cached_build(source, engine="fake") == first
    source.write_text(FILTER + "\n")
    with pytest.raises(CompileError, match="the cache cannot be written: Permission denied") as caught:
        cached_build(source, engine="fake")
    assert "XDG_CACHE_HOME" in caught.value.remedy


@pytest.mark.parametrize("damage", [b"", b"module", b"module 2", b"module 1 and more"])
def test_a_damaged_module_is_built_anew(source: Path, fake: FakeEngine, cache: Path, damage: bytes) -> None:
    first = cached_build(source, engine="fake")
    first.write_bytes(damage)
    second = cached_build(source, engine="fake")
    assert second.read_bytes() == b"module 2"
    assert list(cache.glob("*.wasm")) == [second]


def test_a_full_disk_is_told(source: Path, fake: FakeEngine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(CompileError) as caught:
            cached_build(source, engine="fake")
    assert caught.value.message == "the cache cannot be written: No space left on device"
    assert caught.value.remedy.startswith("make room there, or set XDG_CACHE_HOME")
    assert [file for file in files_below(cache) if not file.endswith(".lock")] == []
    assert cached_build(source, engine="fake").read_bytes() == b"module 2"


def test_processes_that_need_the_same_build_it_once(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal, sys, time
from pywasm_compiler.cache import CacheEntries
def make():
    print("made", flush=True)
    if sys.argv[1] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    return b"content"
sys.stdin.readline()
print(CacheEntries(pathlib.Path({str(tmp_path)!r}), ".wasm", 3).get("key", make).read_text(), flush=True)
"""

    def started(*args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )

    # One is killed while it has the lock; of the others one builds, and all have it.
    assert started("die").communicate("go\n", timeout=60)[0] == "made\n"
    processes = [started("live") for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = sorted(process.communicate(timeout=60)[0] for process in processes)
    assert outputs == ["content\n", "content\n", "made\ncontent\n"]


def test_files_that_vanish_while_the_cache_is_asked(
    source: Path, fake: FakeEngine, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = cached_build(source, engine="fake")
    passing = source.with_name("passing.txt")
    passing.write_text("")

    def vanishes(file: Path) -> bool:
        file.unlink()
        return True

    monkeypatch.setattr(builds, "_may_be_read", lambda file: file == passing and vanishes(file))
    assert cached_build(source, engine="fake") != without
    assert not passing.exists()
