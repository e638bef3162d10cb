"""A host of a few lines for the SDK's own tests; the embedded proxy has tests of its own."""

from collections.abc import Iterator

import pytest

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType, MapType, Status
from pywasm_filter.sdk.hostcalls import Unbound
from pywasm_filter.sdk.pairs import decode_pairs, encode_pairs


class ScriptedHost(Unbound):
    """Holds one map and one buffer of each kind, and notes what it is told."""

    def __init__(self) -> None:
        self.maps: dict[int, list[tuple[bytes, bytes]]] = {int(kind): [] for kind in MapType}
        self.buffers: dict[int, bytes] = {}
        self.properties: dict[bytes, bytes] = {}
        self.logged: list[tuple[int, str]] = []
        self.local_responses: list[tuple[int, bytes, bytes, list[tuple[bytes, bytes]], int]] = []
        self.continued: list[int] = []
        self.status = int(Status.OK)
        """What writing hostcalls answer."""

    def proxy_log(self, level: int, message: bytes, /) -> int:
        self.logged.append((level, message.decode()))
        return 0

    def proxy_get_header_map_value(self, map_type: int, key: bytes, /) -> tuple[int, bytes]:
        for name, value in self.maps[map_type]:
            if name == key:
                return 0, value
        return Status.NOT_FOUND, b""

    def proxy_get_header_map_pairs(self, map_type: int, /) -> tuple[int, bytes]:
        return self.status, encode_pairs(self.maps[map_type])

    def proxy_set_header_map_pairs(self, map_type: int, pairs: bytes, /) -> int:
        self.maps[map_type] = decode_pairs(pairs)
        return self.status

    def proxy_add_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        self.maps[map_type].append((key, value))
        return self.status

    def proxy_replace_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        self.maps[map_type] = [pair for pair in self.maps[map_type] if pair[0] != key] + [(key, value)]
        return self.status

    def proxy_remove_header_map_value(self, map_type: int, key: bytes, /) -> int:
        self.maps[map_type] = [pair for pair in self.maps[map_type] if pair[0] != key]
        return self.status

    def proxy_get_buffer_status(self, buffer_type: int, /) -> tuple[int, int, int]:
        if buffer_type not in self.buffers:
            return Status.NOT_FOUND, 0, 0
        return self.status, len(self.buffers[buffer_type]), 0

    def proxy_get_buffer_bytes(self, buffer_type: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        if start + max_size > 0xFFFF_FFFF:
            return Status.BAD_ARGUMENT, b""
        if buffer_type not in self.buffers:
            return Status.NOT_FOUND, b""
        return self.status, self.buffers[buffer_type][start : start + max_size]

    def proxy_set_buffer_bytes(self, buffer_type: int, start: int, size: int, value: bytes, /) -> int:
        old = self.buffers[buffer_type]
        start = min(start, len(old))
        self.buffers[buffer_type] = old[:start] + value + old[start + size :]
        return self.status

    def proxy_send_local_response(
        self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /
    ) -> int:
        self.local_responses.append((status_code, details, body, decode_pairs(headers), grpc_status))
        return self.status

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        self.continued.append(stream_type)
        return self.status

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        if path not in self.properties:
            return Status.NOT_FOUND, b""
        return 0, self.properties[path]

    def proxy_set_property(self, path: bytes, value: bytes, /) -> int:
        self.properties[path] = value
        return self.status

    def proxy_done(self, /) -> int:
        return Status.NOT_FOUND

    @property
    def request_headers(self) -> list[tuple[bytes, bytes]]:
        return self.maps[MapType.HTTP_REQUEST_HEADERS]

    @property
    def request_body(self) -> bytes:
        return self.buffers[BufferType.HTTP_REQUEST_BODY]


@pytest.fixture
def host() -> Iterator[ScriptedHost]:
    scripted = ScriptedHost()
    previous = hostcalls.bind(scripted)
    yield scripted
    hostcalls.bind(previous)
