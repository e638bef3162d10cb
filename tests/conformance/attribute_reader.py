"""Reads the attributes that its configuration names, in all callbacks, and logs what it finds.

It imports nothing that attributes need: the module has to bring that along.
"""

import json
from typing import Any

from pywasm_filter import Action, AttributeNotAvailable, HttpContext, LogLevel, Properties, RootContext, log


def read(properties: Properties, name: str) -> object:
    """The attribute with a dotted name."""
    value: Any = properties
    for part in name.split("."):
        value = getattr(value, part)
    return value


def report(properties: Properties, phase: str, names: list[str]) -> None:
    """Log a line an attribute."""
    for name in names:
        try:
            value = read(properties, name)
        except AttributeNotAvailable as absent:
            log(LogLevel.INFO, f"{phase} {name} absent {absent.availability}")
        else:
            log(LogLevel.INFO, f"{phase} {name} {type(value).__name__} {value}")


class Reader(HttpContext["ReaderRoot"]):
    """Reports in each callback."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        report(self.properties, "request_headers", self.root.names)
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        report(self.properties, "request_body", self.root.names)
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        report(self.properties, "response_headers", self.root.names)
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        report(self.properties, "response_body", self.root.names)
        return Action.CONTINUE

    def on_response_trailers(self, num_trailers: int) -> Action:
        report(self.properties, "response_trailers", self.root.names)
        return Action.CONTINUE

    def on_log(self) -> None:
        report(self.properties, "log", self.root.names)

    def on_done(self) -> bool:
        report(self.properties, "done", self.root.names)
        return True

    def on_delete(self) -> None:
        report(self.properties, "delete", self.root.names)


class ReaderRoot(RootContext):
    """Its configuration is a list of names."""

    http_context = Reader

    def on_configure(self, configuration: bytes) -> bool:
        self.names: list[str] = json.loads(configuration)
        report(self.properties, "configure", self.names)
        return True
