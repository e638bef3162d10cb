"""The trace, faults and strict mode in pytest, tested by running pytest."""

from __future__ import annotations

import os
import sys

import pytest

pytest_plugins = ["pytester"]

FILTER = """
from pywasm_filter import Action, HttpContext

class Greet(HttpContext):
    def on_request_headers(self, num_headers, end_of_stream):
        self.request.headers["x-hello"] = "world"
        return Action.CONTINUE
"""


@pytest.fixture
def plain_pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest with this plugin alone, wherever it is installed; filter.py is there."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pywasm_filter.testing.pytest_plugin")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    pytester.makepyfile(filter=FILTER)
    return pytester


# --- the trace of a failed test ---

FAILING = """
    def test_fails(proxy):
        proxy.get()
        proxy.get()
        assert False

    def test_passes(proxy):
        proxy.get()
"""
LINE = '  vm → host   proxy_replace_header_map_value(HTTP_REQUEST_HEADERS, "x-hello", "world") → OK'


def trace_sections(result: pytest.RunResult) -> list[list[str]]:
    """The lines of each section."""
    sections: list[list[str]] = []
    for line in result.outlines:
        if " proxy trace " in line:
            sections.append([])
        elif sections and line.startswith("---"):
            break
        elif sections:
            sections[-1].append(line)
    return sections


def test_a_failed_test_shows_the_trace(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it=FAILING)
    [lines] = trace_sections(plain_pytester.runpytest())
    assert lines[0] == "── the canary VM ──"
    assert lines.count(LINE) == 2


@pytest.mark.parametrize(("option", "shown"), [("4", 5), ("0", 1)])
def test_the_last_lines_are_shown(plain_pytester: pytest.Pytester, option: str, shown: int) -> None:
    plain_pytester.makepyfile(test_it=FAILING)
    [lines] = trace_sections(plain_pytester.runpytest(f"--pywasm-trace={option}"))
    assert lines[0].endswith("lines before these are left out")
    assert len(lines) == shown


def test_all_lines_are_shown(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it=FAILING.replace("proxy.get()", "for _ in range(60): proxy.get()", 1))
    [lines] = trace_sections(plain_pytester.runpytest("--pywasm-trace=all"))
    assert lines.count(LINE) == 61


def test_a_length_that_is_none(plain_pytester: pytest.Pytester) -> None:
    result = plain_pytester.runpytest("--pywasm-trace=many")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--pywasm-trace: a number of lines or 'all', not 'many'"])
