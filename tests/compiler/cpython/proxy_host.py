"""The least of a Proxy-Wasm host that the compiled probe module needs, under wasmtime."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import wasmtime
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS

OK, NOT_FOUND, UNIMPLEMENTED = 0, 1, 12
PLUGIN_CONFIGURATION = 7
INFO, ERROR = 2, 4
WASI_INVALID, WASI_NOT_CAPABLE = 28, 76

_TYPES = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}


class CompiledModule:
    """A module as machine code, not optimised: that is quicker to have. The stack is wasmtime's default, 512 KiB."""

    def __init__(self, content: bytes) -> None:
        config = wasmtime.Config()
        config.cranelift_opt_level = "none"
        self.engine = wasmtime.Engine(config)
        self.module = wasmtime.Module(self.engine, content)


class ProxyHost:
    """One VM. Hostcalls that have no method here answer UNIMPLEMENTED and store nothing."""

    def __init__(self, compiled: CompiledModule, memory_limit: int | None = None) -> None:
        self.logs: list[tuple[int, str]] = []
        self.called: set[str] = set()
        self.properties: dict[bytes, bytes] = {}
        self.property_value = b""
        self.answer: Callable[[str, tuple[int, ...]], int | None] = lambda name, arguments: None
        """May answer any hostcall with a status."""
        self.random_requests: list[int] = []
        self.random_error = 0
        self.configuration = b""
        self.clock: Iterator[int] = itertools.count(1_700_000_000_000_000_000, 1_000_000)
        self._store = wasmtime.Store(compiled.engine)
        if memory_limit is not None:
            self._store.set_limits(memory_size=memory_limit)
        functions = [self._import(entry) for entry in compiled.module.imports]
        self._exports = wasmtime.Instance(self._store, compiled.module, functions).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        self.call("_initialize")

    def start(self) -> None:
        """What a host calls first."""
        self.call("proxy_on_context_create", 1, 0)
        assert self.call("proxy_on_vm_start", 1, 0) == 1

    def probe(self, name: str, *arguments: Any) -> dict[str, Any]:
        """Run one of the probes and return its outcome: what it returned, or the classes of what it raised."""
        self.configuration = json.dumps([name, *arguments]).encode()
        self.logs.clear()
        assert self.call("proxy_on_configure", 1, len(self.configuration)) == 1
        level, outcome = next((level, text) for level, text in self.logs if text.startswith('{"'))
        self.logs.remove((level, outcome))
        result: dict[str, Any] = json.loads(outcome)
        return result

    def call(self, name: str, *arguments: int) -> Any:
        """Call an export."""
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self._store, *arguments)

    def memory_size(self) -> int:
        """Size of the memory in bytes."""
        return self._memory.data_len(self._store)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the memory."""
        return bytes(self._memory.read(self._store, address, address + size))

    def store_bytes(self, value: bytes, address_at: int, size_at: int) -> None:
        """Hand a buffer to the guest as hosts do: in memory that the guest allocates."""
        address = self.call("proxy_on_memory_allocate", len(value))
        self._memory.write(self._store, value, address)
        self.store_u32(address, address_at)
        self.store_u32(len(value), size_at)

    def store_u32(self, value: int, at: int) -> None:
        """Store a number of 4 bytes."""
        self._memory.write(self._store, value.to_bytes(4, "little"), at)

    def store_u64(self, value: int, at: int) -> None:
        """Store a number of 8 bytes."""
        self._memory.write(self._store, value.to_bytes(8, "little"), at)

    # --- imports ---

    def _import(self, entry: wasmtime.ImportType) -> wasmtime.Func:
        name = entry.name
        assert name is not None
        if (entry.module, name) == ("wasi_snapshot_preview1", "random_get"):
            return self._function(("i32", "i32"), ("i32",), self._random_get)
        assert entry.module == "env", f"{entry.module} {name}"
        signature = HOST_IMPORTS[name]
        answer: Callable[..., int] = getattr(self, f"_{name}", lambda *arguments: UNIMPLEMENTED)

        def record(*arguments: int) -> int:
            self.called.add(name)
            status = self.answer(name, arguments)
            return answer(*arguments) if status is None else status

        return self._function(signature.params, signature.results, record)

    def _function(self, params: tuple[str, ...], results: tuple[str, ...], call: Callable[..., int]) -> wasmtime.Func:
        signature = wasmtime.FuncType([_TYPES[name]() for name in params], [_TYPES[name]() for name in results])
        return wasmtime.Func(self._store, signature, call)

    def _random_get(self, address: int, size: int) -> int:
        self.random_requests.append(size)
        if self.random_error:
            return self.random_error
        if size > 0x1_0000:  # as Envoy
            return WASI_INVALID
        self._memory.write(self._store, os.urandom(size), address)
        return 0

    def _proxy_log(self, level: int, address: int, size: int) -> int:
        self.logs.append((level, self.read(address, size).decode()))
        return OK

    def _proxy_get_current_time_nanoseconds(self, at: int) -> int:
        self.store_u64(next(self.clock), at)
        return OK

    def _proxy_get_buffer_bytes(self, buffer_type: int, start: int, size: int, address_at: int, size_at: int) -> int:
        if buffer_type != PLUGIN_CONFIGURATION:
            return NOT_FOUND
        self.store_bytes(self.configuration[start : start + size], address_at, size_at)
        return OK

    def _proxy_get_header_map_value(
        self, map_type: int, key_at: int, key_size: int, address_at: int, size_at: int
    ) -> int:
        self.store_bytes(b"value of " + self.read(key_at, key_size), address_at, size_at)
        return OK

    def _proxy_get_header_map_pairs(self, map_type: int, address_at: int, size_at: int) -> int:
        self.store_bytes(b"\0" * 500, address_at, size_at)
        return OK

    def _proxy_get_property(self, path_at: int, path_size: int, address_at: int, size_at: int) -> int:
        self.store_bytes(self.property_value, address_at, size_at)
        return OK

    def _proxy_set_property(self, path_at: int, path_size: int, value_at: int, value_size: int) -> int:
        self.properties[self.read(path_at, path_size)] = self.read(value_at, value_size)
        return OK
