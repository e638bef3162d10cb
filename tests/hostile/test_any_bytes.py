"""Whatever bytes a hostcall gets, from a guest of any kind: a status of the table, or a clear error."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import proxy_wasm_abi
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from proxy_wasm_abi import Hostcall, Value

from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.sdk.pairs import encode_pairs
from pywasm_filter.sdk.protobuf import bytes_field, number_field
from pywasm_filter.testing import EmbeddedProxy, HostMisuse, PluginSettings, ProxyTestError, Response

HOSTCALLS = [entry for entry in proxy_wasm_abi.load().hostcalls if any(value.is_buffer for value in entry.params)]
SETTINGS = PluginSettings(clusters=["services"], grpc_clusters=["remotes"])
FOREIGN = (
    b"clear_route_cache",
    b"compress",
    b"declare_property",
    b"expr_create",
    b"expr_delete",
    b"expr_evaluate",
    b"set_envoy_filter_state",
    b"sign",
    b"uncompress",
    b"verify_signature",
)


class Direct:
    """A guest that makes hostcalls in on_request_headers, in this Python."""

    exports = frozenset({"proxy_on_request_headers"})

    def __init__(self, hostcalls: Hostcalls, act: Callable[[Hostcalls], None]) -> None:
        self._hostcalls = hostcalls
        self._act = act

    def start(self) -> None:
        pass

    def call(self, name: str, *args: int) -> int | None:
        self._act(self._hostcalls)
        return 0

    def discard(self) -> None:
        pass


def status_of(name: str, *args: int | bytes) -> Status | None:
    """What a hostcall answers; None when the test is told what is wrong."""
    found: list[Status] = []

    def act(hostcalls: Hostcalls) -> None:
        answer = getattr(hostcalls, name)(*args)
        found.append(Status(answer[0] if isinstance(answer, tuple) else answer))

    try:
        with EmbeddedProxy(lambda hostcalls: Direct(hostcalls, act), SETTINGS) as proxy:
            proxy.clusters["services"] = Response(200)
            proxy.post("/path", body=b"body")
            proxy.clock.advance(1)
    except ProxyTestError:
        return None
    return found[0]


texts = st.sampled_from([b"", b"services", b"remotes", b":path", b"content-length", b"grpc-timeout", b"x-bin"])
maps = st.lists(st.tuples(st.one_of(texts, st.binary(max_size=8)), st.binary(max_size=8)), max_size=6).map(encode_pairs)
fields = st.one_of(
    st.tuples(st.integers(1, 8), st.binary(max_size=12)).map(lambda given: bytes_field(*given)),
    st.tuples(st.integers(1, 8), st.integers(0, (1 << 64) - 1)).map(lambda given: number_field(*given)),
)
messages = st.lists(fields, max_size=5).map(b"".join)
buffers = st.one_of(texts, maps, messages, st.binary(max_size=40))


def argument(value: Value) -> st.SearchStrategy[int | bytes]:
    return buffers if value.is_buffer else st.one_of(st.integers(0, 12), st.integers(0, 0xFFFF_FFFF))


@pytest.mark.parametrize("hostcall", HOSTCALLS, ids=lambda hostcall: hostcall.name)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_bytes(hostcall: Hostcall, data: st.DataObject) -> None:
    status = status_of(hostcall.name, *[data.draw(argument(value)) for value in hostcall.params])
    assert status is None or status.name in ("OK", *hostcall.statuses)


@pytest.mark.parametrize("function", FOREIGN)
@given(arguments=st.one_of(messages, st.binary(max_size=60), st.text(max_size=30).map(str.encode)))
@example(arguments=b"(" * 5000)
@example(arguments=b"1" + b"+1" * 5000)
@example(arguments=b"'" + b"\\x" * 10)
@example(arguments=bytes_field(2, bytes(100)) + bytes_field(3, bytes(100)) + bytes_field(1, b"sha256"))
@settings(max_examples=25, deadline=None)
def test_foreign_functions(function: bytes, arguments: bytes) -> None:
    status = status_of("proxy_call_foreign_function", function, arguments)
    assert status is None or status in (
        Status.OK, Status.NOT_FOUND, Status.BAD_ARGUMENT, Status.SERIALIZATION_FAILURE, Status.INTERNAL_FAILURE
    )  # fmt: skip


def test_a_bomb_of_zeros_is_not_unpacked() -> None:
    small = PluginSettings(memory_limit_bytes=1 << 20)
    bomb = zlib.compress(bytes(2 << 20))

    def act(hostcalls: Hostcalls) -> None:
        hostcalls.proxy_call_foreign_function(b"uncompress", bomb)

    proxy = EmbeddedProxy(lambda hostcalls: Direct(hostcalls, act), small)
    with proxy, pytest.raises(HostMisuse, match="uncompress: the result is larger than the memory of the VM"):
        proxy.get("/")
