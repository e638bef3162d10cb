"""What plugins might try: each function is run inside the built module by `probe_runtime`."""

# The functions of os themselves are tried here, not what pathlib makes of them.
# ruff: noqa: PTH102, PTH109, PTH116, PTH208

import decimal
import faulthandler
import json
import locale
import os
import pickle
import queue
import random
import re
import secrets
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from enum import IntEnum
from pathlib import Path
from types import FunctionType
from typing import Any

CRASHES: Any = faulthandler
"""Its functions for testing, which its type does not tell of."""

HEADERS = 0
BODY = 0

_kept: list[object] = []


class Level(IntEnum):
    INFO = 2


# --- the host ---------------------------------------------------------------------------------------------------------


def request_headers(host: Any) -> None:
    """Hostcalls with list arguments, two of one size and empty ones among them, and with list results."""
    host.proxy_set_property(b"path" * 2, b"text" * 2)
    host.proxy_get_header_map_value(HEADERS, b":path")
    host.proxy_add_header_map_value(HEADERS, b"x-probe", b"v" * 100)
    host.proxy_set_header_map_pairs(HEADERS, b"")
    host.proxy_get_header_map_pairs(HEADERS)
    host.proxy_get_property(b"")


class _Index:
    """An integer to those who ask for one."""

    def __index__(self) -> int:
        return 1


_GOOD = {"bytes": b"bytes", "u32": 2, "u64": 3, "s64": 4}
_WRONG: dict[str, list[object]] = {
    "bytes": ["text", 1, None, bytearray(b"x"), memoryview(b"x")],
    "u32": ["text", b"x", None, 1.0, -1, 1 << 32, 1 << 64, _Index()],
    "u64": ["text", b"x", None, 1.0, -1, 1 << 64, _Index()],
    "s64": ["text", b"x", None, 1.0, -(1 << 63) - 1, 1 << 63],
}


def _outcome(call: Any, *arguments: Any, **named: Any) -> str:
    try:
        return f"returned {call(*arguments, **named)}"
    except (TypeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


def refusals(host: Any, calls: list[list[Any]]) -> object:
    """Hostcalls by name and types: what comes of arguments that they do not take, each with the others good."""
    outcomes = {}
    for name, *types in calls:
        call = getattr(host, name)
        good = [_GOOD[value] for value in types]
        outcomes[f"{name} with one more"] = _outcome(call, *good, 1)
        outcomes[f"{name} by name"] = _outcome(call, *good, level=1)
        if good:
            outcomes[f"{name} with one less"] = _outcome(call, *good[1:])
        for position, value in enumerate(types):
            for wrong in _WRONG[value]:
                what = f"{name} {position} {type(wrong).__name__} {wrong if isinstance(wrong, int) else ''}".rstrip()
                outcomes[what] = _outcome(call, *good[:position], wrong, *good[position + 1 :])
    return outcomes


def unusual_arguments(host: Any) -> object:
    """What is as good as int and bytes."""

    class Text(bytes):
        pass

    return [
        host.proxy_set_property(Text(b"subclass"), b""),
        host.proxy_set_property(b"large", bytes(1_000_000)),
        host.proxy_log(Level.INFO, b"enum"),
        host.proxy_log(True, b"bool"),
        host.proxy_increment_metric(1, _Index()),
    ]


def get_property(host: Any) -> object:
    return len(host.proxy_get_property(b"")[1])


def left_out(host: Any) -> object:
    return host.proxy_done()


def all_hostcalls(host: Any, calls: list[list[Any]]) -> object:
    """Calls by name, with arguments: integers, and strings that stand for bytes."""
    results = []
    for name, *arguments in calls:
        result = getattr(host, name)(*(a.encode() if isinstance(a, str) else a for a in arguments))
        values = result if isinstance(result, tuple) else (result,)
        results.append([value.decode() if isinstance(value, bytes) else value for value in values])
    return results


# --- files ------------------------------------------------------------------------------------------------------------


def open_file(host: Any) -> object:
    return Path("/etc/hostname").read_text()


def open_for_writing(host: Any) -> object:
    return Path("out.txt").write_text("x")


def open_source(host: Any) -> object:
    return Path(__file__).read_text()


def listdir(host: Any) -> object:
    return os.listdir("/")


def stat(host: Any) -> object:
    return os.stat("/")


def exists(host: Any) -> object:
    return Path("/0").exists()


def mkdir(host: Any) -> None:
    os.mkdir("/tmp/x")


def getcwd(host: Any) -> object:
    return os.getcwd()


def chdir(host: Any) -> None:
    os.chdir("/tmp")


def temporary_file(host: Any) -> object:
    return tempfile.NamedTemporaryFile().name


def temporary_directory(host: Any) -> object:
    return tempfile.mkdtemp()


def dup(host: Any) -> object:
    return os.dup(1)


def pipe(host: Any) -> object:
    return os.pipe()


def fstat_stdout(host: Any) -> object:
    return list(os.fstat(1))


def isatty(host: Any) -> object:
    return [os.isatty(fd) for fd in (0, 1, 2)]


def read_stdin(host: Any) -> object:
    return [os.read(0, 10).decode(), sys.__stdin__.read() if sys.__stdin__ else None]


# --- environment ------------------------------------------------------------------------------------------------------


def environ(host: Any) -> object:
    return dict(os.environ)


def getenv_set(host: Any) -> object:
    os.environ["PROBE"] = "1"
    return os.environ["PROBE"]


def argv(host: Any) -> object:
    return sys.argv


def sys_path(host: Any) -> object:
    return [path for path in sys.path if not path.startswith("/python")]


def getpid(host: Any) -> object:
    return os.getpid()


def locale_settings(host: Any) -> object:
    return [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(), sys.getfilesystemencoding()]


def import_missing(host: Any) -> object:
    return __import__("wsgi" + "ref")  # a name that no one can read in the source


def import_builtin(host: Any) -> object:
    import _csv

    return str(_csv)


# --- time -------------------------------------------------------------------------------------------------------------


def time_time(host: Any) -> object:
    return time.time_ns()


def time_monotonic(host: Any) -> object:
    return time.monotonic_ns()


def time_perf_counter(host: Any) -> object:
    return time.perf_counter_ns()


def time_local(host: Any) -> object:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(0))


def sleep(host: Any) -> None:
    time.sleep(0.01)


def sleep_zero(host: Any) -> None:
    time.sleep(0)


# --- random numbers ---------------------------------------------------------------------------------------------------


def urandom(host: Any) -> object:
    content = os.urandom(100_000)
    return [len(content), content[:16].hex(), content[-16:].hex()]


def urandom_hex(host: Any) -> object:
    return os.urandom(16).hex()


def random_random(host: Any) -> object:
    return random.random()


def uuid4(host: Any) -> object:
    return str(uuid.uuid4())


def uuid1(host: Any) -> object:
    return str(uuid.uuid1())


def token(host: Any) -> object:
    return secrets.token_hex(16)


def hash_of_string(host: Any) -> object:
    return hash("probe")


# --- output -----------------------------------------------------------------------------------------------------------


def write_stdout(host: Any) -> object:
    return os.write(1, b"to stdout\nand on\n")


def write_stderr(host: Any) -> object:
    return os.write(2, b"to stderr without an end")


def stdout_buffer(host: Any) -> object:
    assert sys.__stdout__ is not None
    sys.__stdout__.buffer.write(b"through the buffer\n")
    sys.__stdout__.buffer.flush()
    return None


def plain_print(host: Any) -> object:
    print("printed")
    print("to stderr", file=sys.stderr)
    return None


# --- network ----------------------------------------------------------------------------------------------------------


def tcp_socket(host: Any) -> object:
    return socket.socket()


def udp_socket(host: Any) -> object:
    return socket.socket(type=socket.SOCK_DGRAM)


def connect(host: Any) -> object:
    return socket.create_connection(("127.0.0.1", 80), timeout=1)


def getaddrinfo(host: Any) -> object:
    return socket.getaddrinfo("example.org", 80)


def gethostname(host: Any) -> object:
    return socket.gethostname()


def select_select(host: Any) -> object:
    return select.select([0], [], [], 0.1)


def select_nothing(host: Any) -> object:
    return select.select([], [], [], 0.01)


def select_poll(host: Any) -> object:
    poll = select.poll()
    poll.register(0)
    return poll.poll(10)


# --- processes, threads, signals --------------------------------------------------------------------------------------


def run_process(host: Any) -> object:
    return subprocess.run(["true"], check=False)


def system(host: Any) -> object:
    return os.system("true")


def thread(host: Any) -> None:
    threading.Thread(target=print).start()


def thread_lock(host: Any) -> object:
    lock = threading.Lock()
    with lock:
        return lock.locked()


def lock_twice(host: Any) -> object:
    lock = threading.Lock()
    lock.acquire()
    return lock.acquire()


def lock_twice_timeout(host: Any) -> object:
    lock = threading.Lock()
    lock.acquire()
    return lock.acquire(timeout=0.01)


def event_wait(host: Any) -> object:
    return threading.Event().wait(0.01)


def event_wait_forever(host: Any) -> object:
    return threading.Event().wait()


def queue_get(host: Any) -> object:
    return queue.Queue().get()


def simple_queue_get(host: Any) -> object:
    return queue.SimpleQueue().get()


def simple_queue_get_timeout(host: Any) -> object:
    return queue.SimpleQueue().get(timeout=0.01)


def condition_wait(host: Any) -> object:
    condition = threading.Condition()
    with condition:
        return condition.wait(0.01)


def dump_traceback_later(host: Any) -> None:
    faulthandler.dump_traceback_later(10)


def dump_traceback(host: Any) -> None:
    faulthandler.dump_traceback(2)


def fault_read_null(host: Any) -> object:
    return CRASHES._read_null()


def fault_sigfpe(host: Any) -> object:
    return CRASHES._sigfpe()


def fault_sigsegv(host: Any) -> object:
    return CRASHES._sigsegv()


def fault_sigabrt(host: Any) -> object:
    return CRASHES._sigabrt()


def fault_fatal_error(host: Any) -> object:
    return CRASHES._fatal_error_c_thread()


def raise_sigterm(host: Any) -> None:
    signal.raise_signal(signal.SIGTERM)


def raise_sigint(host: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def alarm(host: Any) -> object:
    return signal.alarm(1)


def kill(host: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def fork(host: Any) -> object:
    return os.fork()


def os_exit(host: Any) -> None:
    os._exit(3)


def sys_exit(host: Any) -> None:
    sys.exit(3)


def os_abort(host: Any) -> None:
    os.abort()


def keyboard_interrupt(host: Any) -> object:
    raise KeyboardInterrupt


# --- limits -----------------------------------------------------------------------------------------------------------


def memory_error(host: Any) -> object:
    return len(bytearray(2_000_000_000))


def memory_error_by_pieces(host: Any) -> object:
    pieces = []
    try:
        while True:
            pieces.append(bytearray(1_000_000))
    except MemoryError:
        count = len(pieces)
        del pieces
        return count


def recursion(host: Any) -> object:
    return recursion(host)


class _Nested:
    def __init__(self, depth: int) -> None:
        self.depth = depth

    def __repr__(self) -> str:
        return f"[{_Nested(self.depth + 1)!r}]"

    def __eq__(self, other: object) -> bool:
        return _Nested(0) == _Nested(0)

    def __hash__(self) -> int:
        return hash((self,))

    def __getattr__(self, name: str) -> object:
        return getattr(_Nested(0), name)

    def __iter__(self) -> Any:
        return iter(tuple(self))

    def __call__(self) -> int:
        return max([1, 2], key=lambda _: self())


def recursion_repr(host: Any) -> object:
    return repr(_Nested(0))


def recursion_eq(host: Any) -> object:
    return _Nested(0) == _Nested(0)


def recursion_hash(host: Any) -> object:
    return hash(_Nested(0))


def recursion_getattr(host: Any) -> object:
    return _Nested(0).missing


def recursion_iter(host: Any) -> object:
    return list(_Nested(0))


def recursion_key(host: Any) -> object:
    return _Nested(0)()


def recursion_json(host: Any) -> object:
    return json.loads("[" * 100_000)


def recursion_json_dumps(host: Any) -> object:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    _kept.append(nested)
    return json.dumps(nested)


def recursion_repr_list(host: Any) -> object:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    _kept.append(nested)
    return repr(nested)


def deep_deallocation(host: Any) -> object:
    nested: list[Any] = []
    for _ in range(1_000_000):
        nested = [nested]
    del nested
    return True


def recursion_compile(host: Any) -> object:
    return eval("(" * 5_000 + ")" * 5_000)


def recursion_compile_sum(host: Any) -> object:
    return eval("1" + "+1" * 50_000)


def recursion_sort(host: Any) -> object:
    nested: list[Any] = []
    for _ in range(50_000):
        nested = [nested]
    other: list[Any] = []
    for _ in range(50_000):
        other = [other]
    _kept.extend((nested, other))
    return sorted([nested, other])


def recursion_regex(host: Any) -> object:
    return bool(re.match(r"(?:a|b)*c", "ab" * 100_000))


def recursion_regex_compile(host: Any) -> object:
    return bool(re.compile("(" * 5_000 + ")" * 5_000))


def recursion_isinstance(host: Any) -> object:
    nested: Any = (int,)
    for _ in range(100_000):
        nested = (nested,)
    _kept.append(nested)
    return isinstance("", nested)


def recursion_pickle(host: Any) -> object:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    _kept.append(nested)
    return len(pickle.dumps(nested))


def recursion_limit_raised(host: Any) -> object:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        return repr(_Nested(0))
    finally:
        sys.setrecursionlimit(limit)


# --- the interpreter goes on ------------------------------------------------------------------------------------------


def alive(host: Any) -> object:
    return sum(range(10))


def sqlite(host: Any) -> object:
    with sqlite3.connect(":memory:") as connection:
        return connection.execute("select 6 * 7").fetchone()


def sqlite_file(host: Any) -> object:
    return sqlite3.connect("/tmp/x.db").execute("create table t (a)")


def decimal_number(host: Any) -> object:
    return str(decimal.Decimal(1) / decimal.Decimal(3))


def bad_argument_type(host: Any) -> object:
    return host.proxy_log(2, "not bytes")


def bad_argument_range(host: Any) -> object:
    return host.proxy_log(-1, b"")


def bytearray_argument(host: Any) -> object:
    return host.proxy_log(2, bytearray(b"x"))


def bad_argument_float(host: Any) -> object:
    return host.proxy_increment_metric(1, 1.5)


def bad_argument_range_64(host: Any) -> object:
    return host.proxy_increment_metric(1, 1 << 63)


def big_argument(host: Any, size: int) -> object:
    return host.proxy_log(2, bytes(size))


def names(host: Any) -> object:
    return [name for name, value in globals().items() if isinstance(value, FunctionType) and name[0] != "_"]
