"""Traps in terms of the guest's Python code."""

from __future__ import annotations

import pytest

from pywasm_filter.testing.guests import GuestTrap
from pywasm_filter.testing.guests.tracebacks import in_python, python_backtrace

LOGGED = """exception in Guard.on_request_headers
Traceback (most recent call last):
  File "filter.py", line 3, in earlier
    first()
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "filter.py", line 7, in on_request_headers
    self.check(1)
    ~~~~~~~~~~^^^
  File "rules/check.py", line 17, in Rule.check
    raise ValueError("no\\nway")
ValueError: no
way"""
ABORTED = ("abort", "std::process::abort", "wit_dylib_export_call", "pywasm callback proxy_on_request_headers")
FRAMES = ("Rule.check (rules/check.py:17)", "on_request_headers (filter.py:7)")


def test_a_trap_is_told_as_the_exception_that_led_to_it() -> None:
    trap = in_python(GuestTrap("unreachable", ABORTED), ["before", LOGGED, "after"])
    assert (trap.message, trap.backtrace) == ("ValueError: no (unreachable)", FRAMES)


def test_the_last_exception_counts() -> None:
    earlier = LOGGED.replace("ValueError", "LookupError")
    assert in_python(GuestTrap("unreachable", ABORTED), [earlier, LOGGED]).message == "ValueError: no (unreachable)"


def test_the_exceptions_of_a_group() -> None:
    group = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "filter.py", line 2, in on_tick\n'
        "  | ExceptionGroup: several (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "filter.py", line 9, in one\n'
        "    | ValueError: no\n"
        "    +------------------------------------\n"
    )
    trap = GuestTrap("unreachable", ABORTED)
    assert in_python(trap, [group]) is trap  # not taken apart


@pytest.mark.parametrize(
    ("trap", "messages"),
    [
        (GuestTrap("unreachable", ABORTED), []),
        (GuestTrap("unreachable", ABORTED), ["no traceback"]),
        (GuestTrap("unreachable", ABORTED), ["Traceback (most recent call last):\nnothing else"]),
        # The exception had been caught: Python code was being run when the VM trapped.
        (GuestTrap("call stack exhausted", ("dict_repr", "_PyEval_EvalFrameDefault", *ABORTED[2:])), [LOGGED]),
        # In process the trap is the exception already.
        (GuestTrap("ValueError: no\nway", FRAMES), [LOGGED]),
    ],
)
def test_other_traps_stay_as_they_are(trap: GuestTrap, messages: list[str]) -> None:
    assert in_python(trap, messages) is trap


def test_frames_of_an_exception() -> None:
    def inner() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        inner()
    frames = python_backtrace(caught.value)
    assert [frame.split()[0] for frame in frames] == ["inner", "test_frames_of_an_exception"]
    assert all("test_tracebacks.py:" in frame for frame in frames)
