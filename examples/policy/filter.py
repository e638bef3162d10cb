"""Who may do what, by configuration: ordered rules, of which the first that fits decides; default deny.

Configuration (JSON):

    {"claims_header": "x-jwt-payload", "explain": "log", "rules": [
      {"name": "health", "effect": "allow", "methods": ["GET"], "path": "/health"},
      {"name": "own-orders", "effect": "allow", "path": "/users/(?P<user>[^/]+)/orders(/.*)?",
       "when": [{"claim": ["sub"], "equals_group": "user"}],
       "obligations": [{"do": "set_header", "on": "request", "name": "x-policy", "value": "own-orders"}]},
      {"name": "no-bots", "effect": "deny", "status": 404,
       "when": [{"header": "user-agent", "matches": "(?i).*bot.*"}]}]}

A rule fits when its methods, its path and all of its conditions do; what it does not name fits anything. Patterns have
to match the whole text. The claims are JSON, plain or in base64url, in a header that a filter before this one has set
and that no client can set: Envoy's jwt_authn does with `forward_payload_header`.
"""

import base64
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote

from pywasm_filter import Action, HeaderMap, HttpContext, RootContext, register_root_context

logger = logging.getLogger(__name__)

DECISION_HEADER = "x-policy-decision"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
HEADER_NAME = re.compile(r"[a-z0-9_-]+")
# What upstreams read in different ways: rules must not be evaded by another spelling of a path.
AMBIGUOUS = re.compile(r"//|/\.{1,2}(?:/|\Z)|[%\\;\x00-\x1f\x7f\ud800-\udfff]")

Claims: TypeAlias = Mapping[str, Any]
Groups: TypeAlias = Mapping[str, str | None]


class Effect(Enum):
    ALLOW = "allow"
    DENY = "deny"


class Mode(Enum):
    ENFORCE = "enforce"
    AUDIT = "audit"  # denials are logged, and let pass


class Explain(Enum):
    NEVER = "never"
    LOG = "log"
    HEADER = "header"


@dataclass(frozen=True)
class SetHeader:
    """Set a header of the request, or of the response."""

    do: Literal["set_header"]
    on: Literal["request", "response"]
    name: str
    value: str

    def __post_init__(self) -> None:
        if not HEADER_NAME.fullmatch(self.name) or not self.value.isprintable():
            raise ValueError("a header has a name in lower case, and a value without control characters")


@dataclass(frozen=True)
class RemoveHeader:
    """Remove a header of the request, or of the response."""

    do: Literal["remove_header"]
    on: Literal["request", "response"]
    name: str

    def __post_init__(self) -> None:
        if not HEADER_NAME.fullmatch(self.name):
            raise ValueError("a header has a name in lower case")


Obligation: TypeAlias = SetHeader | RemoveHeader


@dataclass(frozen=True)
class Condition:
    """A test of one header, or of one claim, which is named by the path of keys to it."""

    header: str | None = None
    claim: tuple[str, ...] | None = None
    present: bool | None = None
    equals: str | int | bool | None = None
    one_of: frozenset[str] | None = None
    matches: re.Pattern[str] | None = None
    equals_group: str | None = None

    def __post_init__(self) -> None:
        if (self.header is None) == (not self.claim):
            raise ValueError("a condition is about a header or about a claim")
        if self.header is not None and not HEADER_NAME.fullmatch(self.header):
            raise ValueError("a header has a name in lower case")
        tests = (self.present, self.equals, self.one_of, self.matches, self.equals_group)
        if sum(test is not None for test in tests) != 1:
            raise ValueError("a condition has one of present, equals, one_of, matches and equals_group")

    def __str__(self) -> str:
        return f"claim {'.'.join(self.claim)}" if self.claim else f"header {self.header}"

    def holds(self, headers: HeaderMap, claims: Claims, groups: Groups, effect: Effect) -> bool:
        """Of several values of a header, a client can have added some: all have to fit to allow, one to deny."""
        values = headers.getall(self.header) if self.header is not None else claim_values(claims, self.claim or ())
        if self.present is not None:
            return self.present == bool(values)
        results = [self.fits(value, groups) for value in values]
        return all(results) and bool(results) if self.header and effect is Effect.ALLOW else any(results)

    def fits(self, value: object, groups: Groups) -> bool:
        """Whether one value passes the test."""
        if self.equals is not None:
            return type(value) is type(self.equals) and value == self.equals
        if not isinstance(value, str):
            return False
        if self.one_of is not None:
            return value in self.one_of
        if self.matches is not None:
            return self.matches.fullmatch(value) is not None
        return self.equals_group is not None and value == groups.get(self.equals_group)


@dataclass(frozen=True)
class Rule:
    """What it is about, and what follows."""

    name: str
    effect: Effect
    methods: frozenset[str] | None = None
    path: re.Pattern[str] | None = None
    when: tuple[Condition, ...] = ()
    status: int = 403
    obligations: tuple[Obligation, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError("a rule's name has up to 64 letters, digits, dots, _ and -")
        if not 400 <= self.status <= 599:
            raise ValueError(f"the status of a denial is 400 to 599, not {self.status}")
        known = self.path.groupindex if self.path is not None else {}
        for condition in self.when:
            if condition.equals_group is not None and condition.equals_group not in known:
                raise ValueError(f"its path has no group {condition.equals_group!r}")

    def mismatch(self, method: str, path: str, headers: HeaderMap, claims: Claims) -> str | None:
        """What of the rule does not fit the request; None when all does."""
        if self.methods is not None and method not in self.methods:
            return "method"
        groups: Groups = {}
        if self.path is not None:
            match = self.path.fullmatch(path)
            if match is None:
                return "path"
            groups = match.groupdict()
        for condition in self.when:
            if not condition.holds(headers, claims, groups, self.effect):
                return str(condition)
        return None


@dataclass(frozen=True)
class Config:
    """The rules, and what is told of their decisions."""

    rules: tuple[Rule, ...]
    claims_header: str | None = None
    mode: Mode = Mode.ENFORCE
    explain: Explain = Explain.NEVER

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("two rules have the same name")
        if self.claims_header is None and any(condition.claim for rule in self.rules for condition in rule.when):
            raise ValueError("conditions on claims need a claims_header")
        if self.claims_header is not None and not HEADER_NAME.fullmatch(self.claims_header):
            raise ValueError("a header has a name in lower case")


@dataclass(frozen=True)
class Decision:
    """What is decided, by which rule, and why the rules before it did not decide."""

    effect: Effect
    rule: str
    status: int
    obligations: tuple[Obligation, ...] = ()
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.effect.value}; rule={self.rule}"


class Policy(HttpContext["PolicyRoot"]):
    """One exchange, and the decision on it."""

    decision: Decision | None = None

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        headers = self.request.headers
        decision = self.decision = decide(config, headers)
        denied = decision.effect is Effect.DENY
        if config.explain is not Explain.NEVER or (denied and config.mode is Mode.AUDIT):
            logger.info("%s (%s)", decision, ", ".join(decision.passed_over) or "first rule")
        if denied and config.mode is Mode.ENFORCE:
            return self.send_local_response(
                decision.status, body="denied by policy\n", details=f"policy_{decision.rule}"
            )
        self.fulfil("request")
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.fulfil("response")
        if self.root.config.explain is Explain.HEADER and self.decision is not None:
            self.response.headers[DECISION_HEADER] = str(self.decision)
        return Action.CONTINUE

    def fulfil(self, on: Literal["request", "response"]) -> None:
        """Do what the decision obliges to."""
        headers = (self.request if on == "request" else self.response).headers
        for obligation in self.decision.obligations if self.decision is not None else ():
            if obligation.on == on:
                if isinstance(obligation, SetHeader):
                    headers[obligation.name] = obligation.value
                else:
                    headers.discard(obligation.name)


class PolicyRoot(RootContext[Config]):
    """The plugin: its configuration is the policy."""

    http_context = Policy


def decide(config: Config, headers: HeaderMap) -> Decision:
    """The first rule that fits decides. What cannot be read without doubt is denied before any rule."""
    path = plain_path(headers.get(":path", ""))
    if path is None:
        return Decision(Effect.DENY, "ambiguous-path", 400)
    try:
        claims = read_claims(headers.getall(config.claims_header)) if config.claims_header is not None else {}
    except ValueError:
        return Decision(Effect.DENY, "malformed-claims", 403)
    method = headers.get(":method", "")
    passed_over: list[str] = []
    for rule in config.rules:
        mismatch = rule.mismatch(method, path, headers, claims)
        if mismatch is None:
            return Decision(rule.effect, rule.name, rule.status, rule.obligations, tuple(passed_over))
        passed_over.append(f"{rule.name}: {mismatch}")
    return Decision(Effect.DENY, "default", 403, passed_over=tuple(passed_over))


def plain_path(target: str) -> str | None:
    """The path without its query, decoded; None where it could be read in more than one way."""
    raw = target.partition("?")[0]
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    if path.count("/") != raw.count("/") or AMBIGUOUS.search(path) or not path:
        return None
    return path


def read_claims(values: list[str]) -> Claims:
    """The claims in a header, plain or in base64url; empty when it is absent. Raises ValueError."""
    if not values:
        return {}
    if len(values) > 1:
        raise ValueError("claims are there twice")
    text = values[0]
    try:
        plain = text if text.startswith("{") else base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        claims = json.loads(plain)
    except RecursionError as error:
        raise ValueError("claims are too deep") from error
    if not isinstance(claims, dict):
        raise ValueError("claims are an object")
    return claims


def claim_values(claims: Claims, path: tuple[str, ...]) -> list[Any]:
    """The values of a claim: those in a list, or the one that is there."""
    value: Any = claims
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return []
        value = value[key]
    return value if isinstance(value, list) else [value]


register_root_context(PolicyRoot, "policy")
