"""Hostcalls that this proxy does not offer: callouts, timers and queues."""

from __future__ import annotations

from typing import NoReturn


class UnsupportedHostcalls:
    """Refuses them all."""

    def unsupported(self, name: str) -> NoReturn:
        """Refuse a hostcall."""
        raise NotImplementedError(name)

    def proxy_set_tick_period_milliseconds(self, period: int, /) -> int:
        """Not offered."""
        self.unsupported("proxy_set_tick_period_milliseconds")

    def proxy_http_call(
        self, upstream: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int, /
    ) -> tuple[int, int]:
        """Not offered."""
        self.unsupported("proxy_http_call")

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

    def proxy_register_shared_queue(self, queue_name: bytes, /) -> tuple[int, int]:
        """Not offered."""
        self.unsupported("proxy_register_shared_queue")

    def proxy_resolve_shared_queue(self, vm_id: bytes, queue_name: bytes, /) -> tuple[int, int]:
        """Not offered."""
        self.unsupported("proxy_resolve_shared_queue")

    def proxy_enqueue_shared_queue(self, queue_id: int, value: bytes, /) -> int:
        """Not offered."""
        self.unsupported("proxy_enqueue_shared_queue")

    def proxy_dequeue_shared_queue(self, queue_id: int, /) -> tuple[int, bytes]:
        """Not offered."""
        self.unsupported("proxy_dequeue_shared_queue")
