"""The request and the response of an HTTP stream."""

from typing import Final

from pywasm_filter.sdk.abi import BufferType, MapType
from pywasm_filter.sdk.body import Body
from pywasm_filter.sdk.headers import HeaderMap, Text


class Message:
    """What a request and a response have in common. `body` and the maps are views of what the host holds."""

    __slots__ = ("body", "headers", "trailers")

    def __init__(self, headers: MapType, trailers: MapType, body: BufferType) -> None:
        self.headers: Final = HeaderMap(headers)
        """The headers, pseudo-headers such as `:path` included."""
        self.trailers: Final = HeaderMap(trailers)
        """The trailers, from the trailers callback on."""
        self.body: Final = Body(body)
        """What the host holds of the body in a body callback."""


class Request(Message):
    """The request of the current stream. The pseudo-headers are attributes; each raises KeyError when it is absent."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_REQUEST_TRAILERS, BufferType.HTTP_REQUEST_BODY)

    @property
    def method(self) -> str:
        """The method, such as GET: the header `:method`."""
        return self.headers[":method"]

    @method.setter
    def method(self, value: Text) -> None:
        self.headers[":method"] = value

    @property
    def path(self) -> str:
        """Path and query: the header `:path`."""
        return self.headers[":path"]

    @path.setter
    def path(self, value: Text) -> None:
        self.headers[":path"] = value

    @property
    def authority(self) -> str:
        """Host and port that the client asked for: the header `:authority`."""
        return self.headers[":authority"]

    @authority.setter
    def authority(self, value: Text) -> None:
        self.headers[":authority"] = value

    @property
    def scheme(self) -> str:
        """`http` or `https`: the header `:scheme`."""
        return self.headers[":scheme"]

    @scheme.setter
    def scheme(self, value: Text) -> None:
        self.headers[":scheme"] = value


class Response(Message):
    """The response of the current stream, of the upstream or a local one."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MapType.HTTP_RESPONSE_HEADERS, MapType.HTTP_RESPONSE_TRAILERS, BufferType.HTTP_RESPONSE_BODY)

    @property
    def status(self) -> int:
        """The status code: the header `:status`. Raises KeyError or BadArgument when there is no response yet."""
        return int(self.headers[":status"])

    @status.setter
    def status(self, value: int) -> None:
        self.headers[":status"] = str(int(value))
