"""Faults: what the filter sees of each, when they strike, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywasm_filter.testing import EmbeddedProxy, PluginSettings, Proxy, Status
from pywasm_filter.testing.guests.inprocess import InProcessGuest
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule

FILTER = """
from pywasm_filter import Action, HostError, HttpContext, RootContext, SharedQueue, shared_data

class Probe(HttpContext["Root"]):
    def on_request_headers(self, num_headers, end_of_stream):
        try:
            getattr(self, self.request.path.strip("/"))()
        except HostError as error:
            self.answer(f"{type(error).__name__} {error}")
        except Exception as error:
            self.answer(f"swallowed {error}")
        return Action.PAUSE

    def on_response_headers(self, num_headers, end_of_stream):
        return Action.CONTINUE

    def answer(self, text):
        self.send_local_response(200, body=text)

    def address(self):
        self.answer(self.properties.source.address + " " + self.properties.request.protocol)

    def update(self):
        seen = []
        shared_data.update("key", lambda present: seen.append(present) or (present or b"") + b"+")
        self.answer(repr(seen))

    def set(self):
        shared_data.set("key", b"0")
        self.answer("set")

    def dequeue(self):
        self.root.queue.enqueue(b"item")
        try:
            self.root.queue.dequeue()
        finally:
            self.answer(f"{self.root.queue.dequeue()}")

class Root(RootContext):
    http_context = Probe

    def on_configure(self, configuration):
        self.queue = SharedQueue.register("queue")
        return True
"""
# Logs the status of proxy_get_property as a digit, and goes on whatever it is.
MODULE = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "plugin_name")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1000))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.store8 (i32.const 200)
      (i32.add (i32.const 48) (call $get (i32.const 0) (i32.const 11) (i32.const 100) (i32.const 104))))
    (drop (call $log (i32.const 2) (i32.const 200) (i32.const 1)))
    (i32.const 0)))
"""


@pytest.fixture(scope="module")
def filter_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "filter.py"
    path.write_text(FILTER)
    return path


@pytest.fixture
def proxy(filter_path: Path) -> Proxy:
    return EmbeddedProxy(lambda host: InProcessGuest(filter_path, host))


@pytest.fixture
def module_proxy() -> Proxy:
    return EmbeddedProxy(WasmtimeModule(wat(MODULE)).instantiate)


def wat(text: str) -> bytes:
    import wasmtime

    return bytes(wasmtime.wat2wasm(text))


def answered(proxy: Proxy, path: str) -> str:
    return proxy.get(path).response.text


# --- hostcalls that fail ---


def test_a_hostcall_fails_as_often_as_it_is_told(proxy: Proxy) -> None:
    fault = proxy.faults.fail("proxy_get_property", Status.SERIALIZATION_FAILURE, times=2)
    for _ in range(2):
        assert answered(proxy, "/address") == "SerializationFailure proxy_get_property: SERIALIZATION_FAILURE"
    assert answered(proxy, "/address").endswith(" HTTP/1.1")
    assert fault.hits == 2
    assert str(fault) == "proxy_get_property fails with SERIALIZATION_FAILURE: struck 2 of 2 times"


def test_the_trace_shows_what_was_not_the_host(proxy: Proxy) -> None:
    proxy.faults.fail("proxy_get_property", Status.NOT_FOUND)
    [call] = proxy.get("/address").trace.calls("proxy_get_property")
    assert (call.status, call.results, call.intercepted) == (Status.NOT_FOUND, {"value": b""}, True)


def test_a_condition_decides(proxy: Proxy) -> None:
    fault = proxy.faults.fail(
        "proxy_get_property", Status.NOT_FOUND, when=lambda call: call["path"] == "request.protocol"
    )
    exchange = proxy.get("/address")
    assert exchange.response.text.startswith("AttributeNotAvailable request.protocol")
    assert [(call.arguments["path"], call.status) for call in exchange.trace.calls("proxy_get_property")] == [
        ("source.address", Status.OK),
        ("request.protocol", Status.NOT_FOUND),
    ]
    assert str(fault) == "proxy_get_property fails with NOT_FOUND: struck 1 time"


def test_what_a_condition_raises_reaches_the_test(proxy: Proxy) -> None:
    proxy.faults.fail("proxy_get_property", Status.NOT_FOUND, when=lambda call: call["pth"])
    with pytest.raises(KeyError, match="pth"):
        proxy.get("/address")


def test_faults_end_with_their_block_and_when_they_are_taken_back(proxy: Proxy) -> None:
    failing = "AttributeNotAvailable"
    with proxy.faults.fail("proxy_get_property", Status.NOT_FOUND) as fault:
        assert failing in answered(proxy, "/address")
    assert failing not in answered(proxy, "/address")
    assert fault.hits == 1
    proxy.faults.fail("proxy_get_property", Status.NOT_FOUND)
    assert failing in answered(proxy, "/address")
    proxy.faults.clear()
    assert failing not in answered(proxy, "/address")


def test_the_first_fault_that_fits_strikes(proxy: Proxy) -> None:
    proxy.faults.fail("proxy_get_property", Status.NOT_FOUND, times=1)
    proxy.faults.fail("proxy_get_property", Status.SERIALIZATION_FAILURE)
    assert [answered(proxy, "/address").split()[0] for _ in range(2)] == [
        "AttributeNotAvailable",
        "SerializationFailure",
    ]


def test_unused_faults_are_known(proxy: Proxy) -> None:
    twice = proxy.faults.fail("proxy_get_property", Status.NOT_FOUND, times=2)
    with proxy.faults.trap("proxy_on_tick") as trap:
        answered(proxy, "/address")
    always = proxy.faults.fail("proxy_done", Status.NOT_FOUND)
    assert proxy.faults.unused == [twice, trap, always]
    assert [str(fault) for fault in proxy.faults.unused] == [
        "proxy_get_property fails with NOT_FOUND: struck 1 of 2 times",
        "trap in proxy_on_tick: struck 0 of 1 time",
        "proxy_done fails with NOT_FOUND: struck 0 times",
    ]
    answered(proxy, "/address")
    assert twice not in proxy.faults.unused
    proxy.faults.clear()
    assert proxy.faults.unused == []


def test_what_cannot_be_is_refused(proxy: Proxy) -> None:
    faults = proxy.faults
    with pytest.raises(ValueError, match="the ABI has no hostcall 'proxy_get_propertie'"):
        faults.fail("proxy_get_propertie", Status.NOT_FOUND)
    with pytest.raises(ValueError, match="the ABI has no hostcall 'proxy_on_tick'"):
        faults.fail("proxy_on_tick", Status.NOT_FOUND)
    with pytest.raises(ValueError, match="the ABI has no function 'on_tick'"):
        faults.trap("on_tick")
    with pytest.raises(ValueError, match="at least once, not 0 times"):
        faults.trap("proxy_on_tick", times=0)
    with pytest.raises(ValueError, match="proxy_set_shared_data answers no bytes"):
        faults.out_of_memory("proxy_set_shared_data")
    never = (
        r"Envoy never returns EMPTY from proxy_get_property, but NOT_FOUND, SERIALIZATION_FAILURE, "
        r"INVALID_MEMORY_ACCESS, INTERNAL_FAILURE; .* force=True"
    )
    with pytest.raises(ValueError, match=never):
        faults.fail("proxy_get_property", Status.EMPTY)
    with pytest.raises(ValueError, match="Envoy never returns OK"):
        faults.fail("proxy_done", Status.OK)
    with pytest.raises(ValueError, match="Envoy never returns 99"):
        faults.fail("proxy_done", 99)
    assert faults.unused == []
    faults.fail("proxy_get_property", 99, force=True)
    assert answered(proxy, "/address") == "HostError proxy_get_property: unknown status 99"
    faults.clear()
    faults.fail("proxy_get_property", Status.INTERNAL_FAILURE)  # as capability restrictions have it
    assert answered(proxy, "/address").startswith("InternalFailure")


# --- compare-and-swap ---


def test_a_conflict_is_one_of_the_hosts_own(proxy: Proxy) -> None:
    assert answered(proxy, "/update") == "[None]"
    fault = proxy.faults.cas_conflict("key", times=2)
    exchange = proxy.get("/update")
    assert exchange.response.text == "[b'+', b'+', b'+']"
    statuses = [(call.status, call.intercepted) for call in exchange.trace.calls("proxy_set_shared_data")]
    assert statuses == [(Status.CAS_MISMATCH, False)] * 2 + [(Status.OK, False)]
    assert fault.hits == 2


def test_a_conflict_with_a_value_of_the_others(proxy: Proxy) -> None:
    proxy.faults.cas_conflict(value=b"theirs")
    assert answered(proxy, "/update") == "[None, b'theirs']"
    proxy.faults.cas_conflict(b"key", value=lambda call: call["value"] + b"!")
    assert answered(proxy, "/update") == "[b'theirs+', b'theirs++!']"


def test_a_conflict_that_cannot_be(proxy: Proxy) -> None:
    fault = proxy.faults.cas_conflict("key")
    assert answered(proxy, "/set") == "set"  # without compare-and-swap
    other = proxy.faults.cas_conflict("other")
    assert answered(proxy, "/update") == "[b'0', b'0']"
    assert (fault.hits, other.hits) == (1, 0)
    assert str(other) == "compare-and-swap conflict of 'other': struck 0 of 1 time"


def test_what_the_function_of_a_conflict_raises_reaches_the_test(proxy: Proxy) -> None:
    proxy.faults.cas_conflict(value=lambda call: call["nothing"])
    with pytest.raises(KeyError, match="nothing"):
        proxy.get("/update")


# --- traps ---


def test_a_trap_in_a_callback(proxy: Proxy) -> None:
    proxy.faults.trap("proxy_on_request_headers")
    assert [proxy.get("/address").response.status for _ in range(2)] == [503, 503]  # the VM is dead
    what = "proxy_on_request_headers"
    assert proxy.notes == [f"the VM trapped in {what}: proxy.faults: a trap in {what}"]


def test_a_trap_in_a_hostcall_is_not_the_guests_to_catch(proxy: Proxy) -> None:
    proxy.faults.trap("proxy_get_property", when=lambda call: call["path"] == "request.protocol")
    exchange = proxy.get("/address")
    assert exchange.response.status == 503
    assert "swallowed" not in exchange.response.text
    assert proxy.notes == ["the VM trapped in proxy_on_request_headers: proxy.faults: a trap in proxy_get_property"]
    assert "host ✗ vm   GuestTrap: proxy.faults: a trap in proxy_get_property" in str(exchange.trace)


def test_a_filter_that_fails_open_is_passed_after_the_trap(filter_path: Path) -> None:
    with EmbeddedProxy(
        lambda host: InProcessGuest(filter_path, host), PluginSettings(failure_policy="fail_open")
    ) as proxy:
        proxy.faults.trap("proxy_on_request_headers")
        assert proxy.get("/address").response.status == 503
        assert proxy.get("/address").reached_upstream


# --- memory ---


def test_no_memory_for_an_answer(proxy: Proxy) -> None:
    fault = proxy.faults.out_of_memory("proxy_get_property")
    assert answered(proxy, "/address") == "InvalidMemoryAccess proxy_get_property: INVALID_MEMORY_ACCESS"
    assert answered(proxy, "/address").endswith("HTTP/1.1")
    assert str(fault) == "no memory for what proxy_get_property answers: struck 1 of 1 time"


def test_the_hostcall_has_done_its_work(proxy: Proxy) -> None:
    proxy.faults.out_of_memory("proxy_dequeue_shared_queue")
    assert answered(proxy, "/dequeue") == "None"


def test_no_memory_for_any_answer(proxy: Proxy) -> None:
    proxy.faults.out_of_memory(times=None, when=lambda call: "map_type" not in call)
    assert answered(proxy, "/set") == "set"  # nothing to be stored
    assert answered(proxy, "/update").startswith("InvalidMemoryAccess")
    assert answered(proxy, "/address").startswith("InvalidMemoryAccess")


# --- a module ---


def test_faults_of_a_module(module_proxy: Proxy) -> None:
    proxy = module_proxy
    proxy.faults.fail("proxy_get_property", Status.NOT_FOUND, times=1)
    proxy.faults.out_of_memory("proxy_get_property")
    for _ in range(3):
        proxy.get("/")
    assert [line.message for line in proxy.logs] == ["1", "6", "0"]


@pytest.mark.parametrize("function", ["proxy_get_property", "proxy_log", "proxy_on_request_headers"])
def test_traps_of_a_module(module_proxy: Proxy, function: str) -> None:
    proxy = module_proxy
    proxy.faults.trap(function)
    assert proxy.get("/").response.status == 503
    assert proxy.notes == [f"the VM trapped in proxy_on_request_headers: proxy.faults: a trap in {function}"]
    assert proxy.logs == []
