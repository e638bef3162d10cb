"""An HTTP/2 client and an HTTP/2 server that send METADATA frames between the parts of their messages."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import hpack
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    UnknownFrameReceived,
)
from hyperframe.frame import ExtensionFrame

METADATA, END_METADATA = 0x4D, 0x4
TIMEOUT = 10.0  # seconds

Part = dict[str, str] | bytes | int
"""What a message consists of: metadata, a piece of its body, and for its headers the status of a response, 0 for those
of a request."""


class Peer:
    """One side of a connection. `connection` is what it sends with, `flush` sends it."""

    def __init__(self, link: socket.socket, *, client: bool) -> None:
        self.connection = H2Connection(H2Configuration(client_side=client))
        self.connection.initiate_connection()
        self._link = link
        self._unsent = b""

    def send_metadata(self, stream_id: int, elements: dict[str, str]) -> None:
        """Its block is of literals that enter no table."""
        strings = [text.encode() for element in elements.items() for text in element]
        encoded = [bytes([len(string)]) + string for string in strings]
        block = b"".join(b"\0" + name + value for name, value in zip(encoded[::2], encoded[1::2], strict=True))
        frame = ExtensionFrame(METADATA, stream_id, flag_byte=END_METADATA, body=block)
        frame.body_len = len(block)  # hyperframe sets it in frames that it parses only
        self._unsent += self.connection.data_to_send() + frame.serialize()

    def flush(self) -> None:
        data, self._unsent = self._unsent + self.connection.data_to_send(), b""
        self._link.sendall(data)

    def events(self) -> Iterator[Event]:
        """What comes, until the connection ends."""
        while data := self._link.recv(1 << 16):
            yield from self.connection.receive_data(data)
            self.flush()


def part_of(event: Event) -> Part | None:
    """The part of a message that an event tells of."""
    match event:
        case RequestReceived():
            return 0
        case ResponseReceived(headers=headers):
            return int(dict(headers or ())[b":status"])
        case DataReceived(data=data):
            return data or None
        case UnknownFrameReceived(frame=ExtensionFrame() as frame) if frame.type == METADATA:
            return {str(name): str(value) for name, value in hpack.Decoder().decode(frame.body)}
    return None


def exchange(
    address: tuple[str, int], path: str, parts: Sequence[Part], headers: Mapping[str, str] | None = None
) -> list[Part]:
    """Send a request, and return the parts of its response. Raises TimeoutError, and OSError when there is none."""
    with socket.create_connection(address, TIMEOUT) as link:
        peer = Peer(link, client=True)
        stream_id = peer.connection.get_next_available_stream_id()
        pseudo = {":method": "POST", ":path": path, ":authority": "localhost", ":scheme": "http"}
        peer.connection.send_headers(stream_id, [*pseudo.items(), *(headers or {}).items()])
        send_parts(peer, stream_id, parts)
        received: list[Part] = []
        for event in peer.events():
            part = part_of(event)
            if part is not None:
                received.append(part)
            if isinstance(event, StreamEnded):
                return received
            if isinstance(event, StreamReset):
                break
    raise ConnectionError("the stream was reset")


def send_parts(peer: Peer, stream_id: int, parts: Sequence[Part]) -> None:
    """Send them at once, and end the message."""
    for part in parts:
        match part:
            case dict():
                peer.send_metadata(stream_id, part)
            case bytes():
                peer.connection.send_data(stream_id, part)
            case _:
                peer.connection.send_headers(stream_id, [(":status", str(part))])
    peer.connection.end_stream(stream_id)
    peer.flush()


class Server:
    """Answers each request with `answer`; `received` has the parts of the last one."""

    def __init__(self) -> None:
        self.answer: Sequence[Part] = (200,)
        self.received: list[Part] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in (self._listener, *self._links):
            with contextlib.suppress(OSError):  # the other side may have gone first
                link.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            link.close()
        self._thread.join(TIMEOUT)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                link = self._listener.accept()[0]
                self._links.append(link)
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        peer = Peer(link, client=False)
        peer.flush()
        with contextlib.suppress(ConnectionResetError):
            for event in peer.events():
                if isinstance(event, RequestReceived):
                    self.received = []
                part = part_of(event)
                if part is not None:
                    self.received.append(part)
                if isinstance(event, StreamEnded):
                    send_parts(peer, event.stream_id, self.answer)
