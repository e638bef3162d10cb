"""Hostcalls that this proxy does not offer: gRPC callouts."""

from __future__ import annotations

from typing import NoReturn


class UnsupportedHostcalls:
    """Refuses them all."""

    def unsupported(self, name: str) -> NoReturn:
        """Refuse a hostcall."""
        raise NotImplementedError(name)

    def proxy_grpc_call(
        self,
        upstream: bytes,
        service: bytes,
        method: bytes,
        initial_metadata: bytes,
        message: bytes,
        timeout_milliseconds: int,
        /,
    ) -> tuple[int, int]:
        """Not offered."""
        self.unsupported("proxy_grpc_call")

    def proxy_grpc_stream(
        self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, /
    ) -> tuple[int, int]:
        """Not offered."""
        self.unsupported("proxy_grpc_stream")

    def proxy_grpc_send(self, stream_id: int, message: bytes, end_stream: int, /) -> int:
        """Not offered."""
        self.unsupported("proxy_grpc_send")

    def proxy_grpc_cancel(self, call_id: int, /) -> int:
        """Not offered."""
        self.unsupported("proxy_grpc_cancel")

    def proxy_grpc_close(self, call_id: int, /) -> int:
        """Not offered."""
        self.unsupported("proxy_grpc_close")
