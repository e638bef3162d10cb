"""A stand-in for the SDK: a runtime module small enough to see through.

`proxy_on_configure` runs the probe that the plugin configuration names and logs what came out of it, as JSON.
"""

import importlib
import json
from collections.abc import Callable
from typing import Any

INFO = 2
PLUGIN_CONFIGURATION = 7


class ProbeVm:
    def __init__(self, probes: dict[str, Callable[..., object]], host: Any) -> None:
        self.probes = probes
        self.host = host

    def proxy_on_context_create(self, context_id: int, parent_context_id: int) -> None:
        pass

    def proxy_on_vm_start(self, context_id: int, configuration_size: int) -> int:
        return 1

    def proxy_on_configure(self, context_id: int, configuration_size: int) -> int:
        try:
            _, configuration = self.host.proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, configuration_size)
            name, *arguments = json.loads(configuration)
            outcome: dict[str, object] = {"returned": self.probes[name](self.host, *arguments)}
        except BaseException as error:  # noqa: BLE001 - what leaves an export kills the VM
            outcome = {"raised": [cls.__name__ for cls in type(error).__mro__], "message": str(error)}
        self.host.proxy_log(INFO, json.dumps(outcome, default=repr).encode())
        return 1

    def proxy_on_request_headers(self, context_id: int, num_headers: int, end_of_stream: int) -> int:
        self.probes["request_headers"](self.host)
        return 0

    def proxy_on_tick(self, context_id: int) -> None:
        raise LookupError("an exception that leaves an export")


def start(module_name: str, host: Any) -> ProbeVm:
    module = importlib.import_module(module_name)
    probes = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    return ProbeVm(probes, host)
