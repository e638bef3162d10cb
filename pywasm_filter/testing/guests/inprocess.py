"""The filter in the test's own interpreter: fast, with debugger and coverage."""

from __future__ import annotations

import bdb
import logging
import operator
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import proxy_wasm_abi
from proxy_wasm_abi import Hostcall, Value
from pywasm_compiler.source import read_source_tree

from pywasm_filter.loader import load_filter
from pywasm_filter.needs import Needs, needs
from pywasm_filter.project import target_of
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.sdk.output import Redirect
from pywasm_filter.sdk.vm import Vm
from pywasm_filter.testing.errors import ProxyTestError
from pywasm_filter.testing.guests.guest import GuestTrap
from pywasm_filter.testing.guests.tracebacks import python_backtrace
from pywasm_filter.testing.guests.virtual_time import VirtualTime, importable_clocks

# They are meant for the test, not for the filter's policy on exceptions.
PASSING: tuple[type[BaseException], ...] = (KeyboardInterrupt, bdb.BdbQuit, ProxyTestError)


class InProcessGuest:
    """Executes the filter's module anew, as a new VM does, and calls it.

    While a callback runs, the hostcalls go to the given host, and print, warnings and logging to its log, until a
    debugger starts. What a compiled filter cannot pass to a hostcall raises here as it does there.
    """

    def __init__(
        self,
        filter_path: Path,
        host: Hostcalls,
        passing: tuple[type[BaseException], ...] = PASSING,
        find_needs: Callable[[], Needs] | None = None,
    ) -> None:
        """Raises CompileError when the filter cannot be imported. `passing` are not taken for traps.

        `find_needs` tells what the filter needs of its host where that is known; otherwise its source is searched.
        """
        self._passing = passing
        self._redirect = Redirect()
        self._interpreter = _InterpreterState()
        self._virtual_time: VirtualTime | None = None
        with self._interpreter, importable_clocks():
            self._filter = load_filter(filter_path)
        self._needs = filter_needs(filter_path) if find_needs is None else find_needs()
        self._host: Hostcalls = cast("Hostcalls", _CheckedHostcalls(host, self._needs))
        self._vm = Vm(self._filter.registry, passing)

    @property
    def exports(self) -> frozenset[str]:
        """The callbacks that the built module has."""
        return frozenset(self._needs.callbacks)

    def keep_time(self, now_ns: Callable[[], int]) -> None:
        """Show the filter this time, in nanoseconds since the Unix epoch, on Python's own clocks."""
        self._virtual_time = VirtualTime(now_ns)

    def start(self) -> None:
        """Nothing is left to initialise."""

    def call(self, name: str, *args: int) -> int | None:
        """Call a callback. An exception that leaves it is what a trap is in a module."""
        return self._run(getattr(self._vm, name), *args)

    def discard(self) -> None:
        """End its coroutines now: left to the garbage collector, they would clean up at the expense of another VM."""
        self._host = cast("Hostcalls", _NoHost())
        self._run(self._vm.abandon)

    def _run(self, function: Callable[..., int | None], *args: int) -> int | None:
        previous = hostcalls.bind(self._host)
        try:
            with (
                _debugger_at_terminal(),
                self._interpreter,
                self._redirect,
                self._filter.installed(),
                nullcontext() if self._virtual_time is None else self._virtual_time,
            ):
                return function(*args)
        except self._passing:
            raise
        except BaseException as error:
            raise GuestTrap(f"{type(error).__name__}: {error}", python_backtrace(error)) from error
        finally:
            hostcalls.bind(previous)


# What Python starts with, as far as it concerns imported modules. A test runner may well have turned warnings into
# errors, which a VM knows nothing of.
_WARNING_FILTERS: list[tuple[str, None, type[Warning], None, int]] = [
    ("ignore", None, DeprecationWarning, None, 0),
    ("ignore", None, PendingDeprecationWarning, None, 0),
    ("ignore", None, ImportWarning, None, 0),
    ("ignore", None, ResourceWarning, None, 0),
]


class _InterpreterState:
    """What a filter may set in its interpreter for good: warning filters, the root logger's level and handlers.

    Each VM has its own, in force while it is entered: tests and other filters keep theirs. Handlers of the test
    runner's stay in force, too.
    """

    def __init__(self) -> None:
        self._warning_filters: Any = list(_WARNING_FILTERS)
        self._log_level = logging.WARNING
        self._log_handlers: list[logging.Handler] = []
        self._saved: tuple[Any, int, list[logging.Handler]] = ([], logging.WARNING, [])

    def __enter__(self) -> None:
        root = logging.getLogger()
        # Not catch_warnings: that would forget which warnings have been shown already.
        self._saved = (warnings.filters, root.level, list(root.handlers))
        warnings.filters = self._warning_filters
        root.setLevel(self._log_level)
        root.handlers += self._log_handlers

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        self._warning_filters, self._log_level = warnings.filters, root.level
        warnings.filters, level, handlers = self._saved
        self._log_handlers = [handler for handler in root.handlers if handler not in handlers]
        root.setLevel(level)
        root.handlers[:] = handlers


class _TerminalFirst:
    """A breakpoint hook that puts standard output back to where it went, then calls the hook that was there.

    It does so as it is looked up: a frame of its own would be the first that the debugger shows.
    """

    def __init__(self) -> None:
        self._hook, self._stdout, self._stderr = sys.breakpointhook, sys.stdout, sys.stderr

    @property
    def __call__(self) -> Callable[..., Any]:
        sys.stdout, sys.stderr = self._stdout, self._stderr
        return self._hook


@contextmanager
def _debugger_at_terminal() -> Iterator[None]:
    hook = sys.breakpointhook
    sys.breakpointhook = cast("Callable[..., Any]", _TerminalFirst())
    try:
        yield
    finally:
        sys.breakpointhook = hook


_INTEGER_BOUNDS = {"u64": (0, (1 << 64) - 1), "s64": (-(1 << 63), (1 << 63) - 1)}
_U32_BOUNDS = (0, (1 << 32) - 1)


class _CheckedHostcalls:
    """Holds arguments against the ABI before they reach the host, which relies on their types and ranges.

    What the built module does not import raises as it does there, or answers UNIMPLEMENTED.
    """

    def __init__(self, host: Hostcalls, needed: Needs) -> None:
        self._host = host
        self._needs = needed

    def __getattr__(self, name: str) -> Callable[..., Any]:
        hostcall = proxy_wasm_abi.load().hostcall(name)
        if hostcall is None:
            raise AttributeError(name)
        if name in self._needs.unimplemented:
            return lambda *args: _without_results(hostcall, Status.UNIMPLEMENTED)
        if name not in self._needs.hostcalls:
            raise RuntimeError(
                f"the built module is without {name}: nothing that the filter's source names needs it; "
                "call what needs it by its name, not with getattr"
            )
        checked = _checked(hostcall, getattr(self._host, name))
        setattr(self, name, checked)  # found directly from now on
        return checked


class _NoHost:
    """Takes all that a discarded VM still has to say, and does nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        hostcall = proxy_wasm_abi.load().hostcall(name)
        if hostcall is None:
            raise AttributeError(name)
        return lambda *args: _without_results(hostcall, Status.OK)


def _without_results(hostcall: Hostcall, status: Status) -> Any:
    results = tuple(b"" if value.is_buffer else 0 for value in hostcall.returns)
    return (int(status), *results) if results else int(status)


def _checked(hostcall: Hostcall, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: object) -> Any:
        if len(args) != len(hostcall.params):
            raise TypeError(f"{hostcall.name} takes {len(hostcall.params)} arguments, not {len(args)}")
        return method(*(_lifted(hostcall, value, arg) for value, arg in zip(hostcall.params, args, strict=True)))

    return call


def _lifted(hostcall: Hostcall, value: Value, arg: object) -> int | bytes:
    if value.is_buffer:
        if not isinstance(arg, bytes):
            raise TypeError(f"{hostcall.name}: {value.name} is bytes, not {type(arg).__name__}")
        return arg
    number = operator.index(cast("int", arg))
    low, high = _INTEGER_BOUNDS.get(value.type, _U32_BOUNDS)
    if not low <= number <= high:
        raise OverflowError(f"{hostcall.name}: {value.name} is {number}, which does not fit its type {value.type}")
    return number


def filter_needs(filter_path: Path) -> Needs:
    """What the module of a filter needs of its host. Raises CompileError."""
    tree = read_source_tree(filter_path)
    return target_of(filter_path).module_needs(needs((*tree.modules, *tree.installed)))
