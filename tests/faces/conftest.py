"""Holds the tests to what the ABI's table says that they exercise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from proxy_wasm_abi import Callback, Hostcall, load

from pywasm_filter.testing.embedded.host import Host
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine


@pytest.fixture(autouse=True)
def _crossings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On the embedded proxy a test must cross into the host and back by each function that the table has it for."""
    crossed: set[str] = set()

    def recording(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any) -> Any:
            crossed.add(name)
            return method(*args)

        return call

    call_guest = VirtualMachine.call

    def call(vm: VirtualMachine, context_id: int, callback: str, *args: int) -> int:
        crossed.add(callback)
        return call_guest(vm, context_id, callback, *args)

    for hostcall in load().hostcalls:
        monkeypatch.setattr(Host, hostcall.name, recording(hostcall.name, getattr(Host, hostcall.name)))
    monkeypatch.setattr(VirtualMachine, "call", call)
    yield
    callspec = getattr(request.node, "callspec", None)
    host = None if callspec is None else callspec.params.get("pywasm_host")
    if host in ("inprocess", "wasmtime"):
        missing = _claimed(request.node) - crossed
        assert not missing, f"the ABI's table says that this test exercises {', '.join(sorted(missing))}"


def _claimed(item: pytest.Item) -> set[str]:
    abi = load()
    name = f"tests/faces/{item.path.name}::{getattr(item, 'originalname', item.name)}"
    entries: tuple[Hostcall | Callback, ...] = (*abi.hostcalls, *abi.callbacks)
    return {entry.name for entry in entries if entry.test and f"{entry.test.file}::{entry.test.function}" == name}
