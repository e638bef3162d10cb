"""The trace, faults and strict mode in pytest, tested by running pytest."""

from __future__ import annotations

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
def plain_pytester(plugin_pytester: pytest.Pytester) -> pytest.Pytester:
    """filter.py is there."""
    plugin_pytester.makepyfile(filter=FILTER)
    return plugin_pytester


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


# --- strict mode ---

STRICT_FILTER = """
import logging
from pywasm_filter import Action, HttpContext, RootContext

class Troubled(HttpContext["Root"]):
    async def on_request_headers(self, num_headers, end_of_stream):
        match self.request.path:
            case "/error":
                logging.error("an error\\nof two lines")
            case "/raise":
                raise ValueError("no")
            case "/call":
                await self.http_call("auth", "GET", "/check", timeout=1)
        return Action.CONTINUE

class Root(RootContext):
    http_context = Troubled

    def on_done(self):
        if self.configuration == b"noisy":
            logging.error("noise at the end")
        return True

    def on_configure(self, configuration):
        self.configuration = configuration
        return True
"""
STRICT_TEST = """
    import pytest
    from pywasm_filter.testing import Response, Status

    pytestmark = pytest.mark.pywasm(clusters=["auth"])

    @pytest.mark.parametrize("path", ["/", "/error", "/raise", "/call"])
    def test_path(proxy, path):
        proxy.get(path)

    def test_fault(proxy):
        proxy.faults.fail("proxy_get_property", Status.NOT_FOUND, times=3)

    def test_trap(proxy):
        proxy.faults.trap("proxy_on_request_headers")
        assert proxy.get().response.status == 503

    def test_all_is_said(proxy):
        proxy.clusters["auth"] = Response(200)
        proxy.expect_log("^an error")
        proxy.expect_log("ValueError: no$")
        for path in ("/error", "/raise", "/call"):
            proxy.get(path)

    def test_too_much_is_said(proxy):
        proxy.expect_log("^another error")

    @pytest.mark.pywasm(configuration="noisy")
    def test_end(proxy):
        proxy.get()

    def test_that_fails_anyway(proxy):
        proxy.get("/error")
        assert False

    @pytest.mark.pywasm(strict=False)
    def test_lenient(proxy):
        proxy.get("/error")

    def test_a_lenient_proxy(make_proxy):
        make_proxy(strict=False).get("/error")

    def test_without_a_proxy():
        pass
"""


@pytest.mark.parametrize("way", ["option", "ini", "marker"])
def test_strict_mode_fails_on_what_the_test_has_not_said(plain_pytester: pytest.Pytester, way: str) -> None:
    plain_pytester.makepyfile(filter=STRICT_FILTER)
    marked = STRICT_TEST.replace('["auth"])', '["auth"], strict=True)')
    plain_pytester.makepyfile(test_it=marked if way == "marker" else STRICT_TEST)
    if way == "ini":
        plain_pytester.makeini("[pytest]\npywasm_strict = true")
    result = plain_pytester.runpytest(*(["--pywasm-strict"] if way == "option" else []))
    result.assert_outcomes(passed=7, failed=6, errors=1)
    text = result.stdout.str()
    assert text.count("strict: the test has not said that this may happen\n") == 6
    for problem in [
        "- log line: [error] an error\n  of two lines\n",
        "- log line: [error] exception in Troubled.on_request_headers\n  Traceback",
        "- callout: GET /check to 'auth'; say what answers it: proxy.clusters['auth'] = ...",
        "- fault that was not used: proxy_get_property fails with NOT_FOUND: struck 0 of 3 times",
        "- log line that was expected and did not come: '^another error'",
        "- log line: [error] noise at the end",
    ]:
        assert problem in text
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_end*", "*- proxy trace -*", "*- proxy log -*"])


def test_without_strict_mode_nothing_of_that_matters(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(filter=STRICT_FILTER, test_it=STRICT_TEST)
    plain_pytester.runpytest().assert_outcomes(passed=12, failed=1)


def test_strict_is_true_or_false(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.pywasm(strict="yes")
        def test_it(proxy):
            pass
        """
    )
    result = plain_pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*strict of the marker pywasm is True or False, not 'yes'"])
