"""The guest's module of hostcalls, run here with a function that records in the place of componentize-py's."""

from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest
from proxy_wasm_abi import Hostcall, Value, load
from pywasm_compiler.cpython.hostcalls import render_hostcalls

HOSTCALLS = {hostcall.name: hostcall for hostcall in load().hostcalls}
MAXIMA = {"u64": 2**64 - 1, "s64": 2**63 - 1}
MINIMA = {"s64": -(2**63)}


def good(value: Value) -> object:
    return b"bytes" if value.is_buffer else MAXIMA.get(value.type, 2**32 - 1)


@pytest.fixture
def guest() -> Any:
    namespace: dict[str, Any] = {}
    exec(render_hostcalls(HOSTCALLS), namespace)
    namespace["numbers"] |= {name: number for number, name in enumerate(HOSTCALLS)}
    namespace["call_import"] = lambda number, arguments: (number, arguments)
    return SimpleNamespace(**{name: value for name, value in namespace.items() if name.startswith("proxy_")})


@pytest.mark.parametrize(("number", "hostcall"), list(enumerate(HOSTCALLS.values())))
def test_arguments_pass(guest: Any, number: int, hostcall: Hostcall) -> None:
    arguments = [good(value) for value in hostcall.params]
    assert getattr(guest, hostcall.name)(*arguments) == (number, arguments)


@pytest.mark.parametrize("hostcall", HOSTCALLS.values())
def test_the_least_number_passes_and_one_less_does_not(guest: Any, hostcall: Hostcall) -> None:
    function = getattr(guest, hostcall.name)
    for position, value in enumerate(hostcall.params):
        if not value.is_buffer:
            arguments = [good(other) for other in hostcall.params]
            arguments[position] = MINIMA.get(value.type, 0)
            function(*arguments)
            arguments[position] = MINIMA.get(value.type, 0) - 1
            with pytest.raises(OverflowError):
                function(*arguments)


@pytest.mark.parametrize("hostcall", HOSTCALLS.values())
def test_every_argument_is_checked(guest: Any, hostcall: Hostcall) -> None:
    function = getattr(guest, hostcall.name)
    for position, value in enumerate(hostcall.params):
        bad: list[tuple[object, type[Exception]]] = [(None, TypeError), ("text", TypeError), (1.0, TypeError)]
        if value.is_buffer:
            bad += [(bytearray(b"x"), TypeError), (memoryview(b"x"), TypeError), (1, TypeError)]
        else:
            bad += [(b"x", TypeError), (MAXIMA.get(value.type, 2**32 - 1) + 1, OverflowError)]
        for wrong, error in bad:
            arguments = [good(other) for other in hostcall.params]
            arguments[position] = wrong
            with pytest.raises(error):
                function(*arguments)


def test_enums_booleans_and_subclasses_of_bytes_pass(guest: Any) -> None:
    class Level(IntEnum):
        INFO = 2

    class Text(bytes):
        pass

    assert guest.proxy_log(Level.INFO, Text(b"x"))[1] == [2, b"x"]
    assert guest.proxy_log(True, b"")[1] == [1, b""]


def test_large_bytes_pass(guest: Any) -> None:
    assert guest.proxy_log(2, bytes(1_000_000))[1] == [2, bytes(1_000_000)]


def test_only_what_is_wanted_is_there() -> None:
    namespace: dict[str, Any] = {}
    exec(render_hostcalls(["proxy_done", "proxy_log"]), namespace)
    assert {name for name in namespace if name.startswith("proxy_")} == {"proxy_done", "proxy_log"}
