"""What Envoy takes to run any Wasm module: callbacks that do nothing."""

from __future__ import annotations

import wasmtime

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job
from benchmarks.peers.peer import Peer
from pywasm_filter.testing.envoy import EnvoySettings

_MODULE = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0)))
"""


class Floor(Peer):
    """It does no job."""

    name = "floor"
    title = "a Wasm module that does nothing"

    def prepare(self, job: Job) -> Deployment:
        """Translate the module."""
        module = self.workspace / "nothing.wasm"
        module.write_bytes(wasmtime.wat2wasm(_MODULE))
        return Deployment(EnvoySettings(module, None), does_the_job=False)
