"""The interpreter as a guest: in this Python, and built into a module that all test processes share."""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path

import proxy_wasm_abi
import pywasm_compiler
from pywasm_compiler.cache import CacheEntries, cache_directory
from pywasm_compiler.engine import Options, Program, engine

from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.guests.guest import GuestTrap
from tests.conformance.guest import interpreter

_GUEST = Path(interpreter.__file__).parent
_KEPT = 3


class InterpreterGuest:
    """The interpreter in this Python. An exception that leaves it is what a trap is in a module."""

    def __init__(self, host: Hostcalls) -> None:
        self._vm = interpreter.Interpreter(host)

    @property
    def exports(self) -> frozenset[str]:
        """All callbacks."""
        return frozenset(interpreter.CALLBACKS)

    def start(self) -> None:
        """Nothing is left to initialise."""

    def call(self, name: str, *args: int) -> int | None:
        """Call a callback."""
        try:
            return self._vm.call(name, *args)
        except interpreter.ScenarioTrapError as trap:
            raise GuestTrap(f"{type(trap).__name__}: {trap}") from trap

    def discard(self) -> None:
        """It holds nothing."""


def interpreter_module() -> Path:
    """The built module, from the user's cache when nothing has changed since."""
    return CacheEntries(cache_directory("conformance"), ".wasm", _KEPT).get(f"interpreter-{_key()}", _built)


def _built() -> bytes:
    program = Program(
        filter_module=interpreter.__name__.rpartition(".")[2],
        runtime_module=interpreter.__name__.rpartition(".")[2],
        search_path=(_GUEST,),
        hostcalls=tuple(hostcall.name for hostcall in proxy_wasm_abi.load().hostcalls),
        callbacks=tuple(interpreter.CALLBACKS),
    )
    return engine("cpython").compile(program, Options(), lambda step: None)


def _key() -> str:
    """A hash over all that the module is made of."""
    digest = hashlib.sha256(" ".join([sys.version, version("componentize-py")]).encode())
    for package in (pywasm_compiler, proxy_wasm_abi):
        assert package.__file__ is not None
        for file in sorted(Path(package.__file__).parent.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(file.read_bytes())
    digest.update(Path(interpreter.__file__).read_bytes())
    return digest.hexdigest()[:32]
