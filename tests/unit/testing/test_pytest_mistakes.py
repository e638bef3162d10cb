"""What pytest shows for mistakes in the use of the plugin: one sentence and a remedy, none of our frames."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
import wasmtime

pytest_plugins = ["pytester"]

FILTER = "from pywasm_filter import HttpContext\nclass Greet(HttpContext): pass\n"
# A module that a proxy loads.
MODULE = """
(module
  (memory (export "memory") 1)
  (func (export "{marker}"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1000)))
"""


@pytest.fixture
def project(plugin_pytester: pytest.Pytester) -> pytest.Pytester:
    """filter.py is there, and a test that runs it."""
    plugin_pytester.makepyfile(filter=FILTER, test_it="def test_it(proxy): proxy.get()")
    return plugin_pytester


def make_test(project: pytest.Pytester, arguments: str) -> None:
    project.makepyfile(test_it=f"import pytest\n@pytest.mark.pywasm({arguments})\ndef test_it(proxy): proxy.get()")


def told(result: pytest.RunResult) -> list[str]:
    """What the one error says, below its headline: all of it, so that there is nothing else."""
    result.assert_outcomes(errors=1)
    start = next(number for number, line in enumerate(result.outlines) if "ERROR at setup of test_it" in line)
    end = next(number for number, line in enumerate(result.outlines) if "short test summary info" in line)
    return result.outlines[start + 1 : end]


def write_module(project: pytest.Pytester, marker: str = "proxy_abi_version_0_2_1") -> Path:
    path = project.path / "module.wasm"
    path.write_bytes(wasmtime.wat2wasm(MODULE.replace("{marker}", marker)))
    return path


# --- the file ---


@pytest.mark.parametrize("host", ["inprocess", "wasmtime", "envoy"])
def test_a_package_is_no_filter(project: pytest.Pytester, host: str) -> None:
    package = project.mkpydir("package")
    package.joinpath("__init__.py").write_text(FILTER)
    make_test(project, "filter='package/__init__.py'")
    [message, remedy] = told(project.runpytest(f"--pywasm-host={host}"))
    assert message.startswith(f"{package / '__init__.py'}: is a whole package; a filter is one module")
    assert remedy == (
        "  remedy: name a module of the package, such as filter.py, and let it import the others by their full names"
    )
    make_test(project, "filter='package'")
    assert told(project.runpytest(f"--pywasm-host={host}"))[0].startswith(f"{package}: is a directory")


def test_a_path_that_is_none(project: pytest.Pytester) -> None:
    make_test(project, "filter=3")
    assert told(project.runpytest()) == ["test_it.py::test_it[inprocess]: filter of the marker pywasm is a path, not 3"]


@pytest.mark.parametrize("host", ["inprocess", "wasmtime"])
def test_the_authors_traceback_is_cut_to_his_own_lines(project: pytest.Pytester, host: str) -> None:
    project.makepyfile(filter="import helper\n", helper="def fail():\n    return {}['key']\n\nfail()\n")
    lines = told(project.runpytest(f"--pywasm-host={host}"))
    helper, own = project.path / "helper.py", project.path / "filter.py"
    assert lines == [
        f"{helper}:2: raises KeyError while it is imported: 'key'",
        "  remedy: code at the top of a filter runs at build time; it must not need the proxy, a network or files",
        "  | Traceback (most recent call last):",
        f'  |   File "{own}", line 1, in <module>',
        "  |     import helper",
        f'  |   File "{helper}", line 4, in <module>',
        "  |     fail()",
        f'  |   File "{helper}", line 2, in fail',
        "  |     return {}['key']",
        "  |            ~~^^^^^^^",
        "  | KeyError: 'key'",
    ]


@pytest.mark.parametrize("host", ["inprocess", "wasmtime"])
def test_the_authors_traceback_is_without_the_sdks_lines(project: pytest.Pytester, host: str) -> None:
    project.makepyfile(filter="from pywasm_filter import Counter\n\nCounter('a', labels=3)\n")
    lines = told(project.runpytest(f"--pywasm-host={host}"))
    own = project.path / "filter.py"
    assert lines[0].startswith(f"{own}:3: raises TypeError while it is imported: ")
    assert lines[2:5] == [
        "  | Traceback (most recent call last):",
        f'  |   File "{own}", line 3, in <module>',
        "  |     Counter('a', labels=3)",
    ]
    assert not any("File" in line for line in lines[5:])


@pytest.mark.parametrize("host", ["inprocess", "wasmtime"])
def test_a_syntax_error_shows_the_line(project: pytest.Pytester, host: str) -> None:
    project.makepyfile(filter="import json\nclass Greet(:\n")
    lines = told(project.runpytest(f"--pywasm-host={host}"))
    assert lines[0] == f"{project.path / 'filter.py'}:2: syntax error: invalid syntax"
    assert lines[1].startswith("  remedy: correct the line")
    assert lines[2] == "  | class Greet(:"


# --- built modules ---


def test_a_built_module_does_not_run_in_process(project: pytest.Pytester) -> None:
    module = write_module(project)
    make_test(project, "filter='module.wasm'")
    assert told(project.runpytest()) == [
        f"{module}: is a built module, not the Python file of a filter",
        "  remedy: name the .py file; a built module is tested with --pywasm-host=wasmtime or --pywasm-host=envoy",
    ]


@pytest.mark.parametrize("host", ["wasmtime", "envoy"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hello", "is not WebAssembly: it does not begin with '\\0asm'"),
        (b"\0asm\x0d\0\x01\0", "this is a component, not a core module: no Proxy-Wasm host loads components"),
        (
            "proxy_abi_version_0_3_0",
            "is made for the Proxy-Wasm ABI 0.3.0, which is not known; 0.2.1, 0.2.0, 0.1.0 are",
        ),
        ("other", "is a core module, but not a Proxy-Wasm one: it exports no function proxy_abi_version_0_2_1"),
    ],
    ids=["text", "component", "newer", "other"],
)
def test_modules_that_no_proxy_loads(project: pytest.Pytester, host: str, content: bytes | str, problem: str) -> None:
    module = write_module(project, content if isinstance(content, str) else "")
    if isinstance(content, bytes):
        module.write_bytes(content)
    make_test(project, "filter='module.wasm'")
    [message, remedy] = told(project.runpytest(f"--pywasm-host={host}"))
    assert message == f"{module}: {problem}"
    assert remedy.startswith("  remedy: build it with ")


def test_an_older_module_is_one_for_envoy(project: pytest.Pytester) -> None:
    module = write_module(project, "proxy_abi_version_0_1_0")
    make_test(project, "filter='module.wasm'")
    [message] = told(project.runpytest("--pywasm-host=wasmtime"))
    assert message == (
        f"{module}: the module is made for an ABI that the embedded proxy does not offer: proxy_abi_version_0_1_0; "
        "run the test with --pywasm-host=envoy"
    )
    project.runpytest("--pywasm-host=envoy").assert_outcomes(passed=1)


# --- ports ---


def test_no_port_is_free(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(_socket: socket.socket, _address: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    write_module(project)
    make_test(project, "filter='module.wasm'")
    monkeypatch.setattr(socket.socket, "bind", bind)
    [message] = told(project.runpytest_inprocess("--pywasm-host=envoy"))
    assert message == (
        "the host envoy found no free port of 127.0.0.1: Address already in use; it takes any that is free: "
        "end what holds them all, or run fewer tests at once"
    )


def test_a_port_in_use_is_passed_over(project: pytest.Pytester) -> None:
    """None is fixed: two sessions and any other server get on beside each other."""
    write_module(project)
    project.makepyfile(
        test_it="""
        import pytest
        pytestmark = pytest.mark.pywasm(filter="module.wasm", clusters=["a"])

        def test_two_at_once(make_proxy):
            first, second = make_proxy(), make_proxy(plugin_name="second")
            assert first.get().response.status == second.get().response.status == 200
        """
    )
    project.runpytest("--pywasm-host=envoy").assert_outcomes(passed=1)


# --- the marker ---


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("configuraton=''", "pywasm has no argument 'configuraton'; did you mean 'configuration'? it has filter, *"),
        ("filtr='x.py'", "pywasm has no argument 'filtr'; did you mean 'filter'? it has filter, hosts, strict, *"),
        ("zzz=1", "pywasm has no argument 'zzz'; it has filter, hosts, strict, configuration, *"),
        ("root_id=7", "root_id is a text, not 7"),
        ("routes='canary'", "routes is a list, not 'canary'"),
        ("routes=['canary']", "routes is a list of Route(...), not ['canary']"),
        ("environment=['A=1']", "environment is a dict, not ['A=1']"),
        ("buffer_limit_bytes='1M'", "buffer_limit_bytes is a whole number, not '1M'"),
        ("allow_on_headers_stop_iteration=1", "allow_on_headers_stop_iteration is True or False, not 1"),
        ("log_level='info'", "log_level is a LogLevel, such as LogLevel.DEBUG, not 'info'"),
        ("node={'name': 'x'}", "node has id, cluster, metadata, locality, not 'name'"),
        ("node=3", "node is a dict, not 3"),
    ],
)
def test_arguments_that_cannot_be(project: pytest.Pytester, arguments: str, problem: str) -> None:
    make_test(project, arguments)
    [message] = told(project.runpytest())
    assert message.startswith(problem.removesuffix("*"))
    assert problem.endswith("*") or message == problem


# --- options ---


@pytest.mark.parametrize(
    ("arguments", "ini", "problem"),
    [
        (
            ["--pywasm-host=evnoy"],
            "",
            "--pywasm-host: no such host: 'evnoy'; did you mean 'envoy'? there are *",
        ),
        (
            [],
            "pywasm_host = inprocess nginx",
            "pywasm_host in the ini file: no such host: 'nginx'; there are *",
        ),
        (["--pywasm-trace=-1"], "", "--pywasm-trace: a number of lines or 'all', not '-1'"),
        ([], "pywasm_trace = some", "pywasm_trace in the ini file: a number of lines or 'all', not 'some'"),
    ],
)
def test_options_that_cannot_be(project: pytest.Pytester, arguments: list[str], ini: str, problem: str) -> None:
    project.makeini(f"[pytest]\n{ini}")
    result = project.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {problem}"])


def test_a_filter_on_the_command_line_that_is_not_there(project: pytest.Pytester) -> None:
    assert told(project.runpytest("--pywasm-filter=gone.py")) == [
        "no filter for test_it.py::test_it[inprocess]",
        f"  not there: {project.path / 'gone.py'}",
        "  remedy: correct --pywasm-filter",
    ]
