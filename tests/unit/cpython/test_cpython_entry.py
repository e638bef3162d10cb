"""The guest's entry module, run in this interpreter between modules that stand in for componentize-py's."""

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pywasm_compiler.cpython import componentize

GUEST = Path(componentize.__file__).with_name("guest")
CALLBACKS = ("proxy_on_vm_start",)


def module(name: str, **attributes: object) -> ModuleType:
    created = ModuleType(name)
    vars(created).update(attributes)
    return created


def call_import(number: int, arguments: list[object]) -> object:
    return ("made", number, arguments)


def wit_function(number: int, runtime: ModuleType) -> Callable[[object, object], object]:
    def function(level: object, message: object) -> object:
        return runtime.call_import(number, [level, message])

    return function


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """The modules of the guest. `load` is the entry's, which believes to lie in `tmp_path`."""
    runtime = module("componentize_py_runtime", call_import=call_import)
    host = module("wit_world.imports.host", proxy_log=wit_function(4, runtime), Any=Any)
    hostcalls = module("pywasm_hostcalls")
    modules = [runtime, host, hostcalls, module("wit_world"), module("wit_world.imports", host=host)]
    modules.append(module("pywasm_companions", complete_standard_library=lambda: None))
    for created in modules:
        monkeypatch.setitem(sys.modules, created.__name__, created)
    for name in ("meta_path", "pycache_prefix", "dont_write_bytecode"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    entry = module("pywasm_entry", __file__=str(tmp_path / "pywasm_entry.py"))
    monkeypatch.setitem(sys.modules, "pywasm_entry", entry)
    exec(compile((GUEST / "pywasm_entry.py").read_text(), entry.__file__ or "", "exec"), vars(entry))
    path = list(sys.meta_path)

    def load(start: Callable[[str, Any], object]) -> object:
        monkeypatch.setitem(sys.modules, "runtime", module("runtime", start=start))
        try:
            return entry.load("my_filter", "runtime", CALLBACKS)()
        finally:
            loaded.meta_path = list(sys.meta_path)
            sys.meta_path[:] = path

    loaded = SimpleNamespace(load=load, hostcalls=hostcalls, frozen=frozen, meta_path=[], tmp_path=tmp_path)
    return loaded


class Vm:
    def proxy_on_vm_start(self) -> int:
        return 1


def report(guest: SimpleNamespace) -> Any:
    return json.loads((guest.tmp_path / "failure.json").read_text())


def test_the_runtimes_object_is_what_the_exports_are_bound_to(guest: SimpleNamespace) -> None:
    vm = Vm()
    modules: list[str] = []

    def start(name: str, host: Any) -> Vm:
        modules.append(name)
        assert host is guest.hostcalls
        return vm

    assert guest.load(start) is vm
    assert modules == ["my_filter"]
    assert guest.frozen == [True]
    assert not (guest.tmp_path / "failure.json").exists()


def test_hostcalls_go_to_the_import_of_their_number(guest: SimpleNamespace) -> None:
    guest.load(lambda name, host: Vm())
    assert guest.hostcalls.numbers == {"proxy_log": 4}
    assert guest.hostcalls.call_import is call_import


def test_hostcalls_are_refused_before_the_snapshot(guest: SimpleNamespace) -> None:
    with pytest.raises(RuntimeError, match="hostcalls in callbacks"):
        guest.load(lambda name, host: host.call_import(4, []))
    assert report(guest)["type"] == "RuntimeError"


def test_nothing_is_imported_later(guest: SimpleNamespace) -> None:
    guest.load(lambda name, host: Vm())
    with pytest.raises(ModuleNotFoundError, match="'late' in the snapshot") as caught:
        guest.meta_path[-1].find_spec("late")
    assert caught.value.name == "late"
    assert len(guest.meta_path) == 3


def test_no_bytecode_is_written(guest: SimpleNamespace) -> None:
    guest.load(lambda name, host: Vm())
    assert sys.dont_write_bytecode
    assert sys.pycache_prefix == "/no-pycache"


def test_a_missing_callback_is_an_error(guest: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="runtime offers no proxy_on_vm_start"):
        guest.load(lambda name, host: object())


def test_a_failure_is_reported_with_its_frames(guest: SimpleNamespace) -> None:
    def start(name: str, host: Any) -> object:
        return json.loads("[")

    with pytest.raises(json.JSONDecodeError):
        guest.load(start)
    written = report(guest)
    assert written["type"] == "JSONDecodeError"
    assert [Path(file).name for file, _ in written["frames"]] == [Path(__file__).name, "__init__.py"] + [
        "decoder.py"
    ] * 2
    assert "json.loads" in written["traceback"]
    assert "pywasm_entry" not in written["traceback"]


def test_a_syntax_error_is_reported_with_its_own_line(guest: SimpleNamespace) -> None:
    def start(name: str, host: Any) -> object:
        return compile("x = 1\ny = = 2\n", "/1/my_filter.py", "exec")

    with pytest.raises(SyntaxError):
        guest.load(start)
    assert report(guest)["frames"][-1] == ["/1/my_filter.py", 2]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_is_not_an_exception_is_reported_too(guest: SimpleNamespace, error: BaseException) -> None:
    def start(name: str, host: Any) -> object:
        raise error

    with pytest.raises(type(error)):
        guest.load(start)
    assert report(guest)["type"] == type(error).__name__
