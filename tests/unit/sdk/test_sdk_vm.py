"""Callbacks, registration, failures and output."""

import io
import logging
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from proxy_wasm_abi import load

from pywasm_filter import (
    Action,
    FailurePolicy,
    FilterMetadataStatus,
    HttpContext,
    LogLevel,
    RegistrationError,
    RootContext,
    StreamContext,
    log,
    register_root_context,
)
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType
from pywasm_filter.sdk.failures import describe
from pywasm_filter.sdk.log_records import ProxyLogHandler
from pywasm_filter.sdk.output import Redirect
from pywasm_filter.sdk.registry import Registry, begin_collecting, finish_collecting
from pywasm_filter.sdk.vm import CALLBACKS, Vm

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import ScriptedHost


class Recorder(HttpContext[RootContext]):
    """Notes its callbacks in its class."""

    calls: ClassVar[list[tuple[Any, ...]]] = []
    raising: type[BaseException] | None = None

    def _note(self, *call: Any) -> Action:
        self.calls.append(call)
        if self.raising is not None and call[0] != "on_log":
            raise self.raising("boom")
        return Action.CONTINUE

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return self._note("on_request_headers", num_headers, end_of_stream)

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        return self._note("on_request_body", body_size, end_of_stream)

    def on_request_trailers(self, num_trailers: int) -> Action:
        return self._note("on_request_trailers", num_trailers)

    def on_request_metadata(self, num_elements: int) -> Action:
        return self._note("on_request_metadata", num_elements)

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return self._note("on_response_headers", num_headers, end_of_stream)

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        return self._note("on_response_body", body_size, end_of_stream)

    def on_response_trailers(self, num_trailers: int) -> Action:
        return self._note("on_response_trailers", num_trailers)

    def on_response_metadata(self, num_elements: int) -> Action:
        return self._note("on_response_metadata", num_elements)

    def on_log(self) -> None:
        self._note("on_log")

    def on_delete(self) -> None:
        self.calls.append(("on_delete",))


class Root(RootContext):
    """A root whose behaviour a test sets."""

    http_context = Recorder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "calls", [])
    monkeypatch.setattr(Recorder, "raising", None)
    return Recorder


def vm_with(root: type[RootContext] = Root) -> Vm:
    registry = Registry()
    registry.add(root, "")
    vm = Vm(registry)
    vm.proxy_on_context_create(1, 0)
    return vm


def test_the_vm_answers_what_it_declares_with_the_signatures_of_the_abi() -> None:
    abi = load()
    for name in CALLBACKS:
        callback = abi.callback(name)
        assert callback is not None
        code = getattr(Vm, name).__code__
        assert code.co_argcount - 1 == len(callback.params), name
        assert list(code.co_varnames[1 : code.co_argcount]) == [value.name for value in callback.params], name
    assert {name for name in vars(Vm) if name.startswith("proxy_")} == set(CALLBACKS)


def test_the_sdk_has_a_use_for_every_hostcall_and_callback_of_the_abi() -> None:
    package = sys.modules["pywasm_filter.sdk"].__path__[0]
    source = "".join(path.read_text() for path in Path(package).glob("*.py") if path.name != "hostcalls.py")
    unused = [call.name for call in load().hostcalls if f"current.{call.name}(" not in source]
    assert unused == []
    assert set(CALLBACKS) == {callback.name for callback in load().callbacks}


def test_all_callbacks_of_a_stream_arrive(host: "ScriptedHost", recorder: type[Recorder]) -> None:
    vm = vm_with()
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_headers(2, 5, 0) == 0
    assert vm.proxy_on_request_metadata(2, 1) == 0
    assert vm.proxy_on_request_body(2, 10, 1) == 0
    assert vm.proxy_on_request_trailers(2, 1) == 0
    assert vm.proxy_on_response_headers(2, 3, 1) == 0
    assert vm.proxy_on_response_metadata(2, 1) == 0
    assert vm.proxy_on_response_body(2, 7, 0) == 0
    assert vm.proxy_on_response_trailers(2, 2) == 0
    vm.proxy_on_log(2)
    assert vm.proxy_on_done(2) == 1
    vm.proxy_on_delete(2)
    assert recorder.calls == [
        ("on_request_headers", 5, False),
        ("on_request_metadata", 1),
        ("on_request_body", 10, True),
        ("on_request_trailers", 1),
        ("on_response_headers", 3, True),
        ("on_response_metadata", 1),
        ("on_response_body", 7, False),
        ("on_response_trailers", 2),
        ("on_log",),
        ("on_delete",),
    ]
    assert vm.proxy_on_request_headers(2, 5, 0) == 0
    assert len(recorder.calls) == 10


def test_a_metadata_callback_cannot_pause(host: "ScriptedHost") -> None:
    class Metadata(HttpContext[RootContext]):
        def on_request_metadata(self, num_elements: int) -> Action:
            return Action.PAUSE

        def on_response_metadata(self, num_elements: int) -> Action:
            raise ValueError("boom")

    class Open(RootContext):
        http_context = Metadata
        failure_policy = FailurePolicy.FAIL_OPEN

    vm = vm_with(Open)
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_metadata(2, 1) == Action.PAUSE
    assert vm.proxy_on_response_metadata(2, 1) == Action.CONTINUE
    assert host.continued == [], "there is nothing to let pass"


CALLS: list[Callable[[Vm], int]] = [
    lambda vm: vm.proxy_on_request_headers(2, 1, 0),
    lambda vm: vm.proxy_on_request_body(2, 1, 0),
    lambda vm: vm.proxy_on_request_trailers(2, 1),
    lambda vm: vm.proxy_on_request_metadata(2, 1),
    lambda vm: vm.proxy_on_response_headers(2, 1, 0),
    lambda vm: vm.proxy_on_response_body(2, 1, 0),
    lambda vm: vm.proxy_on_response_trailers(2, 1),
    lambda vm: vm.proxy_on_response_metadata(2, 1),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, RecursionError, MemoryError])
def test_no_exception_leaves_a_callback(
    host: "ScriptedHost", recorder: type[Recorder], call: Callable[[Vm], int], error: type[BaseException]
) -> None:
    vm = vm_with()
    vm.proxy_on_context_create(2, 1)
    recorder.raising = error
    assert call(vm) == Action.PAUSE
    assert host.local_responses == [(500, b"python_exception", b"", [], 0xFFFF_FFFF)]
    [(level, message)] = host.logged
    assert level == LogLevel.ERROR
    assert message.startswith(
        f"exception in Recorder.{recorder.calls[0][0]}\nTraceback (most recent call last):\n  File"
    )
    assert message.endswith(f"{error.__name__}: boom")
    assert "sdk/vm.py" not in message
    assert "test_sdk_vm.py" in message
    seen = len(recorder.calls)
    assert call(vm) == Action.CONTINUE
    assert len(recorder.calls) == seen, "a failed stream's author is not called again"
    vm.proxy_on_log(2)
    assert recorder.calls[-1] == ("on_log",)


@pytest.mark.parametrize("direction", ["request", "response"])
def test_a_metadata_callback_cannot_wait(host: "ScriptedHost", direction: str) -> None:
    async def wait(self: HttpContext[RootContext], num_elements: int) -> Action:
        raise AssertionError("it is not run")

    class WaitingRoot(RootContext):
        http_context = type("Waiting", (HttpContext,), {f"on_{direction}_metadata": wait})

    vm = vm_with(WaitingRoot)
    vm.proxy_on_context_create(2, 1)
    assert getattr(vm, f"proxy_on_{direction}_metadata")(2, 1) == Action.PAUSE
    assert f"TypeError: on_{direction}_metadata cannot be async: proxies cannot resume it" in host.logged[0][1]


def test_metadata_says_nothing_about_a_pause(host: "ScriptedHost") -> None:
    """A request that was paused before stays so: FAIL_OPEN resumes it."""

    class Patient(HttpContext[RootContext]):
        def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            return Action.PAUSE

        def on_request_metadata(self, num_elements: int) -> FilterMetadataStatus:
            return FilterMetadataStatus.CONTINUE

    class PatientRoot(RootContext):
        http_context = Patient

    vm = vm_with(PatientRoot)
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_headers(2, 1, 0) == Action.PAUSE
    assert vm.proxy_on_request_metadata(2, 1) == 0
    assert vm._https[2]._request_paused


def test_fail_open_lets_the_stream_pass(host: "ScriptedHost", recorder: type[Recorder]) -> None:
    class Open(Root):
        failure_policy = FailurePolicy.FAIL_OPEN

    vm = vm_with(Open)
    vm.proxy_on_context_create(2, 1)
    recorder.raising = ValueError
    assert vm.proxy_on_request_headers(2, 1, 0) == Action.CONTINUE
    assert host.local_responses == []
    assert len(host.logged) == 1
    assert vm.proxy_on_response_headers(2, 1, 0) == Action.CONTINUE
    assert len(recorder.calls) == 1


def test_trap_logs_and_raises(host: "ScriptedHost", recorder: type[Recorder]) -> None:
    class Trap(Root):
        failure_policy = FailurePolicy.TRAP

    vm = vm_with(Trap)
    vm.proxy_on_context_create(2, 1)
    recorder.raising = ValueError
    with pytest.raises(ValueError, match="boom"):
        vm.proxy_on_request_headers(2, 1, 0)
    assert len(host.logged) == 1


def test_interrupts_pass_where_a_person_sits(host: "ScriptedHost", recorder: type[Recorder]) -> None:
    registry = Registry()
    registry.add(Root, "")
    vm = Vm(registry, passing=(KeyboardInterrupt,))
    vm.proxy_on_context_create(1, 0)
    vm.proxy_on_context_create(2, 1)
    recorder.raising = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        vm.proxy_on_request_headers(2, 1, 0)


def test_a_context_that_cannot_be_created_fails_at_its_first_callback(host: "ScriptedHost") -> None:
    class Broken(HttpContext[RootContext]):
        def on_context_create(self) -> None:
            raise RuntimeError("no luck")

    class BrokenRoot(RootContext):
        http_context = Broken

    vm = vm_with(BrokenRoot)
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_headers(2, 1, 1) == Action.PAUSE
    assert host.local_responses[0][0] == 500
    assert host.logged[0][1].startswith("exception in the creation of an HTTP context of BrokenRoot\n")
    assert "RuntimeError: no luck" in host.logged[0][1]


class Forgetting(HttpContext[RootContext]):
    def __init__(self, context_id: int, root: RootContext) -> None:
        self.state = context_id


class Unlinked(HttpContext[RootContext]):
    def __init__(self, context_id: int, root: RootContext) -> None:
        super().__init__(context_id, RootContext(7))


@pytest.mark.parametrize(
    ("created", "message"),
    [
        (Forgetting, "Forgetting.__init__ must call super().__init__(context_id, root)"),
        (Unlinked, "Unlinked.__init__ must call super().__init__(context_id, root)"),
        (lambda *_: Recorder, "create_http_context returned <class "),
        (lambda *_: HttpContext(5, RootContext(1)), "HttpContext.__init__ must call super().__init__"),
    ],
)
def test_a_context_that_is_none_fails_its_stream_alone(
    host: "ScriptedHost", created: Callable[..., Any], message: str
) -> None:
    class Creating(RootContext):
        def create_http_context(self, context_id: int) -> Any:
            return created(context_id, self)

    vm = vm_with(Creating)
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_headers(2, 1, 1) == Action.PAUSE
    assert host.local_responses[0][0] == 500
    assert message in host.logged[0][1]


def test_a_root_that_does_not_call_super_does_not_start(host: "ScriptedHost") -> None:
    class Silent(RootContext):
        def __init__(self, context_id: int) -> None:
            self.state = context_id

    vm = vm_with(Silent)
    assert vm.proxy_on_vm_start(1, 0) == 0
    assert "Silent.__init__ must call super().__init__(context_id)" in host.logged[0][1]


def test_a_host_that_tells_no_root_id_is_reported(host: "ScriptedHost", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "proxy_get_property", lambda path: (10, b""))
    vm = vm_with(Root)
    assert vm.proxy_on_vm_start(1, 0) == 0
    assert host.logged[0][1].startswith("exception in the choice of the root context\n")
    assert "proxy_get_property: INTERNAL_FAILURE" in host.logged[0][1]


def test_a_context_may_be_empty(host: "ScriptedHost", recorder: type[Recorder]) -> None:
    class Sized(recorder):  # type: ignore[valid-type, misc]
        def __len__(self) -> int:
            return 0

    class SizedRoot(RootContext):
        http_context = Sized

    vm = vm_with(SizedRoot)
    vm.proxy_on_context_create(2, 1)
    vm.proxy_on_log(2)
    vm.proxy_on_delete(2)
    assert recorder.calls == [("on_log",), ("on_delete",)]


@pytest.mark.parametrize("result", [True, 0, 1, 2, -1, 1 << 40, 1.0, "CONTINUE"])
def test_only_an_action_is_a_result(host: "ScriptedHost", result: object) -> None:
    class Odd(HttpContext[RootContext]):
        def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
            return result

    class OddRoot(RootContext):
        http_context = Odd

    vm = vm_with(OddRoot)
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_headers(2, 1, 1) == Action.PAUSE
    assert host.local_responses[0][0] == 500
    assert f"on_request_headers returned {result!r}; return Action.CONTINUE" in host.logged[0][1]


def test_a_callback_that_forgets_its_result_is_told(host: "ScriptedHost") -> None:
    class Forgetful(HttpContext[RootContext]):
        def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
            return None

    class ForgetfulRoot(RootContext):
        http_context = Forgetful

        def on_configure(self, configuration: bytes) -> Any:
            return None

    vm = vm_with(ForgetfulRoot)
    vm.proxy_on_context_create(2, 1)
    assert vm.proxy_on_request_headers(2, 1, 1) == Action.PAUSE
    assert "on_request_headers returned None; return Action.CONTINUE or Action.PAUSE" in host.logged[0][1]
    assert vm.proxy_on_configure(1, 0) == 0
    assert "on_configure returned None; return True or False" in host.logged[1][1]


def test_configurations_reach_the_root(host: "ScriptedHost") -> None:
    seen: list[bytes] = []

    class Configured(RootContext):
        def on_vm_start(self, vm_configuration: bytes) -> bool:
            seen.append(vm_configuration)
            return True

        def on_configure(self, configuration: bytes) -> bool:
            seen.append(configuration)
            return configuration == b"good"

    host.buffers = {int(BufferType.VM_CONFIGURATION): b"vm", int(BufferType.PLUGIN_CONFIGURATION): b"good"}
    vm = vm_with(Configured)
    assert vm.proxy_on_vm_start(1, 2) == 1
    assert vm.proxy_on_configure(1, 4) == 1
    host.buffers[BufferType.PLUGIN_CONFIGURATION] = b"bad"
    assert vm.proxy_on_configure(1, 3) == 0
    assert seen == [b"vm", b"good", b"bad"]


def test_a_root_that_raises_refuses_its_configuration(host: "ScriptedHost") -> None:
    class Raising(RootContext):
        def on_vm_start(self, vm_configuration: bytes) -> bool:
            raise OSError("start")

        def on_configure(self, configuration: bytes) -> bool:
            raise OSError("configure")

    vm = vm_with(Raising)
    assert vm.proxy_on_vm_start(1, 0) == 0
    assert vm.proxy_on_configure(1, 0) == 0
    assert [message.splitlines()[0] for _, message in host.logged] == [
        "exception in Raising.on_vm_start",
        "exception in Raising.on_configure",
    ]


def test_the_root_is_found_by_the_plugins_root_id(host: "ScriptedHost") -> None:
    class Other(RootContext):
        pass

    registry = Registry()
    registry.add(Root, "one")
    registry.add(Other, "two")
    assert registry.find("one") is Root
    assert registry.find("two") is Other
    assert registry.find("three") is None
    assert registry.find("") is None
    single = Registry()
    single.add(Root, "one")
    assert single.find("") is Root
    assert single.find("two") is None
    host.properties[b"plugin_root_id"] = b"three"
    vm = Vm(registry)
    vm.proxy_on_context_create(1, 0)
    assert vm.proxy_on_vm_start(1, 0) == 1
    assert vm.proxy_on_configure(1, 0) == 0
    assert host.logged == [(LogLevel.ERROR, "the module has no root context for root_id 'three'; it has 'one', 'two'")]


def module_of(source: str) -> types.ModuleType:
    module = types.ModuleType("authors")
    module.__dict__.update(
        RootContext=RootContext, HttpContext=HttpContext, StreamContext=StreamContext, register=register_root_context
    )
    exec(source, module.__dict__)
    return module


def roots_of(source: str) -> dict[str, type[RootContext]]:
    registry = begin_collecting()
    finish_collecting(registry, module_of(source))
    return registry.roots


HTTP = "class A(HttpContext): pass\n"
TCP = "class C(StreamContext): pass\n"
ROOT = "class R(RootContext): pass\n"


def http_name(root: type[RootContext]) -> str:
    assert root.http_context is not None
    return root.http_context.__name__


def test_a_single_class_needs_no_registration() -> None:
    assert http_name(roots_of(HTTP)[""]) == "A"
    assert roots_of(ROOT)[""].__name__ == "R"
    paired = roots_of(HTTP + ROOT)[""]
    assert (paired.__name__, http_name(paired)) == ("R", "A")
    explicit = roots_of(HTTP + "class R(RootContext):\n    http_context = A\n")[""]
    assert explicit.__name__ == "R"
    assert roots_of(TCP)[""].stream_context is not None
    both = roots_of(HTTP + TCP + ROOT)[""]
    assert (http_name(both), both.stream_context is not None) == ("A", True)
    derived = roots_of(HTTP + "class B(A): pass\n")[""]
    assert http_name(derived) == "B"


def test_a_root_that_creates_its_contexts_may_choose_among_several() -> None:
    chooser = "class R(RootContext):\n    def create_http_context(self, context_id): return A(context_id, self)\n"
    assert roots_of(HTTP + "class B(HttpContext): pass\n" + chooser)[""].__name__ == "R"
    assert list(roots_of(HTTP + chooser + "register(R, 'r')")) == ["r"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (HTTP + ROOT + "register(R)", "no registered root context creates A; set http_context = A in its class"),
        ("x = 1", "no subclass of HttpContext, StreamContext or RootContext in the module"),
        (HTTP + TCP + ROOT + "register(R)", "no registered root context creates A"),
        (TCP + ROOT + "register(R)", "set stream_context = C in its class"),
        (TCP + "class D(StreamContext): pass", "C and D are all stream contexts"),
        (HTTP + "class B(HttpContext): pass", "A and B are all HTTP contexts"),
        (ROOT + "class S(RootContext): pass", "R and S are all root contexts"),
        (ROOT + "register(R, 'a'); register(R, 'a')", "root_id 'a' is registered twice: R and R"),
        (HTTP + "register(A)", "needs a subclass of RootContext, not <class 'authors.A'>"),
    ],
)
def test_unclear_registration_is_refused(source: str, message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        roots_of(source)


def test_output_goes_to_the_proxys_log(host: "ScriptedHost") -> None:
    saved = sys.stdout, sys.stderr, warnings.showwarning, logging.getLogger().level
    redirect = Redirect()
    with redirect:
        print("one", 2)
        print("a\nb", end="")
        print("error", file=sys.stderr)
        sys.stdout.flush()
        logging.getLogger("x").debug("debug %d", 1)
        logging.getLogger("x").info("info")
        logging.warning("warn")
        logging.error("err")
        logging.critical("crit")
        logging.log(5, "not shown below DEBUG")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning("old", DeprecationWarning, "f.py", 3)
        log(LogLevel.TRACE, "trace \udcff")
    assert host.logged == [
        (LogLevel.INFO, "one 2"),
        (LogLevel.INFO, "a"),
        (LogLevel.ERROR, "error"),
        (LogLevel.INFO, "b"),
        (LogLevel.DEBUG, "debug 1"),
        (LogLevel.INFO, "info"),
        (LogLevel.WARN, "warn"),
        (LogLevel.ERROR, "err"),
        (LogLevel.CRITICAL, "crit"),
        (LogLevel.WARN, "f.py:3: DeprecationWarning: old"),
        (LogLevel.TRACE, "trace \\udcff"),
    ]
    assert (sys.stdout, sys.stderr, warnings.showwarning, logging.getLogger().level) == saved


def test_the_authors_basic_config_is_the_format_of_the_proxys_log(
    host: "ScriptedHost", capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    logging.basicConfig(format="%(name)s: %(message)s")
    console = root.handlers[0]
    with Redirect():
        logging.getLogger("mine").warning("once")
    assert host.logged == [(LogLevel.WARN, "mine: once")]
    assert capsys.readouterr() == ("", "")
    assert root.handlers == [console]


def test_a_handler_of_the_authors_own_stays(host: "ScriptedHost", monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(kept)])
    with Redirect():
        logging.getLogger("mine").warning("twice")
    assert (host.logged, kept.getvalue()) == ([(LogLevel.WARN, "twice")], "twice\n")


def test_a_level_that_the_filter_sets_lasts(host: "ScriptedHost") -> None:
    before = logging.getLogger().level
    redirect = Redirect()
    with redirect:
        logging.getLogger().setLevel(logging.ERROR)
    assert logging.getLogger().level == before
    with redirect:
        logging.getLogger("mine").warning("dropped")
        logging.getLogger("mine").error("kept")
    assert host.logged == [(LogLevel.ERROR, "kept")]


def test_an_unfinished_line_ends_with_its_stream(host: "ScriptedHost") -> None:
    class Printing(HttpContext[RootContext]):
        def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            print("half a line", end="")
            if end_of_stream:
                raise ValueError("boom")
            return Action.CONTINUE

    class PrintingRoot(RootContext):
        http_context = Printing

    vm = vm_with(PrintingRoot)
    with Redirect():
        for stream, end_of_stream in ((2, 0), (3, 1)):
            vm.proxy_on_context_create(stream, 1)
            vm.proxy_on_request_headers(stream, 1, end_of_stream)
            vm.proxy_on_delete(stream)
    assert [text.partition("\n")[0] for _, text in host.logged] == [
        "half a line",
        "half a line",
        "exception in Printing.on_request_headers",
    ]


def at_mount_point(filename: str) -> Exception:
    """An exception raised in a file of that name."""
    try:
        exec(compile("\n1 / 0", filename, "exec"), {})
    except ZeroDivisionError as error:
        return error
    raise AssertionError("nothing was raised")


def test_file_names_are_those_of_the_author_wherever_a_traceback_stands(
    host: "ScriptedHost", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # the test runner's would format the traceback first
    group = ExceptionGroup("several", [at_mount_point("/2/in_group.py")])
    group.__cause__ = at_mount_point("/2/cause.py")
    text = describe("f", group)
    assert 'File "in_group.py", line 2' in text
    assert 'File "cause.py", line 2' in text
    with Redirect():
        logging.getLogger("x").error("told", exc_info=at_mount_point("/2/logged.py"))
        warnings.showwarning("old", DeprecationWarning, "/2/warned.py", 3)
    assert 'File "logged.py", line 2' in host.logged[0][1]
    assert host.logged[1] == (LogLevel.WARN, "warned.py:3: DeprecationWarning: old")


def test_a_chain_of_exceptions_may_be_longer_than_the_stack() -> None:
    error = ValueError("first")
    for number in range(2 * sys.getrecursionlimit()):
        following = ValueError(number)
        following.__context__ = error
        error = following
    assert "ValueError: first\n" in describe("f", error)


def test_a_bad_format_string_does_not_take_the_callback_down(
    host: "ScriptedHost", capsys: pytest.CaptureFixture[str]
) -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%d", ("x",), None)
    ProxyLogHandler().emit(record)
    assert host.logged == []
    assert "TypeError: %d format" in capsys.readouterr().err


def test_binding_is_undone_in_order(host: "ScriptedHost") -> None:
    assert hostcalls.current is host
