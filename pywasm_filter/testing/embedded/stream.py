"""An HTTP stream through the plugins: request and response, local replies, and the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pywasm_filter.sdk.abi import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.buffers import BodyBuffer
from pywasm_filter.testing.embedded.contexts import HttpContext
from pywasm_filter.testing.embedded.endpoints import Client, Router
from pywasm_filter.testing.embedded.events import EventQueue
from pywasm_filter.testing.embedded.filter_chain import FilterChain
from pywasm_filter.testing.embedded.filter_iteration import FilterIteration
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.local_reply import LocalReply, reply_message
from pywasm_filter.testing.embedded.response_flags import ResponseFlag
from pywasm_filter.testing.embedded.routing import find_route
from pywasm_filter.testing.embedded.stream_info import StreamInfo
from pywasm_filter.testing.embedded.threads import PluginHandle
from pywasm_filter.testing.embedded.upstream import UpstreamFailure, UpstreamRequest
from pywasm_filter.testing.messages import Request, Response
from pywasm_filter.testing.settings import PluginSettings


class HttpStream:
    """One request and its response.

    Frames come in from the client (`receive_request_*`) and from the upstream (`receive_response_*`); what passes the
    filters is seen in `upstream_request` and `response`. A filter whose VM is dead fails the stream.
    """

    def __init__(
        self,
        handles: Sequence[PluginHandle],
        settings: PluginSettings,
        events: EventQueue,
        headers: RequestHeaderMap,
        connection_id: int,
        downstream: Downstream,
    ) -> None:
        """`handles` are the plugins in the order in which the request meets them; the response meets the last first."""
        from proxy_wasm_abi import find_host  # with the first stream: all pytest runs load this module

        self.info = StreamInfo(connection_id, events.now_ns(), headers, downstream)
        self.info.route = find_route(settings.routes, self.info)
        self.was_reset = False
        self._drops_trailers = find_host(settings.host_profile).rules.no_trailers
        self._now_ns = events.now_ns
        self._is_head = headers.get(b":method") == b"HEAD"
        self._is_grpc = (headers.get(b"content-type") or b"").startswith(b"application/grpc")
        self.upstream = UpstreamRequest(events, self.fail_upstream)
        self._router = Router(self.info, settings.routes, self.send_local_reply, self._now_ns, self.upstream)
        self._client = Client(self.info, self._is_head, self.send_local_reply, self._end)
        self._prepared_reply: LocalReply | None = None
        self._upstream_answered = False
        self.callbacks = [_FilterCallbacks(self) for _ in handles]
        self.contexts = [
            HttpContext(handle.vm, handle.root, callbacks)
            for handle, callbacks in zip(handles, self.callbacks, strict=True)
        ]
        limit = settings.buffer_limit_bytes
        self.request_chain = FilterChain[RequestHeaderMap](
            "request",
            [_RequestFilter(context) for context in self.contexts],
            self._router,
            limit,
            self._request_too_large,
            self._send_prepared,
        )
        self.response_chain = FilterChain[ResponseHeaderMap](
            "response",
            [_ResponseFilter(context) for context in reversed(self.contexts)],
            self._client,
            limit,
            self._response_too_large,
            _nothing,
        )
        for callbacks, request, response in zip(
            self.callbacks, self.request_chain.iterations, reversed(self.response_chain.iterations), strict=True
        ):
            callbacks.request, callbacks.response = request, response

    # --- from the client ---

    def receive_request_headers(self, end_stream: bool) -> None:
        """The request begins."""
        self.request_chain.receive_headers(self.info.request_headers, end_stream)

    def receive_request_body(self, data: bytes, end_stream: bool) -> None:
        """A frame of the request's body."""
        self.info.bytes_received += len(data)
        self.request_chain.receive_body(BodyBuffer(data), end_stream)

    def receive_request_trailers(self, trailers: HeaderMap) -> None:
        """The request's trailers, which some hosts drop."""
        if self._drops_trailers:
            self.receive_request_body(b"", True)
            return
        self.request_chain.receive_trailers(trailers)

    def receive_request_metadata(self, num_elements: int) -> None:
        """HTTP/2 metadata from the client."""
        self.request_chain.receive_metadata(num_elements)

    def abort(self) -> None:
        """The client is gone."""
        if not self.info.ended:
            self.info.response_flags |= ResponseFlag.DOWNSTREAM_CONNECTION_TERMINATION
            self.info.response_code_details = "downstream_remote_disconnect"
        self._reset()

    # --- from the upstream ---

    def receive_response_headers(self, headers: ResponseHeaderMap, end_stream: bool) -> None:
        """The upstream answers."""
        if self.info.ended or self.response_chain.started:
            return
        self.info.upstream_connected = self._upstream_answered = True
        self.info.response_code_details = "via_upstream"
        self._note_upstream_end(end_stream)
        self._begin_response(headers)
        self.response_chain.receive_headers(headers, end_stream)

    def receive_response_body(self, data: bytes, end_stream: bool) -> None:
        """A frame of the upstream's body."""
        self._note_upstream_end(end_stream)
        self.response_chain.receive_body(BodyBuffer(data), end_stream)

    def receive_response_trailers(self, trailers: HeaderMap) -> None:
        """The upstream's trailers, which some hosts drop."""
        if self._drops_trailers:
            self.receive_response_body(b"", True)
            return
        self._note_upstream_end(True)
        self.response_chain.receive_trailers(trailers)

    def fail_upstream(self, failure: UpstreamFailure) -> None:
        """No answer comes, or no more of it: Envoy answers itself, unless the answer has begun."""
        if self.info.ended or self.info.upstream_end_time is not None:
            return
        self.upstream.end()
        if self._upstream_answered:
            self.info.response_flags |= failure.late_flag
            self.info.response_code_details = failure.late_details
            self._reset()
        elif not self.response_chain.started:
            self.info.transport_failure_reason = failure.transport_failure_reason
            self.info.upstream_connected = not failure.transport_failure_reason
            self.send_local_reply(failure.reply)

    def receive_response_metadata(self, num_elements: int) -> None:
        """HTTP/2 metadata from the upstream."""
        self.response_chain.receive_metadata(num_elements)

    def _note_upstream_end(self, end_stream: bool) -> None:
        if end_stream:
            self.upstream.end()
            self.info.upstream_end_time = self._now_ns()

    # --- what passed the filter ---

    @property
    def upstream_request(self) -> Request | None:
        """The request as far as it has passed; None before its headers have."""
        return self._router.request() if self._router.started else None

    @property
    def upstream_request_complete(self) -> bool:
        """Whether the upstream has the whole request."""
        return self._router.complete

    @property
    def cluster(self) -> str | None:
        """The cluster that the request went to; None before its headers have passed."""
        return self._router.cluster

    @property
    def response(self) -> Response | None:
        """The response as far as it has passed; None before its headers have."""
        return self._client.response()

    # --- for the contexts ---

    def reset_by_filter(self) -> None:
        """Break the stream off."""
        if self.info.response_code_details is None:
            self.info.response_code_details = "wasm_close_stream"
        self._reset()

    def send_local_reply(self, reply: LocalReply) -> None:
        """Answer from here: through the filters, past them when a response has begun, by a reset when it has left.

        From within a request callback it waits for the callback's end; the first one wins.
        """
        if self.info.ended:
            return
        self.info.response_code_details = "_".join(reply.details.split())
        self.info.response_flags |= reply.flag
        in_request_callback = self.request_chain.calling
        if in_request_callback:
            self.request_chain.abort()
        elif self.response_chain.calling:
            self.response_chain.abort()
        if self.response_chain.started:
            self._reply_past_filters(reply)
        elif in_request_callback:
            self._prepared_reply = self._prepared_reply or reply
        else:
            self._reply_through_filters(reply)

    # --- replies ---

    def _send_prepared(self) -> None:
        reply, self._prepared_reply = self._prepared_reply, None
        if reply is not None and not self.info.ended:
            self._reply_through_filters(reply)

    def _reply_through_filters(self, reply: LocalReply) -> None:
        headers, body = reply_message(reply, grpc=self._is_grpc, head=self._is_head)
        self.request_chain.abort()
        self._begin_response(headers)
        self.response_chain.receive_headers(headers, not body)
        if body and not self.info.ended:
            self.response_chain.receive_body(BodyBuffer(body), True)

    def _reply_past_filters(self, reply: LocalReply) -> None:
        if self._client.started:
            self._reset()
            return
        headers, body = reply_message(reply, grpc=self._is_grpc, head=self._is_head)
        self.response_chain.abort()
        self._begin_response(headers)
        self._client.take_headers(headers, not body)
        if body:
            self._client.take_body(BodyBuffer(body), True)

    def _begin_response(self, headers: ResponseHeaderMap) -> None:
        self.info.response_headers = headers
        status = headers.get(b":status") or b""
        self.info.response_code = int(status) if status.isdigit() else None

    def _request_too_large(self) -> None:
        self.send_local_reply(LocalReply(413, b"Payload Too Large", details="request_payload_too_large"))

    def _response_too_large(self) -> None:
        self.send_local_reply(LocalReply(500, b"Internal Server Error", details="response_payload_too_large"))

    # --- the end ---

    def _reset(self) -> None:
        if not self.info.ended:
            self.was_reset = True
            self._end()

    def _end(self) -> None:
        if self.info.ended:
            return
        self.upstream.end()
        self.info.end_time = self._now_ns()
        self.request_chain.abort()
        self.response_chain.abort()
        for context in self.contexts:
            context.log()
        for context in self.contexts:
            context.destroy()


class _FilterCallbacks:
    """What one filter can do with its stream: `StreamControl` of its context. It resumes what lies behind it."""

    request: FilterIteration[RequestHeaderMap]
    response: FilterIteration[ResponseHeaderMap]

    def __init__(self, stream: HttpStream) -> None:
        self._stream = stream

    @property
    def info(self) -> StreamInfo:
        """What is known of the stream."""
        return self._stream.info

    def continue_request(self) -> None:
        """Resume the request."""
        self.request.resume()

    def continue_response(self) -> None:
        """Resume the response."""
        self.response.resume()

    def reset_by_filter(self) -> None:
        """Break the stream off."""
        self._stream.reset_by_filter()

    def send_local_reply(self, reply: LocalReply) -> None:
        """Answer from here."""
        self._stream.send_local_reply(reply)

    def hold_request_body(self, data: BodyBuffer) -> BodyBuffer:
        """Add to the request body that is held back."""
        return self.request.hold(data)

    def hold_response_body(self, data: BodyBuffer) -> BodyBuffer:
        """Add to the response body that is held back."""
        return self.response.hold(data)

    def held_request_body(self) -> BodyBuffer:
        """The request body that is held back."""
        return self.request.held

    def held_response_body(self) -> BodyBuffer:
        """The response body that is held back."""
        return self.response.held

    def create_request_trailers(self) -> HeaderMap:
        """Add trailers to a request that has none."""
        return self.request.create_trailers()

    def create_response_trailers(self) -> HeaderMap:
        """Add trailers to a response that has none."""
        return self.response.create_trailers()


@dataclass(frozen=True)
class _RequestFilter:
    context: HttpContext

    def on_headers(self, headers: RequestHeaderMap, end_stream: bool) -> FilterHeadersStatus:
        return self.context.on_request_headers(headers, end_stream)

    def on_body(self, data: BodyBuffer, end_stream: bool) -> FilterDataStatus:
        return self.context.on_request_body(data, end_stream)

    def on_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self.context.on_request_trailers(trailers)

    def on_metadata(self, num_elements: int) -> None:
        self.context.on_request_metadata(num_elements)


@dataclass(frozen=True)
class _ResponseFilter:
    context: HttpContext

    def on_headers(self, headers: ResponseHeaderMap, end_stream: bool) -> FilterHeadersStatus:
        return self.context.on_response_headers(headers, end_stream)

    def on_body(self, data: BodyBuffer, end_stream: bool) -> FilterDataStatus:
        return self.context.on_response_body(data, end_stream)

    def on_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self.context.on_response_trailers(trailers)

    def on_metadata(self, num_elements: int) -> None:
        self.context.on_response_metadata(num_elements)


def _nothing() -> None:
    """An aborted response has no reply waiting."""
