"""Keys for signatures, in all their forms. They are always the same, for what they sign is on record."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KEYS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))


@dataclass(frozen=True)
class Key:
    """A key, DER unless it says otherwise. `signed` is the signature of b"text" with SHA-256."""

    private: bytes
    private_pem: bytes
    public: bytes
    public_pem: bytes
    private_traditional: bytes = b""
    private_pkcs1: bytes = b""
    private_pkcs1_pem: bytes = b""
    public_pkcs1: bytes = b""
    public_pkcs1_pem: bytes = b""
    signed: bytes = b""


def _key(name: str) -> Key:
    return Key(**{form: base64.b64decode(text) for form, text in _KEYS[name].items()})


RSA: Final = _key("RSA")
EC: Final = _key("EC")
ED25519: Final = _key("ED25519")
