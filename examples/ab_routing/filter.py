"""A/B routing: each client gets a variant of an experiment, keeps it by a cookie, and is routed by it.

Configuration (JSON); `experiment` and `variants` with their weights are required:

    {"experiment": "checkout", "variants": {"control": 90, "fast": 10},
     "header": "x-variant", "id_header": "x-user-id", "max_age": "720h", "secure": true}

A client keeps the variant of its cookie, `checkout=fast`, as long as that has a weight over 0. Otherwise the variant
comes of a hash of `id_header`, so that a user has the same one on all devices, or else by chance. Weights that keep
their sum move few users when they change.

Routes can depend on the header, which is also what upstream learns, or on the filter state `wasm.checkout`, which
access logs show as `%FILTER_STATE(wasm.checkout:PLAIN)%`.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from pywasm_filter import Action, Counter, HttpContext, RootContext, clear_route_cache, register_root_context

assignments = Counter("ab_routing.assignments", labels=("experiment", "variant"))

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEADER_NAME = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Settings:
    """The configuration."""

    experiment: str
    variants: dict[str, int]
    header: str = "x-variant"
    id_header: str | None = None
    max_age: timedelta = timedelta(days=30)
    secure: bool = True

    def __post_init__(self) -> None:
        for name in (self.experiment, *self.variants):
            if not NAME.fullmatch(name):
                raise ValueError(f"names have up to 64 letters, digits, _ and -, not {name!r}")
        if min(self.variants.values(), default=0) < 0 or sum(self.variants.values()) == 0:
            raise ValueError("weights are not negative, and one is over 0")
        if self.max_age < timedelta(seconds=1):
            raise ValueError("max_age is a second or longer")
        for name in (self.header, self.id_header or "x-any"):
            if not HEADER_NAME.fullmatch(name) or name in ("cookie", "host"):
                raise ValueError(f"{name!r} cannot be the header; names are in lower case")

    def variant_at(self, point: int) -> str:
        """The variant on whose part of the way from 0 to the sum of the weights the point lies."""
        for variant, weight in self.variants.items():
            if point < weight:
                return variant
            point -= weight
        raise ValueError("the point lies behind the end")


class AbRouting(HttpContext["AbRoutingRoot"]):
    """One exchange."""

    assigned: str | None = None
    """A variant that the client does not have yet."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        variant = self.kept_variant()
        if variant is None:
            variant = self.assigned = self.new_variant()
            assignments.labels(experiment=config.experiment, variant=variant).increment()
        self.request.headers[config.header] = variant  # whatever the client has sent
        self.properties.set_raw(config.experiment, value=variant.encode())
        clear_route_cache()  # the header does so by itself, filter state does not
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        self.response.headers.add("vary", "Cookie")  # caches must not serve one client's variant to another
        if self.assigned is not None:
            age = int(config.max_age.total_seconds())
            cookie = f"{config.experiment}={self.assigned}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax"
            self.response.headers.add("set-cookie", cookie + ("; Secure" if config.secure else ""))
        return Action.CONTINUE

    def kept_variant(self) -> str | None:
        """The variant of the client's cookie, the first of several; None when there is none that is still served."""
        config = self.root.config
        for header in self.request.headers.getall("cookie"):
            for pair in header.split(";"):
                name, _, value = pair.strip(" \t").partition("=")
                if name == config.experiment and config.variants.get(value, 0) > 0:
                    return value
        return None

    def new_variant(self) -> str:
        """A variant by the client's id, or by chance."""
        config = self.root.config
        total = sum(config.variants.values())
        identity = self.request.headers.get_bytes(config.id_header) if config.id_header else None
        if not identity:
            return config.variant_at(secrets.randbelow(total))
        # With the experiment's name: experiments are to be independent of each other.
        digest = hashlib.sha256(config.experiment.encode() + b"\0" + identity).digest()
        return config.variant_at(int.from_bytes(digest[:8], "big") % total)


class AbRoutingRoot(RootContext[Settings]):
    """The plugin."""

    http_context = AbRouting


register_root_context(AbRoutingRoot, "ab_routing")
