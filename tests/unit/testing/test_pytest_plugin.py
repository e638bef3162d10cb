"""The pytest plugin, tested by running pytest."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import wasmtime

from pywasm_filter import build as builds
from pywasm_filter.build import Recorded
from pywasm_filter.testing import LogLevel, PluginSettings
from pywasm_filter.testing.marker import OF_THE_TEST
from pywasm_filter.testing.session import ProxySession

pytest_plugins = ["pytester"]

FILTER = """
import logging
from pywasm_filter import Action, HttpContext, RootContext

class Greet(HttpContext["Root"]):
    def on_request_headers(self, num_headers, end_of_stream):
        logging.info("greeting %s", self.root.greeting)
        self.request.headers["x-hello"] = self.root.greeting
        return Action.CONTINUE

class Root(RootContext):
    http_context = Greet
    greeting = ""

    def on_configure(self, configuration):
        self.greeting = configuration.decode() or "world"
        if self.greeting == "refuse":
            logging.error("no such greeting")
        return self.greeting != "refuse"

    def on_done(self):
        print("closed", flush=True)
        return True
"""
TEST = """
import pytest

def test_hello(proxy):
    assert proxy.get().upstream_request.headers["x-hello"] == "world"
"""
# Adds x-wasm: 1, and traps for requests without the header x.
MODULE = """
(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-wasm1")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1000))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $get (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 104)) (then unreachable))
    (call $add (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 1))))
"""


@pytest.fixture
def plain_pytester(plugin_pytester: pytest.Pytester) -> pytest.Pytester:
    """filter.py is there."""
    plugin_pytester.makepyfile(filter=FILTER)
    return plugin_pytester


def fnmatch_any(lines: list[str], pattern: str) -> bool:
    return any(fnmatch.fnmatch(line, pattern) for line in lines)


def write_module(directory: Path) -> Path:
    path = directory / "module.wasm"
    path.write_bytes(wasmtime.wat2wasm(MODULE))
    return path


# --- choosing hosts ---


def test_the_default_is_in_process(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it=TEST)
    result = plain_pytester.runpytest("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it.py::test_hello[[]inprocess[]] PASSED*"])


def test_hosts_are_parameters(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it=TEST)
    hosts = ["--pywasm-host=envoy", "--pywasm-host", "inprocess", "--pywasm-host=envoy"]
    result = plain_pytester.runpytest("--collect-only", "-q", *hosts)
    assert result.outlines[:2] == ["test_it.py::test_hello[envoy]", "test_it.py::test_hello[inprocess]"]


def test_a_test_may_be_limited_to_hosts(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
        def test_steps(proxy):
            proxy.open("GET", "/")
        """
    )
    hosts = ["--pywasm-host=envoy", "--pywasm-host=inprocess"]
    result = plain_pytester.runpytest("--collect-only", "-q", *hosts)
    assert result.outlines[:1] == ["test_it.py::test_steps[inprocess]"]
    assert not any("envoy" in line for line in result.outlines)


def test_a_test_for_other_hosts_says_why_it_does_not_run(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.pywasm(hosts=["wasmtime", "envoy"])
        def test_steps(proxy):
            raise AssertionError("it ran")
        """
    )
    result = plain_pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*runs on wasmtime, envoy only; chosen: inprocess"])


def test_an_unknown_host_is_a_usage_error(plain_pytester: pytest.Pytester) -> None:
    result = plain_pytester.runpytest("--pywasm-host=nginx")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --pywasm-host: no such host: 'nginx'; there are inprocess, wasmtime, envoy"])


def test_other_tests_are_left_alone(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it="def test_other(tmp_path): assert tmp_path.is_dir()")
    result = plain_pytester.runpytest("-v", "--pywasm-host=wasmtime", "--pywasm-host=envoy")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it.py::test_other PASSED*"])


def test_nothing_heavy_is_imported_for_other_tests(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import sys

        def test_imports():
            heavy = {"wasmtime", "h11", "grpc", "rich", "typer", "componentize_py", "mypy", "pywasm_compiler"}
            heavy.add("proxy_wasm_abi")
            assert not heavy & set(sys.modules)
        """
    )
    plain_pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_marker_is_documented(plain_pytester: pytest.Pytester) -> None:
    result = plain_pytester.runpytest("--markers", "--strict-markers")
    shown = iter(result.outlines)
    [signature] = [line for line in shown if line.startswith("@pytest.mark.pywasm(filter=None, hosts=None, ")]
    text = result.stdout.str()
    for field in fields(PluginSettings):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        written = re.search(rf"[(, ]{field.name}=(.*?)(, \w+=|\): )", signature)
        assert written is not None, field.name
        value = eval(written[1], {"LogLevel": LogLevel})
        assert value == (list(default) if isinstance(default, tuple) else default), field.name
        assert re.search(rf"^  {field.name}: \S+ \S+ \S+", text, re.MULTILINE), f"{field.name} is not described"
    for name in OF_THE_TEST:
        assert re.search(rf"^  {name}: \S+ \S+ \S+", text, re.MULTILINE)


def test_without_its_help_the_marker_is_known_all_the_same(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it="import pytest\n@pytest.mark.pywasm(root_id='x')\ndef test_it(): pass")
    plain_pytester.runpytest("--strict-markers").assert_outcomes(passed=1)


def test_the_options_are_documented(plain_pytester: pytest.Pytester) -> None:
    text = plain_pytester.runpytest("--help").stdout.str()
    for option in ("--pywasm-host=HOST", "--pywasm-filter=FILE", "--pywasm-trace=N|all", "--pywasm-strict"):
        assert option in text
    for name in ("pywasm_host (args)", "pywasm_filter (string)", "pywasm_trace (string)", "pywasm_strict (bool)"):
        assert name in text


# --- finding the filter ---


def test_the_filter_beside_the_test_comes_first(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makeini("[pytest]\npywasm_filter = elsewhere/other.py")
    plain_pytester.makepyfile(test_it=TEST)
    plain_pytester.runpytest().assert_outcomes(passed=1)


def test_the_ini_option_is_relative_to_its_file(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makeini("[pytest]\npywasm_filter = src/the_filter.py")
    plain_pytester.mkdir("src").joinpath("the_filter.py").write_text(FILTER)
    plain_pytester.mkdir("tests").joinpath("test_it.py").write_text(TEST)
    plain_pytester.runpytest("tests").assert_outcomes(passed=1)


def test_the_marker_names_a_filter_relative_to_the_test(plain_pytester: pytest.Pytester) -> None:
    directory = plain_pytester.mkdir("tests")
    directory.joinpath("named.py").write_text(FILTER.replace('"world"', '"named"'))
    directory.joinpath("test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.pywasm(filter='named.py')\n"
        "def test_named(proxy): assert proxy.get().upstream_request.headers['x-hello'] == 'named'\n"
        "@pytest.mark.pywasm(filter='../filter.py')\n"
        "def test_up(proxy): assert proxy.get().upstream_request.headers['x-hello'] == 'world'\n"
    )
    plain_pytester.runpytest("tests").assert_outcomes(passed=2)


def test_no_filter_says_where_it_looked(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makeini("[pytest]\npywasm_filter = gone.py")
    plain_pytester.mkdir("tests").joinpath("test_it.py").write_text(TEST)
    result = plain_pytester.runpytest("tests")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "no filter for tests/test_it.py::test_hello[[]inprocess[]]",
            "  not there: *tests/filter.py",
            "  not there: *gone.py",
            "  remedy: name it: @pytest.mark.pywasm(filter='my_filter.py'), *",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_named_filter_that_is_not_there(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it="import pytest\n@pytest.mark.pywasm(filter='nope.py')\ndef test_it(proxy): pass")
    result = plain_pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["  not there: *nope.py", "  remedy: correct `filter` of the marker pywasm"])


def test_a_filter_that_cannot_be_imported(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(filter="import json\n\n1 / 0\n", test_it=TEST)
    result = plain_pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*filter.py:3: raises ZeroDivisionError while it is imported: division by zero", "  remedy: *", "  | *1 / 0*"]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


# --- configuring the plugin ---


def test_the_nearest_marker_wins(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import pytest
        pytestmark = pytest.mark.pywasm(configuration="module", root_id="r")

        def hello(proxy):
            assert proxy.get().logs[0].root_id == "r"
            return proxy.get().upstream_request.headers["x-hello"]

        def test_module(proxy):
            assert hello(proxy) == "module"

        @pytest.mark.pywasm(configuration=b"class")
        class TestClass:
            def test_class(self, proxy):
                assert hello(proxy) == "class"

            @pytest.mark.pywasm(configuration={"a": [1]})
            def test_function(self, proxy):
                assert hello(proxy) == '{"a": [1]}'

            def test_made(self, make_proxy):
                assert hello(make_proxy(configuration="made")) == "made"
                assert hello(make_proxy()) == "class"
        """
    )
    plain_pytester.runpytest("--strict-markers").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("'filter.py'", "*pywasm takes keyword arguments only, not ('filter.py',)*"),
        (
            "configure=1",
            "pywasm has no argument 'configure'; did you mean 'configuration'? it has *",
        ),
        ("configuration=1", "a configuration is bytes, str or a dict, not int"),
    ],
)
def test_mistakes_in_the_marker(plain_pytester: pytest.Pytester, arguments: str, told: str) -> None:
    plain_pytester.makepyfile(test_it=f"import pytest\n@pytest.mark.pywasm({arguments})\ndef test_it(proxy): pass")
    result = plain_pytester.runpytest()
    assert result.ret != 0
    assert fnmatch_any([*result.outlines, *result.errlines], told)


def test_a_refused_configuration_shows_the_log(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import pytest
        from pywasm_filter.testing import PluginConfigurationError

        @pytest.mark.pywasm(configuration="refuse")
        def test_refused(proxy):
            pass

        def test_refusal_is_expected(make_proxy):
            with pytest.raises(PluginConfigurationError) as refused:
                make_proxy(configuration="refuse")
            assert [line.message for line in refused.value.logs] == ["no such greeting"]
        """
    )
    result = plain_pytester.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "on_configure refused the plugin's configuration in the canary VM",
            "its log:",
            "  | [[]error[]] no such greeting",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


# --- the log of a failed test ---


def test_a_failed_test_shows_the_proxys_log(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        def test_fails(make_proxy):
            make_proxy().get()
            make_proxy(configuration="second").get()
            assert False

        def test_fails_early(proxy):
            assert False

        def test_passes(proxy):
            proxy.get()

        def test_has_no_proxy():
            assert False
        """
    )
    result = plain_pytester.runpytest()
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        ["*- proxy log -*", "[[]info[]] greeting world", "*- proxy log -*", "[[]info[]] greeting second"]
    )
    assert sum("- proxy log -" in line for line in result.outlines) == 3
    assert "(the plugin logged nothing)" in result.outlines


def test_proxies_are_closed_after_the_test(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        proxies = []

        def test_first(proxy):
            proxies.append(proxy)
            assert proxy.logs == []

        def test_second():
            assert [line.message for line in proxies[0].logs] == ["closed"] * 2
        """
    )
    plain_pytester.runpytest().assert_outcomes(passed=2)


# --- built modules ---


def test_a_filter_is_built_once_a_session(plain_pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def build(source: Path, recorded: Recorded) -> Path:
        assert recorded is Recorded.NOTHING
        built.append(source)
        return write_module(plain_pytester.path)

    monkeypatch.setattr("pywasm_filter.build.cached_build", build)
    plain_pytester.makepyfile(
        test_it="""
        import pytest

        def check(proxy):
            assert proxy.get(headers={"x": "1"}).upstream_request.headers["x-wasm"] == "1"

        def test_first(proxy): check(proxy)
        def test_second(make_proxy): check(make_proxy(environment={"A": "1"}))
        """
    )
    plain_pytester.runpytest_inprocess("--pywasm-host=wasmtime").assert_outcomes(passed=2)
    assert built == [plain_pytester.path / "filter.py"]


def test_a_module_is_a_filter_too(plain_pytester: pytest.Pytester) -> None:
    write_module(plain_pytester.path)
    plain_pytester.path.joinpath("broken.wasm").write_bytes(b"\0asm")
    plain_pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.pywasm(filter="module.wasm")
        def test_module(proxy):
            assert proxy.get(headers={"x": "1"}).upstream_request.headers["x-wasm"] == "1"

        @pytest.mark.pywasm(filter="broken.wasm")
        def test_broken(proxy):
            pass
        """
    )
    result = plain_pytester.runpytest("--pywasm-host=wasmtime")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*broken.wasm: is truncated: *", "  remedy: *"])


# --- host profiles ---

PROFILED = """
import pytest

class TestElsewhere:
    @pytest.mark.pywasm(host_profile="ats")
    def test_on_the_marker_s(self, proxy):
        assert "x-hello" not in proxy.get().upstream_request.headers

    def test_on_the_chosen(self, proxy, pytestconfig):
        assert proxy.settings.host_profile == "service-extensions"
"""


@pytest.mark.parametrize("way", ["option", "ini"])
def test_a_profile_for_all_tests_that_do_not_say(plain_pytester: pytest.Pytester, way: str) -> None:
    plain_pytester.makepyfile(test_it=PROFILED)
    if way == "ini":
        plain_pytester.makeini("[pytest]\npywasm_profile = service-extensions")
    options = ["--pywasm-profile=service-extensions"] if way == "option" else []
    plain_pytester.runpytest_inprocess(*options).assert_outcomes(passed=2)


def test_a_real_envoy_does_not_run_what_is_for_another_host(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it=TEST)
    result = plain_pytester.runpytest_inprocess("-rs", "--pywasm-host=envoy", "--pywasm-profile=ats")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*a real Envoy is what it is, and not ats: the setting host_profile is for the*"])


def test_an_unknown_profile_is_a_usage_error(plain_pytester: pytest.Pytester) -> None:
    result = plain_pytester.runpytest_inprocess("--pywasm-profile=nginx")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --pywasm-profile: no such host profile: 'nginx'; there are envoy, *"])


def test_a_host_that_does_not_load_the_filter_fails_its_tests_once(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(test_it=TEST)
    result = plain_pytester.runpytest_inprocess("--pywasm-profile=mosn")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the host mosn does not load this filter:", "  it is made for the ABI 0.2.1; *"])
    assert "During handling of the above exception" not in result.stdout.str()


# --- a real Envoy ---

ENVOY_TEST = """
import pytest

pytestmark = pytest.mark.pywasm(filter="module.wasm")
pids = []

def hello(proxy):
    exchange = proxy.get(headers={"x": "1"})
    assert exchange.upstream_request.headers["x-wasm"] == "1"
    pids.append(proxy._envoy.process.pid)

def test_first(proxy):
    hello(proxy)

def test_the_same_is_shared(proxy):
    hello(proxy)
    assert pids[1] == pids[0]

def test_other_settings_are_apart(make_proxy):
    hello(make_proxy(configuration="other"))
    assert pids[2] != pids[0]

def test_a_trap(proxy):
    assert proxy.get().response.status == 503
    assert "proxy_on_request_headers failed" in proxy.notes[0]

def test_after_a_trap_it_is_a_new_one(proxy):
    hello(proxy)
    assert pids[3] not in pids[:3]

def test_steps(proxy):
    proxy.open("GET", "/")
"""


def test_envoys_are_shared_by_settings_and_not_after_a_trap(plain_pytester: pytest.Pytester) -> None:
    write_module(plain_pytester.path)
    plain_pytester.makepyfile(test_it=ENVOY_TEST)
    result = plain_pytester.runpytest_inprocess("--pywasm-host=envoy")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        ["*StepwiseNotSupported: EnvoyProxy cannot be driven step by step; limit the test to the embedded proxy with*"]
    )


def test_envoy_is_not_installed(plain_pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(plain_pytester.path)
    plain_pytester.makepyfile(
        test_it="import pytest\n@pytest.mark.pywasm(filter='module.wasm')\ndef test_it(proxy): pass"
    )
    monkeypatch.setenv("PYWASM_ENVOY", "/nowhere/envoy")
    result = plain_pytester.runpytest("--pywasm-host=envoy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["/nowhere/envoy is no executable file: *"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    plain_pytester.makeconftest("import sys; sys.modules['h11'] = None")
    result = plain_pytester.runpytest_subprocess("--pywasm-host=envoy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the host envoy needs more packages: pip install 'pywasm-filter[[]envoy[]]'"])


def test_grpcio_is_not_installed(plain_pytester: pytest.Pytester) -> None:
    write_module(plain_pytester.path)
    plain_pytester.makeconftest("import sys; sys.modules['grpc'] = None")
    plain_pytester.makepyfile(
        test_it="import pytest\n@pytest.mark.pywasm(filter='module.wasm', grpc_clusters=['a'])\n"
        "def test_it(proxy): proxy.grpc['a']"
    )
    result = plain_pytester.runpytest_subprocess("--pywasm-host=envoy", "--pywasm-host=wasmtime")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        ["gRPC clusters behind a real Envoy need grpcio: pip install 'pywasm-filter[[]envoy[]]'"]
    )


def test_wasmtime_is_not_installed(plain_pytester: pytest.Pytester) -> None:
    write_module(plain_pytester.path)
    plain_pytester.makeconftest("import sys; sys.modules['wasmtime'] = None")
    plain_pytester.makepyfile(
        test_it="import pytest\n@pytest.mark.pywasm(filter='module.wasm')\ndef test_it(proxy): pass"
    )
    result = plain_pytester.runpytest_subprocess("--pywasm-host=wasmtime")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the host wasmtime needs the package wasmtime: pip install wasmtime"])


# --- outcomes within a filter ---


@pytest.mark.parametrize(("outcome", "counts"), [("fail", {"failed": 1}), ("skip", {"skipped": 1})])
def test_an_outcome_within_a_callback_is_the_tests(
    plain_pytester: pytest.Pytester, outcome: str, counts: dict[str, int]
) -> None:
    plain_pytester.makepyfile(
        filter=f"""
        import pytest
        from pywasm_filter import HttpContext

        class Stream(HttpContext):
            def on_request_headers(self, num_headers, end_of_stream):
                pytest.{outcome}("told from within")
        """,
        test_it="def test_it(proxy): proxy.get()",
    )
    result = plain_pytester.runpytest("-rsf")
    result.assert_outcomes(**counts)
    result.stdout.fnmatch_lines(["*told from within*"])


@pytest.mark.parametrize("hosts", ["['inproces']", "'wasmtime'", "['envoy', 'nginx']"])
def test_a_wrong_host_in_the_marker_is_told(plain_pytester: pytest.Pytester, hosts: str) -> None:
    plain_pytester.makepyfile(
        test_it=f"""
        import pytest

        @pytest.mark.pywasm(hosts={hosts})
        def test_it(proxy):
            pass
        """
    )
    result = plain_pytester.runpytest()
    result.assert_outcomes(errors=1)
    expected = "test_it.py::test_it: hosts of the marker pywasm is a list of some of inprocess, wasmtime, envoy, not *"
    assert fnmatch_any(result.outlines, expected)
    assert not fnmatch_any(result.outlines, "*pytest_plugin.py*")


def test_a_module_that_the_cache_has_dropped_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def cached_build(source: Path, recorded: Recorded) -> Path:
        assert recorded is Recorded.NOTHING
        built.append(source)
        return write_module(tmp_path)

    monkeypatch.setattr(builds, "cached_build", cached_build)
    source = tmp_path / "filter.py"
    with ProxySession() as session:
        for environment in ({}, {"a": "b"}):
            session.proxy("wasmtime", [source], PluginSettings(environment=environment)).close()
        assert built == [source]
        (tmp_path / "module.wasm").unlink()
        session.proxy("wasmtime", [source], PluginSettings(environment={"c": "d"})).close()
    assert built == [source, source]


def test_nothing_is_kept_of_a_test_that_is_over(plain_pytester: pytest.Pytester) -> None:
    plain_pytester.makepyfile(
        test_it="""
        import gc, weakref

        kept = []

        def test_first(proxy):
            kept.append(weakref.ref(proxy))

        def test_second():
            gc.collect()
            assert [entry() for entry in kept] == [None]
        """
    )
    plain_pytester.runpytest().assert_outcomes(passed=2)
