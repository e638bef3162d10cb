"""HTTP Basic authentication at the proxy.

Configuration (JSON):

    {"realm": "staging", "users": {"ada": "<SHA-256 of the password, in hexadecimal>"}}

The upstream gets the user's name in `x-authenticated-user`, and never the password.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
from typing import Any

from pywasm_filter import Action, HttpContext, RootContext, register_root_context

logger = logging.getLogger(__name__)

USER_HEADER = "x-authenticated-user"


class BasicAuth(HttpContext["BasicAuthRoot"]):
    """One exchange: it goes on only with known credentials."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        user = self.root.authenticate(headers.get_bytes("authorization"))
        if user is None:
            logger.info("refused %s %s", self.request.method, self.request.path)
            return self.send_local_response(
                401,
                headers={"www-authenticate": f'Basic realm="{self.root.realm}", charset="UTF-8"'},
                body="authentication required\n",
                details="basic_auth_failed",
            )
        headers[USER_HEADER] = user
        headers.discard("authorization")
        return Action.CONTINUE


class BasicAuthRoot(RootContext):
    """The plugin: it knows the users."""

    http_context = BasicAuth
    realm = "restricted"

    def on_context_create(self) -> None:
        self.digests: dict[str, str] = {}

    def on_configure(self, configuration: bytes) -> bool:
        try:
            settings = json.loads(configuration)
            self.realm = _text(settings, "realm", default=self.realm)
            self.digests = {str(user): _digest(value) for user, value in settings["users"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("basic_auth: bad configuration: %s: %s", type(error).__name__, error)
            return False
        return True

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
        expected = self.digests.get(name, "")
        matches = hmac.compare_digest(hashlib.sha256(password).hexdigest(), expected)
        return name if matches and colon else None


def _text(settings: dict[str, Any], key: str, default: str) -> str:
    value = settings.get(key, default)
    if not isinstance(value, str) or '"' in value or not value.isprintable():
        raise ValueError(f"{key} must be a text without quotes")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or len(bytes.fromhex(value)) != hashlib.sha256().digest_size:
        raise ValueError("a password is given as its SHA-256, in hexadecimal")
    return value.lower()


register_root_context(BasicAuthRoot, "basic_auth")
