"""Callbacks with wrong names, parameters and results; and those that are right in their own way."""

from __future__ import annotations

from pathlib import Path

import proxy_wasm_abi
import pytest

from pywasm_filter.checks import sdk
from pywasm_filter.checks.checker import check_source
from tests.unit.checks.marked import HEADER, assert_marked


def http(body: str) -> str:
    return f"{HEADER}\nclass Stream(HttpContext):\n" + "".join(f"    {line}\n" for line in body.splitlines())


def root(body: str) -> str:
    return http(body).replace("HttpContext)", "RootContext)").replace("Stream", "Root")


def remedy_of(directory: Path, source: str) -> str:
    path = directory / "filter.py"
    path.write_text(source)
    [finding] = check_source(path).findings
    return finding.remedy


# --- what is known of the SDK ---


def test_callbacks_are_those_of_the_abi() -> None:
    """Each callback that the ABI's table names as the SDK's is known, with the parameters that it gets."""
    for callback in proxy_wasm_abi.load().callbacks:
        for face in callback.names.python:
            context, _, name = face.path.partition(".")
            for each in sdk.CONTEXTS if context == "Context" else [context]:
                if each in sdk.CONTEXTS and name.startswith(("on_", "create_")):
                    assert name in sdk.callbacks(each), face


def test_what_may_be_async_is_what_the_guide_says() -> None:
    may = {
        (context, name)
        for context in sdk.CONTEXTS
        for name, spec in sdk.callbacks(context).items()
        if spec.may_be_async
    }
    streams = {f"on_{side}_{part}" for side in ("request", "response") for part in ("headers", "body", "trailers")}
    assert may == {
        *(("HttpContext", name) for name in streams),
        ("StreamContext", "on_new_connection"),
        ("StreamContext", "on_downstream_data"),
        ("RootContext", "on_tick"),
        ("RootContext", "on_queue_ready"),
    }


def test_what_is_awaited() -> None:
    for name in ("HttpContext.http_call", "RootContext.grpc_call", "StreamContext.sleep", "gather", "wait_for"):
        assert sdk.must_be_awaited(f"pywasm_filter.{name}")
    for name in (
        "HttpContext.start_http_call",
        "HttpContext.create_task",
        "log",
        "HttpContext.grpc_stream",
        "nothing.x",
    ):
        assert not sdk.must_be_awaited(f"pywasm_filter.{name}")
    assert not sdk.must_be_awaited("asyncio.sleep")


# --- names ---

NAMES = {
    # Rust, Go, C++, AssemblyScript, the ABI
    "on_http_request_headers": "on_request_headers",
    "on_http_response_body": "on_response_body",
    "OnHttpRequestHeaders": "on_request_headers",
    "onRequestBody": "on_request_body",
    "proxy_on_request_trailers": "on_request_trailers",
    "onLog": "on_log",
    # slips
    "on_request_header": "on_request_headers",
    "on_requst_headers": "on_request_headers",
    "on_response_trailer": "on_response_trailers",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_others_and_slips(name: str, tmp_path: Path) -> None:
    source = http(f"def {name}(self, count, end):  # !callback-name\n    return Action.CONTINUE")
    assert_marked(tmp_path, source)
    assert f"name it {NAMES[name]}(self" in remedy_of(tmp_path, source)


@pytest.mark.parametrize(
    "name", ["OnPluginStart", "on_configuration", "onConfigure", "on_vm_started", "OnTick", "onStart"]
)
def test_names_of_root_callbacks(name: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, root(f"def {name}(self, size):  # !callback-name\n    return True"))


def test_callbacks_of_another_context(tmp_path: Path) -> None:
    assert_marked(tmp_path, http("def on_tick(self):  # !callback-name\n    pass"))
    assert (
        remedy_of(tmp_path, http("def on_tick(self):\n    pass"))
        == "move it to the class that derives from RootContext"
    )
    assert_marked(tmp_path, root("def on_request_headers(self, a, b):  # !callback-name\n    return Action.CONTINUE"))


def test_other_names(tmp_path: Path) -> None:
    assert_marked(tmp_path, http("def on_authorised(self):  # ?callback-name\n    pass"))


MENTIONED = [
    "def on_answer(self, a):\n    pass\ndef on_log(self):\n    self.start_http_call('a', 'GET', '/', self.on_answer)",
    "def on_request_header(self, name):\n    pass\ndef on_log(self):\n    self.on_request_header('x')",
    "def on_other(self):\n    pass\ndef on_log(self):\n    getattr(self, 'on_other')()",
    "def reject(self):\n    pass\ndef _on(self):\n    pass\nonly = 1\ndef online(self):\n    pass",
    "@property\ndef on_line(self):\n    return 1",
]


@pytest.mark.parametrize("body", MENTIONED)
def test_methods_of_the_authors_own(body: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, http(body))


def test_hooks_of_the_authors_own_base_class(tmp_path: Path) -> None:
    source = f"""{HEADER}
from base import Guarded, Mixin
import typing

class Stream(Guarded):
    def on_allowed(self) -> None:
        print()

class Plain:
    def on_http_request_headers(self): pass

class Stream2(Mixin, HttpContext):
    def on_special(self): pass

class Root(RootContext):
    http_context = Stream

register_root_context(Root)
"""
    base = f"""{HEADER}
from somewhere_not_there import Mixin  # !unknown-module

class Guarded(HttpContext):
    def on_request_headers(self, num_headers, end_of_stream):
        self.on_allowed()
        return Action.CONTINUE

    def on_allowed(self) -> None:
        raise NotImplementedError

    def on_requst_body(self, a, b):  # !callback-name
        return Action.CONTINUE
"""
    assert_marked(tmp_path, source, base=base)


OTHERS = {
    "self.get_http_request_header('x')": "self.request.headers[name]",
    "self.dispatch_http_call('a', [])": "Context.http_call",
    "self.resume_http_request()": "HttpContext.continue_request",
    "self.sendLocalResponse(403)": "HttpContext.send_local_response",
    "self.root.set_tick_period_milliseconds(5)": "RootContext.set_tick_period",
    "self.get_property(['source'])": "self.properties.source.address",
}


@pytest.mark.parametrize("call", OTHERS)
def test_methods_of_other_sdks(call: str, tmp_path: Path) -> None:
    source = http(f"def on_log(self):\n    {call}  # !other-sdk")
    assert_marked(tmp_path, source)
    assert OTHERS[call] in remedy_of(tmp_path, source)


@pytest.mark.parametrize(
    "body",
    [
        "def get_http_request_header(self, name):\n    pass\ndef on_log(self):\n    self.get_http_request_header('x')",
        "get_property = None\ndef on_log(self):\n    print(self.get_property)",
        "def on_log(self):\n    self.get_property = 5\n    print(self.get_property, self.request.get_property)",
        "def on_log(self):\n    self.unknown(); self.done(); self.context_id; self.root.config",
    ],
)
def test_attributes_of_the_authors_own_class(body: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, http(body))


@pytest.mark.parametrize("bases", ["HttpContext, Mixin", "Mixin, HttpContext", "Base"])
def test_attributes_from_elsewhere(bases: str, tmp_path: Path) -> None:
    source = f"""{HEADER}
from json import JSONDecoder as Mixin

class Base(HttpContext):
    def __getattr__(self, name): return print

class Stream({bases}):
    def on_log(self):
        self.get_property('x')
"""
    assert_marked(tmp_path, source)


# --- parameters ---

BAD_PARAMETERS = [
    "self",
    "self, num_headers",
    "self, a, b, c",
    "self, a, b, *, c",
    "num_headers",
    "",
    "self, *, num_headers, end_of_stream",
    "a, b, c, d",
]
GOOD_PARAMETERS = [
    "self, a, b",
    "self, a, b, c=None",
    "self, *args",
    "self, a, *rest, key=None",
    "self, /, a, b",
    "*args",
    "this, headers, end_of_stream=False, **more",
]


@pytest.mark.parametrize("parameters", BAD_PARAMETERS)
def test_parameters_that_do_not_fit(parameters: str, tmp_path: Path) -> None:
    source = http(f"def on_request_headers({parameters}):  # !callback-signature\n    return Action.CONTINUE")
    assert_marked(tmp_path, source)
    assert remedy_of(tmp_path, source) == "define it as on_request_headers(self, num_headers, end_of_stream)"


@pytest.mark.parametrize("parameters", GOOD_PARAMETERS)
def test_parameters_that_fit(parameters: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, http(f"def on_request_headers({parameters}):\n    return Action.CONTINUE"))


def test_static_methods_and_what_decorators_make(tmp_path: Path) -> None:
    body = (
        "@staticmethod\ndef on_request_headers(a, b):\n    return Action.CONTINUE\n"
        "@classmethod\ndef on_request_body(cls, a, b):\n    return Action.CONTINUE\n"
        "@staticmethod\ndef on_request_trailers(self, a):  # !callback-signature\n    return Action.CONTINUE\n"
        "@traced('x')\ndef on_response_headers(self):\n    return None\n"
        "@typing.override\ndef on_response_body(self):  # !callback-signature\n    return Action.CONTINUE\n"
        "def on_log(self, status):  # !callback-signature\n    pass\n"
    )
    assert_marked(
        tmp_path,
        http(body).replace("class Stream", "import typing\nfrom helper import traced\nclass Stream"),
        helper="traced = print",
    )


def test_constructors(tmp_path: Path) -> None:
    source = f"""{HEADER}
class A(HttpContext["Root"]):
    def __init__(self, context_id):  # !callback-signature
        super().__init__(context_id, None)

class B(HttpContext["Root"]):
    def __init__(self, context_id, root):  # !callback-signature
        self.count = 0

class C(HttpContext["Root"]):
    def __init__(self, context_id, root):
        super().__init__(context_id, root)

class D(HttpContext["Root"]):
    def __init__(self, *args):
        HttpContext.__init__(self, *args)

class Root(RootContext):
    http_context = A

    def __init__(self, context_id):
        self.count = 0
        super().__init__(context_id)

register_root_context(Root)
"""
    assert_marked(tmp_path, source)


# --- async ---

NOT_ASYNC = [
    "on_log(self)",
    "on_done(self)",
    "on_delete(self)",
    "on_context_create(self)",
    "on_request_metadata(self, count)",
]


@pytest.mark.parametrize("header", NOT_ASYNC)
def test_what_cannot_be_async(header: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, http(f"async def {header}:  # !callback-async\n    print()"))


@pytest.mark.parametrize(
    "header",
    [
        "on_vm_start(self, c)",
        "on_configure(self, c)",
        "on_foreign_function(self, a, b)",
        "on_exception(self, e, c)",
        "create_http_context(self, i)",
    ],
)
def test_what_of_a_root_cannot_be_async(header: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, root(f"async def {header}:  # !callback-async\n    return True"))


def test_what_may_be_async(tmp_path: Path) -> None:
    source = f"""{HEADER}
class Stream(HttpContext):
    async def on_request_headers(self, a: int, b: bool) -> Action:
        return Action.CONTINUE

    async def on_response_trailers(self, a: int) -> FilterTrailersStatus:
        return FilterTrailersStatus.CONTINUE

class Connection(StreamContext):
    async def on_new_connection(self):
        return Action.CONTINUE

    async def on_upstream_data(self, a, b):  # !callback-async
        return Action.CONTINUE

class Root(RootContext):
    http_context = Stream
    stream_context = Connection

    async def on_tick(self):
        await self.sleep(1)

    async def on_queue_ready(self, queue):
        for item in queue:
            print(item)
"""
    assert_marked(tmp_path, source)


def test_generators(tmp_path: Path) -> None:
    assert_marked(tmp_path, http("def on_request_headers(self, a, b):  # !callback-async\n    yield Action.CONTINUE"))
    inner = "def on_request_headers(self, a, b):\n    def inner():\n        yield 1\n    return Action.CONTINUE"
    assert_marked(tmp_path, http(inner))


# --- results ---

BAD_RESULTS = [
    "def on_request_headers(self, a, b) -> bool:  # !callback-result\n    return True",
    "def on_request_headers(self, a, b) -> 'None':  # !callback-result\n    pass",
    "def on_request_headers(self, a, b) -> Action | None:  # !callback-result\n    return None",
    "def on_request_headers(self, a, b) -> HttpResponse:  # !callback-result\n    return self.x",
    "async def on_request_headers(self, a, b) -> int:  # !callback-result\n    return 1",
    "def on_request_headers(self, a, b):  # !callback-result\n    self.request.headers['x'] = 'y'",
    "def on_request_headers(self, a, b):\n    if a:\n        return  # !callback-result\n    return Action.CONTINUE",
    "def on_request_headers(self, a, b):\n    return None  # !callback-result",
    "def on_request_headers(self, a, b):\n    return True  # !callback-result",
    "def on_request_headers(self, a, b):\n    return 'CONTINUE'  # !callback-result",
    "def on_request_headers(self, a, b):\n    return 0  # !callback-result",
    "def on_request_body(self, a, b):\n    return {}  # !callback-result",
    "def on_done(self):  # !callback-result\n    print()",
    "def on_done(self):\n    return Action.CONTINUE if 0 else 1\ndef on_log(self):\n    return 5",
]


@pytest.mark.parametrize("body", BAD_RESULTS)
def test_results_that_are_no_action(body: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, http(body))


GOOD_RESULTS = [
    "def on_request_headers(self, a, b) -> FilterHeadersStatus:\n    return FilterHeadersStatus.STOP_ITERATION",
    "def on_request_headers(self, a, b) -> Action | FilterHeadersStatus:\n    return Action.PAUSE",
    "def on_request_headers(self, a, b) -> 'Verdict':\n    return self.verdict()",
    "def on_request_headers(self, a, b) -> object:\n    return self.verdict()",
    "def on_request_headers(self, a, b):\n    return self.send_local_response(403)",
    "def on_request_headers(self, a, b):\n    raise NotImplementedError",
    "def on_request_headers(self, a, b):\n    while True:\n        print()",
    "def on_request_headers(self, a, b):\n    def f():\n        return None\n    f()\n    return Action.CONTINUE",
    "def on_request_headers(self, a, b):\n    match a:\n        case _:\n            return Action.CONTINUE",
    "def on_log(self) -> None:\n    return None",
    "def on_done(self) -> bool:\n    return False",
]


@pytest.mark.parametrize("body", GOOD_RESULTS)
def test_results_that_are_fine(body: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, http(body))


def test_results_of_a_root(tmp_path: Path) -> None:
    source = f"""{HEADER}
class Root(RootContext):
    def on_configure(self, configuration: bytes):  # !callback-result
        self.text = configuration

    def on_vm_start(self, configuration: bytes):
        return Action.CONTINUE

    def on_tick(self) -> int:
        return 5

    def on_exception(self, error, context) -> str:  # !callback-result
        return "open"
"""
    assert_marked(tmp_path, source)
