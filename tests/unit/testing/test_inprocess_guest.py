from __future__ import annotations

import gc
import logging
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest
from pywasm_compiler.errors import CompileError

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.hostcalls import Unbound
from pywasm_filter.testing import (
    EmbeddedProxy,
    HostcallNotSupported,
    LogLevel,
    NoAnswer,
    PluginConfigurationError,
    PluginSettings,
    ProxyTestError,
)
from pywasm_filter.testing.guests.inprocess import InProcessGuest

FILTER = """
import logging, sys, warnings
from pywasm_filter import Action, FailurePolicy, HttpContext, RootContext, register_root_context
from pywasm_filter.sdk import hostcalls

class Stream(HttpContext["Root"]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
{body}
        return Action.CONTINUE

class Root(RootContext):
    http_context = Stream
    failure_policy = FailurePolicy.{policy}
    requests = 0

    def on_configure(self, configuration: bytes) -> bool:
        return configuration != b"refuse"
"""


def proxy_of(tmp_path: Path, body: str, policy: str = "FAIL_CLOSED", **settings: object) -> EmbeddedProxy:
    path = tmp_path / "the_filter.py"
    indented = "\n".join(" " * 8 + line for line in body.splitlines())
    path.write_text(FILTER.format(body=indented, policy=policy))
    return EmbeddedProxy(lambda host: InProcessGuest(path, host), PluginSettings(**settings))  # type: ignore[arg-type]


def test_output_goes_to_the_proxys_log_and_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = """
print("out")
print("err", file=sys.stderr)
logging.getLogger("x").warning("logged")
warnings.warn("beware")
"""
    proxy = proxy_of(tmp_path, body)
    stdout, filters = sys.stdout, warnings.filters
    lines = proxy.get().logs
    assert [line.level for line in lines] == [LogLevel.INFO, LogLevel.ERROR, LogLevel.WARN, LogLevel.WARN]
    assert [line.message for line in lines[:3]] == ["out", "err", "logged"]
    assert lines[3].message.endswith("UserWarning: beware")
    assert capsys.readouterr() == ("", "")
    assert sys.stdout is stdout
    assert warnings.filters is filters
    assert isinstance(hostcalls.current, Unbound)
    # A warning is shown once for each place, as in a VM.
    assert len(proxy.get().logs) == 3


def test_logging_is_put_back(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    proxy_of(tmp_path, "pass").get()
    assert (root.level, list(root.handlers)) == before


def test_each_vm_executes_the_module_anew(tmp_path: Path) -> None:
    body = "self.root.__class__.requests += 1\nself.request.headers['x-count'] = str(self.root.requests)"
    for _ in range(2):
        proxy = proxy_of(tmp_path, body)
        counts = []
        for _ in range(2):
            request = proxy.get().upstream_request
            assert request is not None
            counts.append(request.headers["x-count"])
        assert counts == ["1", "2"]


def test_an_exception_by_the_trap_policy_kills_the_vm(tmp_path: Path) -> None:
    proxy = proxy_of(tmp_path, "raise ValueError('on purpose')", "TRAP")
    assert proxy.get().response.status == 503
    [note] = proxy.notes
    assert note.startswith(
        "the VM trapped in proxy_on_request_headers: ValueError: on purpose\n  0: on_request_headers ("
    )
    assert "the_filter.py:" in note
    assert proxy.get().response.status == 503


def test_an_interrupt_passes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        proxy_of(tmp_path, "raise KeyboardInterrupt").get()


UNSUPPORTED = r"hostcalls.current.proxy_call_foreign_function(b'declare_property', b'\x18\x02')"  # FLATBUFFERS


@pytest.mark.parametrize("policy", ["FAIL_CLOSED", "FAIL_OPEN", "TRAP"])
def test_an_unsupported_hostcall_passes_any_policy(tmp_path: Path, policy: str) -> None:
    with pytest.raises(HostcallNotSupported):
        proxy_of(tmp_path, UNSUPPORTED, policy).get()


def test_an_unsupported_hostcall_is_told_even_if_it_is_swallowed(tmp_path: Path) -> None:
    body = f"""
try:
    {UNSUPPORTED}
except Exception:
    pass
"""
    with pytest.raises(HostcallNotSupported):
        proxy_of(tmp_path, body).get()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("proxy_log(2, 'text')", "TypeError: proxy_log: message is bytes, not str"),
        ("proxy_log(2, bytearray(b'x'))", "TypeError: proxy_log: message is bytes, not bytearray"),
        ("proxy_log(-1, b'')", "OverflowError: proxy_log: level is -1"),
        ("proxy_log(1 << 32, b'')", "OverflowError: proxy_log: level is 4294967296"),
        ("proxy_log('2', b'')", "TypeError: 'str' object cannot be interpreted as an integer"),
        ("proxy_log(2)", "TypeError: proxy_log takes 2 arguments, not 1"),
        ("proxy_record_metric(4, -1)", "OverflowError: proxy_record_metric: value is -1"),
        ("proxy_increment_metric(4, 1 << 63)", "OverflowError: proxy_increment_metric: offset is"),
        ("proxy_nope()", "AttributeError: proxy_nope"),
    ],
)
def test_hostcalls_take_what_a_compiled_filter_can_pass(tmp_path: Path, call: str, error: str) -> None:
    proxy = proxy_of(tmp_path, f"hostcalls.current.{call}")
    exchange = proxy.get()
    assert exchange.response.status == 500
    assert error in exchange.logs[0].message


def test_a_filter_that_cannot_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import nowhere_to_be_found")
    with pytest.raises(CompileError, match="nowhere_to_be_found"):
        EmbeddedProxy(lambda host: InProcessGuest(path, host))


def test_a_hostcall_at_import_is_told(tmp_path: Path) -> None:
    path = tmp_path / "eager.py"
    path.write_text("from pywasm_filter import log, LogLevel\nlog(LogLevel.INFO, 'too early')")
    with pytest.raises(CompileError, match="call it from a callback, not at import"):
        EmbeddedProxy(lambda host: InProcessGuest(path, host))


def test_a_refused_configuration(tmp_path: Path) -> None:
    with pytest.raises(PluginConfigurationError, match="on_configure refused"):
        proxy_of(tmp_path, "pass", configuration=b"refuse")


def test_an_unknown_root_id(tmp_path: Path) -> None:
    path = tmp_path / "named.py"
    path.write_text("from pywasm_filter import *\nregister_root_context(RootContext, 'known')")
    with pytest.raises(PluginConfigurationError, match="no root context for root_id 'nope'; it has 'known'"):
        EmbeddedProxy(lambda host: InProcessGuest(path, host), PluginSettings(root_id="nope"))


def test_errors_of_the_test_have_one_base() -> None:
    assert issubclass(HostcallNotSupported, ProxyTestError)


# --- what a filter may rely on, and must leave alone ---


def filter_in(directory: Path, body: str, top: str = "", configure: str = "True", name: str = "filter") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.py"
    path.write_text(
        "import logging, pickle, sys, warnings\n"
        "from dataclasses import dataclass\n"
        "from pywasm_filter import Action, HttpContext, RootContext\n"
        f"{top}\n"
        "class Stream(HttpContext['Root']):\n"
        "    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:\n"
        f"        {body}\n"
        "        return Action.CONTINUE\n"
        "class Root(RootContext):\n"
        "    http_context = Stream\n"
        "    def on_configure(self, configuration: bytes) -> bool:\n"
        f"        return {configure}\n"
    )
    return path


def in_process(path: Path) -> EmbeddedProxy:
    return EmbeddedProxy(lambda host: InProcessGuest(path, host))


def logged(proxy: EmbeddedProxy) -> list[str]:
    return [line.message for line in proxy.get().logs]


def test_filters_with_names_in_common_are_kept_apart(tmp_path: Path) -> None:
    proxies = []
    for name in ("one", "two"):
        path = filter_in(tmp_path / name, "print(helper.NAME, package.NAME)", "import helper, package.inner as package")
        path.with_name("helper.py").write_text(f"NAME = 'helper of {name}'")
        path.with_name("package").mkdir()
        (path.with_name("package") / "inner.py").write_text(f"NAME = 'package of {name}'")
        proxies.append(in_process(path))
    assert [logged(proxy) for proxy in proxies] == [
        ["helper of one package of one"],
        ["helper of two package of two"],
    ]


def test_a_filter_finds_its_own_module_when_another_of_that_name_was_loaded_later(tmp_path: Path) -> None:
    top = "@dataclass\nclass Point:\n    x: int\n"
    first = in_process(filter_in(tmp_path / "one", "print(pickle.loads(pickle.dumps(Point(7))))", top))
    in_process(filter_in(tmp_path / "two", "pass"))
    assert logged(first) == ["Point(x=7)"]


def test_the_modules_of_the_test_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filter_in(tmp_path, "pass", "import helper", name="iniconfig")
    path.with_name("helper.py").write_text("")
    beside = ModuleType("beside")
    beside.__file__ = str(tmp_path / "beside.py")
    path.with_name("beside.py").write_text("")
    monkeypatch.setitem(sys.modules, "beside", beside)
    before, search_path = dict(sys.modules), sys.path
    assert "iniconfig" in before  # a package that pytest has imported
    in_process(path).get()
    assert {name: sys.modules.get(name) for name in before} == before
    assert "helper" not in sys.modules
    assert sys.path is search_path
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("top", ["sys.path = []", "sys.path.insert(0, '/nowhere')", "del sys.path[0]"])
def test_the_search_path_is_put_back(tmp_path: Path, top: str) -> None:
    before = list(sys.path)
    in_process(filter_in(tmp_path, "pass", top)).get()
    assert sys.path == before


def test_everything_is_put_back_when_the_import_fails(tmp_path: Path) -> None:
    before = (logging.getLogger().level, warnings.filters, list(sys.path), set(sys.modules))
    top = "logging.getLogger().setLevel(5); warnings.simplefilter('error'); sys.path.append('/nowhere'); raise OSError"
    with pytest.raises(CompileError):
        in_process(filter_in(tmp_path, "pass", top))
    assert (logging.getLogger().level, warnings.filters, list(sys.path), set(sys.modules)) == before


@pytest.mark.parametrize("name", ["pywasm_filter", "pywasm_compiler", "proxy_wasm_abi", "json"])
def test_a_name_that_is_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(CompileError, match="has the name of"):
        in_process(filter_in(tmp_path, "pass", name=name))


@pytest.mark.parametrize("place", ["top", "configure"])
def test_a_log_level_of_the_filters_own_holds_and_is_its_alone(tmp_path: Path, place: str) -> None:
    where = {place: "logging.getLogger().setLevel(logging.ERROR)" + (" or True" if place == "configure" else "")}
    body = "logging.info('info'); logging.error('error')"
    before = logging.getLogger().level
    strict = in_process(filter_in(tmp_path / "one", body, **where))
    plain = in_process(filter_in(tmp_path / "two", body))
    for _ in range(2):
        assert logged(strict) == ["error"]
        assert logged(plain) == ["info", "error"]
    assert logging.getLogger().level == before


def test_log_handlers_of_the_filters_own_hold_and_are_its_alone(tmp_path: Path) -> None:
    # pytest has handlers of its own on the root logger: without `force` basicConfig would do nothing.
    top = "logging.basicConfig(force=True, format='mine: %(message)s')"
    body = "logging.error('told')"
    before = list(logging.getLogger().handlers)
    first = in_process(filter_in(tmp_path / "one", body, top))
    second = in_process(filter_in(tmp_path / "two", body))
    for _ in range(2):
        assert logged(first) == ["mine: told"]
        assert logged(second) == ["told"]
    assert logging.getLogger().handlers == before


def test_the_test_runners_log_level_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert logged(in_process(filter_in(tmp_path, "logging.debug('debug')"))) == ["debug"]


def test_warning_filters_of_the_filters_own_hold_and_are_its_alone(tmp_path: Path) -> None:
    body = "warnings.warn('beware'); warnings.warn('old', DeprecationWarning)"
    before = list(warnings.filters)
    top = "warnings.warn('older', DeprecationWarning); warnings.simplefilter('ignore')"
    assert logged(in_process(filter_in(tmp_path / "one", body, top))) == []
    [line] = logged(in_process(filter_in(tmp_path / "two", body)))
    assert line.endswith("UserWarning: beware")
    assert list(warnings.filters) == before


def test_a_debugger_has_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    callers = []

    def hook() -> None:
        callers.append(sys._getframe().f_back)
        print("debugging")

    monkeypatch.setattr(sys, "breakpointhook", hook)
    assert logged(in_process(filter_in(tmp_path, "breakpoint()"))) == []
    assert capsys.readouterr().out == "debugging\n"
    [caller] = callers
    assert caller is not None
    assert caller.f_code.co_filename == str(tmp_path / "filter.py")
    assert sys.breakpointhook is hook


@pytest.mark.parametrize(
    ("top", "remedy"),
    [
        ("from . import helper", "by their full names"),
        ("import nowhere_to_be_found", "put the module beside the filter"),
        ("open('/nowhere')", "runs at build time"),
    ],
)
def test_what_to_do_about_a_failed_import(tmp_path: Path, top: str, remedy: str) -> None:
    with pytest.raises(CompileError) as caught:
        in_process(filter_in(tmp_path, "pass", top))
    assert remedy in caught.value.remedy


def test_a_configuration_of_a_type_that_json_does_not_have(tmp_path: Path) -> None:
    file = tmp_path / "filter.py"
    file.write_text("from pywasm_filter import RootContext\n\nclass Root(RootContext[complex]):\n    pass\n")
    with pytest.raises(CompileError, match="the configuration of Root cannot be read: complex") as caught:
        in_process(file)
    assert "name a type in RootContext" in caught.value.remedy


WATCHER = """
import gc
from pywasm_filter import Action, HttpContext, RootContext, gather, register_root_context

class Stream(HttpContext["Root"]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        gc.collect()
        return Action.CONTINUE

class Root(RootContext):
    http_context = Stream

    def on_configure(self, configuration: bytes) -> bool:
        self.create_task(self.watch())
        return configuration != b"refuse"

    async def watch(self) -> None:
        await gather(self.follow(), self.sleep(60))

    async def follow(self) -> None:
        stream = self.grpc_stream("news", "pkg.News", "Watch")
        try:
            stream.send(b"all")
            async for message in stream:
                pass
        finally:
            print("cleaned up")
            stream.cancel()

register_root_context(Root, "")
"""


def test_what_a_discarded_vm_cleans_up_does_not_touch_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "watcher.py"
    path.write_text(WATCHER)
    settings = PluginSettings(grpc_clusters=["news"])
    gc.disable()
    try:
        proxy = EmbeddedProxy(lambda host: InProcessGuest(path, host), settings)
        proxy.grpc["news"] = NoAnswer()
        assert proxy.get().response.status == 200
        _, call = proxy.grpc_calls  # of the main thread and the worker: the canary's has not left
        assert (call.messages, call.cancelled, proxy.logs) == ([b"all"], False, [])
        proxy.close()
        with pytest.raises(PluginConfigurationError):
            EmbeddedProxy(
                lambda host: InProcessGuest(path, host),
                PluginSettings(grpc_clusters=["news"], configuration=b"refuse"),
            )
    finally:
        gc.enable()
    gc.collect()  # what cleaned up now would print
    assert [line.message for line in proxy.logs] == ["cleaned up"] * 2
    assert capsys.readouterr().out == ""
