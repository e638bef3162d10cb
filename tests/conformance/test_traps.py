"""A trap kills the VM in the embedded proxy as in a real Envoy: the same raw module, the same exchange, on both."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywasm_filter.testing import Delay, Response
from tests.conformance.recorder import (
    CALLBACKS,
    PAUSE,
    POST,
    POST_TRAILERS,
    TRAP,
    WITH_TRAILERS,
    Scenario,
    call,
    count,
    on_both,
    reply,
    tick,
)

AUTH = {"clusters": ("auth",)}
# A body in pieces may reach Envoy in one when the machine is busy.
ONE_PIECE = Response(200, body="one piece")

SCENARIOS = {
    **{
        f"trap in {CALLBACKS[letter][0]}": Scenario({}, {letter: TRAP}, POST_TRAILERS, WITH_TRAILERS, repeat=2)
        for letter in "HBThbtLDX"
    },
    "trap, then fail open": Scenario(
        {}, {"H": TRAP}, POST_TRAILERS, WITH_TRAILERS, settings={"failure_policy": "fail_open"}, repeat=2
    ),
    "trap in the response, then fail open": Scenario(
        {}, {"b": TRAP}, POST_TRAILERS, WITH_TRAILERS, settings={"failure_policy": "fail_open"}, repeat=2
    ),
    "reply, then trap": Scenario({}, {"H": reply() + TRAP}, POST),
    "trap in the answer to a callout": Scenario(
        {"H": PAUSE}, {"H": call(), "U": TRAP}, response=ONE_PIECE, repeat=2, settings=AUTH
    ),
    "trap in the answer to a callout, then fail open": Scenario(
        {"H": PAUSE},
        {"H": call(), "U": TRAP},
        response=ONE_PIECE,
        repeat=2,
        settings={**AUTH, "failure_policy": "fail_open"},
    ),
    "trap while a callout is under way": Scenario(
        {},
        {"H": count(TRAP, 2) + call()},
        response=ONE_PIECE,
        clusters={"auth": Delay(0.3, Response(200, body="late"))},
        repeat=2,
        then=0.5,
        settings=AUTH,
    ),
    "trap in a tick": Scenario({}, {"H": tick(50), "I": TRAP}, response=ONE_PIECE, then=0.3),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_embedded_proxy_does_what_envoy_does(name: str, tmp_path: Path) -> None:
    mine, theirs = on_both(SCENARIOS[name], tmp_path)
    assert mine == theirs
