"""The layer between guest and host: reports, interceptors, traps."""

from __future__ import annotations

from collections.abc import Callable

import proxy_wasm_abi
import pytest

from pywasm_filter.sdk.abi import MapType, Status
from pywasm_filter.sdk.hostcalls import Hostcalls, Unbound
from pywasm_filter.testing.embedded.boundary import Boundary
from pywasm_filter.testing.guests import Guest, GuestTrap
from pywasm_filter.testing.recorder import (
    CALLBACK,
    HOSTCALL,
    KEPT_BYTES,
    RETURN,
    Answer,
    Argument,
    Clipped,
    Raised,
    Recorder,
)


class Host(Unbound):
    """Offers two hostcalls; the rest raise."""

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        return Status.OK, path * 2

    def proxy_set_effective_context(self, context_id: int, /) -> int:
        return Status.OK


class ScriptedGuest:
    """Runs a function in each callback."""

    exports = frozenset({"proxy_on_tick"})

    def __init__(self, function: Callable[[], int | None]) -> None:
        self._function = function
        self.started = self.discarded = False

    def start(self) -> None:
        self.started = True

    def call(self, name: str, *args: int) -> int | None:
        return self._function()

    def discard(self) -> None:
        self.discarded = True


class Answers:
    """An interceptor that answers by name, and remembers what it was asked."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, tuple[Argument, ...]]] = []

    def hostcall(self, name: str, args: tuple[Argument, ...], /) -> Answer | None:
        self.asked.append((name, args))
        return self.answers.get(name)


class Traps:
    """An interceptor that traps in each hostcall."""

    def hostcall(self, name: str, args: tuple[Argument, ...], /) -> Answer | None:
        raise GuestTrap(f"in {name}")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(lambda: 17)


@pytest.fixture
def boundary(recorder: Recorder) -> Boundary:
    return Boundary(Host(), "the VM", recorder, lambda: 3)


def guest_of(boundary: Boundary, function: Callable[[], int | None]) -> Guest:
    return boundary.around(ScriptedGuest(function))


def test_all_hostcalls_pass_to_the_host(boundary: Boundary) -> None:
    for entry in proxy_wasm_abi.load().hostcalls:
        assert callable(getattr(boundary.hostcalls, entry.name))
    assert boundary.hostcalls.proxy_get_property(b"a") == (Status.OK, b"aa")
    with pytest.raises(RuntimeError, match="proxy_get_header_map_size: no proxy"):
        boundary.hostcalls.proxy_get_header_map_size(MapType.HTTP_REQUEST_HEADERS)


def test_what_crosses_is_recorded_in_order(boundary: Boundary, recorder: Recorder) -> None:
    def tick() -> int:
        boundary.hostcalls.proxy_get_property(b"a")
        return 1

    assert guest_of(boundary, tick).call("proxy_on_tick", 3) == 1
    assert [tuple(entry) for entry in recorder.entries()] == [
        (0, CALLBACK, "the VM", 17, "proxy_on_tick", (3,), None),
        (1, HOSTCALL, "the VM", 3, "proxy_get_property", (b"a",), (Status.OK, b"aa")),
        (2, RETURN, "the VM", 0, "proxy_on_tick", (), 1),
    ]
    assert recorder.next_number == 3
    assert [entry.number for entry in recorder.entries(since=2)] == [2]


def test_what_a_host_raises_is_recorded_and_goes_on(boundary: Boundary, recorder: Recorder) -> None:
    def tick() -> int:
        return boundary.hostcalls.proxy_done()

    with pytest.raises(RuntimeError):
        guest_of(boundary, tick).call("proxy_on_tick", 3)
    _, hostcall, returned = recorder.entries()
    for entry in (hostcall, returned):
        assert isinstance(entry.answer, Raised)
        assert entry.answer.kind == "RuntimeError"
        assert entry.answer.text.startswith("proxy_done: no proxy")


def test_interceptors_are_asked_in_order_until_one_answers(boundary: Boundary, recorder: Recorder) -> None:
    first, second = Answers(proxy_done=Status.NOT_FOUND), Answers(proxy_done=Status.OK, proxy_get_property=(1, b""))
    boundary.interceptors += [first, second]
    assert boundary.hostcalls.proxy_done() == Status.NOT_FOUND
    assert boundary.hostcalls.proxy_get_property(b"a") == (1, b"")
    assert boundary.hostcalls.proxy_set_effective_context(4) == Status.OK
    assert second.asked == [("proxy_get_property", (b"a",)), ("proxy_set_effective_context", (4,))]
    assert [entry.answer for entry in recorder.entries()] == [Status.NOT_FOUND, (1, b""), Status.OK]


def test_a_trap_in_a_hostcall_cannot_be_caught_by_the_guest(boundary: Boundary, recorder: Recorder) -> None:
    caught: list[str] = []

    def tick() -> int:
        for _ in range(2):
            try:
                boundary.hostcalls.proxy_done()
            except GuestTrap as trap:
                caught.append(str(trap))
                boundary.interceptors.clear()
        return 0

    boundary.interceptors.append(Traps())
    with pytest.raises(GuestTrap, match="in proxy_done"):
        guest_of(boundary, tick).call("proxy_on_tick", 3)
    assert caught == ["in proxy_done", "in proxy_done"]
    last = recorder.entries()[-1].answer
    assert isinstance(last, Raised)
    assert last.text == "in proxy_done"


def test_a_trap_wins_over_what_the_guest_makes_of_it(boundary: Boundary) -> None:
    def tick() -> int:
        try:
            return boundary.hostcalls.proxy_done()
        except GuestTrap as trap:
            raise ValueError("swallowed") from trap

    boundary.interceptors.append(Traps())
    with pytest.raises(GuestTrap, match="in proxy_done"):
        guest_of(boundary, tick).call("proxy_on_tick", 3)


def test_a_trap_before_a_callback(boundary: Boundary) -> None:
    def trap(name: str, args: tuple[int, ...]) -> None:
        raise GuestTrap(f"{name}{args}")

    called: list[int] = []
    boundary.before_callbacks.append(trap)
    with pytest.raises(GuestTrap, match=r"proxy_on_tick\(3,\)"):
        guest_of(boundary, lambda: called.append(1)).call("proxy_on_tick", 3)
    assert called == []


def test_the_guest_is_started_and_discarded(boundary: Boundary) -> None:
    inner = ScriptedGuest(lambda: None)
    guest = boundary.around(inner)
    assert guest.exports == inner.exports
    guest.start()
    guest.discard()
    assert inner.started
    assert inner.discarded


def test_memory_is_bounded() -> None:
    recorder = Recorder(lambda: 0, kept=5)
    hostcalls: Hostcalls = Boundary(Host(), "the VM", recorder, lambda: 0).hostcalls
    for _ in range(20):
        assert hostcalls.proxy_get_property(b"x" * 20_000) == (Status.OK, b"x" * 40_000)
    entries = recorder.entries()
    assert [entry.number for entry in entries] == [15, 16, 17, 18, 19]
    [path] = entries[0].args
    assert isinstance(entries[0].answer, tuple)
    _, value = entries[0].answer
    assert isinstance(path, Clipped)
    assert isinstance(value, Clipped)
    assert (len(path), path.size) == (KEPT_BYTES, 20_000)
    assert (len(value), value.size) == (KEPT_BYTES, 40_000)
