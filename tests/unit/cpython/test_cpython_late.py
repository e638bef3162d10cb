"""Modules that load themselves when they are used: what runs in the guest, run here."""

import marshal
import sys
import types
import zlib
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any

import pytest
from pywasm_compiler.cpython.componentize import GUEST

DICTIONARY = b"a dictionary"
SOURCE = "import sys\nvalue = 1\n__all__ = ['value']\nclass Thing: pass\n"


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(GUEST))
    yield import_module("pywasm_late")
    del sys.modules["pywasm_late"]


def packed(source: str) -> bytes:
    packer = zlib.compressobj(zdict=DICTIONARY)
    return packer.compress(marshal.dumps(compile(source, "late.py", "exec"))) + packer.flush()


def archive(late: Any, source: str = SOURCE) -> Any:
    return late.Archive(DICTIONARY, {"late_one": ("/python/late_one.py", "", packed(source))})


def late_module(late: Any, source: str = SOURCE) -> Any:
    """As the import system makes it."""
    module = late.LateModule("late_one")
    module.__spec__ = archive(late, source).find_spec("late_one")
    module.__file__ = "/python/late_one.py"
    return module


def is_loaded(module: Any) -> bool:
    return type(module) is types.ModuleType


def test_what_the_import_system_asks_loads_nothing(late: Any) -> None:
    module = late_module(late)
    assert module.__name__ == "late_one"
    assert module.__file__ == "/python/late_one.py"
    assert not hasattr(module, "__path__")
    assert isinstance(module, types.ModuleType)
    assert not is_loaded(module)


@pytest.mark.parametrize(
    "use", ["module.value", "module.Thing", "vars(module)['value']", "module.__all__", "dir(module)"]
)
def test_use_loads_it(late: Any, use: str) -> None:
    module = late_module(late)
    eval(use)
    assert is_loaded(module)
    assert module.value == 1
    assert "value" in dir(module)


def test_what_is_set_in_it_stays(late: Any) -> None:
    module = late_module(late)
    module.value = 2
    assert is_loaded(module)
    assert module.value == 2
    other = late_module(late)
    del other.value
    assert is_loaded(other)
    assert not hasattr(other, "value")


def test_names_that_it_lacks(late: Any) -> None:
    module = late_module(late)
    with pytest.raises(AttributeError, match="missing"):
        _ = module.missing
    assert is_loaded(module)


def test_a_failure_is_no_half_loaded_module(late: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = late_module(late, "first = 1\nimport sys\nif not hasattr(sys, 'let_it'): raise MemoryError\nlast = 2\n")
    for _ in range(2):
        with pytest.raises(MemoryError):
            _ = module.last
        assert not is_loaded(module)
    monkeypatch.setattr(sys, "let_it", True, raising=False)
    assert module.last == 2


def test_the_archive_finds_modules(late: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [archive(late)])
    try:
        assert import_module("late_one").value == 1
        with pytest.raises(ModuleNotFoundError, match="'late_two' in the snapshot: import it at the top") as caught:
            import_module("late_two")
    finally:
        del sys.modules["late_one"]
    assert caught.value.name == "late_two"


def test_a_package_of_the_archive(late: Any) -> None:
    spec: ModuleSpec = late.Archive(DICTIONARY, {"p": ("/python/p/__init__.py", "/python/p", b"")}).find_spec("p")
    assert spec.submodule_search_locations == ["/python/p"]


def test_the_archive_takes_over(late: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module, other = late_module(late), late_module(late)
    _ = other.value
    monkeypatch.setattr(sys, "modules", {**sys.modules, "late_one": module, "other": other})
    heir = archive(late, "value = 'of the archive'\n")
    heir.take_over()
    assert other.__spec__.loader is not heir
    assert module.__loader__ is heir
    assert module.value == "of the archive"
