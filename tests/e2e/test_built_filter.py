"""A built filter in a real Envoy, beyond one exchange at a time: workers, concurrency, memory, refusal."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pywasm_filter.build import cached_build
from pywasm_filter.testing.envoy import (
    EnvoyProcess,
    EnvoySettings,
    EnvoyStartError,
    Upstream,
    UpstreamResponse,
    request,
)

ROOT = Path(__file__).parents[2]
WORKER = """
import logging
import secrets

from pywasm_filter import Action, HttpContext

NAME = []


class Worker(HttpContext):
    '''Tells which VM answers, and counts what it has seen.'''

    seen = 0

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if not NAME:
            NAME.append(secrets.token_hex(4))
        Worker.seen += 1
        if self.request.path == "/fail":
            raise ValueError("asked for")
        self.request.headers["x-vm"] = NAME[0]
        self.request.headers["x-path"] = self.request.path
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE if end_of_stream else Action.PAUSE
"""


@pytest.fixture(scope="module")
def worker_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("worker") / "worker_filter.py"
    source.write_text(WORKER)
    return cached_build(source)


def test_two_workers_serve_concurrent_requests_each_with_a_vm_of_its_own(worker_module: Path) -> None:
    def exchange(number: int) -> tuple[str, int]:
        path = "/fail" if number % 10 == 0 else f"/{number}"
        body = [b"x" * number, b"y" * number]
        return path, request(envoy.address, "POST", path, [(b"host", b"h")], body).status

    with Upstream() as upstream, EnvoyProcess(EnvoySettings(worker_module, upstream.port, concurrency=2)) as envoy:
        with ThreadPoolExecutor(8) as clients:
            outcomes = list(clients.map(exchange, range(1, 201)))
        recorded = list(upstream.requests)
    assert Counter(status for _, status in outcomes) == {200: 180, 500: 20}
    assert all(status == (500 if path == "/fail" else 200) for path, status in outcomes)
    assert len(recorded) == 180
    vms = Counter(dict(entry.headers)[b"x-vm"] for entry in recorded)
    assert len(vms) == 2, "each worker has a VM, and they share no state"
    for entry in recorded:
        headers = dict(entry.headers)
        number = int(headers[b"x-path"].lstrip(b"/"))
        assert entry.path == f"/{number}"
        assert entry.body == b"x" * number + b"y" * number


def test_memory_does_not_grow_with_requests(worker_module: Path) -> None:
    with (
        Upstream(lambda _: UpstreamResponse(200, body_chunks=[b"ok"])) as upstream,
        EnvoyProcess(EnvoySettings(worker_module, upstream.port)) as envoy,
    ):
        headers = [(b"host", b"h"), (b"x-padding", b"p" * 2000)]

        def many(count: int) -> int:
            for _ in range(count):
                assert request(envoy.address, "GET", "/", headers, []).status == 200
            return envoy.memory().resident

        settled = many(400)
        grown = many(1600) - settled
    # A leak of the header alone would be 3 MB.
    assert grown < 1.5 * 2**20


def test_a_refused_configuration_is_told_with_the_filters_own_words(tmp_path: Path) -> None:
    module = cached_build(ROOT / "examples" / "basic_auth" / "filter.py")
    settings = EnvoySettings(module, None, root_id="basic_auth", configuration=b'{"users": {"ada": "no digest"}}')
    with (
        pytest.raises(EnvoyStartError, match="configuration: the password of ada"),
        EnvoyProcess(settings),
    ):
        pass


def test_an_unknown_root_id_is_told(tmp_path: Path) -> None:
    module = cached_build(ROOT / "examples" / "add_header" / "filter.py")
    settings = EnvoySettings(module, None, root_id="other")
    expected = "the module has no root context for root_id 'other'; it has 'add_header'"
    with pytest.raises(EnvoyStartError, match=expected), EnvoyProcess(settings):
        pass
