"""Whatever a module calls, with whatever numbers: statuses of the table, a trap, or a clear error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_wasm_abi import Hostcall

from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import EmbeddedProxy, GuestLoadError, PluginSettings, ProxyTestError, Response
from pywasm_filter.testing.guests.limits import Limits
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeGuest, WasmtimeModule
from tests.hostile.programs import CALLBACKS, HOSTCALLS, MOST_CALLS, NO_STATUS, Call, calls, module, statuses, write
from tests.hostile.wat import binary

ALLOWED = {entry.name: {Status[status] for status in ("OK", *entry.statuses)} | {NO_STATUS} for entry in HOSTCALLS}
SETTINGS = PluginSettings(configuration=b"configuration", clusters=["services"], grpc_clusters=["remotes"])

any_call = st.sampled_from(HOSTCALLS).flatmap(calls)


@pytest.fixture(scope="module")
def compiled() -> Iterator[list[WasmtimeModule]]:
    kept = [WasmtimeModule(binary(module()))]
    yield kept
    kept.clear()  # what is kept longer outlives wasmtime


class Watched:
    """A guest whose statuses are looked at after each callback."""

    def __init__(self, guest: WasmtimeGuest, program: list[Call]) -> None:
        self._guest = guest
        self._program = program
        self.exports = guest.exports
        self.start, self.discard = guest.start, guest.discard

    def call(self, name: str, *args: int) -> int | None:
        result = self._guest.call(name, *args)
        for call, status in zip(self._program, statuses(self._guest, self._program), strict=True):
            assert status in ALLOWED[call.name], call
        return result


def run(made: WasmtimeModule, callback: str, program: list[Call]) -> None:
    """Let a request and some time pass."""

    def instantiate(host: Hostcalls) -> Watched:
        guest = made.instantiate(host, Limits(callback_seconds=5))
        write(guest, callback, program)
        return Watched(guest, program)

    try:
        with EmbeddedProxy(instantiate, SETTINGS) as proxy:
            proxy.clusters["services"] = Response(200, body=b"answer")
            proxy.post("/path", body=b"body", headers={"a": "b"})
            proxy.clock.advance(0.2)
    except GuestLoadError:
        raise
    except ProxyTestError:
        pass  # it says in its own words what is wrong: a misuse of the host, a stream that hangs


@pytest.mark.parametrize("hostcall", HOSTCALLS, ids=lambda hostcall: hostcall.name)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_numbers(hostcall: Hostcall, compiled: list[WasmtimeModule], data: st.DataObject) -> None:
    before = data.draw(st.lists(any_call, max_size=MOST_CALLS - 2))
    program = [*before, data.draw(calls(hostcall)), data.draw(any_call)]
    run(compiled[0], data.draw(st.sampled_from(CALLBACKS)), program)
