"""Header maps as Envoy keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pywasm_filter.testing.embedded.pairs import Pair

# Headers of which Envoy keeps one entry (its "inline" headers): a further value is appended to the first, after a
# comma. Taken down from Envoy 1.40.
_SINGLE_IN_BOTH = frozenset(
    {
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-status",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-envoy-attempt-count",
        b"x-envoy-decorator-operation",
        b"x-request-id",
    }
)
_SINGLE_IN_REQUESTS = _SINGLE_IN_BOTH | {
    b":authority",
    b":method",
    b":path",
    b":protocol",
    b":scheme",
    b"accept",
    b"accept-encoding",
    b"access-control-request-headers",
    b"access-control-request-method",
    b"authorization",
    b"expect",
    b"grpc-accept-encoding",
    b"grpc-timeout",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"origin",
    b"pragma",
    b"referer",
    b"te",
    b"user-agent",
    b"x-client-trace-id",
    b"x-envoy-downstream-service-cluster",
    b"x-envoy-downstream-service-node",
    b"x-envoy-external-address",
    b"x-envoy-is-timeout-retry",
    b"x-envoy-original-host",
    b"x-envoy-original-path",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
}
_SINGLE_IN_RESPONSES = _SINGLE_IN_BOTH | {
    b":status",
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-allow-origin",
    b"access-control-expose-headers",
    b"access-control-max-age",
    b"age",
    b"date",
    b"etag",
    b"expires",
    b"grpc-message",
    b"grpc-status",
    b"last-modified",
    b"location",
    b"server",
    b"vary",
    b"x-envoy-degraded",
    b"x-envoy-immediate-health-check-fail",
    b"x-envoy-upstream-canary",
    b"x-envoy-upstream-healthchecked-cluster",
    b"x-envoy-upstream-service-time",
}


class HeaderMap:
    """Names in lower case, in the order of arrival, pseudo-headers in front."""

    _single: frozenset[bytes] = frozenset()

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self._pairs: list[Pair] = []
        for name, value in pairs:
            self.add(name, value)

    def __iter__(self) -> Iterator[Pair]:
        return iter(list(self._pairs))

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def size(self) -> int:
        """Bytes of all names and values."""
        return sum(len(name) + len(value) for name, value in self._pairs)

    def get(self, name: bytes) -> bytes | None:
        """First value of a name."""
        key = self._key(name)
        return next((value for entry, value in self._pairs if entry == key), None)

    def joined(self, name: bytes) -> bytes | None:
        """All values of a name, with commas between."""
        key = self._key(name)
        values = [value for entry, value in self._pairs if entry == key]
        return b",".join(values) if values else None

    def names(self) -> list[bytes]:
        """Every name once."""
        return list(dict.fromkeys(name for name, _ in self._pairs))

    def add(self, name: bytes, value: bytes) -> None:
        """Add a value, keeping those that the name has."""
        key = self._key(name)
        for index, (entry, existing) in enumerate(self._pairs):
            if entry == key and key in self._single:
                self._pairs[index] = (key, existing + b"," + value)
                return
        if key.startswith(b":"):
            self._pairs.insert(sum(entry.startswith(b":") for entry, _ in self._pairs), (key, value))
        else:
            self._pairs.append((key, value))

    def remove(self, name: bytes) -> None:
        """Remove all values of a name."""
        key = self._key(name)
        self._pairs = [pair for pair in self._pairs if pair[0] != key]

    def replace(self, name: bytes, value: bytes) -> None:
        """Set a name to one value; the entry moves to the end, as in Envoy."""
        self.remove(name)
        self.add(name, value)

    def set(self, name: bytes, value: bytes) -> None:
        """Set a name to one value where it stands; at the end if it is new. What the proxy itself does."""
        key = self._key(name)
        for index, (entry, _) in enumerate(self._pairs):
            if entry == key:
                self._pairs[index] = (key, value)
                return
        self.add(name, value)

    def assign(self, pairs: Iterable[Pair]) -> None:
        """Replace everything."""
        self._pairs = []
        for name, value in pairs:
            self.add(name, value)

    def _key(self, name: bytes) -> bytes:
        return name.lower()


class RequestHeaderMap(HeaderMap):
    """Request headers; `host` is another name of `:authority`."""

    _single = _SINGLE_IN_REQUESTS

    def _key(self, name: bytes) -> bytes:
        key = name.lower()
        return b":authority" if key == b"host" else key


class ResponseHeaderMap(HeaderMap):
    """Response headers."""

    _single = _SINGLE_IN_RESPONSES
