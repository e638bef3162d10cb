"""JSON Web Tokens checked at the proxy: HS256 and RS256, in pure Python.

Configuration (JSON); the keys are those of a JWKS, and all but `keys` is optional:

    {"keys": [{"kty": "RSA", "kid": "2026", "n": "<base64url>", "e": "AQAB"},
              {"kty": "oct", "kid": "internal", "k": "<base64url>"}],
     "issuer": "https://id.example", "audiences": ["orders"], "clock_skew": "30s", "require_expiry": true,
     "claim_headers": {"x-jwt-sub": "sub", "x-jwt-scope": "scope"}, "forward_token": false, "realm": "orders"}

A key serves one algorithm, which its type decides; the token's header only has to agree. A token without `kid` is
checked when there is just one key of its algorithm. The headers of `claim_headers` come from the token or not at all.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from pywasm_filter import Action, HttpContext, RootContext, current_time_ns, register_root_context

logger = logging.getLogger(__name__)

MAX_TOKEN = 16 * 1024
# DigestInfo of SHA-256 up to the digest itself (RFC 8017, section 9.2, note 1).
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
HEADER_NAME = re.compile(r"[a-z0-9_-]+")

Claims: TypeAlias = dict[str, Any]


class InvalidToken(Exception):  # noqa: N818 - reads as what happened
    """Why a token is refused. The text goes to the client: it has nothing of the token in it."""


@dataclass(frozen=True)
class RsaKey:
    """A public key, for RS256."""

    kty: Literal["RSA"]
    n: str
    e: str
    kid: str | None = None
    alg: Literal["RS256"] = "RS256"
    use: Literal["sig"] = "sig"
    modulus: int = field(init=False)
    exponent: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "modulus", int.from_bytes(decode_base64url(self.n), "big"))
        object.__setattr__(self, "exponent", int.from_bytes(decode_base64url(self.e), "big"))
        if not 2048 <= self.modulus.bit_length() <= 8192:
            raise ValueError(f"an RSA key has 2048 to 8192 bits, not {self.modulus.bit_length()}")
        if not self.modulus % 2 or not self.exponent % 2 or not 3 <= self.exponent < 1 << 32:
            raise ValueError("n is odd, and e is an odd number from 3 on, below 2^32")

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """RSASSA-PKCS1-v1_5: the encoded message that there must be is built and compared, none is parsed."""
        size = (self.modulus.bit_length() + 7) // 8
        number = int.from_bytes(signature, "big")
        if len(signature) != size or number >= self.modulus:
            return False
        encoded = pow(number, self.exponent, self.modulus).to_bytes(size, "big")
        digest_info = SHA256_PREFIX + hashlib.sha256(signed).digest()
        expected = b"\x00\x01" + b"\xff" * (size - len(digest_info) - 3) + b"\x00" + digest_info
        return hmac.compare_digest(encoded, expected)


@dataclass(frozen=True)
class SecretKey:
    """A shared secret, for HS256."""

    kty: Literal["oct"]
    k: str = field(repr=False)
    kid: str | None = None
    alg: Literal["HS256"] = "HS256"
    use: Literal["sig"] = "sig"
    secret: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secret", decode_base64url(self.k))
        if len(self.secret) < hashlib.sha256().digest_size:
            raise ValueError("a secret for HS256 has 32 bytes or more")

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """HMAC with SHA-256."""
        return hmac.compare_digest(hmac.digest(self.secret, signed, "sha256"), signature)


Key: TypeAlias = RsaKey | SecretKey


@dataclass(frozen=True)
class Config:
    """What tokens are accepted, and what upstream is told of them."""

    keys: tuple[Key, ...]
    issuer: str | None = None
    audiences: frozenset[str] = frozenset()
    clock_skew: timedelta = timedelta(seconds=30)
    require_expiry: bool = True
    claim_headers: Mapping[str, str] = field(default_factory=dict)
    forward_token: bool = False
    realm: str = "api"

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("without keys no token could be checked")
        names = [(key.alg, key.kid) for key in self.keys]
        if len(set(names)) != len(names):
            raise ValueError("two keys of one algorithm have the same kid")
        for name in self.claim_headers:
            if not HEADER_NAME.fullmatch(name) or name in ("authorization", "host"):
                raise ValueError(f"{name!r} cannot be the header of a claim")
        if not self.realm.isascii() or not self.realm.isprintable() or {'"', "\\"} & set(self.realm):
            raise ValueError("the realm is printable ASCII without quotes and backslashes")


class JwtAuth(HttpContext["JwtAuthRoot"]):
    """One exchange: it goes on only with a token that is valid now."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        headers = self.request.headers
        given = headers.getall("authorization")
        if not given:
            return self.refuse(None)
        try:
            if len(given) > 1:
                raise InvalidToken("there are several authorization headers")
            claims = verify(bearer_token(given[0]), config, current_time_ns() / 1e9)
            forwarded = {
                name: claim_text(claims[claim]) for name, claim in config.claim_headers.items() if claim in claims
            }
        except InvalidToken as reason:
            return self.refuse(str(reason))
        for name in config.claim_headers:
            headers.discard(name)  # the client's own are not to be believed
        headers.update(forwarded)
        if not config.forward_token:
            headers.discard("authorization")
        return Action.CONTINUE

    def refuse(self, reason: str | None) -> Action:
        """401 as RFC 6750 has it: with a reason when there was a token."""
        challenge = f'Bearer realm="{self.root.config.realm}"'
        if reason is not None:
            challenge += f', error="invalid_token", error_description="{reason}"'
        logger.info("refused: %s", reason or "no token")
        return self.send_local_response(
            401,
            headers={"www-authenticate": challenge},
            body=f"{reason or 'a token is required'}\n",
            details="jwt_refused",
        )


class JwtAuthRoot(RootContext[Config]):
    """The plugin: its configuration has the keys."""

    http_context = JwtAuth


def bearer_token(authorization: str) -> str:
    """The token of an authorization header. Raises InvalidToken."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken("the authorization is no bearer token")
    return token.strip(" ")


def verify(token: str, config: Config, now: float) -> Claims:
    """The claims of a token that is signed by one of the keys and valid now. Raises InvalidToken."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN:
        raise InvalidToken("the token is malformed")
    try:
        header, signature = json_object(decode_base64url(parts[0])), decode_base64url(parts[2])
    except ValueError as error:
        raise InvalidToken("the token is malformed") from error
    if "crit" in header:  # extensions that must be understood: none is
        raise InvalidToken("the token has critical extensions")
    key = find_key(config.keys, header.get("alg"), header.get("kid"))
    if not key.verifies(signature, f"{parts[0]}.{parts[1]}".encode("ascii", "replace")):
        raise InvalidToken("the signature is wrong")
    try:
        claims = json_object(decode_base64url(parts[1]))
    except ValueError as error:
        raise InvalidToken("the token is malformed") from error
    check_claims(claims, config, now)
    return claims


def find_key(keys: tuple[Key, ...], algorithm: object, kid: object) -> Key:
    """The key that the token's header names: it must be of the algorithm that the header names too."""
    fitting = [key for key in keys if key.alg == algorithm and (kid is None or key.kid == kid)]
    if len(fitting) != 1:
        raise InvalidToken("no key fits the token")
    return fitting[0]


def check_claims(claims: Claims, config: Config, now: float) -> None:
    """Whether the token is meant for us, and for now. Raises InvalidToken."""
    skew = config.clock_skew.total_seconds()
    expiry, not_before = numeric_date(claims, "exp"), numeric_date(claims, "nbf")
    if expiry is None and config.require_expiry:
        raise InvalidToken("the token has no expiry")
    if expiry is not None and now >= expiry + skew:
        raise InvalidToken("the token has expired")
    if not_before is not None and now < not_before - skew:
        raise InvalidToken("the token is not valid yet")
    if config.issuer is not None and claims.get("iss") != config.issuer:
        raise InvalidToken("the token is of another issuer")
    if config.audiences:
        named = claims.get("aud")
        audiences = named if isinstance(named, list) else [named]
        if not any(isinstance(audience, str) and audience in config.audiences for audience in audiences):
            raise InvalidToken("the token is for another audience")


def numeric_date(claims: Claims, name: str) -> float | None:
    """A time in seconds since the epoch, None when the claim is absent. Raises InvalidToken for anything else."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e12 or math.isnan(value):
        raise InvalidToken(f"{name} is no time")
    return float(value)


def claim_text(value: object) -> str:
    """A claim as a header's value: text as it is, all else as JSON. Raises InvalidToken for control characters."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if not text.isprintable():
        raise InvalidToken("a claim cannot be passed on")
    return text


def json_object(data: bytes) -> Claims:
    """A JSON object of which no member is there twice. Raises ValueError."""

    def unique(pairs: list[tuple[str, Any]]) -> Claims:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member is there twice")
        return members

    try:
        value = json.loads(data.decode(), object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def decode_base64url(text: str) -> bytes:
    """Base64url without padding, in its one canonical form. Raises ValueError."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("no canonical base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("no canonical base64url")
    return data


register_root_context(JwtAuthRoot, "jwt_auth")
