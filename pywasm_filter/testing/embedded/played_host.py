"""The embedded proxy as another host than Envoy of today, after the table of hosts, and with restricted capabilities.

It stands around the hostcalls on the host's side of the boundary, and around the callbacks on theirs: what crosses, and
what a trace shows, is what would cross there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, cast

from pywasm_filter.sdk.abi import BufferType, MapType, Status
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.embedded.pairs import read_pairs
from pywasm_filter.testing.embedded.played_guest import Memory, PlayedGuest
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import HostMisuse
from pywasm_filter.testing.guests import Guest, GuestTrap
from pywasm_filter.testing.recorder import Answer

if TYPE_CHECKING:
    from proxy_wasm_abi import Hostcall
    from proxy_wasm_abi.hosts import HostcallFact

Method = Callable[..., Any]

_ALL = 0xFFFF_FFFF


class PlayedHost:
    """One VM's host, as the settings `host_profile` and `capabilities` want it."""

    def __init__(self, host: Hostcalls, vm: VirtualMachine) -> None:
        import proxy_wasm_abi  # with the first VM: all pytest runs load this module

        self._host = host
        self._vm = vm
        self._profile = vm.profile
        self._rules = vm.rules
        self._allowed = vm.plugin.capabilities
        self._memory = Memory()
        self._table = proxy_wasm_abi.load().hostcalls
        self.is_plain = self._profile.is_plain_envoy and self._allowed is None
        """Whether this is Envoy with all capabilities, so that there is nothing to play."""

    def hostcalls(self) -> Hostcalls:
        """The hostcalls, of which some are missing, or answer otherwise."""
        if self.is_plain:
            return self._host
        return cast("Hostcalls", SimpleNamespace(**{entry.name: self._method(entry) for entry in self._table}))

    def around(self, guest: Guest) -> Guest:
        """The callbacks, of which some are not called, or with other arguments."""
        return guest if self.is_plain else PlayedGuest(guest, self._host, self._vm, self._memory)

    def _method(self, hostcall: Hostcall) -> Method:
        if self._allowed is not None and hostcall.name not in self._allowed:
            return lambda *args: self._restricted(hostcall)
        fact = self._profile.answer(hostcall.name)
        if fact is None:
            return self._ruled(hostcall)
        return self._answering(hostcall, fact)

    def _restricted(self, hostcall: Hostcall) -> Answer:
        self._vm.log.note(f"Attempted call to restricted proxy-wasm capability: {hostcall.name}")
        return failure(hostcall, Status.INTERNAL_FAILURE)

    def _answering(self, hostcall: Hostcall, fact: HostcallFact) -> Method:
        from proxy_wasm_abi.hosts import ABORTS

        if fact.is_status:
            status = Status[fact.answer]
            return lambda *args: failure(hostcall, status)
        host = self._profile.name
        if fact.answer == ABORTS:
            return lambda *args: self._refuse(HostMisuse(f"{hostcall.name}: {host} does not implement it, and aborts"))
        ruled = self._ruled(hostcall)

        def call(*args: Any) -> Any:
            running = self._vm.running or ""
            if running in fact.except_in:
                return ruled(*args)
            where = f" in {running}" if fact.except_in else ""
            raise GuestTrap(f"{hostcall.name}: {host} does not offer it{where}")

        return call

    def _ruled(self, hostcall: Hostcall) -> Method:
        """A hostcall that works, after the host's rules."""
        method: Method = getattr(self._host, hostcall.name)
        special: dict[str, Method] = {
            "proxy_get_property": self._get_property,
            "proxy_set_property": self._set_property,
            "proxy_call_foreign_function": self._call_foreign_function,
            "proxy_get_current_time_nanoseconds": self._get_current_time,
            "proxy_http_call": self._http_call,
            "proxy_set_buffer_bytes": self._set_buffer,
            "proxy_get_header_map_value": self._get_header,
            "proxy_add_header_map_value": self._add_header,
            "proxy_replace_header_map_value": self._replace_header,
            "proxy_remove_header_map_value": self._remove_header,
            "proxy_set_header_map_pairs": self._set_headers,
        }
        return special.get(hostcall.name, method)

    # --- attributes, foreign functions, time ---

    def _get_property(self, path: bytes) -> tuple[int, bytes]:
        dotted = _dotted(path)
        if not self._rules.has_attribute(dotted):
            return (Status.OK if self._rules.absent_attribute_is_empty else Status.NOT_FOUND), b""
        status, value = self._host.proxy_get_property(path)
        return status, _as_text(dotted, value) if self._rules.attributes_are_text else value

    def _set_property(self, path: bytes, value: bytes) -> int:
        from proxy_wasm_abi.hosts import is_among

        settable = self._rules.attributes_to_set
        if settable is not None and not is_among(_dotted(path), settable):
            return Status.NOT_FOUND
        return self._host.proxy_set_property(path, value)

    def _call_foreign_function(self, function_name: bytes, arguments: bytes) -> tuple[int, bytes]:
        if function_name.decode("utf-8", "replace") in self._rules.foreign_functions_lacking:
            return Status.NOT_FOUND, b""
        return self._host.proxy_call_foreign_function(function_name, arguments)

    def _get_current_time(self) -> tuple[int, int]:
        if self._rules.clock_stands_still:
            return Status.OK, self._memory.created.get(self._vm.acting_context_id(), self._vm.events.now_ns())
        return self._host.proxy_get_current_time_nanoseconds()

    def _http_call(
        self, upstream: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int
    ) -> tuple[int, int]:
        status, token = self._host.proxy_http_call(upstream, headers, body, trailers, timeout_milliseconds)
        if status == Status.OK and self._rules.waits_for_callouts:
            self._memory.waiting[token] = self._vm.acting_context_id()
        return status, token

    # --- bodies ---

    def _set_buffer(self, buffer_type: int, start: int, size: int, value: bytes) -> int:
        rules = self._rules
        if buffer_type == BufferType.HTTP_REQUEST_BODY:
            self._check_place("the request's body", rules.writable_request_body_in)
        elif buffer_type == BufferType.HTTP_RESPONSE_BODY:
            self._check_place("the response's body", rules.writable_response_body_in)
        if rules.body_writes_up_to_size and (start or size):
            size = size or len(value)
            _, kept = self._host.proxy_get_buffer_bytes(buffer_type, 0, start)
            start, size, value = 0, _ALL, kept + value[:size]
        return self._host.proxy_set_buffer_bytes(buffer_type, start, size, value)

    # --- headers ---

    def _get_header(self, map_type: int, key: bytes) -> tuple[int, bytes]:
        status, value = self._host.proxy_get_header_map_value(map_type, key)
        if status == Status.NOT_FOUND and self._rules.absent_header_is_empty:
            return Status.OK, b""
        return status, value

    def _add_header(self, map_type: int, key: bytes, value: bytes) -> int:
        self._check_writable(map_type)
        separator = self._rules.duplicate_headers
        status, present = self._host.proxy_get_header_map_value(map_type, key)
        if separator is not None and status == Status.OK:
            return self._host.proxy_replace_header_map_value(map_type, key, present + separator.encode() + value)
        return self._host.proxy_add_header_map_value(map_type, key, value)

    def _replace_header(self, map_type: int, key: bytes, value: bytes) -> int:
        self._check_writable(map_type)
        if self._rules.replace_needs_header and self._lacks_header(map_type, key):
            return Status.OK
        return self._host.proxy_replace_header_map_value(map_type, key, value)

    def _remove_header(self, map_type: int, key: bytes) -> int:
        self._check_writable(map_type)
        return self._host.proxy_remove_header_map_value(map_type, key)

    def _set_headers(self, map_type: int, pairs: bytes) -> int:
        self._check_writable(map_type)
        if not self._rules.set_pairs_keeps_others:
            return self._host.proxy_set_header_map_pairs(map_type, pairs)
        for key, value in read_pairs(pairs):
            if (status := self._host.proxy_replace_header_map_value(map_type, key, value)) != Status.OK:
                return status
        return Status.OK

    def _lacks_header(self, map_type: int, key: bytes) -> bool:
        return self._host.proxy_get_header_map_value(map_type, key)[0] == Status.NOT_FOUND

    def _check_writable(self, map_type: int) -> None:
        if map_type == MapType.HTTP_REQUEST_HEADERS:
            self._check_place("request headers", self._rules.writable_request_headers_in)
        elif map_type == MapType.HTTP_RESPONSE_HEADERS:
            self._check_place("response headers", self._rules.writable_response_headers_in)

    def _check_place(self, what: str, places: tuple[str, ...] | None) -> None:
        if places is not None and self._vm.running not in places:
            raise GuestTrap(
                f"{self._profile.name} lets {what} be written in {', '.join(places)}, not in {self._vm.running}"
            )

    def _refuse(self, misuse: HostMisuse) -> NoReturn:
        self._vm.note_fault(misuse)
        raise misuse


def failure(hostcall: Hostcall, status: int) -> Answer:
    """A hostcall's answer without any result."""
    results = tuple(b"" if value.is_buffer else 0 for value in hostcall.returns)
    return (status, *results) if results else status


def _dotted(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape").replace("\0", ".")


def _as_text(path: str, value: bytes) -> bytes:
    """An attribute's value as text: seconds for times and durations."""
    number = int.from_bytes(value, "little", signed=_types().get(path) != "uint")
    match _types().get(path):
        case "int" | "uint":
            return b"%d" % number
        case "bool":
            return b"true" if number else b"false"
        case "duration" | "timestamp":
            return f"{number // 1_000_000_000}.{number % 1_000_000_000 // 1_000_000:03d}".encode()
    return value


@cache
def _types() -> dict[str, str]:
    from proxy_wasm_abi.attributes import load_attributes  # with the first such host

    return {".".join(entry.path): entry.type for group in load_attributes().groups for entry in group.attributes}
