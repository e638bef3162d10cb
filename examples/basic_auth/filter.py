"""HTTP Basic authentication at the proxy.

Configuration (JSON):

    {"realm": "staging", "users": {"ada": "<SHA-256 of the password, in hexadecimal>"}}

The upstream gets the user's name in `x-authenticated-user`, and never the password.
"""

import base64
import binascii
import hashlib
import hmac
import logging
from dataclasses import dataclass

from pywasm_filter import Action, HttpContext, RootContext, register_root_context

logger = logging.getLogger(__name__)

USER_HEADER = "x-authenticated-user"


@dataclass(frozen=True)
class Settings:
    """The configuration: digests of the passwords by user."""

    users: dict[str, str]
    realm: str = "restricted"

    def __post_init__(self) -> None:
        if '"' in self.realm or not self.realm.isprintable():
            raise ValueError("realm must be a text without quotes")
        for user, digest in self.users.items():
            try:
                size = len(bytes.fromhex(digest))
            except ValueError:
                size = 0
            if size != hashlib.sha256().digest_size:
                raise ValueError(f"the password of {user} is not given as its SHA-256, in hexadecimal")


class BasicAuth(HttpContext["BasicAuthRoot"]):
    """One exchange: it goes on only with known credentials."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        user = self.root.authenticate(headers.get_bytes("authorization"))
        if user is None:
            logger.info("refused %s %s", self.request.method, self.request.path)
            return self.send_local_response(
                401,
                headers={"www-authenticate": f'Basic realm="{self.root.config.realm}", charset="UTF-8"'},
                body="authentication required\n",
                details="basic_auth_failed",
            )
        headers[USER_HEADER] = user
        headers.discard("authorization")
        return Action.CONTINUE


class BasicAuthRoot(RootContext[Settings]):
    """The plugin: it knows the users."""

    http_context = BasicAuth

    def authenticate(self, authorization: bytes | None) -> str | None:
        """The user whom the header names and whose password it proves; None for any other."""
        scheme, _, encoded = (authorization or b"").partition(b" ")
        if scheme.lower() != b"basic":
            return None
        try:
            user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
            name = user.decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        # An unknown user costs as much time as a wrong password.
        expected = self.config.users.get(name, "").lower()
        matches = hmac.compare_digest(hashlib.sha256(password).hexdigest(), expected)
        return name if matches and colon else None


register_root_context(BasicAuthRoot, "basic_auth")
