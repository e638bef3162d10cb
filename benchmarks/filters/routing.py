"""Name the first rule whose pattern fits the whole path. Configuration: see `benchmarks.jobs.routing_job`."""

import re
from dataclasses import dataclass

from pywasm_filter import Action, HttpContext, RootContext, register_root_context


@dataclass(frozen=True)
class Rule:
    """A regular expression without groups, and the route of what it fits."""

    pattern: str
    route: str


@dataclass(frozen=True)
class Settings:
    """The configuration."""

    rules: list[Rule]
    default: str


class Routing(HttpContext["RoutingRoot"]):
    """One exchange."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Tell Envoy's routes the name."""
        self.request.headers["x-route"] = self.root.route(self.request.path or "/")
        return Action.CONTINUE


class RoutingRoot(RootContext[Settings]):
    """The plugin: it has the rules in one expression, which tries them in order."""

    http_context = Routing

    def on_configure(self, configuration: bytes) -> bool:
        """Compile the rules once."""
        if not super().on_configure(configuration):
            return False
        self.expression = re.compile("|".join(f"({rule.pattern})" for rule in self.config.rules))
        return True

    def route(self, path: str) -> str:
        """The route of a path."""
        found = self.expression.fullmatch(path)
        if found is None or found.lastindex is None:
            return self.config.default
        return self.config.rules[found.lastindex - 1].route


register_root_context(RoutingRoot, "routing")
