"""The start of a VM: what its root contexts can do in on_vm_start and on_configure, on the canary as on the worker."""

from __future__ import annotations

from tests.conformance.areas.attributes import ATTRIBUTES, DESCRIBED, DIFFERENT
from tests.conformance.program import (
    add,
    attributes,
    body,
    call,
    close,
    dump,
    edit,
    get,
    joined,
    program,
    reply,
    resume,
    set_attribute,
)
from tests.conformance.scenario import Scenario

ON_VM_START = attributes("plugin_name", "plugin_root_id", "plugin_vm_id") + body(6, 0, 20) + body(7)
ON_CONFIGURE = [
    # --- attributes ---
    *attributes(*(path for paths in ATTRIBUTES.values() for path in paths)),
    *attributes("request.headers", "connection_id", *DIFFERENT, shown="size"),
    *set_attribute("m", "v"),
    # --- configurations ---
    *(body(6, 0, 20) + body(7, 0, 20) + edit(6, 0, 0) + edit(7, 0, 0) + edit(4, 0, 0)),
    # --- buffers and maps ---
    *joined([body(buffer) for buffer in (0, 1, 2, 3, 4, 5, 8, 9)]),
    *(get(0, ":path") + add(0, "x", "y") + dump(0) + get(2, ":status") + dump(6) + get(8, "x")),
    # --- what belongs to streams ---
    *reply(),
    *joined([resume(stream) + close(stream) for stream in range(5)]),
    *call("proxy_done"),
]

SCENARIOS = {
    "on_vm_start and on_configure": Scenario(
        settings={
            **DESCRIBED,
            "configuration": program({"K": ON_CONFIGURE}).encode(),
            "vm_configuration": program({"S": ON_VM_START}).encode(),
        },
        shows_start=True,
    ),
}
