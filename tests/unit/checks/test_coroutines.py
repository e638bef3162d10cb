"""Coroutines that nobody awaits, and those that somebody does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.checks.marked import HEADER, assert_marked

SOURCE = (
    HEADER
    + """
import helper
from helper import fetch

class Stream(HttpContext["Root"]):
    async def on_request_headers(self, num_headers, end_of_stream):
BODY
        return Action.CONTINUE

    async def ask(self) -> str:
        return (await self.http_call("a", "GET", "/")).text

    async def items(self):
        yield 1

    def plain(self):
        return self.ask()

    @memo
    async def decorated(self):
        pass

class Root(RootContext):
    http_context = Stream

    async def refresh(self):
        pass

register_root_context(Root)
"""
)
HELPER = "async def fetch(url): pass\nclass Client:\n    async def get(self): pass\n    def close(self): pass\n"

NEVER = [
    "self.http_call('a', 'GET', '/')  # !unawaited",
    "self.grpc_call('a', 's', 'm', b'')  # !unawaited",
    "self.sleep(1)  # !unawaited",
    "self.root.sleep(1)  # !unawaited",
    "self.root.refresh()  # !unawaited",
    "gather(self.ask(), self.ask())  # !unawaited",
    "wait_for(self.ask(), 1)  # !unawaited",
    "self.ask()  # !unawaited",
    "fetch('x')  # !unawaited",
    "helper.fetch('x')  # !unawaited",
    "helper.Client().get()  # !unawaited",
    "client = helper.Client()\nclient.get()  # !unawaited",
    "if num_headers:\n    self.sleep(1)  # !unawaited",
    "print(self.http_call('a', 'GET', '/').status)  # !unawaited",
    "self.ask().strip()  # !unawaited",
    "answer = self.http_call('a', 'GET', '/')  # !unawaited\nif answer.status == 200: pass",
    "answer = self.ask()  # !unawaited",
    "_ = self.ask()  # !unawaited",
    "super().sleep(1)  # !unawaited",
]
SOMEBODY = [
    "await self.http_call('a', 'GET', '/')",
    "(await self.http_call('a', 'GET', '/')).status",
    "answer = self.http_call('a', 'GET', '/')\nawait answer",
    "first = self.ask()\nsecond = self.ask()\nawait gather(first, second)",
    "self.create_task(self.ask())",
    "tasks = [self.ask() for _ in 'ab']\nawait gather(*tasks)",
    "later = self.ask()\nself.create_task(later)",
    "later = self.ask()\nlater.close()",
    "later = self.ask()\nprint(later)",
    "later = self.ask()\ndef inner(): return later\ninner()",
    "self.pending = self.ask()",
    "self.plain()",
    "self.items()",
    "self.decorated()",
    "self.start_http_call('a', 'GET', '/', print)",
    "self.grpc_stream('a', 's', 'm')",
    "async for item in self.items(): print(item)",
    "helper.Client().close()",
    "self.ask",
    "self.unknown.http_call('a')",
    "later = self.ask()\nlater = None",
]


def filled(body: str) -> str:
    return SOURCE.replace("BODY", "\n".join(f"        {line}" for line in body.splitlines())).replace(
        "@memo", "@helper.memo"
    )


@pytest.mark.parametrize("body", NEVER)
def test_nobody_awaits_it(body: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, filled(body), helper=HELPER)


@pytest.mark.parametrize("body", SOMEBODY)
def test_somebody_awaits_it(body: str, tmp_path: Path) -> None:
    assert_marked(tmp_path, filled(body), helper=HELPER)
