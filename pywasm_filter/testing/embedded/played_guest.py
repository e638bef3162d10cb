"""The callbacks of a filter as another host than Envoy of today makes them; see `played_host.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from pywasm_filter.sdk.abi import Action, FilterHeadersStatus, MapType, StreamType
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.embedded.pairs import Pair, read_pairs, write_pairs
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import HostMisuse
from pywasm_filter.testing.guests import Guest

_HEADERS = ("proxy_on_request_headers", "proxy_on_response_headers")
_BODIES = ("proxy_on_request_body", "proxy_on_response_body")


@dataclass
class Memory:
    """What the played host remembers of a VM's contexts."""

    created: dict[int, int] = field(default_factory=dict)
    """When each was created, in nanoseconds."""
    waiting: dict[int, int] = field(default_factory=dict)
    """Which one waits for a callout, by the callout's token."""


class PlayedGuest:
    """A guest that is called as the played host would call it."""

    def __init__(self, guest: Guest, host: Hostcalls, vm: VirtualMachine, memory: Memory) -> None:
        self._guest = guest
        self._host = host
        self._vm = vm
        self._profile = vm.profile
        self._rules = vm.rules
        self._created = memory.created
        self._waiting = memory.waiting
        self._collecting: set[int] = set()
        self._collected: set[int] = set()
        allowed = vm.plugin.capabilities
        known = guest.exports - self._profile.never_called
        self.exports = known if allowed is None else known & frozenset(allowed)

    def start(self) -> None:
        """Initialise the VM."""
        self._guest.start()

    def discard(self) -> None:
        """The VM is over."""
        self._guest.discard()

    def call(self, name: str, *args: int) -> int | None:
        """Call a callback, or hold back what the host would."""
        context_id = args[0]
        if name == "proxy_on_context_create":
            self._created[context_id] = self._vm.events.now_ns()
        elif name in _HEADERS:
            args = self._headers(name, args)
        elif name in _BODIES and self._is_held_back(name, *args):
            return Action.PAUSE
        elif name == "proxy_on_http_call_response" and args[1] in self._waiting:
            return self._answer_callout(self._waiting.pop(args[1]), args)
        result = self._guest.call(name, *args)
        if name not in _HEADERS and name not in _BODIES:
            return result
        result = self._checked(name, context_id, result or 0)
        if context_id in self._collecting and args[2]:  # nothing else comes: what has been collected is there
            return self.call(name, *args)
        return result

    def _answer_callout(self, stream_id: int, args: tuple[int, ...]) -> int | None:
        """Call back for the stream that waits, and let it go on unless it has answered or waits for another."""
        self._host.proxy_set_effective_context(stream_id)
        result = self._guest.call("proxy_on_http_call_response", *args)
        if stream_id not in self._waiting.values() and not self._vm.iteration_stopped:
            self._host.proxy_continue_stream(StreamType.HTTP_REQUEST)
        return result

    def _headers(self, name: str, args: tuple[int, ...]) -> tuple[int, ...]:
        context_id, count, end_of_stream = args
        map_type = MapType.HTTP_REQUEST_HEADERS if name == _HEADERS[0] else MapType.HTTP_RESPONSE_HEADERS
        if self._rules.duplicate_headers is not None:
            count = self._join_duplicates(map_type, self._rules.duplicate_headers.encode())
        if self._rules.num_headers_is_zero:
            count = 0
        said = self._rules.headers_end_stream
        return context_id, count, end_of_stream if said is None else int(said)

    def _join_duplicates(self, map_type: int, separator: bytes) -> int:
        _, pairs = self._host.proxy_get_header_map_pairs(map_type)
        given = read_pairs(pairs)
        joined: dict[bytes, list[bytes]] = {}
        for key, value in given:
            joined.setdefault(key, []).append(value)
        headers: list[Pair] = [(key, separator.join(values)) for key, values in joined.items()]
        if len(headers) < len(given):
            self._host.proxy_set_header_map_pairs(map_type, write_pairs(headers))
        return len(headers)

    def _is_held_back(self, name: str, context_id: int, size: int, end_of_stream: int) -> bool:
        if name == "proxy_on_request_body":
            return self._rules.request_body_in_one_piece and not end_of_stream
        if context_id not in self._collecting:
            return False
        limit = self._rules.response_body_buffer
        if limit is None or end_of_stream or size >= limit:
            self._collecting.discard(context_id)
            return False
        return True

    def _checked(self, name: str, context_id: int, result: int) -> int:
        """What a callback returned, in the host's reading."""
        if self._rules.response_results_ignored and name.startswith("proxy_on_response_"):
            return Action.CONTINUE
        if context_id in self._waiting.values():
            return FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK if name in _HEADERS else Action.PAUSE
        if self._rules.only_continue_and_pause and result > Action.PAUSE:
            self._refuse(f"{name} returned {result}; {self._profile.name} knows CONTINUE (0) and PAUSE (1)")
        if result != Action.PAUSE:
            return result
        places = self._rules.pauses_in
        if places is not None and name not in places and not self._vm.iteration_stopped:
            self._refuse(f"{name} returned PAUSE, for which {self._profile.name} has no use there")
        if name == "proxy_on_response_body" and self._rules.response_body_buffer is not None:
            if context_id in self._collected:
                self._vm.log.note(f"{name} returned PAUSE once more: {self._profile.name} takes it for CONTINUE")
                return Action.CONTINUE
            self._collecting.add(context_id)
            self._collected.add(context_id)
        return result

    def _refuse(self, problem: str) -> NoReturn:
        misuse = HostMisuse(problem)
        self._vm.note_fault(misuse)
        raise misuse
