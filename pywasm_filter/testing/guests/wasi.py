"""The functions of WASI preview 1 that every Proxy-Wasm host serves, as proxy-wasm-cpp-host does."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Collection, Mapping

from proxy_wasm_abi.generated.host_imports import CoreSignature

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.guests.imports import CoreFunction, Lender
from pywasm_filter.testing.guests.memory import GuestMemory

_U32 = 0xFFFF_FFFF

SUCCESS = 0
EBADF = 8
EFAULT = 21
EINVAL = 28
ENOSYS = 52
ENOTSUP = 58
ENOTCAPABLE = 76

_MAX_RANDOM = 64 * 1024
# Vectors may overlap, so that a small one can name more bytes than there are.
_MAX_WRITE = 16 << 20
_MAX_VECTORS = 1024
_STDOUT, _STDERR = 1, 2
_LEVELS = {_STDOUT: LogLevel.INFO, _STDERR: LogLevel.ERROR}
_RIGHTS_FD_WRITE = 64

SIGNATURES: Mapping[str, CoreSignature] = {
    "args_get": CoreSignature(("i32", "i32"), ("i32",)),
    "args_sizes_get": CoreSignature(("i32", "i32"), ("i32",)),
    "clock_time_get": CoreSignature(("i32", "i64", "i32"), ("i32",)),
    "environ_get": CoreSignature(("i32", "i32"), ("i32",)),
    "environ_sizes_get": CoreSignature(("i32", "i32"), ("i32",)),
    "fd_close": CoreSignature(("i32",), ("i32",)),
    "fd_fdstat_get": CoreSignature(("i32", "i32"), ("i32",)),
    "fd_read": CoreSignature(("i32", "i32", "i32", "i32"), ("i32",)),
    "fd_seek": CoreSignature(("i32", "i64", "i32", "i32"), ("i32",)),
    "fd_write": CoreSignature(("i32", "i32", "i32", "i32"), ("i32",)),
    "proc_exit": CoreSignature(("i32",), ()),
    "random_get": CoreSignature(("i32", "i32"), ("i32",)),
}


class Wasi:
    """The functions for one guest. Those that are not among `allowed`, if that says something, are stubs."""

    def __init__(
        self, host: Hostcalls, guest: Lender, environment: Mapping[str, str], allowed: Collection[str] | None = None
    ) -> None:
        self._host = host
        self._guest = guest
        self._allowed = SIGNATURES.keys() if allowed is None else allowed
        self._environment = [f"{name}={value}".encode() + b"\0" for name, value in environment.items()]

    def functions(self) -> dict[str, CoreFunction]:
        """All of them by name."""
        return {name: _unsigned(getattr(self, name)) if name in self._allowed else _stub(name) for name in SIGNATURES}

    def args_get(self, argv: int, buffer: int) -> int:
        """There are no arguments."""
        return SUCCESS

    def args_sizes_get(self, count_at: int, size_at: int) -> int:
        """There are no arguments."""
        return self._written(self._memory.write_u32(count_at, 0) and self._memory.write_u32(size_at, 0))

    def clock_time_get(self, clock: int, precision: int, time_at: int) -> int:
        """Wall-clock and monotonic time, both the proxy's; the clocks of processes and threads are not supported."""
        match clock:
            case 0 | 1:  # realtime, monotonic
                now = self._host.proxy_get_current_time_nanoseconds()[1]
            case _:
                return ENOTSUP
        return self._written(self._memory.write_u64(time_at, now))

    def environ_get(self, environ: int, buffer: int) -> int:
        """The environment of the plugin's configuration."""
        for entry in self._environment:
            if not (self._memory.write_u32(environ, buffer) and self._memory.write(buffer, entry)):
                return EFAULT
            environ += 4
            buffer += len(entry)
        return SUCCESS

    def environ_sizes_get(self, count_at: int, size_at: int) -> int:
        """Size of the environment."""
        size = sum(map(len, self._environment))
        return self._written(
            self._memory.write_u32(count_at, len(self._environment)) and self._memory.write_u32(size_at, size)
        )

    def fd_close(self, fd: int) -> int:
        """Nothing to close."""
        return SUCCESS

    def fd_fdstat_get(self, fd: int, stat_at: int) -> int:
        """Standard output and error can be written to; there is nothing else."""
        if fd not in _LEVELS:
            return EBADF
        # The host does not look whether there is a place for it.
        self._memory.write(stat_at, bytes(8) + _RIGHTS_FD_WRITE.to_bytes(8, "little") + bytes(8))
        return SUCCESS

    def fd_read(self, fd: int, iovs: int, count: int, read_at: int) -> int:
        """There are no files."""
        return ENOSYS

    def fd_seek(self, fd: int, offset: int, whence: int, new_offset_at: int) -> int:
        """Nothing to seek in."""
        return SUCCESS

    def fd_write(self, fd: int, iovs: int, count: int, written_at: int) -> int:
        """Standard output is logged at level info, standard error at level error."""
        if fd not in _LEVELS:
            return EBADF
        if count > _MAX_VECTORS:
            return EINVAL
        pieces = self._vector(iovs, count)
        if pieces is None or any(size and address + size > self._memory.size for address, size in pieces):
            return EFAULT
        if sum(size for _, size in pieces) > _MAX_WRITE:
            return EINVAL
        text = b"".join(self._memory.read(address, size) or b"" for address, size in pieces)
        if text:
            self._host.proxy_log(_LEVELS[fd], text.removesuffix(b"\n"))
        return self._written(self._memory.write_u32(written_at, len(text)))

    def proc_exit(self, status: int) -> None:
        """The host takes no notice; what follows in the module is usually a trap."""

    def random_get(self, buffer: int, size: int) -> int:
        """Random bytes, 64 KiB at most."""
        if size > _MAX_RANDOM:
            return EINVAL
        return self._written(self._memory.write(buffer, os.urandom(size))) if size else SUCCESS

    def _vector(self, iovs: int, count: int) -> list[tuple[int, int]] | None:
        """An array of (address, size), None if some of it is outside of the memory."""
        vector = self._memory.read(iovs, 8 * count)
        return None if vector is None else list(struct.iter_unpack("<II", vector))

    @property
    def _memory(self) -> GuestMemory:
        return self._guest.memory

    @staticmethod
    def _written(within: bool) -> int:
        return SUCCESS if within else EFAULT


def _stub(name: str) -> CoreFunction:
    """What Envoy puts in the place of a capability that a module is not given."""
    return lambda *core: ENOTCAPABLE if SIGNATURES[name].results else None


def _unsigned(function: Callable[..., int | None]) -> CoreFunction:
    """Arguments are addresses and sizes; the two 64-bit ones (precision, offset) are not looked at."""
    return lambda *core: function(*(value & _U32 for value in core))
