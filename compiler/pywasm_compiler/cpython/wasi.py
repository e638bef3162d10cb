"""Every WASI function that componentize-py's libraries import, and what the module does instead of calling it.

A proxy offers its plugins a clock, random numbers and a log. The rest of WASI answers with its own errors, so that
Python raises OSError: nothing here traps, but `exit`, which must not return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pywasm_compiler.cpython.glue import I64, Code

STDIN: Final = 1
STDOUT: Final = 2
STDERR: Final = 3
"""Handles of the standard streams. 0 is none: wasi-libc takes it for a stream that it has not asked for yet."""

_ANY_HANDLE: Final = 4
_DANGLING: Final = 8
"""The address of an empty list: aligned for any element, not null, and never followed."""

_NANOSECONDS: Final = 1_000_000_000
_WRITE_PERMIT: Final = 0x7FFF_FFFF

BAD_DESCRIPTOR: Final = "bad-descriptor"
NOT_SUPPORTED: Final = "not-supported"
PERMANENT_RESOLVER_FAILURE: Final = "permanent-resolver-failure"
CLOSED: Final = "closed"

ERROR_CODES: Final[Mapping[str, int]] = {
    BAD_DESCRIPTOR: 3,  # filesystem/types error-code
    NOT_SUPPORTED: 2,  # sockets/network error-code
    PERMANENT_RESOLVER_FAILURE: 20,  # sockets/network error-code
    CLOSED: 1,  # io/streams stream-error
}
"""Position in the enum (or variant) that the error belongs to."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Functions, by their index, that the WASI functions are made of."""

    current_time: int
    """(address of an u64) -> status: nanoseconds since the Unix epoch."""
    monotonic: int
    """() -> i64: `current_time`, but never less than before."""
    write: int
    """(log level, address, size) -> (): to the proxy's log, line by line."""
    flush: int
    """() -> (): write a line that has no end yet."""
    levels: Mapping[int, int]
    """Log level of a stream."""


Builder: TypeAlias = Callable[[Code, Platform], object]
"""Writes the body of a function whose signature is the code's."""


@dataclass(frozen=True, slots=True)
class Fails:
    """The function returns an error: a `result` at the address in its last parameter.

    `error` stands at `offset`: behind the discriminant, aligned as the result's other side needs it.
    """

    error: str
    offset: int

    def __call__(self, code: Code, platform: Platform) -> None:
        """Store the result."""
        address = len(code.signature.params) - 1
        code.local_get(address).i32_const(1).i32_store8()
        code.local_get(address).i32_const(ERROR_CODES[self.error]).i32_store8(self.offset)


def _nothing(code: Code, platform: Platform) -> None:
    """Do nothing."""


def _empty_list(code: Code, platform: Platform) -> None:
    address = len(code.signature.params) - 1
    code.local_get(address).i32_const(_DANGLING).i32_store()
    code.local_get(address).i32_const(0).i32_store(4)


def _none(code: Code, platform: Platform) -> None:
    """Store an absent `option`."""
    code.local_get(0).i32_const(0).i32_store8()


def _returns_i32(value: int) -> Builder:
    def build(code: Code, platform: Platform) -> None:
        code.i32_const(value)

    return build


def _returns_i64(value: int) -> Builder:
    def build(code: Code, platform: Platform) -> None:
        code.i64_const(value)

    return build


def _wall_clock_now(code: Code, platform: Platform) -> None:
    """Store a `datetime`: seconds (u64) and nanoseconds (u32). The host writes the sum to where the seconds go."""
    now = code.local(I64)
    code.local_get(0).i64_const(0).i64_store()
    code.local_get(0).call(platform.current_time).drop()
    code.local_get(0).i64_load().local_set(now)
    code.local_get(0).local_get(now).i64_const(_NANOSECONDS).i64_div_u().i64_store()
    code.local_get(0).local_get(now).i64_const(_NANOSECONDS).i64_rem_u().i32_wrap_i64().i32_store(8)


def _wall_clock_resolution(code: Code, platform: Platform) -> None:
    code.local_get(0).i64_const(0).i64_store()
    code.local_get(0).i32_const(1).i32_store(8)


def _monotonic_now(code: Code, platform: Platform) -> None:
    code.call(platform.monotonic)


def _check_write(code: Code, platform: Platform) -> None:
    """Store a `result<u64, stream-error>`: as much as is asked for can be written."""
    code.local_get(1).i32_const(0).i32_store8()
    code.local_get(1).i64_const(_WRITE_PERMIT).i64_store(8)


def _write(code: Code, platform: Platform) -> None:
    """(stream, address, size, result): write to the log and store success."""
    for stream, level in platform.levels.items():
        code.local_get(0).i32_const(stream).i32_eq().if_()
        code.i32_const(level).local_get(1).local_get(2).call(platform.write)
        code.end()
    code.local_get(3).i32_const(0).i32_store8()


def _flush(code: Code, platform: Platform) -> None:
    """Store success: lines are written when they end."""
    code.local_get(1).i32_const(0).i32_store8()


def _exit(code: Code, platform: Platform) -> None:
    code.call(platform.flush).unreachable()


def _failing(interface: str, error: str, functions: Mapping[int, str]) -> dict[str, Builder]:
    """Functions that fail with `error`, given as the error's offset -> their names."""
    return {
        f"{interface} {name}": Fails(error, offset) for offset, names in functions.items() for name in names.split()
    }


WASI: Final[Mapping[str, Builder]] = {
    "wasi_snapshot_preview1 reset_adapter_state": _nothing,
    "wasi:cli/environment get-environment": _empty_list,
    "wasi:cli/environment get-arguments": _empty_list,
    "wasi:cli/exit exit": _exit,
    "wasi:cli/stdin get-stdin": _returns_i32(STDIN),
    "wasi:cli/stdout get-stdout": _returns_i32(STDOUT),
    "wasi:cli/stderr get-stderr": _returns_i32(STDERR),
    "wasi:cli/terminal-input [resource-drop]terminal-input": _nothing,
    "wasi:cli/terminal-output [resource-drop]terminal-output": _nothing,
    "wasi:cli/terminal-stdin get-terminal-stdin": _none,
    "wasi:cli/terminal-stdout get-terminal-stdout": _none,
    "wasi:cli/terminal-stderr get-terminal-stderr": _none,
    "wasi:clocks/wall-clock now": _wall_clock_now,
    "wasi:clocks/wall-clock resolution": _wall_clock_resolution,
    "wasi:clocks/monotonic-clock now": _monotonic_now,
    "wasi:clocks/monotonic-clock resolution": _returns_i64(1),
    # Nothing can be waited for: whoever waits in wasi-libc is replaced (see `replacements`).
    "wasi:clocks/monotonic-clock subscribe-instant": _returns_i32(_ANY_HANDLE),
    "wasi:clocks/monotonic-clock subscribe-duration": _returns_i32(_ANY_HANDLE),
    "wasi:io/error [resource-drop]error": _nothing,
    "wasi:io/poll [resource-drop]pollable": _nothing,
    "wasi:io/poll [method]pollable.block": _nothing,
    "wasi:io/poll poll": _empty_list,
    "wasi:io/streams [resource-drop]input-stream": _nothing,
    "wasi:io/streams [resource-drop]output-stream": _nothing,
    "wasi:io/streams [method]input-stream.read": Fails(CLOSED, 4),
    "wasi:io/streams [method]input-stream.subscribe": _returns_i32(_ANY_HANDLE),
    "wasi:io/streams [method]output-stream.check-write": _check_write,
    "wasi:io/streams [method]output-stream.write": _write,
    "wasi:io/streams [method]output-stream.blocking-flush": _flush,
    "wasi:io/streams [method]output-stream.subscribe": _returns_i32(_ANY_HANDLE),
    "wasi:filesystem/preopens get-directories": _empty_list,
    "wasi:filesystem/types [resource-drop]descriptor": _nothing,
    "wasi:filesystem/types [resource-drop]directory-entry-stream": _nothing,
    **_failing(
        "wasi:filesystem/types",
        BAD_DESCRIPTOR,
        {
            1: """[method]descriptor.advise [method]descriptor.sync-data [method]descriptor.get-flags
                [method]descriptor.set-size [method]descriptor.set-times [method]descriptor.sync
                [method]descriptor.create-directory-at [method]descriptor.set-times-at [method]descriptor.link-at
                [method]descriptor.remove-directory-at [method]descriptor.rename-at [method]descriptor.symlink-at
                [method]descriptor.unlink-file-at""",
            4: """[method]descriptor.read-via-stream [method]descriptor.write-via-stream
                [method]descriptor.append-via-stream [method]descriptor.read [method]descriptor.read-directory
                [method]descriptor.open-at [method]descriptor.readlink-at
                [method]directory-entry-stream.read-directory-entry""",
            8: """[method]descriptor.write [method]descriptor.stat [method]descriptor.stat-at
                [method]descriptor.metadata-hash [method]descriptor.metadata-hash-at""",
        },
    ),
    "wasi:sockets/instance-network instance-network": _returns_i32(_ANY_HANDLE),
    **_failing("wasi:sockets/tcp-create-socket", NOT_SUPPORTED, {4: "create-tcp-socket"}),
    **_failing("wasi:sockets/udp-create-socket", NOT_SUPPORTED, {4: "create-udp-socket"}),
    "wasi:sockets/tcp [resource-drop]tcp-socket": _nothing,
    "wasi:sockets/tcp [method]tcp-socket.is-listening": _returns_i32(0),
    "wasi:sockets/tcp [method]tcp-socket.subscribe": _returns_i32(_ANY_HANDLE),
    **_failing(
        "wasi:sockets/tcp",
        NOT_SUPPORTED,
        {
            1: """[method]tcp-socket.start-bind [method]tcp-socket.finish-bind [method]tcp-socket.start-connect
                [method]tcp-socket.start-listen [method]tcp-socket.finish-listen
                [method]tcp-socket.set-listen-backlog-size [method]tcp-socket.keep-alive-enabled
                [method]tcp-socket.set-keep-alive-enabled [method]tcp-socket.set-keep-alive-idle-time
                [method]tcp-socket.set-keep-alive-interval [method]tcp-socket.set-keep-alive-count
                [method]tcp-socket.hop-limit [method]tcp-socket.set-hop-limit
                [method]tcp-socket.set-receive-buffer-size [method]tcp-socket.set-send-buffer-size
                [method]tcp-socket.shutdown""",
            4: """[method]tcp-socket.finish-connect [method]tcp-socket.accept [method]tcp-socket.local-address
                [method]tcp-socket.remote-address [method]tcp-socket.keep-alive-count""",
            8: """[method]tcp-socket.keep-alive-idle-time [method]tcp-socket.keep-alive-interval
                [method]tcp-socket.receive-buffer-size [method]tcp-socket.send-buffer-size""",
        },
    ),
    "wasi:sockets/udp [resource-drop]udp-socket": _nothing,
    "wasi:sockets/udp [resource-drop]incoming-datagram-stream": _nothing,
    "wasi:sockets/udp [resource-drop]outgoing-datagram-stream": _nothing,
    "wasi:sockets/udp [method]udp-socket.subscribe": _returns_i32(_ANY_HANDLE),
    "wasi:sockets/udp [method]incoming-datagram-stream.subscribe": _returns_i32(_ANY_HANDLE),
    "wasi:sockets/udp [method]outgoing-datagram-stream.subscribe": _returns_i32(_ANY_HANDLE),
    **_failing(
        "wasi:sockets/udp",
        NOT_SUPPORTED,
        {
            1: """[method]udp-socket.start-bind [method]udp-socket.finish-bind [method]udp-socket.unicast-hop-limit
                [method]udp-socket.set-unicast-hop-limit [method]udp-socket.set-receive-buffer-size
                [method]udp-socket.set-send-buffer-size""",
            4: """[method]udp-socket.stream [method]udp-socket.local-address [method]udp-socket.remote-address
                [method]incoming-datagram-stream.receive""",
            8: """[method]udp-socket.receive-buffer-size [method]udp-socket.send-buffer-size
                [method]outgoing-datagram-stream.check-send [method]outgoing-datagram-stream.send""",
        },
    ),
    "wasi:sockets/ip-name-lookup [resource-drop]resolve-address-stream": _nothing,
    "wasi:sockets/ip-name-lookup [method]resolve-address-stream.subscribe": _returns_i32(_ANY_HANDLE),
    **_failing(
        "wasi:sockets/ip-name-lookup",
        PERMANENT_RESOLVER_FAILURE,
        {2: "[method]resolve-address-stream.resolve-next-address", 4: "resolve-addresses"},
    ),
}
"""Interface (without its version) and function, as they are imported -> what to do."""


def wasi_function(interface: str, name: str) -> Builder | None:
    """What to do for an import, if it is WASI's and known."""
    return WASI.get(f"{interface.partition('@')[0]} {name}")


def is_wasi(interface: str) -> bool:
    """Whether an import's module is WASI's, of either preview."""
    return interface.startswith(("wasi:", "wasi_snapshot_preview1"))
