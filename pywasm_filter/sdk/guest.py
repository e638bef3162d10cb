"""Start of a filter inside a compiled module: what the engine's entry module calls."""

from __future__ import annotations

import importlib

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.failures import keep_source_lines
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.sdk.output import Redirect
from pywasm_filter.sdk.registry import begin_collecting, finish_collecting
from pywasm_filter.sdk.vm import Vm


def start(module_name: str, host: Hostcalls) -> Vm:
    """Import the author's module and make the VM whose methods answer the host.

    It runs at build time, before the snapshot; no hostcall can be made yet. Raises RegistrationError, and whatever the
    author's module raises.
    """
    registry = begin_collecting()
    module = importlib.import_module(module_name)
    finish_collecting(registry, module)
    keep_source_lines()
    Redirect().__enter__()
    hostcalls.bind(host)
    return Vm(registry)
