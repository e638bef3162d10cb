"""The filter under the conformance tests: each request names in `x-scenario` what is to happen to it."""

import collections
import csv
import datetime
import email
import hashlib
import importlib
import ipaddress
import json
import logging
import os
import random
import secrets
import socket
import string
import sys
import threading
import time
import urllib.parse
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pywasm_filter import Action, FailurePolicy, HttpContext, LogLevel, RootContext, log, register_root_context

logger = logging.getLogger("scenarios")


class Scenarios(HttpContext["ScenariosRoot"]):
    """Carries out the scenario at each step of the exchange."""

    def on_context_create(self) -> None:
        self.scenario = ""
        self.trace: list[str] = []

    def step(self, name: str, *arguments: Any) -> Action:
        """Run the scenario's function for this step, if it has one."""
        function = STEPS.get((self.scenario, name))
        return Action.CONTINUE if function is None else function(self, *arguments)

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.scenario = self.request.headers.pop("x-scenario") or ""
        self.trace.append(f"request_headers({end_of_stream})")
        return self.step("request_headers", end_of_stream)

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.trace.append(f"request_body({body_size}, {end_of_stream})")
        return self.step("request_body", body_size, end_of_stream)

    def on_request_trailers(self, num_trailers: int) -> Action:
        self.trace.append(f"request_trailers({num_trailers})")
        return self.step("request_trailers")

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.trace.append(f"response_headers({end_of_stream})")
        return self.step("response_headers", end_of_stream)

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.trace.append(f"response_body({body_size}, {end_of_stream})")
        return self.step("response_body", body_size, end_of_stream)

    def on_response_trailers(self, num_trailers: int) -> Action:
        self.trace.append(f"response_trailers({num_trailers})")
        return self.step("response_trailers")

    def on_log(self) -> None:
        self.trace.append("log")
        self.step("log")

    def on_done(self) -> bool:
        self.trace.append("done")
        return True

    def on_delete(self) -> None:
        self.trace.append("delete")
        if self.scenario == "lifecycle":
            log(LogLevel.INFO, " ".join(self.trace))


# --- headers ---


def edit_request_headers(stream: Scenarios, end_of_stream: bool) -> Action:
    headers = stream.request.headers
    headers["X-Set"] = "set"
    headers["x-replaced"] = "new"
    headers.add("x-repeated", "third")
    headers.discard("x-removed")
    headers["x-bytes"] = b"\xff\xfe"
    headers["x-echo"] = headers.get("x-raw", "absent") or ""
    headers["x-seen"] = ",".join(headers.getall("x-repeated"))
    headers["x-text"] = "grün ✓"
    return Action.CONTINUE


def edit_response_headers(stream: Scenarios, end_of_stream: bool) -> Action:
    headers = stream.response.headers
    headers["x-status"] = str(stream.response.status)
    headers["x-cookies"] = str(len(headers.getall("set-cookie")))
    headers.add("set-cookie", "c=3")
    headers.discard("x-removed")
    stream.response.status = 202
    return Action.CONTINUE


def reroute(stream: Scenarios, end_of_stream: bool) -> Action:
    request = stream.request
    request.headers["x-was"] = f"{request.method} {request.scheme} {request.authority} {request.path}"
    request.path = "/elsewhere?x=1"
    request.method = "PUT"
    request.authority = "other.example"
    return Action.CONTINUE


def replace_all_headers(stream: Scenarios, end_of_stream: bool) -> Action:
    # Envoy needs the pseudo-headers and x-forwarded-proto to route the request.
    needed = (b":", b"x-forwarded-proto")
    kept = [(name, value) for name, value in stream.request.headers.raw if name.startswith(needed)]
    stream.request.headers.raw = [*kept, (b"x-only", b"1"), (b"x-only", b"2")]
    return Action.CONTINUE


def remove_header(stream: Scenarios, end_of_stream: bool) -> Action:
    stream.request.headers.discard(stream.request.headers.pop("x-remove") or "none")
    return Action.CONTINUE


def edit_trailers(stream: Scenarios) -> Action:
    stream.request.trailers["x-added"] = "1"
    stream.request.trailers.discard("x-removed")
    return Action.CONTINUE


def edit_response_trailers(stream: Scenarios) -> Action:
    stream.response.trailers["x-added"] = "1"
    return Action.CONTINUE


# --- bodies ---


def drop_length(stream: Scenarios, end_of_stream: bool) -> Action:
    stream.request.headers.discard("content-length")
    return Action.CONTINUE


def drop_response_length(stream: Scenarios, end_of_stream: bool) -> Action:
    stream.response.headers.discard("content-length")
    return Action.CONTINUE


def upper_chunk(stream: Scenarios, body_size: int, end_of_stream: bool) -> Action:
    stream.request.body.replace(stream.request.body.read().upper())
    return Action.CONTINUE


def upper_response_chunk(stream: Scenarios, body_size: int, end_of_stream: bool) -> Action:
    stream.response.body.replace(stream.response.body.read().upper())
    return Action.CONTINUE


def wrap_whole(stream: Scenarios, body_size: int, end_of_stream: bool) -> Action:
    if not end_of_stream:
        return Action.PAUSE
    body = stream.request.body
    body.prepend(b"<")
    body.append(b">")
    body.append(str(len(body)).encode())
    return Action.CONTINUE


def wrap_whole_response(stream: Scenarios, body_size: int, end_of_stream: bool) -> Action:
    if not end_of_stream:
        return Action.PAUSE
    body = stream.response.body
    body.replace(b"[" + body.read(1, 3) + b"|" + body.read() + b"]")
    return Action.CONTINUE


def empty_body(stream: Scenarios, body_size: int, end_of_stream: bool) -> Action:
    stream.request.body.replace(b"")
    return Action.CONTINUE


# --- local responses ---


def refuse(stream: Scenarios, *_: Any) -> Action:
    return stream.send_local_response(
        403, headers=[("x-why", "because"), ("x-why", "twice")], body="refused\n", details="test_refusal"
    )


def mark_response(stream: Scenarios, end_of_stream: bool) -> Action:
    stream.response.headers["x-marked"] = str(stream.response.status)
    return Action.CONTINUE


def refuse_twice(stream: Scenarios, *_: Any) -> Action:
    stream.send_local_response(401, body="first")
    return stream.send_local_response(402, body="second")


def refuse_empty(stream: Scenarios, *_: Any) -> Action:
    return stream.send_local_response(204)


def refuse_body(stream: Scenarios, body_size: int, end_of_stream: bool) -> Action:
    return refuse(stream) if end_of_stream else Action.PAUSE


# --- output, clocks, randomness, attributes ---


def write_output(stream: Scenarios, end_of_stream: bool) -> Action:
    print("printed", 1)
    print("to stderr", file=sys.stderr)
    logger.debug("debugged")
    logger.info("informed %s", "well")
    logger.warning("warned")
    logger.error("erred")
    logger.critical("critical")
    warnings.warn("beware", UserWarning, stacklevel=1)
    log(LogLevel.INFO, "two\nlines")
    log(LogLevel.INFO, "grün ✓")
    return Action.CONTINUE


def tell_environment(stream: Scenarios, end_of_stream: bool) -> Action:
    headers = stream.request.headers
    headers["x-time"] = str(time.time())
    headers["x-monotonic"] = str(time.monotonic() <= time.monotonic())
    headers["x-random"] = str(random.random())
    headers["x-urandom"] = os.urandom(70_000)[-16:].hex()
    headers["x-uuid"] = str(uuid.uuid4())
    headers["x-token"] = secrets.token_hex(16)
    return Action.CONTINUE


def tell_properties(stream: Scenarios, end_of_stream: bool) -> Action:
    properties = stream.properties
    for name in ("path", "method", "host", "scheme", "protocol"):
        stream.request.headers[f"x-{name}"] = properties.raw("request", name) or b"none"
    stream.request.headers["x-root-id"] = properties.raw("plugin_root_id") or b""
    stream.request.headers["x-absent"] = str(properties.raw("no", "such", "thing"))
    properties.set_raw("mine", value=b"kept")
    stream.request.headers["x-mine"] = properties.raw("wasm", "mine") or properties.raw("mine") or b"lost"
    return Action.CONTINUE


def log_both_sides(stream: Scenarios) -> Action:
    log(LogLevel.INFO, f"{stream.request.path} {stream.response.status} {stream.response.headers.get('x-up')}")
    return Action.CONTINUE


# --- failures ---


def fail(stream: Scenarios, *_: Any) -> Action:
    raise ValueError(f"failed in {stream.scenario}")


def fail_deeply(stream: Scenarios, *_: Any) -> Action:
    return fail_deeply(stream)


def no_result(stream: Scenarios, *_: Any) -> Any:
    return None


def exit_now(stream: Scenarios, *_: Any) -> Action:
    sys.exit(3)


def nest_deeply(stream: Scenarios, *_: Any) -> Action:
    json.loads("[" * 200_000)
    return Action.CONTINUE


SYSTEM: dict[str, Callable[[], object]] = {
    "open": lambda: Path("/etc/hostname").read_text(),
    "write": lambda: Path("/tmp/x").write_text("x"),
    "listdir": lambda: list(Path("/").iterdir()),
    "stat": lambda: Path("/etc").stat(),
    "socket": lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
    "resolve": lambda: socket.getaddrinfo("localhost", 80),
    "sleep": lambda: time.sleep(0.01),
    "thread": lambda: threading.Thread(target=print).start(),
    "exit": lambda: os._exit(1),
    "abort": os.abort,
    "memory": lambda: bytearray(2**31 - 1),
    "import": lambda: importlib.import_module("wave"),
}


def try_the_system(stream: Scenarios, *_: Any) -> Action:
    outcomes: dict[str, str] = {}
    for name, call in SYSTEM.items():
        try:
            call()
            outcomes[name] = "works"
        except (OSError, RuntimeError, MemoryError, ImportError) as error:
            outcomes[name] = "OSError" if isinstance(error, OSError) else type(error).__name__
    stream.request.headers["x-outcomes"] = json.dumps(outcomes)
    return Action.CONTINUE


def use_the_library(stream: Scenarios, *_: Any) -> Action:
    """What the standard library imports, or looks up, only when it is called."""
    outcomes = [
        datetime.datetime.strptime("2026-11-24 10:00", "%Y-%m-%d %H:%M").isoformat(),
        time.strptime("24 Nov 26", "%d %b %y")[:3],
        "bücher.example".encode("idna").decode(),
        b"\xa4".decode("iso8859-15"),
        "ä".encode("cp1252").hex(),
        "日本".encode("shift_jis").hex(),
        urllib.parse.urlsplit("http://bücher.example/x").hostname,
        hashlib.new("sha3_256", b"x").hexdigest()[:8],
        uuid.uuid5(uuid.NAMESPACE_DNS, "example").hex[:8],
        collections.Counter("hello").most_common(1),
        str(ElementTree.fromstring("<a><b>1</b></a>").findtext("b")),
        string.Template("$x").substitute(x=1),
        email.message_from_string("a: b\n\nc").get_payload(),
        list(csv.reader(["a;b"], csv.Sniffer().sniff("a;b\nc;d\n"))),
        format(ipaddress.ip_address("10.0.0.1"), "x"),
    ]
    stream.request.headers["x-outcomes"] = json.dumps(outcomes)
    return Action.CONTINUE


STEPS: dict[tuple[str, str], Any] = {
    ("edit-headers", "request_headers"): edit_request_headers,
    ("edit-headers", "response_headers"): edit_response_headers,
    ("reroute", "request_headers"): reroute,
    ("replace-all-headers", "request_headers"): replace_all_headers,
    ("remove-header", "request_headers"): remove_header,
    ("trailers", "request_trailers"): edit_trailers,
    ("trailers", "response_trailers"): edit_response_trailers,
    ("stream", "request_headers"): drop_length,
    ("stream", "request_body"): upper_chunk,
    ("stream", "response_headers"): drop_response_length,
    ("stream", "response_body"): upper_response_chunk,
    ("buffer", "request_headers"): drop_length,
    ("buffer", "request_body"): wrap_whole,
    ("buffer", "response_headers"): drop_response_length,
    ("buffer", "response_body"): wrap_whole_response,
    ("empty-body", "request_headers"): drop_length,
    ("empty-body", "request_body"): empty_body,
    ("refuse", "request_headers"): refuse,
    ("refuse", "response_headers"): mark_response,
    ("refuse-twice", "request_headers"): refuse_twice,
    ("refuse-empty", "request_headers"): refuse_empty,
    ("refuse-body", "request_body"): refuse_body,
    ("refuse-response", "response_headers"): refuse,
    ("output", "request_headers"): write_output,
    ("environment", "request_headers"): tell_environment,
    ("properties", "request_headers"): tell_properties,
    ("log", "log"): log_both_sides,
    ("fail-request-headers", "request_headers"): fail,
    ("fail-request-body", "request_body"): fail,
    ("fail-response-headers", "response_headers"): fail,
    ("fail-log", "log"): fail,
    ("fail-deeply", "request_headers"): fail_deeply,
    ("nest-deeply", "request_headers"): nest_deeply,
    ("library", "request_headers"): use_the_library,
    ("system", "request_headers"): try_the_system,
    ("no-result", "request_headers"): no_result,
    ("exit", "request_headers"): exit_now,
}


class ScenariosRoot(RootContext):
    """Refuses the configuration `refuse`."""

    http_context = Scenarios

    def on_configure(self, configuration: bytes) -> bool:
        if configuration == b"raise":
            raise ValueError("cannot be configured")
        return configuration != b"refuse"


class OpenRoot(ScenariosRoot):
    """Lets failed streams pass."""

    failure_policy = FailurePolicy.FAIL_OPEN


class TrapRoot(ScenariosRoot):
    """Lets a failure kill the VM."""

    failure_policy = FailurePolicy.TRAP


register_root_context(ScenariosRoot, "scenarios")
register_root_context(OpenRoot, "open")
register_root_context(TrapRoot, "trap")
