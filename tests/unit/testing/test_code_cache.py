from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import wasmtime

from pywasm_filter.testing import GuestLoadError
from pywasm_filter.testing.guests.code_cache import CodeCache
from pywasm_filter.testing.guests.engine import engine, set_deadline

CODE = bytes(wasmtime.wat2wasm('(module (func (export "answer") (result i32) (i32.const 42)))'))
OTHER = bytes(wasmtime.wat2wasm('(module (func (export "answer") (result i32) (i32.const 43)))'))


def cache(directory: Path, settings: str = "") -> CodeCache:
    return CodeCache(engine(), settings, directory)


def answer(module: wasmtime.Module) -> int:
    store = wasmtime.Store(engine())
    set_deadline(store, 10)
    function = wasmtime.Instance(store, module, []).exports(store)["answer"]
    assert isinstance(function, wasmtime.Func)
    return int(function(store))


def files(directory: Path) -> list[Path]:
    return sorted(file for file in directory.iterdir() if file.suffix != ".lock")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def outputs(program: str, count: int) -> list[str]:
    """What processes print that begin at the same time. They read a line before they begin."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found: list[str] = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        found.append(output)
    return found


def test_code_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache(tmp_path)
    module = first.module(CODE)
    assert answer(module) == 42
    assert first.module(CODE) is module
    [file] = files(tmp_path)
    assert file.suffix == ".code"
    monkeypatch.setattr(CodeCache, "_compile", None)
    assert answer(cache(tmp_path).module(CODE)) == 42


def test_other_code_and_other_settings_are_kept_apart(tmp_path: Path) -> None:
    assert answer(cache(tmp_path).module(CODE)) == 42
    assert answer(cache(tmp_path).module(OTHER)) == 43
    assert answer(cache(tmp_path, "none").module(CODE)) == 42
    assert len(files(tmp_path)) == 3


@pytest.mark.parametrize("position", [0, 31, 32, 40, -1])
def test_a_damaged_file_is_made_anew(tmp_path: Path, position: int) -> None:
    cache(tmp_path).module(CODE)
    [file] = files(tmp_path)
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[position] ^= 1
    file.write_bytes(damaged)
    assert answer(cache(tmp_path).module(CODE)) == 42
    assert [entry.read_bytes() for entry in files(tmp_path)] == [whole]


@pytest.mark.parametrize("size", [0, 10, 32, 100])
def test_a_truncated_file_is_made_anew(tmp_path: Path, size: int) -> None:
    cache(tmp_path).module(CODE)
    [file] = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    assert answer(cache(tmp_path).module(CODE)) == 42
    assert [entry.read_bytes() for entry in files(tmp_path)] == [whole]


def test_the_code_of_another_module_is_not_taken_for_it(tmp_path: Path) -> None:
    cache(tmp_path).module(CODE)
    [file] = files(tmp_path)
    cache(tmp_path).module(OTHER)
    [other] = [entry for entry in files(tmp_path) if entry != file]
    file.write_bytes(other.read_bytes())
    assert answer(cache(tmp_path).module(CODE)) == 42


def test_code_that_wasmtime_refuses_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache(tmp_path).module(CODE)

    def refuse(*_: object) -> wasmtime.Module:
        raise wasmtime.WasmtimeError("made for another processor")

    monkeypatch.setattr(wasmtime.Module, "deserialize_file", refuse)
    assert answer(cache(tmp_path).module(CODE)) == 42


def test_a_directory_that_cannot_be_used_costs_time_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    assert answer(cache(blocked).module(CODE)) == 42


def test_without_a_users_cache_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert answer(CodeCache(engine(), "").module(CODE)) == 42


def test_the_users_cache_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    CodeCache(engine(), "").module(CODE)
    assert len(files(tmp_path / "pywasm-filter" / "code")) == 1


def test_old_code_is_removed(tmp_path: Path) -> None:
    for number in range(16):
        text = f'(module (func (export "answer") (result i32) (i32.const {number})))'
        cache(tmp_path).module(bytes(wasmtime.wat2wasm(text)))
    assert len(files(tmp_path)) == 12


def test_an_invalid_module_is_told(tmp_path: Path) -> None:
    with pytest.raises(GuestLoadError, match="not a valid module"):
        cache(tmp_path).module(b"\0asm\1\0\0\0\1")
    assert files(tmp_path) == []


def test_processes_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys, wasmtime
from pywasm_filter.testing.guests.code_cache import CodeCache
from pywasm_filter.testing.guests.engine import engine, set_deadline
sys.stdin.readline()
for _ in range(20):
    directory = pathlib.Path({str(tmp_path)!r})
    module = CodeCache(engine(), "", directory).module({CODE!r})
    store = wasmtime.Store(engine())
    set_deadline(store, 10)
    assert wasmtime.Instance(store, module, []).exports(store)["answer"](store) == 42
    for file in directory.glob("*.code"):
        file.unlink(missing_ok=True)
"""
    outputs(program, 3)
    assert [file for file in files(tmp_path) if file.suffix != ".code"] == []


def test_processes_that_need_the_same_compile_it_once(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys, time, wasmtime
from pywasm_filter.testing.guests import code_cache
from pywasm_filter.testing.guests.engine import engine
compile = code_cache.CodeCache._compile
def slowly(self, code):
    print("compiled", flush=True)
    time.sleep(0.5)
    return compile(self, code)
code_cache.CodeCache._compile = slowly
sys.stdin.readline()
code_cache.CodeCache(engine(), "", pathlib.Path({str(tmp_path)!r})).module({CODE!r})
"""
    assert sorted(outputs(program, 3)) == ["", "", "compiled\n"]


def test_a_process_that_is_killed_while_it_compiles_holds_nobody_up(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal, sys
from pywasm_filter.testing.guests import code_cache
from pywasm_filter.testing.guests.engine import engine
replace = pathlib.Path.replace
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
code_cache.CodeCache(engine(), "", pathlib.Path({str(tmp_path)!r})).module({CODE!r})
"""
    killed = subprocess.run([sys.executable, "-c", program], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    [remains] = files(tmp_path)
    assert remains.name.startswith(".")
    assert answer(cache(tmp_path).module(CODE)) == 42
    assert remains in files(tmp_path)  # for all that one knows, it is still being written
    os.utime(remains, (0, 0))
    cache(tmp_path).module(OTHER)
    assert remains not in files(tmp_path)


def test_a_full_disk_costs_time_only(tmp_path: Path) -> None:
    program = f"""
import pathlib, resource
from pywasm_filter.testing.guests import code_cache
from pywasm_filter.testing.guests.engine import engine
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for _ in range(2):
    cache = code_cache.CodeCache(engine(), "", pathlib.Path({str(tmp_path)!r}))
    print(cache.module({CODE!r}).exports[0].name)
"""
    run = subprocess.run([sys.executable, "-c", program], env=environment(), check=True, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("answer\nanswer\n", "")
    assert files(tmp_path) == []


def test_few_modules_are_kept_in_memory(tmp_path: Path) -> None:
    shared = cache(tmp_path)
    first = weakref.ref(shared.module(CODE))
    for number in range(8):
        assert first() is not None
        shared.module(bytes(wasmtime.wat2wasm(f'(module (func (export "answer") (result i32) (i32.const {number})))')))
    assert first() is None


def test_small_modules_are_not_kept_on_disk(tmp_path: Path) -> None:
    shared = CodeCache(engine(), "", tmp_path, least_size=len(CODE) + 1)
    assert answer(shared.module(CODE)) == 42
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_can_only_be_read_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache(tmp_path).module(CODE)

    def refused(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(CodeCache, "_compile", None)
    assert answer(cache(tmp_path).module(CODE)) == 42
