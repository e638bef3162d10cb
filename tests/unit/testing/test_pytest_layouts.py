"""The pytest plugin in projects of other shapes, and beside other plugins and options of pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

FILTER = """
from pywasm_filter import Action, HttpContext
from greeting import GREETING

class Greet(HttpContext):
    def on_request_headers(self, num_headers, end_of_stream):
        self.request.headers["x-hello"] = GREETING
        return Action.CONTINUE
"""
TEST = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(proxy, number):
    assert proxy.get().upstream_request.headers["x-hello"] == "hello"
"""


def write(files: dict[str, str], directory: Path) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def flat(plugin_pytester: pytest.Pytester) -> pytest.Pytester:
    """Filter, helper and test in one directory."""
    write({"filter.py": FILTER, "greeting.py": "GREETING = 'hello'\n", "test_it.py": TEST}, plugin_pytester.path)
    return plugin_pytester


@pytest.mark.parametrize(
    "options",
    [
        ["-p", "no:cacheprovider"],
        ["-p", "no:logging", "-p", "no:terminal"],
        ["--import-mode=importlib", "-s"],
        ["--import-mode=append", "-W", "error", "--strict-markers", "--strict-config"],
        ["--setup-show", "--maxfail=1"],
    ],
    ids=" ".join,
)
def test_options_of_pytest(flat: pytest.Pytester, options: list[str]) -> None:
    result = flat.runpytest(*options)
    assert result.ret == pytest.ExitCode.OK, result.stdout.str() + result.stderr.str()
    if "no:terminal" not in options:
        result.assert_outcomes(passed=4)


def test_two_workers(flat: pytest.Pytester) -> None:
    flat.makepyfile(test_fails="def test_it(proxy):\n    proxy.get()\n    assert False")
    result = flat.runpytest_subprocess("-p", "xdist", "-n", "2", "-v", "--pywasm-strict")
    result.assert_outcomes(passed=4, failed=1)
    for number in range(4):
        result.stdout.fnmatch_lines([f"*PASSED test_it.py::test_it[[]inprocess-{number}[]]*"])
    result.stdout.fnmatch_lines(["*- proxy trace -*", "*proxy_on_request_headers*", "*- proxy log -*"])


@pytest.mark.parametrize("options", [[], ["--rootdir={elsewhere}"], ["-c", "{elsewhere}/pytest.ini"]], ids=len)
def test_the_root_is_elsewhere(
    flat: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory, options: list[str]
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write({"pytest.ini": "[pytest]\npywasm_strict = true\n"}, elsewhere)
    given = [option.format(elsewhere=elsewhere) for option in options]
    flat.runpytest(*given, str(flat.path / "test_it.py")).assert_outcomes(passed=4)


def test_run_from_another_directory(flat: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = flat.mkdir("elsewhere")
    monkeypatch.chdir(directory)
    flat.runpytest("..").assert_outcomes(passed=4)
    flat.runpytest("--pywasm-filter=../filter.py", "..").assert_outcomes(passed=4)


def test_the_filter_is_outside_of_the_root(
    plugin_pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("filters")
    write({"edge.py": FILTER, "greeting.py": "GREETING = 'hello'\n"}, elsewhere)
    plugin_pytester.makepyfile(test_it=TEST)
    plugin_pytester.runpytest(f"--pywasm-filter={elsewhere / 'edge.py'}").assert_outcomes(passed=4)
    plugin_pytester.makeini(f"[pytest]\npywasm_filter = {elsewhere / 'edge.py'}")
    plugin_pytester.runpytest().assert_outcomes(passed=4)


def test_a_conftest_in_a_directory_below(plugin_pytester: pytest.Pytester) -> None:
    files = {
        "pytest.ini": "[pytest]\npywasm_filter = filters/filter.py\ntestpaths = tests\n",
        "filters/filter.py": FILTER,
        "filters/greeting.py": "GREETING = 'hello'\n",
        "tests/edge/conftest.py": """
import pytest
from pywasm_filter.testing import Response

@pytest.fixture(autouse=True)
def marked(request):
    request.node.add_marker(pytest.mark.pywasm(plugin_name="edge"))

@pytest.fixture
def proxy(marked, make_proxy):
    proxy = make_proxy()
    proxy.upstream = Response(418)
    return proxy
""",
        "tests/edge/test_edge.py": "def test_edge(proxy): assert proxy.get().response.status == 418",
        "tests/test_plain.py": "def test_plain(proxy): assert proxy.get().response.status == 200",
    }
    write(files, plugin_pytester.path)
    plugin_pytester.runpytest().assert_outcomes(passed=2)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_a_package_under_src(plugin_pytester: pytest.Pytester, mode: str) -> None:
    """The filter imports from its package by full names; the test imports the package, too."""
    files = {
        "pyproject.toml": """
[tool.pytest.ini_options]
pythonpath = ["src"]
pywasm_filter = "src/edge/filter.py"
pywasm_host = "inprocess"
""",
        "src/edge/__init__.py": "",
        "src/edge/filter.py": FILTER.replace("from greeting", "from edge.words.greeting"),
        "src/edge/words/__init__.py": "",
        "src/edge/words/greeting.py": "GREETING = 'hello'\n",
        "tests/test_it.py": TEST
        + """
def test_the_package(proxy):
    import edge.filter
    from edge.words.greeting import GREETING
    assert proxy.get().upstream_request.headers["x-hello"] == GREETING
""",
    }
    write(files, plugin_pytester.path)
    plugin_pytester.runpytest(f"--import-mode={mode}").assert_outcomes(passed=5)
