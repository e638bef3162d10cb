"""A TCP port before a server of ours, at which connections can be refused and reset."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_READ_BYTES = 1 << 16
# What makes close() send a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)


class Gate:
    """Listens on a free port of 127.0.0.1 and forwards each connection to a port of 127.0.0.1."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        # It is bound and does not listen: the port stays ours while connections are refused.
        self._reservation = _bound(0)
        self.port: int = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self.admit()

    def admit(self) -> None:
        """Accept connections."""
        if self._listener is not None:
            return
        self._listener = listener = _bound(self.port)
        listener.listen(128)
        threading.Thread(target=self._accept, args=(listener,), name="gate", daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections, and reset those that there are."""
        if self._listener is None:
            return
        self._stop_listening()
        self.reset()

    def reset(self) -> None:
        """Reset all connections."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            # shutdown wakes the thread that reads from it; it alone would end the connection in order.
            with contextlib.suppress(OSError):  # either side may have gone first
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                connection.shutdown(socket.SHUT_RD)
            connection.close()

    def close(self) -> None:
        """Stop listening and reset all connections."""
        self._stop_listening()
        self.reset()
        self._reservation.close()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):  # not every system wakes a thread that accepts in this way
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # the listener is closed
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()  # the server is on its way down
                continue
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(client)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, sink, client), name="gate", daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, client: socket.socket) -> None:
        """Pass on what comes, until either side ends; then both do."""
        try:
            while (data := source.recv(_READ_BYTES)) and client in self._connections:
                sink.sendall(data)
        except OSError:
            pass  # reset or closed: the end, as well
        finally:
            with self._lock:
                # Else reset() sees to the client's side, or the thread of the other direction has been quicker.
                ours = {source, sink} if client in self._connections else {source, sink} - {client}
                self._connections.discard(client)
            for connection in ours:
                with contextlib.suppress(OSError):  # it may be closed already
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
