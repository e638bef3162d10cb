"""What plugins might try, run inside a really built module: it works or ends in an exception, and the VM lives on."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.compiler.cpython.proxy_host import ERROR, INFO, WASI_INVALID, WASI_NOT_CAPABLE, CompiledModule, ProxyHost

pytestmark = pytest.mark.xdist_group("cpython_module")

MIB = 1 << 20


@pytest.fixture(scope="module", params=["built", "interpreted"])
def compiled(request: pytest.FixtureRequest) -> CompiledModule:
    module: CompiledModule = request.getfixturevalue(request.param)
    return module


RAISES = {
    # files: there is no directory to begin with
    "open_file": "FileNotFoundError",
    "open_for_writing": "FileNotFoundError",
    "open_source": "FileNotFoundError",
    "listdir": "FileNotFoundError",
    "stat": "FileNotFoundError",
    "mkdir": "FileNotFoundError",
    "chdir": "FileNotFoundError",
    "temporary_file": "FileNotFoundError",
    "temporary_directory": "FileNotFoundError",
    "dup": "OSError",
    "pipe": "AttributeError",
    "sqlite_file": "OperationalError",
    # waiting
    "sleep": "OSError",
    "sleep_zero": "OSError",
    "select_select": "OSError",
    "select_nothing": "OSError",
    "select_poll": "OSError",
    "lock_twice": "OSError",
    "event_wait_forever": "OSError",
    "queue_get": "OSError",
    "simple_queue_get": "OSError",
    "simple_queue_get_timeout": "Empty",
    # network
    "tcp_socket": "OSError",
    "udp_socket": "OSError",
    "connect": "gaierror",
    "getaddrinfo": "gaierror",
    # processes, threads, signals
    "run_process": "OSError",
    "system": "AttributeError",
    "fork": "AttributeError",
    "kill": "AttributeError",
    "alarm": "AttributeError",
    "thread": "RuntimeError",
    "dump_traceback_later": "RuntimeError",
    "raise_sigterm": "OSError",
    "raise_sigint": "OSError",
    "os_exit": "OSError",
    "os_abort": "OSError",
    "sys_exit": "SystemExit",
    "keyboard_interrupt": "KeyboardInterrupt",
    "fault_read_null": "OSError",
    "fault_sigsegv": "OSError",
    "fault_sigabrt": "OSError",
    "fault_sigfpe": "OSError",
    "fault_fatal_error": "OSError",
    # modules
    "import_missing": "ModuleNotFoundError",
    # recursion, in C and between C and Python
    "recursion": "RecursionError",
    "recursion_repr": "RecursionError",
    "recursion_eq": "RecursionError",
    "recursion_hash": "RecursionError",
    "recursion_getattr": "RecursionError",
    "recursion_iter": "RecursionError",
    "recursion_key": "RecursionError",
    "recursion_limit_raised": "RecursionError",
    "recursion_json": "RecursionError",
    "recursion_json_dumps": "RecursionError",
    "recursion_repr_list": "RecursionError",
    "recursion_sort": "RecursionError",
    "recursion_isinstance": "RecursionError",
    "recursion_pickle": "RecursionError",
    "recursion_regex_compile": "RecursionError",
    "recursion_compile": "MemoryError",
    "recursion_compile_sum": "RecursionError",
    # hostcalls with arguments that they do not take
    "bad_argument_type": "TypeError",
    "bad_argument_float": "TypeError",
    "bad_argument_range": "OverflowError",
    "bad_argument_range_64": "OverflowError",
    "bytearray_argument": "TypeError",
}

RETURNS = {
    "exists": False,
    "getcwd": "/",
    "isatty": [False, False, False],
    "read_stdin": ["", ""],
    "environ": {},
    "getenv_set": "1",
    "argv": [],
    "sys_path": ["/world", "/0", "/1", "/bundled"],  # the entry and the one directory asked for, no site-packages
    "locale_settings": ["C.UTF-8;C;C;C;C;C", "UTF-8", "utf-8"],
    "time_local": "1970-01-01 00:00:00 +0000",
    "thread_lock": True,
    "lock_twice_timeout": False,
    "event_wait": False,
    "condition_wait": False,
    "recursion_regex": False,
    "sqlite": [42],
    "decimal_number": "0.3333333333333333333333333333",
}

MATCHES: dict[str, Callable[[Any], object]] = {
    "getpid": lambda value: isinstance(value, int),
    "gethostname": lambda value: isinstance(value, str),
    "uuid1": lambda value: re.fullmatch(r"[0-9a-f-]{36}", value),
    "uuid4": lambda value: re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f-]{17}", value),
    "token": lambda value: re.fullmatch("[0-9a-f]{32}", value),
    "random_random": lambda value: 0 <= value < 1,
    "import_builtin": lambda value: "_csv" in value,
    "fstat_stdout": lambda value: len(value) == 10,
}


@pytest.mark.parametrize(("probe", "exception"), RAISES.items())
def test_ends_in_an_exception(host: ProxyHost, probe: str, exception: str) -> None:
    assert host.probe(probe).get("raised", [None])[0] == exception
    assert host.probe("alive") == {"returned": 45}


@pytest.mark.parametrize(("probe", "value"), RETURNS.items())
def test_returns(host: ProxyHost, probe: str, value: object) -> None:
    assert host.probe(probe) == {"returned": value}


@pytest.mark.parametrize("probe", MATCHES)
def test_returns_something_sensible(host: ProxyHost, probe: str) -> None:
    assert MATCHES[probe](host.probe(probe)["returned"])


def test_messages_say_what_is_wrong(host: ProxyHost) -> None:
    assert "deadlock" in host.probe("queue_get")["message"]
    assert "in the snapshot" in host.probe("import_missing")["message"]
    assert "not str" in host.probe("bad_argument_type")["message"]


def test_a_lock_works_after_a_deadlock(host: ProxyHost) -> None:
    for _ in range(3):
        assert host.probe("lock_twice")["raised"][0] == "OSError"
        assert host.probe("thread_lock") == {"returned": True}


# --- time -------------------------------------------------------------------------------------------------------------


def test_time_is_the_hosts(host: ProxyHost) -> None:
    first, second = (host.probe("time_time")["returned"] for _ in range(2))
    assert 0 < second - first < 10**9
    assert first // 10**9 == 1_700_000_000


@pytest.mark.parametrize("probe", ["time_monotonic", "time_perf_counter"])
def test_monotonic_clocks_advance_and_never_go_back(host: ProxyHost, probe: str) -> None:
    before = host.probe(probe)["returned"]
    assert host.probe(probe)["returned"] > before
    host.clock = iter(range(1_600_000_000_000_000_000, 1_600_000_000_000_001_000))
    assert host.probe(probe)["returned"] >= before


# --- random numbers ---------------------------------------------------------------------------------------------------


def test_urandom_in_pieces_that_hosts_serve(host: ProxyHost) -> None:
    size, head, tail = host.probe("urandom")["returned"]
    assert size == 100_000
    assert len({head, tail, "00" * 16}) == 3
    assert max(host.random_requests) <= 0x1_0000


@pytest.mark.parametrize(("error", "exception"), [(WASI_INVALID, "OSError"), (WASI_NOT_CAPABLE, "PermissionError")])
def test_a_failing_random_source_is_an_error(host: ProxyHost, error: int, exception: str) -> None:
    host.random_error = error
    outcome = host.probe("urandom_hex")
    assert outcome["raised"][0] == exception
    assert f"Errno {error}" in outcome["message"]


@pytest.mark.parametrize("probe", ["random_random", "urandom_hex", "uuid4", "token"])
def test_random_numbers_differ_between_vms(compiled: CompiledModule, probe: str) -> None:
    seen = []
    for _ in range(3):
        host = ProxyHost(compiled)
        host.start()
        seen.append(host.probe(probe)["returned"])
    assert len(set(seen)) == 3


def test_the_generator_is_seeded_when_the_vm_starts(compiled: CompiledModule) -> None:
    host = ProxyHost(compiled)
    assert host.random_requests == []
    host.start()
    assert sum(host.random_requests) >= 2496


# --- output -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "lines"),
    [
        ("write_stdout", [(INFO, "to stdout"), (INFO, "and on")]),
        ("write_stderr", [(ERROR, "to stderr without an end")]),
        ("stdout_buffer", [(INFO, "through the buffer")]),
        ("plain_print", [(INFO, "printed"), (ERROR, "to stderr")]),
    ],
)
def test_output_goes_to_the_log(host: ProxyHost, probe: str, lines: list[tuple[int, str]]) -> None:
    host.probe(probe)
    assert host.logs == lines


def test_the_fault_handler_writes_to_the_log(host: ProxyHost) -> None:
    host.probe("dump_traceback")
    assert [level for level, _ in host.logs] == [ERROR] * 3
    assert re.fullmatch(r'  File "/1/probe_filter.py", line \d+ in dump_traceback', host.logs[1][1])


def test_an_exception_that_leaves_an_export_is_shown_and_ends_the_vm(host: ProxyHost) -> None:
    with pytest.raises(Exception, match="unreachable"):
        host.call("proxy_on_tick", 1)
    text = "\n".join(text for level, text in host.logs if level == ERROR)
    assert text.startswith("Traceback")
    assert text.endswith("LookupError: an exception that leaves an export")


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_error(compiled: CompiledModule) -> None:
    host = ProxyHost(compiled, memory_limit=64 * MIB)
    host.start()
    assert host.probe("memory_error")["raised"][0] == "MemoryError"
    assert host.probe("memory_error_by_pieces")["returned"] > 20
    assert host.probe("alive") == {"returned": 45}


def test_a_hostcall_makes_no_copy_of_its_argument(compiled: CompiledModule) -> None:
    host = ProxyHost(compiled, memory_limit=64 * MIB)
    host.start()
    assert host.probe("big_argument", 30 * MIB) == {"returned": 0}
    assert host.probe("alive") == {"returned": 45}


def test_a_result_of_a_hostcall_without_memory_for_it(compiled: CompiledModule) -> None:
    host = ProxyHost(compiled, memory_limit=64 * MIB)
    host.start()
    for _ in range(3):  # what the host has stored is freed each time
        host.property_value = bytes(30 * MIB)
        assert host.probe("get_property")["raised"][0] == "MemoryError"
        host.property_value = bytes(8 * MIB)
        assert host.probe("get_property") == {"returned": 8 * MIB}
    assert host.call("proxy_on_memory_allocate", 60 * MIB) == host.call("malloc", 60 * MIB) == 0
    assert host.probe("alive") == {"returned": 45}


def test_a_deep_structure_is_given_back(built: CompiledModule) -> None:
    """Not with all interpreted: millions of objects take half a minute then."""
    host = ProxyHost(built)
    host.start()
    assert host.probe("deep_deallocation") == {"returned": True}


def test_every_probe_is_tested(host: ProxyHost) -> None:
    elsewhere = (
        "alive all_hostcalls refusals unusual_arguments get_property left_out request_headers big_argument "
        "hash_of_string time_time time_monotonic time_perf_counter "
        "urandom urandom_hex write_stdout write_stderr stdout_buffer plain_print dump_traceback memory_error "
        "memory_error_by_pieces names deep_deallocation"
    )
    tested = [*RAISES, *RETURNS, *MATCHES, *elsewhere.split()]
    assert sorted(host.probe("names")["returned"]) == sorted(tested)
