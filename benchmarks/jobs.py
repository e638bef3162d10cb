"""What the filters have to do. Each peer gets the same configuration, and must answer all cases before it is measured.

Envoy answers all requests by itself, with what the job says; what an upstream would have seen of the request comes back
in headers `x-upstream-…`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from benchmarks.load import Request


@dataclass(frozen=True)
class Case:
    """A request, and what must come of it."""

    request: Request
    statuses: Sequence[int] = (200,)
    """Those that are right."""
    headers: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    """Headers of the response; None for one that must not be there."""
    document: Any = None
    """The response's body as JSON, unless that is of no concern."""


@dataclass(frozen=True)
class Job:
    """What a filter has to do."""

    name: str
    title: str
    task: str
    """In a sentence, for people."""
    configuration: str
    cases: Sequence[Case]
    answer: bytes = b""
    """The body with which Envoy answers."""
    content_type: str = "text/plain"
    told: Sequence[str] = ()
    """Headers of the request of which the response tells what reached the upstream."""
    allow_on_headers_stop_iteration: bool = False

    @property
    def load(self) -> list[Request]:
        """What is sent in the rounds: the requests of all cases that are answered with 200."""
        return [case.request for case in self.cases if case.statuses == (200,)]


_BROWSER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "accept": "application/json",
    "accept-language": "en-GB,en;q=0.5",
    "x-request-id": "6f3a0f9e-0a56-4a35-9b1f-0b6b3f1b8f3c",
}


def headers_job(extra_headers: int = 0) -> Job:
    """Set one header of the request and one of the response."""
    request = Request("/hello", headers={**_BROWSER, **{f"x-extra-{n}": f"value {n}" for n in range(extra_headers)}})
    return Job(
        name="headers",
        title="Headers only",
        task="set `x-hello` on the request and on the response",
        configuration="from the benchmark",
        cases=[Case(request, headers={"x-hello": "from the benchmark", "x-upstream-x-hello": "from the benchmark"})],
        told=["x-hello"],
    )


SECRET_MEMBER = "password"


def json_job(size: int = 10_000) -> Job:
    """Remove a member from a JSON document, wherever it is, when the response declares JSON."""
    document = _document(size)
    return Job(
        name="json",
        title=f"JSON body of {size / 1000:g} kB",
        task=f"parse the response's body, remove each member `{SECRET_MEMBER}` at any depth, write it anew",
        configuration=json.dumps({"remove_from_response": [SECRET_MEMBER]}),
        cases=[Case(Request("/users", headers=_BROWSER), document=_without_secrets(document))],
        answer=_encode(document),
        content_type="application/json",
    )


def jwt_job() -> Job:
    """Let requests pass that have a valid token, and tell upstream whose it is."""
    key = hashlib.sha256(b"a secret of the benchmark").digest()
    claims = {"iss": "https://id.example", "aud": ["orders", "billing"], "sub": "user-4711", "exp": 4102444800}
    configuration = {
        "keys": [{"kty": "oct", "k": _base64url(key)}],
        "issuer": "https://id.example",
        "audiences": ["orders"],
        "claim_headers": {"x-jwt-sub": "sub"},
    }

    def request(token: str | None) -> Request:
        return Request(
            "/orders", headers=_BROWSER if token is None else {**_BROWSER, "authorization": f"Bearer {token}"}
        )

    valid = _token(claims, key)
    refused = [
        None,
        "no.token",
        _token(claims, b"another key"),
        _token({**claims, "exp": 1700000000}, key),
        _token({**claims, "iss": "https://id.other"}, key),
        _token({**claims, "aud": "shipping"}, key),
        _token(claims, key, algorithm="none"),
    ]
    return Job(
        name="jwt",
        title="JWT check (HS256)",
        task="verify signature, expiry, issuer and audience of a bearer token, tell upstream the subject in place of "
        "the token, refuse all else with 401",
        configuration=json.dumps(configuration),
        cases=[
            Case(request(valid), headers={"x-upstream-x-jwt-sub": "user-4711", "x-upstream-authorization": None}),
            # Envoy's own filter has 403 for another audience.
            *(Case(request(token), statuses=(401, 403)) for token in refused),
        ],
        told=["x-jwt-sub", "authorization"],
    )


ROUTE_HEADER = "x-route"
DEFAULT_ROUTE = "default"


@dataclass(frozen=True)
class Rule:
    """Paths of one form, and the name of their route."""

    segments: tuple[str, ...]
    """Literal texts, and character classes with `+`, which regular expressions and Lua's patterns write alike."""
    route: str

    @property
    def regex(self) -> str:
        """As a regular expression for whole paths."""
        return "".join("/" + (part if part.startswith("[") else re.escape(part)) for part in self.segments)

    @property
    def lua_pattern(self) -> str:
        """As a pattern of Lua for whole paths."""
        return "".join(
            "/" + (part if part.startswith("[") else re.sub(r"([^A-Za-z0-9])", r"%\1", part)) for part in self.segments
        )


def rules(count: int = 200) -> list[Rule]:
    """Different rules in several forms."""
    nouns = ["orders", "users", "carts", "items", "prices", "stocks", "offers", "reviews", "returns", "parcels"]
    forms: list[tuple[str, ...]] = [
        ("[0-9]+",),
        ("[0-9]+", "lines", "[0-9a-f]+"),
        ("by-name", "[a-z]+", "summary.json"),
        ("[^/]+", "history"),
    ]
    made = []
    for number in range(count):
        noun, form = nouns[number % len(nouns)], forms[number // len(nouns) % len(forms)]
        version = f"v{number // (len(nouns) * len(forms)) + 1}"
        made.append(Rule((version, noun, *form), f"route-{number}"))
    return made


def routing_job(count: int = 200) -> Job:
    """Name the first rule that fits the whole path."""
    paths = {
        "/v1/orders/4711": "route-0",
        "/v2/carts/17/lines/00fe": "route-52",
        "/v3/prices/by-name/teapot/summary.json": "route-104",
        "/v4/offers/winter-sale/history": "route-156",
        "/v5/parcels/2026-11/history": "route-199",
        "/v5/parcels/2026-11/future": DEFAULT_ROUTE,
    }
    known = {rule.route for rule in rules(count)} | {DEFAULT_ROUTE}
    configuration = {
        "default": DEFAULT_ROUTE,
        "rules": [{"pattern": rule.regex, "route": rule.route} for rule in rules(count)],
    }
    return Job(
        name="routing",
        title=f"Regex routing, {count} rules",
        task=f"set `{ROUTE_HEADER}` to the route of the first of {count} regular expressions that fits the whole path",
        configuration=json.dumps(configuration),
        cases=[
            Case(Request(path, headers=_BROWSER), headers={f"x-upstream-{ROUTE_HEADER}": route})
            for path, route in paths.items()
            if route in known
        ],
        told=[ROUTE_HEADER],
    )


def all_jobs() -> list[Job]:
    """The jobs that peers are compared by."""
    return [headers_job(), json_job(), jwt_job(), routing_job()]


def _document(size: int) -> dict[str, Any]:
    """A document of about so many bytes, always the same."""
    chance = random.Random(size)
    document: dict[str, Any] = {"page": 1, "next": None, "users": []}
    while len(_encode(document)) < size:
        number = len(document["users"])
        document["users"].append(
            {
                "id": number,
                "name": f"Zoë \u201cuser\u201d {number}",
                "active": chance.random() < 0.5,
                "score": round(chance.uniform(0, 100), 3),
                SECRET_MEMBER: f"{chance.getrandbits(64):016x}",
                "tags": [chance.choice(["red", "green", "blue"]) for _ in range(3)],
                "account": {"iban": f"XX{chance.getrandbits(60):020}", SECRET_MEMBER: "hunter2", "limit": None},
            }
        )
    return document


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(member) for name, member in value.items() if name != SECRET_MEMBER}
    return [_without_secrets(member) for member in value] if isinstance(value, list) else value


def _encode(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _token(claims: Mapping[str, object], key: bytes, algorithm: str = "HS256") -> str:
    signed = ".".join(_base64url(_encode(part)) for part in ({"alg": algorithm, "typ": "JWT"}, dict(claims)))
    return f"{signed}.{_base64url(hmac.digest(key, signed.encode(), 'sha256'))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
