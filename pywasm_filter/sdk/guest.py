"""Start of a filter inside a compiled module: what the engine's entry module calls."""

from __future__ import annotations

import importlib
import sys

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.failures import keep_source_lines
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.sdk.output import Redirect
from pywasm_filter.sdk.registry import begin_collecting, finish_collecting
from pywasm_filter.sdk.vm import Vm

_FOR_WORDS = {
    "logging": ("logging",),  # now, and not in a function later: its records have to find the proxy's log
    "properties": ("datetime", "pywasm_filter.sdk.metadata"),  # what typed attributes import when they are read
}
"""What filters do without in whose source the word is not."""


def start(module_name: str, host: Hostcalls) -> Vm:
    """Import the author's module and make the VM whose methods answer the host.

    It runs at build time, before the snapshot; no hostcall can be made yet. Raises RegistrationError, and whatever the
    author's module raises.
    """
    sys.breakpointhook = no_debugger
    registry = begin_collecting()
    module = importlib.import_module(module_name)
    finish_collecting(registry, module)
    lines = keep_source_lines()
    for word, names in _FOR_WORDS.items():
        if any(word in line for line in lines):
            for name in names:
                importlib.import_module(name)
    Redirect().__enter__()
    hostcalls.bind(host)
    return Vm(registry)


def no_debugger(*_args: object, **_kwargs: object) -> None:
    """What breakpoint() calls."""
    raise RuntimeError(
        "breakpoint() cannot stop inside a module, which has no terminal: run the test in process "
        "(pytest --pywasm-host=inprocess), or remove it"
    )
