"""What a plugin must not do: the embedded proxy makes an error of it that says so, where Envoy breaks the exchange."""

from __future__ import annotations

from tests.conformance.areas.common import (
    POST_ONE,
)
from tests.conformance.program import (
    PAUSE,
    add,
    at_end,
    edit,
    nth,
)
from tests.conformance.scenario import Scenario

SCENARIOS = {
    "a request's body is shortened under its content-length": Scenario({}, {"B": edit(0, 0, 2, "")}, POST_ONE),
    "a request's body is lengthened under its content-length": Scenario({}, {"B": nth(1, edit(0, 99, 0))}, POST_ONE),
    "a response's body is shortened under its content-length": Scenario({}, {"b": edit(1, 0, 2, "")}),
    "a response's body is lengthened under its content-length": Scenario({}, {"b": nth(1, edit(1, 99, 0))}),
    "trailers are created in a body that is held": Scenario({"B": PAUSE}, {"B": at_end(add(1, "x-n", "1"))}, POST_ONE),
}
