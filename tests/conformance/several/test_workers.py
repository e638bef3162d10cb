"""Workers, each with a VM of its own, and what becomes of traffic when one dies."""

import pytest

from pywasm_filter.testing import Client, Exchange, Plugin, Proxy

pytestmark = pytest.mark.pywasm(configuration="a", vm_id="workers")


def counted(exchange: Exchange) -> str:
    assert exchange.upstream_request is not None
    return str(exchange.upstream_request.headers["x-in-this-vm"])


def statuses(client: Proxy | Client, times: int) -> list[int]:
    return [client.get().response.status for _ in range(times)]


@pytest.mark.pywasm(concurrency=2)
def test_connections_go_to_the_workers_in_turn(proxy: Proxy) -> None:
    assert [counted(proxy.get()) for _ in range(5)] == ["1", "1", "2", "2", "3"]


@pytest.mark.pywasm(concurrency=2, vm_id="chosen")
def test_a_client_of_one_worker(proxy: Proxy) -> None:
    first, second = proxy.client(worker=0), proxy.client(worker=1)
    assert [counted(first.get()) for _ in range(3)] == ["1", "2", "3"]
    assert [counted(second.get()) for _ in range(2)] == ["1", "2"]
    last = first.get()
    assert counted(last) == "4"
    assert last.upstream_request is not None
    assert last.upstream_request.headers["x-in-all"] == "6"


@pytest.mark.pywasm(concurrency=3, vm_id="")
def test_a_queue_wakes_the_last_that_registered_it(proxy: Proxy) -> None:
    for worker in range(3):
        proxy.client(worker=worker).get()
    for worker in range(3):
        proxy.client(worker=worker).get(headers={"x-a": "enqueue"})
    proxy.wait_until(lambda: sum("takes" in line.message for line in proxy.logs) == 3, timeout=5)


@pytest.mark.pywasm(concurrency=2, vm_id="trap")
def test_a_trap_is_one_workers(proxy: Proxy) -> None:
    dead, alive = proxy.client(worker=0), proxy.client(worker=1)
    assert dead.get(headers={"x-a": "trap"}).response.status == 503
    assert statuses(dead, 2) == [503, 503]
    assert statuses(alive, 2) == [200, 200]


@pytest.mark.pywasm(failure_policy="fail_open", vm_id="open")
def test_fail_open(proxy: Proxy) -> None:
    assert proxy.get(headers={"x-a": "trap"}).response.status == 503
    exchange = proxy.get()
    assert exchange.upstream_request is not None
    assert "x-seen-by" not in exchange.upstream_request.headers


@pytest.mark.pywasm(failure_policy="fail_reload", vm_id="reload")
def test_fail_reload_waits_and_begins_anew(proxy: Proxy) -> None:
    assert counted(proxy.get()) == "1"
    proxy.clock.advance(1.6)
    assert proxy.get(headers={"x-a": "trap"}).response.status == 503
    assert counted(proxy.get()) == "1"  # a VM that has seen nothing yet
    assert counted(proxy.get()) == "2"
    assert proxy.get(headers={"x-a": "trap"}).response.status == 503
    assert statuses(proxy, 2) == [503, 503]  # not again so soon
    proxy.clock.advance(1.6)
    assert counted(proxy.get()) == "1"


@pytest.mark.pywasm(
    configuration=b"",
    vm_id="",
    plugins=[
        Plugin(configuration="a", failure_policy="fail_reload", vm_id="shared trap"),
        Plugin(configuration="b", vm_id="shared trap"),
    ],
)
def test_a_vm_that_traps_fails_all_its_plugins(proxy: Proxy) -> None:
    proxy.clock.advance(1.6)
    assert proxy.get(headers={"x-a": "trap"}).response.status == 503
    # The first has a VM again, the second has not.
    exchange = proxy.get()
    assert exchange.response.status == 503
    assert [line.message for line in exchange.logs] == [
        "a: request headers",
        "a: response headers",
        "a: log",
        "a: done",
    ]


@pytest.mark.pywasm(configuration="!a", vm_id="refusing")
def test_a_plugin_that_refuses_in_a_worker_is_passed_by(proxy: Proxy) -> None:
    exchange = proxy.get()
    assert exchange.response.status == 200
    assert exchange.upstream_request is not None
    assert "x-seen-by" not in exchange.upstream_request.headers
