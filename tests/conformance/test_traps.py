"""A trap kills the VM in the embedded proxy as in a real Envoy: the same raw module, the same exchange, on both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.recorder import CALLBACKS, POST, POST_TRAILERS, TRAP, WITH_TRAILERS, Scenario, on_both, reply

SCENARIOS = {
    **{
        f"trap in {CALLBACKS[letter][0]}": Scenario({}, {letter: TRAP}, POST_TRAILERS, WITH_TRAILERS, repeat=2)
        for letter in "HBThbtLDX"
    },
    "trap, then fail open": Scenario(
        {}, {"H": TRAP}, POST_TRAILERS, WITH_TRAILERS, settings={"fail_open": True}, repeat=2
    ),
    "trap in the response, then fail open": Scenario(
        {}, {"b": TRAP}, POST_TRAILERS, WITH_TRAILERS, settings={"fail_open": True}, repeat=2
    ),
    "reply, then trap": Scenario({}, {"H": reply() + TRAP}, POST),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_embedded_proxy_does_what_envoy_does(name: str, tmp_path: Path) -> None:
    mine, theirs = on_both(SCENARIOS[name], tmp_path)
    assert mine == theirs
