"""Each thing that the table of hosts says is played: what the filter sees of it, and what the test is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxy_wasm_abi import find_host, load, load_hosts
from proxy_wasm_abi.hosts import Rules
from wasmtime import wat2wasm

from pywasm_filter.testing import (
    EmbeddedProxy,
    HostMisuse,
    HostRefusesFilter,
    Plugin,
    PluginSettings,
    ProfileNotSupported,
    Proxy,
    Response,
)
from pywasm_filter.testing.guests.inprocess import InProcessGuest
from pywasm_filter.testing.guests.limits import Limits
from pywasm_filter.testing.session import ProxySession, plugin_settings

PROBE = """
from pywasm_filter import (
    Action, Counter, FilterHeadersStatus, HostError, HttpContext, RootContext, call_foreign_function, current_time_ns,
    log_level, shared_data
)

class Probe(HttpContext["Root"]):
    def on_request_headers(self, num_headers, end_of_stream):
        self.seen = [f"{num_headers} {end_of_stream}"]
        return self.run(self.request.headers.get("x-do") or "nothing")

    def on_request_body(self, size, end_of_stream):
        self.seen.append(f"body {size} {end_of_stream}")
        return Action.CONTINUE

    def on_request_trailers(self, count):
        self.seen.append("trailers")
        return Action.CONTINUE

    def on_response_headers(self, num_headers, end_of_stream):
        self.seen.append(f"response {end_of_stream}")
        return self.run(self.response.headers.get("x-do") or "nothing")

    def on_response_body(self, size, end_of_stream):
        self.seen.append(f"body {size} {end_of_stream}")
        return Action.PAUSE if size else Action.CONTINUE

    def on_response_trailers(self, count):
        self.seen.append("trailers")
        return Action.CONTINUE

    def on_done(self):
        print("done", *self.seen, sep="; ", flush=True)
        return True

    def on_log(self):
        print("log", flush=True)

    def run(self, name):
        try:
            said = getattr(self, name)()
        except HostError as error:
            said = type(error).__name__
        if isinstance(said, int):
            return said
        print(said, flush=True)
        return Action.CONTINUE

    def nothing(self):
        return Action.CONTINUE

    def pause(self):
        return Action.PAUSE

    def stop_all(self):
        return FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK

    def answer(self):
        self.send_local_response(418, body="tea")
        return Action.PAUSE

    def share(self):
        shared_data.set("key", b"value")
        return "shared"

    def count(self):
        counter = Counter("hits")
        counter.increment()
        return f"counted {counter.value()}"

    def level(self):
        try:
            return f"level {log_level()}"
        except Exception:
            return "swallowed"

    def call(self):
        self.start_http_call("auth", "GET", "/", on_response=print, timeout=1)
        return "called"

    def foreign(self):
        call_foreign_function("clear_route_cache", b"")
        return "cleared"

    def attribute(self, *path):
        value = self.properties.raw(*path)
        return "absent" if value is None else value.decode()

    def method(self):
        return self.attribute("request", "method")

    def mtls(self):
        return self.attribute("connection", "mtls")

    def port(self):
        return self.attribute("source", "port")

    def route(self):
        return self.attribute("route_name")

    def duration(self):
        return self.attribute("request", "time")

    def header_attribute(self):
        return self.attribute("request", "headers", "x-do")

    def set_other(self):
        self.properties.set_raw("other", value=b"1")
        return "set"

    def set_own(self):
        self.properties.set_raw("wasmx", "own", value=b"1")
        return "set"

    def replace(self):
        self.request.headers["x-new"] = "1"
        self.request.headers["x-old"] = "2"
        return "replaced"

    def absent(self):
        return repr(self.request.headers.get("x-none"))

    def set_all(self):
        kept = [entry for entry in self.request.headers.raw if entry[0] != b"x-old"]
        self.request.headers.raw = [*kept, (b"x-new", b"1")]
        return "assigned"

    def add(self):
        self.request.headers.add("x-old", "2")
        return repr(self.request.headers.getall("x-old"))

    def write_request(self):
        self.request.headers["x-late"] = "1"
        return "written"

    def write_body(self):
        self.response.body.replace(b"early")
        return "written"

    def clock(self):
        return f"{current_time_ns()}"

class Root(RootContext):
    http_context = Probe

    def on_vm_start(self, configuration):
        print("started", flush=True)
        return True

    def on_http_call_response(self, *args):
        pass
"""


@pytest.fixture
def filter_path(tmp_path: Path) -> Path:
    path = tmp_path / "filter.py"
    path.write_text(PROBE)
    return path


OpenProxy = Callable[..., Proxy]


@pytest.fixture
def open_proxy(filter_path: Path) -> OpenProxy:
    """A proxy that plays a host, without the question whether it would load the filter."""

    def make(profile: str, **settings: object) -> Proxy:
        arguments: dict[str, Any] = {"host_profile": profile, **settings}
        return EmbeddedProxy(
            lambda hostcalls: InProcessGuest(filter_path, hostcalls),
            PluginSettings(**arguments),
        )

    return make


def said(proxy: Proxy, do: str, **headers: str) -> str:
    """What the probe printed first when it was asked to do something."""
    lines = proxy.get("/", headers={"x-do": do, **headers}).logs
    return lines[0].message


# --- hostcalls ---


def test_a_hostcall_that_is_not_implemented_raises_in_the_filter(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("envoy"), "share") == "shared"
    assert said(open_proxy("apisix"), "share") == "Unimplemented"


def test_a_hostcall_that_does_nothing_is_fine_for_the_filter(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("envoy"), "count") == "counted 1"
    with open_proxy("apisix") as proxy:
        assert said(proxy, "count") == "counted 0"
        assert proxy.metrics.counters == {}


def test_a_hostcall_that_the_host_does_not_offer_traps_whatever_the_filter_catches(open_proxy: OpenProxy) -> None:
    with open_proxy("ngx_wasm_module") as proxy:
        exchange = proxy.get("/", headers={"x-do": "level"})
        assert exchange.response.status == 503
        assert proxy.traps == [
            "the VM trapped in proxy_on_request_headers: proxy_get_log_level: ngx_wasm_module does not offer it"
        ]


def test_a_hostcall_may_work_in_some_callbacks_alone(open_proxy: OpenProxy) -> None:
    with open_proxy("ngx_wasm_module", clusters=("auth",)) as proxy:
        assert said(proxy, "call") == "called"
        proxy.upstream = Response(200, headers={"x-do": "call"})
        proxy.get("/")
        (trap,) = proxy.traps
        assert "proxy_http_call: ngx_wasm_module does not offer it in proxy_on_response_headers" in trap


def test_a_hostcall_that_aborts_the_host_fails_the_test(open_proxy: OpenProxy) -> None:
    with open_proxy("ats") as proxy, pytest.raises(HostMisuse, match=r"proxy_get_log_level: ats .* aborts"):
        proxy.get("/", headers={"x-do": "level"})


def test_foreign_functions_of_later_versions(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("envoy-1.34"), "foreign") == "cleared"
    assert said(open_proxy("envoy-1.32"), "foreign") == "NotFound"


# --- callbacks ---


def test_callbacks_that_are_never_called(open_proxy: OpenProxy) -> None:
    assert [line.message for line in open_proxy("envoy").logs] == ["started"] * 3
    assert open_proxy("apisix").logs == []


@pytest.mark.parametrize(
    ("profile", "seen"),
    [
        ("envoy", ["log", "done; 6 True; response True"]),
        ("ngx_wasm_module", ["done; 6 False; response False", "log"]),
        ("apisix", ["done; 0 True; response True"]),
        ("ats", ["done; 6 False; response False"]),
    ],
)
def test_arguments_of_headers_and_the_end_of_a_stream(open_proxy: OpenProxy, profile: str, seen: list[str]) -> None:
    exchange = open_proxy(profile).get("/", headers={"x-do": "nothing"})
    assert [line.message for line in exchange.logs] == seen


def seen(proxy: Proxy, upstream: Response | None = None) -> str:
    """What the probe saw of a request with a body and trailers, and of the answer."""
    proxy.upstream = upstream or Response(200)
    exchange = proxy.post("/", headers={"x-do": "nothing"}, body=[b"ab", b"cd"], trailers={"x": "1"})
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"abcd"
    assert bool(exchange.upstream_request.trailers) == (proxy.settings.host_profile == "envoy")
    return next(line.message for line in exchange.logs if line.message.startswith("done"))


def test_a_request_body_in_one_piece_and_no_trailers(open_proxy: OpenProxy) -> None:
    assert "; body 2 False; body 2 False; trailers; response" in seen(open_proxy("envoy"))
    assert "; body 4 True; response" in seen(open_proxy("ngx_wasm_module"))
    assert "; body 2 False; body 2 False; body 0 True; response" in seen(open_proxy("ats"))


def test_a_response_body_is_collected_once_and_up_to_a_limit(open_proxy: OpenProxy) -> None:
    def response_body(profile: str, *chunks: bytes) -> str:
        with open_proxy(profile) as proxy:
            text = seen(proxy, Response(200, body=list(chunks)))
            noted.append(len(proxy.notes))
            return text.partition("response False; ")[2]

    noted: list[int] = []
    assert response_body("ngx_wasm_module", b"ab", b"cd", b"ef") == "body 2 False; body 6 True"
    large = bytes(10_000)
    assert response_body("ngx_wasm_module", large, large, large) == (
        "body 10000 False; body 20000 False; body 10000 False; body 0 True"
    )
    assert noted == [1, 2]  # the second PAUSE is taken for CONTINUE


WRITER = """
from pywasm_filter import Action, HttpContext
from pywasm_filter.sdk import hostcalls

class Writer(HttpContext):
    def on_request_headers(self, num_headers, end_of_stream):
        self.do = self.request.headers["x-do"]
        return Action.CONTINUE

    def on_request_body(self, size, end_of_stream):
        match self.do:
            case "replace":
                self.request.body.replace(b"much longer")
            case "append":
                self.request.body.append(b"!")
            case "prepend":
                self.request.body.prepend(b"!")
            case "set":
                hostcalls.current.proxy_set_buffer_bytes(0, 0, 2, b"much longer")
            case "middle":
                hostcalls.current.proxy_set_buffer_bytes(0, 1, 1, b"!?")
        return Action.CONTINUE
"""


@pytest.mark.parametrize(
    ("do", "body"),
    [("replace", b"much longer"), ("append", b"abc!"), ("prepend", b"!abc"), ("set", b"mu"), ("middle", b"a!")],
)
def test_writing_bodies(tmp_path: Path, do: str, body: bytes) -> None:
    path = tmp_path / "filter.py"
    path.write_text(WRITER)
    with ProxySession() as session:  # which loads it: a body that is not measured is fine
        proxy = session.proxy("inprocess", [path], PluginSettings(host_profile="ngx_wasm_module"))
        exchange = proxy.post("/", headers={"x-do": do}, body=[b"a", b"bc"])
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == body


def test_where_bodies_can_be_written(open_proxy: OpenProxy) -> None:
    with open_proxy("ngx_wasm_module") as proxy:
        proxy.upstream = Response(200, headers={"x-do": "write_body"}, body=[b"late"])
        proxy.get("/")
        (trap,) = proxy.traps
        assert "lets the response's body be written in proxy_on_response_body, not in proxy_on_response_head" in trap


def test_where_a_pause_is_of_no_use(open_proxy: OpenProxy) -> None:
    proxy = open_proxy("ngx_wasm_module")
    proxy.upstream = Response(200, headers={"x-do": "pause"})
    with pytest.raises(HostMisuse, match="headers returned PAUSE, for which ngx_wasm_module has no use"):
        proxy.get("/")
    assert open_proxy("ngx_wasm_module").get("/", headers={"x-do": "answer"}).response.status == 418


def test_statuses_beyond_the_portable_ones(open_proxy: OpenProxy) -> None:
    with pytest.raises(HostMisuse, match=r"headers returned 4; .* knows CONTINUE \(0\) and PAUSE \(1\)"):
        open_proxy("ngx_wasm_module").get("/", headers={"x-do": "stop_all"})


CALLER = """
from pywasm_filter import Action, HttpContext

class Caller(HttpContext):
    async def on_request_headers(self, num_headers, end_of_stream):
        first = await self.http_call("auth", "GET", "/1", timeout=1)
        second = await self.http_call("auth", "GET", "/2", timeout=1)
        if second.status == 403:
            return self.send_local_response(403)
        self.request.headers["x-statuses"] = f"{first.status} {second.status}"
        return Action.CONTINUE
"""


def test_a_request_waits_for_its_callouts_and_goes_on_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(CALLER)
    with ProxySession() as session:
        proxy = session.proxy("inprocess", [path], PluginSettings(host_profile="apisix", clusters=("auth",)))
        exchange = proxy.get("/")
        assert exchange.upstream_request is not None
        assert exchange.upstream_request.headers["x-statuses"] == "200 200"
        assert [callout.request.path for callout in proxy.callouts] == ["/1", "/2"]
        proxy.clusters["auth"] = Response(403)
        assert proxy.get("/").response.status == 403


def test_a_pause_without_a_callout_and_results_that_do_not_count(open_proxy: OpenProxy) -> None:
    with open_proxy("apisix") as proxy:
        proxy.upstream = Response(200, headers={"x-do": "stop_all"}, body=b"x")
        assert proxy.get("/").response.status == 200
        with pytest.raises(HostMisuse, match="proxy_on_request_headers returned PAUSE, for which apisix has no use"):
            proxy.get("/", headers={"x-do": "pause"})


# --- attributes, time ---


@pytest.mark.parametrize(
    ("do", "text"),
    [
        ("method", "GET"),
        ("mtls", "false"),
        ("route", "absent"),
        ("header_attribute", "header_attribute"),
        ("set_other", "NotFound"),
        ("set_own", "set"),
    ],
)
def test_attributes(open_proxy: OpenProxy, do: str, text: str) -> None:
    assert said(open_proxy("ngx_wasm_module"), do) == text


def test_attributes_that_are_not_there_are_empty(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("ats"), "method") == "GET"
    assert said(open_proxy("ats"), "route") == ""


def test_attributes_as_text(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("ngx_wasm_module"), "port").isdecimal()
    seconds, _, fraction = said(open_proxy("ngx_wasm_module"), "duration").partition(".")
    assert seconds.isdecimal()
    assert len(fraction) == 3


def test_a_clock_that_stands_still(open_proxy: OpenProxy) -> None:
    def is_later(profile: str) -> bool:
        with open_proxy(profile) as proxy:
            stream = proxy.open("GET", "/", headers={"x-do": "clock"}, end_stream=True)
            proxy.clock.advance(1)
            stream.respond(Response(200, headers={"x-do": "clock"}))
            first, second = (int(line.message) for line in stream.exchange.logs if line.message.isdecimal())
            return second > first

    assert is_later("envoy")
    assert not is_later("service-extensions")


# --- headers ---


def upstream_headers(proxy: Proxy, do: str) -> dict[str, str]:
    exchange = proxy.get("/", headers={"x-do": do, "x-old": "1"})
    assert exchange.upstream_request is not None
    return {name: value for name, value in exchange.upstream_request.headers.items() if name in ("x-new", "x-old")}


def test_replacing_headers_that_are_not_there(open_proxy: OpenProxy) -> None:
    assert upstream_headers(open_proxy("envoy"), "replace") == {"x-new": "1", "x-old": "2"}
    assert upstream_headers(open_proxy("ats"), "replace") == {"x-old": "2"}


def test_replacing_all_headers_keeps_others(open_proxy: OpenProxy) -> None:
    assert upstream_headers(open_proxy("envoy"), "set_all") == {"x-new": "1"}
    assert upstream_headers(open_proxy("ats"), "set_all") == {"x-new": "1", "x-old": "1"}


def test_headers_that_are_not_there_are_empty(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("envoy"), "absent") == "None"
    assert said(open_proxy("ats"), "absent") == "''"


def test_duplicates_are_joined(open_proxy: OpenProxy) -> None:
    assert said(open_proxy("envoy"), "add", **{"x-old": "1"}) == "['1', '2']"
    with open_proxy("service-extensions") as proxy:
        assert said(proxy, "add", **{"x-old": "1"}) == "['1, 2']"
        exchange = proxy.get("/", headers=[("x-old", "1"), ("x-old", "2")])
        assert exchange.upstream_request is not None
        assert exchange.upstream_request.headers.getall("x-old") == ["1, 2"]
        assert exchange.logs[-1].message.startswith("done; 6 True")


def test_where_headers_can_be_written(open_proxy: OpenProxy) -> None:
    with open_proxy("ngx_wasm_module") as proxy:
        proxy.upstream = Response(200, headers={"x-do": "write_request"})
        proxy.get("/")
        (trap,) = proxy.traps
        assert "lets request headers be written in proxy_on_request_headers, proxy_on_request_body" in trap


# --- what does not load ---


def refused(filter_path: Path, host: str, profile: str, **settings: object) -> list[str]:
    arguments: dict[str, Any] = {"host_profile": profile, **settings}
    with ProxySession() as session, pytest.raises(HostRefusesFilter) as caught:
        session.proxy(host, [filter_path], PluginSettings(**arguments))
    assert caught.value.host == profile
    assert str(caught.value).startswith(f"the host {profile} does not load this filter:\n  ")
    return caught.value.reasons


def test_a_filter_that_needs_what_the_host_lacks_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(
        "from pywasm_filter import HttpContext\n\nclass F(HttpContext):\n    def on_log(self):\n"
        "        print(self.request.headers.byte_size)\n"
    )
    reason = "it imports proxy_get_header_map_size, which the host does not offer; needed by"
    assert refused(path, "inprocess", "ngx_wasm_module") == [f"{reason} {path}:5: self.request.headers.byte_size"]


@pytest.mark.parametrize("imported", ["HttpContext", "Body, HttpContext"])
def test_the_place_is_that_of_the_use_not_of_an_import(tmp_path: Path, imported: str) -> None:
    path = tmp_path / "filter.py"
    path.write_text(
        f"from pywasm_filter import {imported}\n\nclass F(HttpContext):\n"
        "    def on_request_body(self, size, end):\n        assert self.request.body\n"
    )
    reason = "it imports proxy_get_buffer_status, which the host does not offer; needed by"
    assert refused(path, "inprocess", "apisix") == [f"{reason} {path}:5: the length of self.request.body"]


def test_a_small_filter_loads_in_hosts_on_nginx(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text((Path("examples") / "add_header" / "filter.py").read_text())
    with ProxySession() as session:
        for profile in ("ngx_wasm_module", "apisix"):
            exchange = session.proxy("inprocess", [path], PluginSettings(host_profile=profile)).get("/")
            assert exchange.upstream_request is not None


def test_hosts_of_other_abis_and_entry_points(filter_path: Path) -> None:
    reasons = refused(filter_path, "inprocess", "mosn")
    assert reasons[0] == "it is made for the ABI 0.2.1; the host loads 0.1.0"
    assert reasons[-1] == "it does not export _start, which the host requires"


def test_configurations_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text("from pywasm_filter import HttpContext\n\nclass F(HttpContext): ...\n")
    assert refused(path, "inprocess", "service-extensions", configuration=bytes(6 << 20)) == [
        "its configuration has 6,291,456 bytes; with the module, 5 MiB is the limit"
    ]


MODULE = """
(module
  (import "env" "proxy_get_header_map_size" (func (param i32 i32) (result i32)))
  (memory (export "memory") 300)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32)))
"""


@pytest.mark.parametrize(
    ("profile", "reasons"),
    [
        (
            "ngx_wasm_module",
            [
                "it imports env.proxy_get_header_map_size, which the host does not offer",
                "it does not export proxy_on_vm_start, which the host requires",
                "it does not export proxy_on_configure, which the host requires",
            ],
        ),
        ("service-extensions", ["it needs 18.8 MiB of memory; the host gives a VM 16 MiB"]),
    ],
)
def test_modules_that_a_host_does_not_load(tmp_path: Path, profile: str, reasons: list[str]) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(wat2wasm(MODULE))
    assert refused(path, "wasmtime", profile) == reasons


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host_profile": "nginx"}, "no such host profile: 'nginx'; there are envoy, "),
        (
            {"host_profile": "envoy-1.32", "failure_policy": "fail_reload"},
            "envoy-1.32 has no failure policy FAIL_RELOAD",
        ),
        ({"host_profile": "ats", "protocol": "tcp"}, "ats has no plugins for TCP connections"),
        (
            {"host_profile": "envoy-1.34", "allow_on_headers_stop_iteration": True},
            "envoy-1.34 has no setting allow_on_headers_stop_iteration",
        ),
    ],
)
def test_settings_that_a_host_does_not_have(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PluginSettings(**settings)


def test_a_real_envoy_cannot_be_another_host(filter_path: Path) -> None:
    with ProxySession() as session, pytest.raises(ProfileNotSupported, match="a real Envoy is what it is, and not ats"):
        session.proxy("envoy", [filter_path], PluginSettings(host_profile="ats"))


def test_all_rules_that_hosts_have_are_tested_here() -> None:
    """A reminder for whoever adds one: each of these changes something in a test above."""
    tested = """
        attributes attributes_are_text attributes_to_set absent_header_is_empty clock_stands_still duplicate_headers
        end_of_stream foreign_functions_lacking headers_end_stream memory_mebibytes module_mebibytes no_trailers
        num_headers_is_zero only_continue_and_pause pauses_in replace_needs_header request_body_in_one_piece
        response_body_buffer set_pairs_keeps_others settings_lacking writable_request_headers_in
        writable_response_headers_in body_writes_up_to_size writable_request_body_in writable_response_body_in
        waits_for_callouts absent_attribute_is_empty failure_policies_lacking response_results_ignored
    """
    assert {fact.name for host in load_hosts().values() for fact in host.rule_facts} == set(tested.split())
    assert find_host("envoy").rules == Rules()


# --- capabilities ---


@pytest.mark.parametrize(
    ("capabilities", "message"),
    [
        (["proxy_logs"], "no such capability: 'proxy_logs'; 'proxy_log'\\? They are names of the ABI"),
        ("proxy_log", "capabilities is a list of names, not 'proxy_log'"),
        ([], "capabilities is not empty"),
    ],
)
def test_capabilities_that_are_none(capabilities: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        plugin_settings({"capabilities": capabilities})


def test_capabilities_and_a_profile_at_once(open_proxy: OpenProxy) -> None:
    names = [call.name for call in load().hostcalls] + [callback.name for callback in load().callbacks]
    allowed = tuple(name for name in names if name != "proxy_set_property")
    assert said(open_proxy("apisix", capabilities=allowed), "share") == "Unimplemented"
    assert said(open_proxy("apisix", capabilities=allowed), "set_own") == "InternalFailure"


# Logs what random_get returned, as a character: 0 for success, | for ENOTCAPABLE (76).
RANDOM = """
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.store8 (i32.const 16) (i32.add (i32.const 48) (call $random (i32.const 32) (i32.const 4))))
    (call $log (i32.const 2) (i32.const 16) (i32.const 1))))
"""


def test_plugins_of_one_module_have_their_own_capabilities(tmp_path: Path) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(wat2wasm(RANDOM))
    allowed = ["proxy_on_context_create", "proxy_on_request_headers", "proxy_log"]
    plugins = [Plugin(vm_id="a", capabilities=[*allowed, "random_get"]), Plugin(vm_id="b", capabilities=allowed)]
    with ProxySession() as session:
        proxy = session.proxy("wasmtime", [path, path], PluginSettings(plugins=plugins))
        assert [line.message for line in proxy.get("/").logs] == ["0", "|"]


# Grows its memory by 128 pages of 64 KiB, which is 8 MiB, and traps when it cannot.
GROWING = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.eq (memory.grow (i32.const 128)) (i32.const -1)) (then unreachable))
    (i32.const 0)))
"""


@pytest.mark.parametrize(("profile", "statuses"), [("envoy", [200, 200]), ("service-extensions", [200, 503])])
def test_memory_that_a_host_gives(tmp_path: Path, profile: str, statuses: list[int]) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(wat2wasm(GROWING))
    with ProxySession() as session:
        proxy = session.proxy("wasmtime", [path], PluginSettings(host_profile=profile))
        assert [proxy.get("/").response.status for _ in statuses] == statuses
    played = Limits.of(PluginSettings(host_profile="service-extensions", memory_limit_bytes=64 << 20))
    assert played.memory_text == "16 MiB, that of service-extensions"
