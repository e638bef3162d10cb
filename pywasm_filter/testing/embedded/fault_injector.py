"""Puts a test's faults into the calls of one VM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.embedded.played_host import failure
from pywasm_filter.testing.embedded.shared import SharedData
from pywasm_filter.testing.faults import INJECTED, CasConflict, Fails, Fault, Faults, OutOfMemory, Traps
from pywasm_filter.testing.guests import GuestTrap
from pywasm_filter.testing.recorder import Answer, Argument
from pywasm_filter.testing.trace import decoded_arguments


class FaultInjector:
    """An interceptor; and what a boundary is to call before callbacks, and after hostcalls."""

    def __init__(self, faults: Faults, data: SharedData, note_error: Callable[[Exception], None]) -> None:
        """`note_error` is told what conditions of the test raise: the guest may swallow it."""
        self._faults = faults
        self._data = data
        self._note_error = note_error

    def hostcall(self, name: str, args: tuple[Argument, ...], /) -> Answer | None:
        """The answer in the host's place. Raises GuestTrap, and what a condition raises."""
        fault = self._strike(name, args, Fails, Traps, CasConflict)
        if fault is None:
            return None
        match fault.effect:
            case Fails(status):
                return _failure(name, status)
            case CasConflict(value):
                self._interfere(args, value)
                return None
        raise _trap(name)

    def after_hostcall(self, name: str, args: tuple[Argument, ...], answer: Answer) -> Answer | None:
        """Another answer than the host's. Raises what a condition raises."""
        has_bytes = isinstance(answer, tuple) and any(isinstance(result, bytes) and result for result in answer)
        fault = self._strike(name, args, OutOfMemory) if has_bytes else None
        return None if fault is None else _failure(name, Status.INVALID_MEMORY_ACCESS)

    def before_callback(self, name: str, args: tuple[int, ...]) -> None:
        """Raises GuestTrap, and what a condition raises."""
        if self._strike(name, args, Traps) is not None:
            raise _trap(name)

    def _strike(self, name: str, args: tuple[Argument, ...], *effects: type[object]) -> Fault | None:
        if not self._faults.armed:
            return None
        with self._noting_errors():
            return self._faults.strike(name, args, effects)

    def _interfere(self, args: tuple[Argument, ...], make_value: Callable[[Mapping[str, Any]], bytes] | None) -> None:
        """Set the value in another VM's place, which gives it another number."""
        key = args[0]
        assert isinstance(key, bytes)
        present = self._data.get(key)
        if make_value is None:
            value = b"" if present is None else present[0]
        else:
            with self._noting_errors():
                value = make_value(decoded_arguments("proxy_set_shared_data", args))
        self._data.set(key, value, 0)

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._note_error(error)
            raise


def _failure(name: str, status: int) -> Answer:
    import proxy_wasm_abi  # with the first fault: all pytest runs load this module

    hostcall = proxy_wasm_abi.load().hostcall(name)
    assert hostcall is not None
    return failure(hostcall, status)


def _trap(name: str) -> GuestTrap:
    return GuestTrap(f"{INJECTED}{name}")
