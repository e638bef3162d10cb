"""Calls of what fails in a filter: found where they run for sure, and not where they work or mean something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pywasm_compiler.rules import rules

from tests.unit.checks.marked import assert_marked, found, in_callback

CALLS = [(rule, name, calls) for rule in rules().values() for calls in rule.calls for name in calls.names]


@pytest.mark.parametrize("rule", sorted({rule.id for rule, _, _ in CALLS}))
def test_every_call_of_the_table_is_found(rule: str, tmp_path: Path) -> None:
    imports, lines = ["from pathlib import Path"], []
    for name, calls in [(name, calls) for owner, name, calls in CALLS if owner.id == rule]:
        module, _, function = name.rpartition(".")
        mark = f"  # {'!' if calls.certain else '?'}{rule}"
        if module == "pathlib.Path":
            lines.append(f"Path('x').{function}(){mark}")
        elif module == "builtins":
            lines.append(f"{function}(){mark}")
        else:
            imports += ["try:", f"    import {module}", "except ImportError:", "    pass"]
            lines.append(f"{module}.{function}(){mark}")
    assert_marked(tmp_path, in_callback(*lines, before="\n".join(imports)))


WAYS = {
    "alias": ("import time as t", "t.sleep(1)  # !blocking-wait"),
    "from": ("from time import sleep", "sleep(1)  # !blocking-wait"),
    "from_as": ("from time import sleep as pause", "pause(1)  # !blocking-wait"),
    "value": ("import time\npause = time.sleep", "pause(1)  # !blocking-wait"),
    "local_import": ("import time", "import time; time.sleep(1)  # !blocking-wait"),
    "nested": ("import time", "print([str(time.sleep(1))])  # !blocking-wait"),
    "many_lines": ("import time", "print(", "    time.sleep(1)  # !blocking-wait", ")"),
    "submodule": ("import urllib.request", "urllib.request.urlopen('http://x')  # !network"),
    "submodule_from": ("from urllib import request", "request.urlopen('http://x')  # !network"),
    "optional": (
        "try:\n    import time\nexcept ImportError:\n    time = None",
        "time.sleep(1)  # !blocking-wait",
    ),
    "condition": ("import time", "if configuration:", "    time.sleep(1)  # !blocking-wait"),
    "after_return": ("import time", "if configuration: return False", "time.sleep(1)  # !blocking-wait"),
    "caught_waiting": ("import time", "try:", "    time.sleep(1)  # !blocking-wait", "except OSError: pass"),
    "path_in_variable": ("from pathlib import Path\nP = Path('/etc')", "(P / 'x').read_text()  # !file-access"),
    "path_of_file": ("from pathlib import Path", "Path(__file__).parent.joinpath('x').open()  # !file-access"),
    "path_annotated": ("from pathlib import Path", "p: Path = make()", "p.exists()  # !file-access"),
    "own_path": ("from pathlib import Path", "p = Path('x').resolve().with_suffix('.y')", "p.exists()  # !file-access"),
    "path_class": ("import pathlib", "pathlib.Path.cwd().iterdir()  # !file-access"),
    "keyword_mode": ("", "open('x', mode='w')  # !file-access"),
    "in_with": ("", "with open('x') as f: f.read()  # !file-access"),
    "in_lambda_called": ("import time", "(lambda: time.sleep(1))()  # !blocking-wait"),
    "comprehension": ("import time", "[time.sleep(1) for _ in 'ab']  # !blocking-wait"),
    "default_argument": ("import time", "def inner(x=time.sleep(1)): return x  # !blocking-wait"),
    "awaited": ("import asyncio", "self.x = asyncio.sleep(1)  # !event-loop"),
    "lock": ("import asyncio", "asyncio.get_event_loop().call_soon(print)  # !event-loop"),
    "unconditional_import": ("import requests_of_ours_not_there  # !unknown-module", ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_calling(way: str, tmp_path: Path) -> None:
    before, *lines = WAYS[way]
    assert_marked(tmp_path, in_callback(*lines, before=before))


LOOK_ALIKES = {
    "own_function": ("def open(x): return x", "open('x')"),
    "own_class": ("class time:\n    @staticmethod\n    def sleep(x): pass", "time.sleep(1)"),
    "parameter": ("import time", "def f(time): time.sleep(1)", "f(self)"),
    "local_variable": ("import time", "time = object()", "time.sleep(1)"),
    "ambiguous": ("try:\n    from time import sleep\nexcept ImportError:\n    def sleep(x): pass", "sleep(1)"),
    "loop_variable": ("", "for open in (print,): open('x')"),
    "own_open": ("import socket", "self.open('x')", "def open(): pass"),
    "attribute": ("", "self.client.open('x')"),
    "constants": ("import socket, signal, os, threading", "print(socket.AF_INET, signal.SIGTERM, os.sep)"),
    "locks": ("import threading", "with threading.Lock(): print(threading.local(), threading.current_thread())"),
    "addresses": ("import socket", "socket.inet_aton('1.2.3.4'); socket.gethostname(); socket.htons(1)"),
    "http_client_names": ("import http.client", "print(http.client.responses[404])"),
    "urllib": ("import urllib.parse, urllib.request", "urllib.parse.quote('x'); urllib.request.Request('http://x')"),
    "pure_paths": (
        "from pathlib import Path, PurePath",
        "print(Path('a').name, PurePath('b') / 'c', Path('x').suffix)",
    ),
    "path_names": ("import os.path", "os.path.join('a', 'b'); os.path.basename('x'); os.getpid(); os.urandom(3)"),
    "times": ("import time", "time.time(); time.monotonic(); time.strftime('%Y')"),
    "awaitables": ("import asyncio", "print(asyncio.CancelledError, asyncio.iscoroutine(self))"),
    "multiprocessing": ("import multiprocessing", "print(multiprocessing.TimeoutError)"),
    "in_memory": (
        "import io, gzip, zipfile",
        "io.BytesIO(b''); gzip.compress(b''); gzip.GzipFile(fileobj=io.BytesIO())",
    ),
    "logging": ("import logging", "logging.getLogger().info('x'); logging.StreamHandler()"),
    "type_checking": ("import time\nif TYPE_CHECKING:\n    time.sleep(1)", ""),
    "program": ("import time\nif __name__ == '__main__':\n    time.sleep(1)\n    open('x')", ""),
    "platform": ("import sys, time", "if sys.platform == 'win32': time.sleep(1)", "else: open('x')"),
    "asked_for": ("import os", "if hasattr(os, 'fork'): os.fork()"),
    "strings": ("", "print('time.sleep(1)')"),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_look_alikes(name: str, tmp_path: Path) -> None:
    before, *lines = LOOK_ALIKES[name]
    assert_marked(tmp_path, in_callback(*lines, before=f"from typing import TYPE_CHECKING\n{before}"))


# --- when it runs ---


def test_files_read_while_it_is_imported(tmp_path: Path) -> None:
    source = """
import functools, json
from pathlib import Path
from helper import Store, words
from pywasm_filter import *

HERE = Path(__file__).parent
TEXT = (HERE / "a.txt").read_text()
with open(HERE / "b.txt") as file:
    OTHER = file.read()
WORDS = words(HERE)
STORE = Store(HERE)
ALL = {path.stem: path.read_text() for path in map(Path, sorted(["a", "b"]))}

def _read(name):
    return json.loads((HERE / name).read_bytes())

class Limits:
    values = _read("limits.json")

@functools.cache
def patterns():
    return _read("patterns.json")

patterns()

class Stream(HttpContext):
    table = _read("table.json")

    def on_request_headers(self, num_headers, end_of_stream):
        print(TEXT, OTHER, WORDS, STORE.text, ALL, Limits.values, self.table, patterns(), STORE.read())
        return Action.CONTINUE
"""
    helper = """
from pathlib import Path

class Store:
    def __init__(self, directory: Path) -> None:
        self.text = self._load(directory)

    def _load(self, directory: Path) -> str:
        return (directory / "store.txt").read_text()

    def read(self):
        return self.text

def words(directory: Path) -> list[str]:
    return _words(directory).split()

def _words(directory: Path) -> str:
    return directory.joinpath("words.txt").read_text()
"""
    assert_marked(tmp_path, source, helper=helper)


def test_files_read_by_what_callbacks_call(tmp_path: Path) -> None:
    source = """
from pathlib import Path
import helper
from pywasm_filter import *

class Stream(HttpContext["Root"]):
    def on_request_headers(self, num_headers, end_of_stream):
        self.deny()
        self.root.reload()
        return Action.CONTINUE

    def deny(self):
        Path("denied").read_text()  # !file-access

    def never_called(self):
        Path("x").read_text()  # ?file-access

class Root(RootContext):
    http_context = Stream

    def reload(self):
        helper.load("x")
        helper.Store().text
        self.create_task(self.later())

    async def later(self):
        print(helper.Lazy().value)

register_root_context(Root)
"""
    helper = """
from pathlib import Path

def load(name):
    return open(name).read()  # !file-access

class Base:
    def __init__(self):
        self.text = Path("x").read_text()  # !file-access

class Store(Base):
    pass

class Lazy:
    @property
    def value(self):
        return open("x").read()  # !file-access

def helper_that_nobody_calls():
    return open("x").read()  # ?file-access
"""
    assert_marked(tmp_path, source, helper=helper)


def test_a_file_read_at_import_and_again_in_the_proxy(tmp_path: Path) -> None:
    source = """
from pywasm_filter import *

def load():
    return open("x").read()  # !file-access

DATA = load()

class Root(RootContext):
    def on_tick(self):
        self.data = load()
"""
    assert_marked(tmp_path, source)


def test_a_file_whose_content_is_kept(tmp_path: Path) -> None:
    source = """
from pywasm_filter import *

_kept = {}

def load(name):
    if name in _kept:
        return _kept[name]
    _kept[name] = open(name).read()  # ?file-access
    return _kept[name]

load("x")

class Root(RootContext):
    def on_configure(self, configuration):
        return load("x") == ""
"""
    assert_marked(tmp_path, source)


def test_a_failure_that_is_expected(tmp_path: Path) -> None:
    lines = [
        "try:",
        "    text = open('x').read()  # ?file-access",
        "except (OSError, ValueError):",
        "    text = ''",
        "with contextlib.suppress(FileNotFoundError):",
        "    open('y')  # ?file-access",
        "try:",
        "    open('z')  # !file-access",
        "except OSError:",
        "    raise",
        "try:",
        "    open('z')  # !file-access",
        "except KeyError:",
        "    pass",
        "try:",
        "    threading.Thread(target=print).start()  # ?thread",
        "except RuntimeError:",
        "    print()",
    ]
    assert_marked(tmp_path, in_callback(*lines, before="import contextlib, threading"))


def test_what_fails_while_it_is_imported(tmp_path: Path) -> None:
    source = """
import os, socket, subprocess, time, threading
from pywasm_filter import *

def version():
    return subprocess.check_output(["git"])  # !process

VERSION = version()
HOST = socket.gethostbyname("x")  # !network
open("log", "w")  # !file-access
try:
    socket.socket()  # ?network
except OSError:
    print("none")
time.sleep(1)  # !blocking-wait

class Worker(threading.Thread):
    pass

class Root(RootContext):
    started = os.popen("x")  # !process
"""
    assert_marked(tmp_path, source)


def test_it_is_a_warning_where_nobody_knows(tmp_path: Path) -> None:
    source = """
import socket, time
from pywasm_filter import *

ACTIONS = {"sleep": lambda: time.sleep(1), "connect": lambda: socket.socket()}  # ?blocking-wait ?network

def nobody_calls_this():
    time.sleep(1)  # ?blocking-wait

class Root(RootContext):
    def on_configure(self, configuration):
        ACTIONS[configuration]()
        return True
"""
    assert_marked(tmp_path, source.replace(" ?network", " # ?network"))


def test_a_package_beside_the_filter(tmp_path: Path) -> None:
    assert_marked(
        tmp_path,
        "from parts import wait\nfrom parts.more import hurry\nimport parts.more as m\n"
        "from pywasm_filter import *\n\nclass Root(RootContext):\n    def on_tick(self):\n"
        "        wait(); hurry(); m.third()\n",
        parts__in____init__="from .more import wait\n",
        parts__in__more="from time import sleep\ndef wait():\n    sleep(1)  # !blocking-wait\n"
        "def hurry():\n    from . import other\n    other.go()\ndef third():\n    sleep(2)  # !blocking-wait\n"
        "from . import other\n",
        parts__in__other="import time\ndef go():\n    time.sleep(1)  # !blocking-wait\n",
    )


def test_where_settings_are_made(tmp_path: Path) -> None:
    source = """
import dataclasses
from pywasm_filter import *

@dataclasses.dataclass
class Settings:
    path: str

    def __post_init__(self):
        self.text = open(self.path).read()  # !file-access

class Root(RootContext[Settings]):
    def on_configure(self, configuration):
        return True
"""
    assert_marked(tmp_path, source)


def test_the_message_names_what_is_called(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(in_callback("open('x')", "sleep(1)", before="from time import sleep"))
    from pywasm_filter.checks.checker import check_source

    first, second = check_source(tmp_path / "filter.py").findings
    assert first.message == "open finds no file: a proxy offers none to a filter"
    assert second.message == "time.sleep raises OSError: nothing may hold up the proxy"
    assert "await self.sleep(seconds)" in second.remedy
    assert found(tmp_path)
