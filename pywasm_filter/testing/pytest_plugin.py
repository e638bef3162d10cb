"""The pytest plugin: the fixtures `proxy` and `make_proxy`, on the hosts that --pywasm-host names.

It is loaded into every pytest run of an environment that has this package: what it needs it imports when a test asks
for a proxy.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pywasm_filter.testing.filter_file import fail, find_filter

if TYPE_CHECKING:
    from pywasm_filter.testing.proxy import MakeProxy, Proxy
    from pywasm_filter.testing.session import ProxySession
    from pywasm_filter.testing.settings import PluginSettings

HOSTS = ("inprocess", "wasmtime", "envoy")
_TRACE_LINES = "200"

_proxies = pytest.StashKey[list["Proxy"]]()
_strict = pytest.StashKey[list["Proxy"]]()
_passed = pytest.StashKey[list["Proxy"]]()
_session_of = pytest.StashKey["ProxySession"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("pywasm-filter")
    group.addoption(
        "--pywasm-host",
        action="append",
        default=None,
        metavar="HOST",
        help=f"where filters run: {', '.join(HOSTS)}; repeatable, default {HOSTS[0]}",
    )
    group.addoption(
        "--pywasm-filter",
        default=None,
        metavar="FILE",
        help="the filter under test, or a built module (.wasm), for all tests whose marker names none",
    )
    group.addoption(
        "--pywasm-trace",
        default=None,
        metavar="N|all",
        help=f"how many lines of the trace of a proxy are shown when its test fails; default {_TRACE_LINES}",
    )
    group.addoption(
        "--pywasm-strict",
        action="store_true",
        default=None,
        help="fail tests in which something happened that they have not said may happen; see strict of the marker",
    )
    group.addoption(
        "--pywasm-profile",
        default=None,
        metavar="PROFILE",
        help="the proxy that the embedded proxy plays, such as ngx_wasm_module; see docs/reference/hosts.md",
    )
    parser.addini("pywasm_profile", "as --pywasm-profile, which wins", default="")
    parser.addini("pywasm_host", "as --pywasm-host, which wins; with spaces between hosts", type="args", default=[])
    parser.addini("pywasm_trace", "as --pywasm-trace, which wins", default=_TRACE_LINES)
    parser.addini("pywasm_strict", "as --pywasm-strict, for all tests", type="bool", default=False)
    parser.addini("pywasm_filter", "the filter under test where no filter.py is beside the test, relative to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and check the option."""
    config.addinivalue_line("markers", _marker_line(config))
    _check_hosts(config)
    _trace_lines(config)
    _check_profile(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a proxy on each chosen host."""
    if "pywasm_host" not in metafunc.fixturenames:
        return
    allowed = _marker_arguments(metafunc.definition).get("hosts") or HOSTS
    unknown = [name for name in allowed if name not in HOSTS] if isinstance(allowed, (list, tuple)) else [allowed]
    if unknown:
        fail(
            f"{metafunc.definition.nodeid}: hosts of the marker pywasm is a list of some of {', '.join(HOSTS)}, "
            f"not {allowed!r}"
        )
    chosen = _chosen_hosts(metafunc.config)
    hosts = [name for name in chosen if name in allowed]
    if hosts:
        metafunc.parametrize("pywasm_host", hosts, ids=hosts, indirect=True)
    else:
        elsewhere = pytest.mark.skip(reason=f"runs on {', '.join(allowed)} only; chosen: {', '.join(chosen)}")
        metafunc.parametrize("pywasm_host", [pytest.param(chosen[0], marks=elsewhere)], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has passed, where a strict proxy has seen what the test has not expected."""
    try:
        result = yield
    finally:
        if _session_of in item.stash:
            item.stash[_session_of].coverage.show()  # now: coverage.py may count for this phase of this test
    strict = item.stash.get(_strict, [])
    _check_strict(strict)
    item.stash[_passed] = strict
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show trace and log when a test fails. Nothing is kept of a test that is over: pytest keeps the item."""
    report = yield
    if report.failed:
        for proxy in item.stash.get(_proxies, []):
            report.sections += _sections(proxy, _trace_lines(item.config))
    if report.when == "teardown":
        for key in (_proxies, _strict, _passed):
            item.stash.setdefault(key, [])
            del item.stash[key]
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show what differs between headers, requests and responses."""
    if op != "==":
        return None
    from pywasm_filter.testing.differences import differences

    found = differences(left, right)
    return None if found is None else [f"{type(left).__name__} == {type(right).__name__}", *found]


@pytest.fixture
def pywasm_host(request: pytest.FixtureRequest) -> str:
    """Name of the host on which the test runs: inprocess, wasmtime or envoy."""
    return str(request.param)


@pytest.fixture(scope="session")
def _pywasm_session() -> Iterator[ProxySession]:
    from pywasm_filter.testing.session import ProxySession

    # An outcome may be raised anywhere: by a stand-in that the filter calls, by a time limit on the test.
    with ProxySession(passing=(pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception)) as session:
        yield session


@pytest.fixture
def make_proxy(request: pytest.FixtureRequest, pywasm_host: str, _pywasm_session: ProxySession) -> Iterator[MakeProxy]:
    """Make proxies: a function that takes the arguments of the marker `pywasm`, which win over the marker's.

    Raises PluginConfigurationError when the plugin refuses to start, GuestLoadError for a module that is none.
    """
    node: pytest.Item = request.node
    made: list[Proxy] = []
    strict: list[Proxy] = []
    node.stash[_proxies], node.stash[_strict], node.stash[_session_of] = made, strict, _pywasm_session

    def make(**arguments: Any) -> Proxy:
        merged = {**_marker_arguments(node), **arguments}
        merged.pop("hosts", None)
        merged.setdefault("host_profile", _chosen_profile(node.config))
        is_strict = _is_strict(node, merged.pop("strict", None))
        named = merged.pop("filter", None)
        settings = _settings(merged)
        filters = [
            find_filter(node, named if plugin.filter is None else os.fspath(plugin.filter)) for plugin in settings.chain
        ]
        proxy = _make(_pywasm_session, pywasm_host, filters, settings)
        made.append(proxy)
        if is_strict:
            strict.append(proxy)
        return proxy

    yield make
    for proxy in made:
        proxy.close()
    _pywasm_session.coverage.show()
    settled = node.stash.get(_passed, None)
    _check_strict(settled or [])  # once more: contexts end with the proxy


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    """A proxy with the filter under test in it; see the marker `pywasm`."""
    from pywasm_filter.testing.errors import CallbackTimeout, GuestLoadError, PluginConfigurationError

    refusal = ""
    try:
        made = make_proxy()
    except (PluginConfigurationError, GuestLoadError, CallbackTimeout) as error:
        refusal = str(error)
    if refusal:  # outside, so that it is not told twice
        fail(refusal)
    return made


def _settings(arguments: Mapping[str, Any]) -> PluginSettings:
    from pywasm_filter.testing.session import plugin_settings

    try:
        return plugin_settings(arguments)
    except (TypeError, ValueError) as error:
        fail(str(error))


def _make(session: ProxySession, host: str, filters: Sequence[Path], settings: PluginSettings) -> Proxy:
    from pywasm_compiler.errors import CompileError

    from pywasm_filter.testing.errors import AttributesNotSupported, ProfileNotSupported
    from pywasm_filter.testing.session import HostNotUsable

    try:
        return session.proxy(host, filters, settings)
    except (CompileError, HostNotUsable, AttributesNotSupported) as error:
        fail(str(error))
    except ProfileNotSupported as error:
        pytest.skip(str(error))


def _check_strict(proxies: Iterable[Proxy]) -> None:
    problems = [problem for proxy in proxies for problem in proxy.unexpected]
    if problems:
        said = "\n".join(f"- {problem}".replace("\n", "\n  ") for problem in problems)
        fail(f"strict: the test has not said that this may happen\n{said}")


def _is_strict(node: pytest.Item, said: object) -> bool:
    """What the marker says, the option, the ini file."""
    if said is None:
        return bool(node.config.getoption("--pywasm-strict") or node.config.getini("pywasm_strict"))
    if not isinstance(said, bool):
        fail(f"{node.nodeid}: strict of the marker pywasm is True or False, not {said!r}")
    return said


def _sections(proxy: Proxy, trace_lines: int | None) -> Iterator[tuple[str, str]]:
    """What a failed test shows of a proxy: title and text."""
    from pywasm_filter.testing.errors import TraceNotSupported

    try:
        trace = proxy.trace
    except TraceNotSupported:
        pass
    else:
        yield "proxy trace", trace.text(trace_lines) or "(nothing has crossed)"
    lines = [*map(str, proxy.logs), *(f"[proxy] {note}" for note in proxy.notes)]
    yield "proxy log", "\n".join(lines) or "(the plugin logged nothing)"


def _chosen_profile(config: pytest.Config) -> str:
    """The host that tests play which do not say: what the option says, the ini file, Envoy."""
    return str(config.getoption("--pywasm-profile") or config.getini("pywasm_profile") or "envoy")


def _check_profile(config: pytest.Config) -> None:
    chosen = _chosen_profile(config)
    if chosen == "envoy":
        return
    from proxy_wasm_abi import find_host

    try:
        find_host(chosen)
    except ValueError as error:
        where = "--pywasm-profile" if config.getoption("--pywasm-profile") else "pywasm_profile in the ini file"
        raise pytest.UsageError(f"{where}: {error}") from error


def _trace_lines(config: pytest.Config) -> int | None:
    """The number of lines that --pywasm-trace asks for, or the ini file; None for all."""
    option = config.getoption("--pywasm-trace")
    given = str(config.getini("pywasm_trace") if option is None else option)
    if given == "all":
        return None
    if not given.isdecimal():
        where = "pywasm_trace in the ini file" if option is None else "--pywasm-trace"
        raise pytest.UsageError(f"{where}: a number of lines or 'all', not {given!r}")
    return int(given)


def _chosen_hosts(config: pytest.Config) -> list[str]:
    return list(dict.fromkeys(config.getoption("--pywasm-host") or config.getini("pywasm_host") or [HOSTS[0]]))


def _check_hosts(config: pytest.Config) -> None:
    for name in _chosen_hosts(config):
        if name not in HOSTS:
            where = "--pywasm-host" if config.getoption("--pywasm-host") else "pywasm_host in the ini file"
            similar = get_close_matches(name, HOSTS, 1)
            meant = f"did you mean {similar[0]!r}? " if similar else ""
            raise pytest.UsageError(f"{where}: no such host: {name!r}; {meant}there are {', '.join(HOSTS)}")


def _marker_line(config: pytest.Config) -> str:
    if not config.getoption("--markers", False):
        return "pywasm: what the fixtures `proxy` and `make_proxy` run, and how; `pytest --markers` tells its arguments"
    from pywasm_filter.testing.marker import marker_help

    return marker_help()


def _marker_arguments(node: pytest.Item) -> dict[str, Any]:
    """Arguments of all markers of a test; the nearest win."""
    merged: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("pywasm"))):
        if marker.args:
            fail(f"{node.nodeid}: pywasm takes keyword arguments only, not {marker.args!r}")
        merged.update(marker.kwargs)
    return merged
