"""The trampolines between canonical ABI and Proxy-Wasm ABI, run under wasmtime."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import wasmtime
from proxy_wasm_abi import Hostcall, Value, load
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS, MODULE_EXPORTS
from pywasm_compiler.cpython.trampolines import (
    buffer_params,
    callback_wrapper,
    host_type,
    hostcall_trampoline,
    lowered_type,
    result_offsets,
)
from pywasm_compiler.wasm.model import FuncType, ValType

from tests.unit.cpython.glue_host import GlueHost

I32, I64 = ValType.I32, ValType.I64
FREE_TYPE = FuncType((I32,))
RESULTS_AT = 0x1000

HOSTCALLS = {hostcall.name: hostcall for hostcall in load().hostcalls}
CALLBACKS = {callback.name: callback for callback in load().callbacks}


@pytest.mark.parametrize("name", HOSTCALLS)
def test_host_type_is_the_import_of_the_table(name: str) -> None:
    signature = host_type(HOSTCALLS[name])
    assert [value.name.lower() for value in signature.params] == list(HOST_IMPORTS[name].params)
    assert [value.name.lower() for value in signature.results] == list(HOST_IMPORTS[name].results)


@pytest.mark.parametrize(
    ("name", "offsets"),
    [
        ("proxy_log", []),
        ("proxy_get_log_level", [4]),
        ("proxy_get_current_time_nanoseconds", [8]),
        ("proxy_get_buffer_bytes", [4, 8]),
        ("proxy_get_buffer_status", [4, 8]),
        ("proxy_get_status", [4, 8, 12]),
        ("proxy_get_shared_data", [4, 8, 12]),
        ("proxy_get_metric", [8]),
        ("proxy_http_call", [4]),
    ],
)
def test_offsets_follow_the_canonical_abi(name: str, offsets: list[int]) -> None:
    assert [offset for offset, _ in result_offsets(HOSTCALLS[name])] == offsets


def test_a_word_behind_a_double_word_is_not_padded() -> None:
    returns = (Value("a", "u32"), Value("b", "u64"), Value("c", "bytes"))
    hostcall = replace(HOSTCALLS["proxy_log"], returns=returns)
    assert result_offsets(hostcall) == ((4, I32), (8, I64), (16, I32), (20, I32))


class RecordingHost:
    """A host function that records its arguments, stores a distinct value at each out-pointer and returns a status."""

    def __init__(self, hostcall: Hostcall, status: int, store: bool) -> None:
        self.hostcall = hostcall
        self.status = status
        self.store = store
        self.arguments: tuple[int, ...] = ()
        self.freed: list[int] = []
        self.freed_before_the_call: list[int] = []
        glue = hostcall_trampoline(hostcall, imported=0, free=1)
        self.name = glue.name
        self.glue = GlueHost([(host_type(hostcall), self.called), (FREE_TYPE, self.freed.append)], [glue])

    def called(self, *arguments: int) -> int:
        self.arguments = arguments
        self.freed_before_the_call = list(self.freed)
        if self.store:
            outs = arguments[len(arguments) - len(result_offsets(self.hostcall)) :]
            for number, (address, (_, field)) in enumerate(zip(outs, result_offsets(self.hostcall), strict=True)):
                self.glue.write(address, (0xC0DE + number).to_bytes(8 if field is I64 else 4, "little"))
        return self.status


@pytest.mark.parametrize("name", HOSTCALLS)
def test_arguments_status_and_results_pass_through(name: str) -> None:
    hostcall = HOSTCALLS[name]
    host = RecordingHost(hostcall, status=7, store=True)
    signature = lowered_type(hostcall)
    passed = list(range(100, 100 + len(signature.params)))
    offsets = [offset for offset, _ in result_offsets(hostcall)]
    if offsets:
        passed[-1] = RESULTS_AT
    returned = host.glue.call(host.name, *passed)
    arguments = passed[:-1] if offsets else passed
    assert list(host.arguments) == arguments + [RESULTS_AT + offset for offset in offsets]
    if offsets:
        assert returned is None
        assert host.glue.read_int(RESULTS_AT, 4) == 7
        for number, (offset, field) in enumerate(result_offsets(hostcall)):
            assert host.glue.read_int(RESULTS_AT + offset, 8 if field is I64 else 4) == 0xC0DE + number
    else:
        assert returned == 7


@pytest.mark.parametrize("name", [name for name, hostcall in HOSTCALLS.items() if hostcall.returns])
def test_results_are_zero_when_the_host_stores_none(name: str) -> None:
    hostcall = HOSTCALLS[name]
    host = RecordingHost(hostcall, status=1, store=False)
    host.glue.write(RESULTS_AT, b"\xff" * 64)
    host.glue.call(host.name, *[0] * (len(lowered_type(hostcall).params) - 1), RESULTS_AT)
    assert host.glue.read_int(RESULTS_AT, 4) == 1
    for offset, field in result_offsets(hostcall):
        assert host.glue.read_int(RESULTS_AT + offset, 8 if field is I64 else 4) == 0


@pytest.mark.parametrize("name", HOSTCALLS)
def test_each_list_argument_is_freed_once_after_the_call(name: str) -> None:
    hostcall = HOSTCALLS[name]
    host = RecordingHost(hostcall, status=0, store=False)
    arguments = [RESULTS_AT + 16 * n for n in range(len(lowered_type(hostcall).params))]
    host.glue.call(host.name, *arguments)
    lists = [parameter for parameter, value in _parameters(hostcall) if value.is_buffer]
    assert host.freed_before_the_call == []
    assert host.freed == [arguments[parameter] for parameter in lists]
    assert buffer_params(hostcall) == tuple(lists)


def _parameters(hostcall: Hostcall) -> Iterator[tuple[int, Value]]:
    index = 0
    for value in hostcall.params:
        yield index, value
        index += 2 if value.is_buffer else 1


@pytest.mark.parametrize("name", CALLBACKS)
def test_callback_is_followed_by_its_post_return(name: str) -> None:
    callback = CALLBACKS[name]
    signature = host_type(callback)
    calls: list[tuple[str, tuple[int, ...]]] = []

    def lifted(*arguments: int) -> int | None:
        calls.append(("export", arguments))
        return 3 if signature.results else None

    def post_return(*arguments: int) -> None:
        calls.append(("post", arguments))

    def flush() -> None:
        calls.append(("flush", ()))

    wrapper = callback_wrapper(callback, lifted=0, post_return=1, flush=2)
    glue = GlueHost(
        [(signature, lifted), (FuncType(signature.results), post_return), (FuncType(), flush)],
        [wrapper],
    )
    arguments = tuple(range(5, 5 + len(signature.params)))
    result = glue.call(wrapper.name, *arguments)
    assert result == (3 if signature.results else None)
    assert calls == [("export", arguments), ("post", (3,) if signature.results else ()), ("flush", ())]
    assert list(MODULE_EXPORTS[name].params) == [value.name.lower() for value in wrapper.type.params]


def test_a_trap_in_the_export_passes() -> None:
    def trap(*arguments: int) -> int:
        raise wasmtime.Trap("boom")

    callback = CALLBACKS["proxy_on_done"]
    wrapper = callback_wrapper(callback, lifted=0, post_return=1, flush=2)
    glue = GlueHost(
        [(host_type(callback), trap), (FuncType((I32,)), lambda result: None), (FuncType(), lambda: None)], [wrapper]
    )
    with pytest.raises(wasmtime.Trap, match="boom"):
        glue.call(wrapper.name, 1)
